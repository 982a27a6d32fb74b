"""From any earlier version to the newest, with everything that was in it, or not at all."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from solution.domain.records import Change, Note, State
from solution.errors import LedgerBusy, LedgerError
from solution.ledger import migrate, open_reader, scripts
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.tables import metadata
from tests.helpers.ledger_rows import make_dead_letter, make_end, make_event, make_intent

ROOT = Path(__file__).parents[4]
FIRST_SCHEMA = Path(__file__).with_name("schema_v1.sql")
"""The schema as the first released program made it, word for word."""


@pytest.fixture
def old(database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the first program: one order filled, one open, a dead letter, a value, events."""
    connection = sqlite3.connect(database)
    connection.executescript(FIRST_SCHEMA.read_text(encoding="utf-8"))
    connection.close()
    with monkeypatch.context() as patched:
        patched.setattr("solution.ledger.schema.SCHEMA_VERSION", 1)
        ledger = SqliteLedger(f"sqlite:///{database}")
        ledger.begin(make_intent(1))
        ledger.begin(make_intent(2))
        ledger.apply([make_end(1), Change(dead_letter=make_dead_letter(8))])
        ledger.apply([Change(events=(make_event(2),))])
        ledger.set_state("account", "a-1")
        ledger.close()
    return database


def value(database: Path, sql: str) -> object:
    """The one value a query returns, by a connection of the test's own."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


def layout(database: Path) -> list[tuple[str, str]]:
    """Every table and index with the statement that made it, spaces aside."""
    connection = sqlite3.connect(database)
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    out = sorted((name, re.sub(r"\s+", "", sql)) for name, sql in found)
    connection.close()
    return out


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


def test_a_ledger_of_the_first_program_keeps_everything(old: Path) -> None:
    """Rows, trades, event ids and state are there, and the new tables work beside them."""
    ledger = SqliteLedger(f"sqlite:///{old}")
    assert ledger.find(make_intent(1).identity).state is State.FILLED
    assert [intent.entry_id for intent in ledger.open_intents()] == ["2-0"]
    assert ledger.get_state("account") == "a-1"
    assert [event_id for event_id, _ in ledger.unpublished(10)] == [1, 2]
    note = Note("sp-test-2", 5, "posted", "once")
    assert [number for number, _ in ledger.apply([make_end(2, notes=(note,))])] == [3]
    assert ledger.acquire_lease("me", 5.0) == 1
    ledger.close()
    with open_reader(f"sqlite:///{old}") as reader:
        assert reader.notes("sp-test-2") == [note]
        assert len(reader.list_trades()) == 2
        assert reader.list_dead_letters() == [make_dead_letter(8)]
    assert value(old, "SELECT version_num FROM alembic_version") == scripts.NEWEST
    assert value(old, "PRAGMA user_version") == int(scripts.NEWEST)
    assert value(old, "PRAGMA integrity_check") == "ok"


def test_an_upgraded_ledger_is_laid_out_like_a_new_one(old: Path, tmp_path: Path) -> None:
    """The way through alembic and the way of an empty file lead to the same tables."""
    SqliteLedger(f"sqlite:///{old}").close()
    new = tmp_path / "new.db"
    SqliteLedger(f"sqlite:///{new}").close()
    assert layout(old) == layout(new)


def test_an_upgraded_ledger_is_its_owners_alone(old: Path) -> None:
    """Also one that was made readable, with all that belongs to it."""
    old.chmod(0o644)
    before = os.umask(0)
    try:
        ledger = SqliteLedger(f"sqlite:///{old}")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in old.parent.glob(f"{old.name}*")}
    ledger.close()
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


def test_the_listing_commands_read_a_ledger_that_is_not_upgraded_yet(old: Path) -> None:
    """Reading changes nothing; what the first program did not keep is empty."""
    before = old.read_bytes()
    with open_reader(f"sqlite:///{old}") as reader:
        assert len(reader.list_intents()) == 2
        assert (reader.notes("sp-test-1"), reader.list_equity()) == ([], [])
    assert old.read_bytes() == before


def test_the_tables_in_sqlalchemy_are_the_tables_in_the_database(file_ledger: SqliteLedger) -> None:
    """Alembic's own comparison finds nothing to migrate."""
    engine = create_engine(f"sqlite:///{file_ledger.path}", poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata("sqlite")) == []


