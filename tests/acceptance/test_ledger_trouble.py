"""The ledger's database is locked, away, read-only or damaged."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from solution.ledger.sqlite import SqliteLedger
from tests.helpers.clocks import eventually
from tests.helpers.ledger_rows import make_intent
from tests.helpers.postgres_server import PostgresServer
from tests.helpers.redis_server import free_port
from tests.helpers.service_process import World, refusal

CHEAP = ("F", "BAC", "C", "CSCO")
WITHIN = 15.0
"""Seconds from the trouble to the end of the process."""
A_WHILE = 1.0
"""Seconds of a trouble that is survived; the limits are three (PostgreSQL) and five."""
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

Trouble = Callable[[], AbstractContextManager[object]]


def publish_some(made: World, count: int) -> list[str]:
    """That many buys over the cheap assets."""
    return [made.publish(CHEAP[number % len(CHEAP)]) for number in range(count)]


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """By another process, which dies in the end."""
    stranger = subprocess.Popen(
        [sys.executable, "-c", LOCK, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"locked\n"
            yield
        finally:
            stranger.kill()


@contextmanager
def down(server: PostgresServer) -> Iterator[None]:
    """Without a goodbye."""
    server.crash()
    try:
        yield
    finally:
        server.start()


def survives(made: World, trouble: Trouble) -> list[str]:
    """Trades through a short trouble; returns what was published."""
    entries = publish_some(made, 100)
    assert eventually(lambda: bool(made.orders()))
    with trouble():
        entries += publish_some(made, 50)
        threading.Event().wait(A_WHILE)
    made.await_ends(entries)
    return entries


def ends(made: World, trouble: Trouble, words: str) -> list[str]:
    """Does not trade through a long one; returns what was published."""
    before = len(made.orders())
    entries = publish_some(made, 300)
    assert eventually(lambda: len(made.orders()) > before)
    with trouble():
        entries += publish_some(made, 50)
        line = refusal(made.services[-1], 1, "signalpaca stops: ", WITHIN)
        assert words in line
        posted = set(made.posts())
    assert posted <= set(made.rows()), "a POST without a row"
    assert made.pending() > 0
    return entries


def test_a_locked_file_is_waited_for_and_then_ends_the_service(
    make_world: Callable[..., World],
) -> None:
    """A lock of a second is survived, one of more than five is not; either way nothing is lost."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    service = made.start(workers=8)
    entries = survives(made, lambda: locked(made.ledger_path))
    assert service.process.poll() is None
    entries += ends(made, lambda: locked(made.ledger_path), f"{made.ledger_path} locked")
    made.start(workers=8)
    made.await_ends(entries)
    made.check(entries)


def test_a_server_that_is_away_is_waited_for_and_then_ends_the_service(
    make_world: Callable[..., World], postgres_server: PostgresServer, postgres_url: str
) -> None:
    """The same with PostgreSQL killed: back after a second, and not back."""
    made = make_world(SYMBOLS=",".join(CHEAP), LEDGER_URL=postgres_url)
    service = made.start()
    entries = survives(made, lambda: down(postgres_server))
    assert service.process.poll() is None
    entries += ends(made, lambda: down(postgres_server), "does not answer")
    made.start(workers=8)
    made.await_ends(entries)
    made.check(entries)


def test_a_database_that_becomes_read_only_ends_the_service(
    make_world: Callable[..., World], postgres_server: PostgresServer, postgres_url: str
) -> None:
    """While it runs; and once it can be written again nothing is lost."""
    made = make_world(SYMBOLS=",".join(CHEAP), LEDGER_URL=postgres_url)
    made.start()
    entries = ends(made, lambda: postgres_server.read_only(postgres_url), "is read-only")
    made.start(workers=8)
    made.await_ends(entries)
    made.check(entries)


# --- at the start -------------------------------------------------------------------------


def write(path: Path, at: int, content: bytes) -> None:
    """Over what is there."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def log_alone(path: Path) -> None:
    """The file is emptied, its log is left."""
    path.with_name(f"{path.name}-wal").write_bytes(path.read_bytes())
    os.truncate(path, 0)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_bytes(b"no database at all\n" * 999), "no SQLite database"),
    "header": (lambda path: write(path, 0, b"\xff" * 100), "no SQLite database"),
    "page": (lambda path: write(path, 20_480, b"\x5a" * 8_192), "damaged; restore a backup"),
    "half": (lambda path: os.truncate(path, path.stat().st_size // 2), "damaged; restore a backup"),
    "emptied": (log_alone, "damaged: it is empty, but has a log"),
}


def test_a_start_on_a_ledger_that_cannot_be_used_is_refused_in_one_line(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """Damaged in five ways, locked by somebody, on a server that is away: nothing is sent."""
    sound = tmp_path / "sound.db"
    ledger = SqliteLedger(f"sqlite:///{sound}")
    for number in range(100):
        ledger.begin(make_intent(number))
    ledger.close()
    made = make_world()
    started = {}
    for name, (happens, words) in DAMAGE.items():
        path = tmp_path / name / "ledger.db"
        path.parent.mkdir()
        shutil.copy(sound, path)
        happens(path)
        started[made.launch(LEDGER_URL=f"sqlite:///{path}")] = (str(path), words)
    with locked(sound):
        nowhere = f"127.0.0.1:{free_port()}"
        started[made.launch(LEDGER_URL=f"sqlite:///{sound}")] = (str(sound), "locked for too long")
        started[made.launch(LEDGER_URL=f"postgresql://u:SECRET-CANARY@{nowhere}/d")] = (
            nowhere,
            "does not answer",
        )
        entry = made.publish()
        for service, (where, words) in started.items():
            line = refusal(service, 1, "signalpaca stops: ", WITHIN)
            assert where in line
            assert words in line
    assert made.orders() == []
    made.start(LEDGER_URL=f"sqlite:///{tmp_path}/new.db")
    made.await_ends([entry])


def test_a_directory_that_may_not_be_written_is_refused_in_one_line(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """With a ledger in it and without; root, too, where it can do without its privilege."""
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        before = ("setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override")
        if (
            shutil.which("setpriv") is None
            or subprocess.run([*before, "true"], check=False).returncode
        ):
            pytest.skip("root may write everywhere")
    made = make_world()
    paths = [tmp_path / name / "ledger.db" for name in ("new", "used")]
    for path in paths:
        path.parent.mkdir()
    SqliteLedger(f"sqlite:///{paths[1]}").close()
    for path in paths:
        path.parent.chmod(0o500)
    services = [made.launch(before=before, LEDGER_URL=f"sqlite:///{path}") for path in paths]
    for path, service in zip(paths, services, strict=True):
        line = refusal(service, 1, "signalpaca stops: ")
        assert str(path) in line
