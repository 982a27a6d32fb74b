"""Where the event ids of a ledger begin: a consumer drops those it has seen."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from solution.domain.records import Change
from solution.ledger import open_ledger
from solution.ledger.store import Store
from tests.helpers.clocks import ManualClock
from tests.helpers.ledger_rows import make_event
from tests.helpers.postgres_server import PostgresServer


@pytest.fixture(autouse=True)
def _as_in_earnest(_counted_from_one: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()


@pytest.fixture(params=["memory", "file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where no ledger is yet."""
    if request.param != "postgres":
        yield f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "file" else "sqlite://"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    shared = server.create()
    yield f"{shared}?schema=new"
    with server.connect(shared) as connection:
        connection.execute("DROP SCHEMA new CASCADE")


def told(ledger: Store, *numbers: int) -> list[int]:
    """The ids of these many new events."""
    change = Change(events=tuple(make_event(number) for number in numbers))
    return [event_id for event_id, _ in ledger.apply([change])]


def test_a_new_ledger_begins_above_all_that_a_lost_one_can_have_told(url: str) -> None:
    """Its millisecond, and a thousand events for each; they go on one by one."""
    clock = ManualClock()
    ledger = open_ledger(url, clock=clock)
    begin = clock.epoch_ms() * 1000
    assert ledger.last_event_id() == begin
    assert told(ledger, 1, 2) == [begin + 1, begin + 2]
    clock.advance(3600)
    assert told(ledger, 3) == [begin + 3]
    assert begin + 3 < 2**53
    ledger.close()


def test_a_ledger_that_is_there_goes_on_where_it_stood(tmp_path: Path) -> None:
    """Whatever its numbers are, and however late it is opened again."""
    url, clock = f"sqlite:///{tmp_path / 'ledger.db'}", ManualClock()
    ledger = open_ledger(url, clock=clock)
    [before] = told(ledger, 1)
    ledger.close()
    clock.advance(3600)
    ledger = open_ledger(url, clock=clock)
    assert told(ledger, 2) == [before + 1]
    ledger.close()


def test_an_upgrade_renumbers_nothing(tmp_path: Path) -> None:
    """A ledger of the first version, which counted from 1."""
    path = tmp_path / "ledger.db"
    old = sqlite3.connect(path)
    old.executescript(Path(__file__).with_name("schema_v1.sql").read_text(encoding="utf-8"))
    old.execute("INSERT INTO outbox (event_id, fields) VALUES (7, '{}')")
    old.commit()
    old.close()
    ledger = open_ledger(f"sqlite:///{path}")
    assert told(ledger, 1) == [8]
    ledger.close()
