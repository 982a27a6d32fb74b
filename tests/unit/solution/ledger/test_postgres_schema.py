"""Making, upgrading, refusing and reading a ledger in PostgreSQL."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from solution.config_ledger import for_dry_run
from solution.domain.records import State
from solution.errors import ConfigError, LedgerError
from solution.ledger import open_ledger, open_reader, scripts
from solution.ledger.postgres import PostgresLedger
from solution.ledger.postgres_schema import check_server
from solution.ledger.tables import metadata
from tests.helpers.ledger_rows import make_end, make_intent
from tests.helpers.postgres_server import PostgresServer

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def shared(postgres_server: PostgresServer) -> str:
    """A database of this module; each test has a schema of its own in it."""
    return postgres_server.create()


@pytest.fixture
def empty(
    shared: str, postgres_server: PostgresServer, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The LEDGER_URL of a schema that is not there yet."""
    yield f"{shared}?schema=mine"
    with postgres_server.connect(shared) as connection:
        connection.execute("DROP SCHEMA IF EXISTS mine CASCADE")
        connection.execute("DROP SCHEMA IF EXISTS dry_run CASCADE")


@pytest.fixture
def admin(
    empty: str, shared: str, postgres_server: PostgresServer
) -> Iterator["psycopg.Connection[Any]"]:
    """A connection of the test's own, inside the schema."""
    with postgres_server.connect(shared) as connection:
        connection.execute("CREATE SCHEMA mine")
        connection.execute("SET search_path = mine")
        yield connection


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with the tests' modules at hand."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def version(connection: "psycopg.Connection[Any]") -> str:
    """What alembic's table says."""
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert found is not None
    return str(found[0])


def make_first_version(connection: "psycopg.Connection[Any]") -> None:
    """The tables of version 1 with one open order."""
    for statement in scripts.statements("0001", "postgresql"):
        connection.execute(statement)  # type: ignore[call-overload]
    connection.execute(scripts.VERSION_TABLE)  # type: ignore[call-overload]
    connection.execute("INSERT INTO alembic_version VALUES ('0001')")
    connection.execute(
        "INSERT INTO order_intents (identity, digest, stream, entry_id, client_order_id, state,"
        " signal_id, symbol, asset_id, side, order_type, time_in_force, body, reserved_cash,"
        " reserved_qty, reason, message, status, filled_qty, alpaca_order_id, strategy, extra,"
        " published_ms, received_ms, submitted_ms, answered_ms, ended_ms, created_ms, updated_ms)"
        " VALUES ('nvda|1-0|abcdef', 'd', 'nvda', '1-0', 'sp-test-1', 'OPEN', '', 'NVDA', '',"
        " 'buy', '', '', '', 0, 0, '', '', 'new', 0, 'order-1', '', '', 0, 0, 0, 0, 0, 1, 1)"
    )


def test_an_older_version_is_upgraded_with_its_rows(
    empty: str, admin: "psycopg.Connection[Any]"
) -> None:
    """The order is there and goes on; the new tables work."""
    make_first_version(admin)
    ledger = PostgresLedger(empty)
    assert [intent.state for intent in ledger.open_intents()] == [State.OPEN]
    assert len(ledger.apply([make_end(1)])) == 1
    assert ledger.acquire_lease("me", 60) == 1
    ledger.close()
    assert version(admin) == scripts.NEWEST


def test_the_listing_commands_read_a_ledger_that_is_not_upgraded_yet(
    empty: str, admin: "psycopg.Connection[Any]"
) -> None:
    """Reading changes nothing; what the first version did not keep is empty."""
    make_first_version(admin)
    with open_reader(empty) as reader:
        assert len(reader.list_intents()) == 1
        assert (reader.notes("sp-test-1"), reader.list_equity()) == ([], [])
    assert version(admin) == "0001"


KILLED = """
import os, signal, sys
from alembic.operations import Operations
from solution.ledger.postgres import PostgresLedger
execute, left = Operations.execute, [4]
def killing(self, *args, **kwargs):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(self, *args, **kwargs)
Operations.execute = killing
PostgresLedger(sys.argv[1])
"""


def test_a_crash_in_the_middle_leaves_the_old_version_whole(
    empty: str, admin: "psycopg.Connection[Any]"
) -> None:
    """The next start upgrades; the lock of the dead one ended with its connection."""
    make_first_version(admin)
    assert run(KILLED, empty).returncode == -9
    assert version(admin) == "0001"
    found = admin.execute("SELECT to_regclass('history'), to_regclass('lease')").fetchone()
    assert found == (None, None)
    ledger = PostgresLedger(empty)
    assert len(ledger.open_intents()) == 1
    ledger.close()


def test_a_step_that_fails_changes_nothing(empty: str, admin: "psycopg.Connection[Any]") -> None:
    """A statement that the server refuses takes the ones before it back."""
    make_first_version(admin)
    admin.execute("CREATE TABLE lease (theirs INTEGER)")
    with pytest.raises(LedgerError, match='relation "lease" already exists'):
        PostgresLedger(empty)
    assert version(admin) == "0001"
    assert admin.execute("SELECT to_regclass('history')").fetchone() == (None,)


def test_an_old_server_is_refused() -> None:
    """Told at the start, with the version it takes."""
    old = SimpleNamespace(info=SimpleNamespace(server_version=110_022))
    with pytest.raises(LedgerError, match="needs PostgreSQL 12"):
        check_server(old, "db")


