"""The order path on a database that fails while it is used, and on the same one healed."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from solution.errors import LedgerError
from solution.ledger.postgres import PostgresLedger
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store
from solution.ledger.writer import OutcomeWriter
from solution.runtime.service import Fatal
from tests.helpers.clocks import ManualClock
from tests.helpers.ledger_rows import make_end
from tests.helpers.postgres_server import PostgresServer
from tests.helpers.trading import Rig

TRIGGER = "BEGIN SELECT RAISE(ABORT, 'read-only by a trigger'); END"

Fault = Callable[[SqliteLedger], AbstractContextManager[object]]


def file_of(ledger: SqliteLedger) -> Path:
    """Where it is."""
    assert ledger.path is not None
    return ledger.path


@contextmanager
def locked(ledger: SqliteLedger) -> Iterator[None]:
    """By a stranger."""
    stranger = sqlite3.connect(file_of(ledger), isolation_level=None)
    stranger.execute("BEGIN EXCLUSIVE")
    yield
    stranger.close()


@contextmanager
def read_only(ledger: SqliteLedger) -> Iterator[None]:
    """As SQLite itself reports it."""
    ledger._connection.execute("PRAGMA query_only = 1")
    yield


@contextmanager
def triggers(ledger: SqliteLedger) -> Iterator[None]:
    """Somebody forbids the rows and the events."""
    names = ("order_intents", "outbox")
    for name in names:
        ledger._connection.execute(f"CREATE TRIGGER no_{name} BEFORE INSERT ON {name} {TRIGGER}")
    yield
    for name in names:
        ledger._connection.execute(f"DROP TRIGGER no_{name}")


@contextmanager
def nameless(ledger: SqliteLedger, end: str) -> Iterator[None]:
    """A file of it is deleted; closing the ledger finishes the database all the same."""
    Path(f"{file_of(ledger)}{end}").unlink()
    yield


HEALED: dict[str, Fault] = {
    "locked": locked,
    "read-only": read_only,
    "triggers": triggers,
    "log deleted": lambda ledger: nameless(ledger, "-wal"),
    "index deleted": lambda ledger: nameless(ledger, "-shm"),
    "lock deleted": lambda ledger: nameless(ledger, ".lock"),
}


def nothing_goes_out(rig: Rig) -> None:
    """A worker with a signal, and the writer with an outcome: both end, and that is all."""
    posts, acks = list(rig.desk.posts), list(rig.outcomes.acks)
    with pytest.raises(Fatal) as ended:
        rig.worker().work(threading.Event())
    assert "\n" not in str(ended.value)
    told: list[object] = []
    writer = OutcomeWriter(rig.ledger, lambda *what: told.append(what), give_up=0.0)
    writer.put(make_end())
    with pytest.raises(Fatal, match=r"^the ledger failed for 0 s: "):
        writer.step()
    assert (rig.desk.posts, rig.outcomes.acks, told) == (posts, acks, [])
    assert writer.pending == 1


def goes_on(ledger: Store, done: str, waiting: str) -> None:
    """The next start, at which Redis delivers both again."""
    rig = Rig(ledger=ledger)
    rig.redeliver(done)
    assert rig.desk.posts == []
    rig.redeliver(waiting)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(waiting) == ["submitted", "fill!"]
    assert sorted(rig.outcomes.acks) == sorted([done, waiting])


@pytest.mark.parametrize("fault", HEALED)
def test_a_file_that_fails_lets_nothing_out_and_loses_nothing(tmp_path: Path, fault: str) -> None:
    """One order before, none while it fails, one afterwards: never two of one signal."""
    url, clock = f"sqlite:///{tmp_path}/ledger.db", ManualClock()
    ledger = SqliteLedger(url, busy_timeout=0.05, clock=clock)
    rig = Rig(ledger=ledger)
    done = rig.send()
    waiting = rig.publish(ticker="NVDA")
    with HEALED[fault](ledger):
        nothing_goes_out(rig)
    ledger.close()
    again = SqliteLedger(url, clock=clock)
    goes_on(again, done, waiting)
    again.close()


@pytest.mark.parametrize("in_the_log", [True, False])
def test_an_emptied_file_lets_nothing_out(tmp_path: Path, *, in_the_log: bool) -> None:
    """Its log may make it whole again; where nothing is left, the next start begins nothing new."""
    url, clock = f"sqlite:///{tmp_path}/ledger.db", ManualClock()
    ledger = SqliteLedger(url, clock=clock)
    rig = Rig(ledger=ledger)
    done = rig.send()
    waiting = rig.publish()
    if not in_the_log:
        ledger.tidy(idle=True)
    os.truncate(file_of(ledger), 0)
    nothing_goes_out(rig)
    ledger.close()
    if in_the_log:
        again = SqliteLedger(url, clock=clock)
        goes_on(again, done, waiting)
        again.close()
    else:
        for _ in range(2):
            with pytest.raises(LedgerError, match="restore a backup"):
                SqliteLedger(url)


@pytest.mark.parametrize("fault", ["down", "read-only"])
def test_a_server_that_fails_lets_nothing_out_and_loses_nothing(
    postgres_server: PostgresServer, postgres_url: str, fault: str
) -> None:
    """The same with PostgreSQL."""
    clock = ManualClock()
    ledger = PostgresLedger(postgres_url, patience=0.0, clock=clock)
    rig = Rig(ledger=ledger)
    done = rig.send()
    waiting = rig.publish()
    if fault == "down":
        postgres_server.crash()
        try:
            nothing_goes_out(rig)
        finally:
            postgres_server.start()
    else:
        with postgres_server.read_only(postgres_url):
            nothing_goes_out(rig)
    ledger.close()
    again = PostgresLedger(postgres_url, clock=clock)
    goes_on(again, done, waiting)
    again.close()