def test_alembic_knows_the_versions_that_the_program_knows() -> None:
    """A step without its entry in VERSIONS would leave new ledgers behind upgraded ones."""
    config = Config()
    config.set_main_option("script_location", str(scripts.MIGRATIONS))
    found = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == scripts.VERSIONS


@pytest.mark.parametrize("which", ["current", "new", "memory"])
def test_a_hot_start_does_not_import_the_migrations(file_ledger: SqliteLedger, which: str) -> None:
    """SQLAlchemy and alembic take half a second that an order would wait for."""
    file_ledger.close()
    url = {
        "current": f"sqlite:///{file_ledger.path}",
        "new": f"sqlite:///{file_ledger.path}.new",
        "memory": "sqlite://",
    }[which]
    done = run(
        "import sys\n"
        "from solution.ledger import open_ledger\n"
        "open_ledger(sys.argv[1]).close()\n"
        "print([m for m in ('alembic', 'sqlalchemy', 'psycopg') if m in sys.modules])\n",
        url,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


KILLED = """
import os, signal, sys
from alembic.operations import Operations
from solution.ledger.sqlite import SqliteLedger
execute, left = Operations.execute, [int(sys.argv[2])]
def killing(self, *args, **kwargs):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(self, *args, **kwargs)
Operations.execute = killing
SqliteLedger(sys.argv[1])
"""


@pytest.mark.parametrize("nth", [1, 3, 7])
def test_a_crash_in_the_middle_leaves_the_old_version_whole(old: Path, nth: int) -> None:
    """Killed before the first, a middle and the last statement: old; the next start upgrades."""
    before = layout(old)
    done = run(KILLED, f"sqlite:///{old}", str(nth))
    assert done.returncode == -signal.SIGKILL
    assert layout(old) == before
    assert value(old, "PRAGMA user_version") == 1
    ledger = SqliteLedger(f"sqlite:///{old}")
    assert len(ledger.open_intents()) == 1
    ledger.close()
    assert value(old, "PRAGMA user_version") == int(scripts.NEWEST)


def test_a_crash_after_the_last_statement_leaves_the_old_version_whole(old: Path) -> None:
    """Killed just before the commit, at the place that the torture arms: old, then upgraded."""
    before = layout(old)
    armed = "from solution import failpoints as f\nf.arm(f.parse('migration.before_commit=kill'))\n"
    done = run(armed + KILLED, f"sqlite:///{old}", "0")
    assert done.returncode == -signal.SIGKILL
    assert "migration.before_commit: kill" in done.stderr
    assert layout(old) == before
    assert value(old, "PRAGMA user_version") == 1
    ledger = SqliteLedger(f"sqlite:///{old}")
    assert len(ledger.open_intents()) == 1
    ledger.close()
    assert value(old, "PRAGMA user_version") == int(scripts.NEWEST)


def test_a_stranger_in_the_way_stops_the_start_and_not_the_ledger(old: Path) -> None:
    """Somebody's open transaction: one sentence, and the old version stays."""
    stranger = sqlite3.connect(old, isolation_level=None)
    stranger.execute("PRAGMA journal_mode = WAL")
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="locked"):
        SqliteLedger(f"sqlite:///{old}", busy_timeout=0.05)
    stranger.execute("ROLLBACK")
    stranger.close()
    assert value(old, "PRAGMA user_version") == 1


def test_a_step_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that the database refuses takes the ones before it back."""
    before = layout(old)
    monkeypatch.setattr(migrate, "VERSIONS", ("0000",))
    with pytest.raises(LedgerError, match="could not be upgraded"):
        SqliteLedger(f"sqlite:///{old}")
    assert layout(old) == before