def test_two_instances_may_start_at_once_on_nothing(empty: str) -> None:
    """One makes the tables, the other waits for it and finds them."""
    made: list[PostgresLedger] = []
    threads = [
        threading.Thread(target=lambda: made.append(PostgresLedger(empty))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    made[0].begin(make_intent())
    assert len(made[1].open_intents()) == 1
    for ledger in made:
        ledger.close()


def test_the_tables_in_sqlalchemy_are_the_tables_in_the_database(postgres_url: str) -> None:
    """Alembic's own comparison finds nothing to migrate."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_url), poolclass=NullPool
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata("postgresql")) == []


def test_a_schema_is_a_ledger_of_its_own(empty: str, shared: str) -> None:
    """Two deployments in one database do not see each other."""
    first, second = PostgresLedger(empty), PostgresLedger(f"{shared}?schema=dry_run")
    first.begin(make_intent())
    assert (len(first.open_intents()), second.open_intents()) == (1, [])
    assert for_dry_run(shared) == f"{shared}?schema=dry_run"
    first.close()
    second.close()


def test_a_newer_ledger_is_refused(empty: str, admin: "psycopg.Connection[Any]") -> None:
    """An older program must not write into a layout it does not know."""
    make_first_version(admin)
    admin.execute("UPDATE alembic_version SET version_num = '0009'")
    with pytest.raises(LedgerError, match="version 9, this program knows up to 2"):
        open_ledger(empty)
    with pytest.raises(LedgerError, match="version 9"):
        open_reader(empty)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE order_intents (id INTEGER)"],
        [scripts.VERSION_TABLE, "INSERT INTO alembic_version VALUES ('a1b2')"],
        [scripts.VERSION_TABLE, "INSERT INTO alembic_version VALUES ('0002')"],
        [scripts.VERSION_TABLE],
    ],
)
def test_another_applications_tables_are_left_alone(
    empty: str, admin: "psycopg.Connection[Any]", statements: list[str]
) -> None:
    """The same names in somebody else's schema: one sentence that names the way out."""
    for statement in statements:
        admin.execute(statement)  # type: ignore[call-overload]
    with pytest.raises(LedgerError, match=r"another application's tables.*schema=NAME"):
        open_ledger(empty)
    found = admin.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'mine'").fetchone()
    assert found == (1,)


def test_tables_of_others_under_other_names_do_not_matter(
    empty: str, admin: "psycopg.Connection[Any]"
) -> None:
    """A database is often shared; only the ledger's own names count."""
    admin.execute("CREATE TABLE customers (id INTEGER)")
    open_ledger(empty).close()
    assert version(admin) == scripts.NEWEST


def test_an_empty_schema_holds_no_ledger_yet(empty: str) -> None:
    """A reader makes nothing."""
    for _ in range(2):
        with pytest.raises(LedgerError, match="holds no ledger yet"):
            open_reader(empty)


def test_a_reader_cannot_write(postgres_url: str) -> None:
    """Read-only is the server's own, not our restraint."""
    with open_reader(postgres_url) as reader, pytest.raises(LedgerError, match="read-only"):
        reader._read("DELETE FROM order_intents RETURNING id")


def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: PostgresServer) -> None:
    """Told at the start, not at the first signal with an umlaut."""
    with postgres_server.connect("postgres") as connection:
        connection.execute(
            "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        )
    with pytest.raises(LedgerError, match="must have the encoding UTF8, it has SQL_ASCII"):
        open_ledger(postgres_server.url("ascii"))


def test_a_database_that_is_not_there_is_one_sentence(postgres_server: PostgresServer) -> None:
    """Without the password, whatever the driver says."""
    url = postgres_server.url("nowhere")
    with pytest.raises(LedgerError, match='database "nowhere" does not exist') as caught:
        PostgresLedger(url, patience=0.0)
    assert "canary" not in repr(caught.value)


def test_the_password_is_shown_nowhere(postgres_url: str) -> None:
    """Neither the ledger nor its parts have it in their repr."""
    ledger = PostgresLedger(postgres_url)
    for part in (ledger, ledger._address, ledger._reads):
        assert "canary" not in repr(part)
    ledger.close()


def test_a_hot_start_does_not_import_the_migrations(postgres_url: str) -> None:
    """SQLAlchemy and alembic take half a second that a takeover would wait for."""
    done = run(
        "import sys\n"
        "from solution.ledger import open_ledger\n"
        "open_ledger(sys.argv[1]).close()\n"
        "print([m for m in ('alembic', 'sqlalchemy', 'psycopg') if m in sys.modules])\n",
        postgres_url,
    )
    assert (done.stdout, done.stderr) == ("['psycopg']\n", "")


def test_a_missing_driver_is_one_sentence(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command to install it is in it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'signalpaca\[postgres\]'"):
        open_ledger(postgres_url)
    with pytest.raises(ConfigError, match="LEDGER_URL"):
        open_reader(postgres_url)


def test_a_url_that_is_none_is_a_wrong_setting() -> None:
    """Without a quotation of what may be a password."""
    with pytest.raises(ConfigError, match="LEDGER_URL: the path is the name") as caught:
        open_ledger("postgresql://u:canary@h/")
    assert "canary" not in str(caught.value)


CHILD = """
import os, signal, sys
from solution.ledger import open_ledger
from tests.helpers.ledger_rows import make_intent
ledger = open_ledger(sys.argv[1])
ledger.begin(make_intent())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_rows_survive_kill_9(postgres_url: str) -> None:
    """What begin() returned for is there after SIGKILL."""
    assert run(CHILD, postgres_url).returncode == -9
    ledger = open_ledger(postgres_url)
    assert [intent.entry_id for intent in ledger.open_intents()] == ["1-0"]
    ledger.close()
