"""Tests of paper_exchange.storage.kept_clock: time over restarts, on disk before it is shown."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.clock import SECOND, SystemClock, to_ns
from paper_exchange.exchange import Exchange
from paper_exchange.settings import Settings
from paper_exchange.storage.kept_clock import AHEAD_S, KeptClock
from tests.unit.paper_exchange.conftest import NOON

START = to_ns(NOON)
MINUTE = 60 * SECOND


class HandMoved(SystemClock):
    """Runs by itself for all that anybody knows."""

    def __init__(self, speed: float = 1.0, ns: int = START) -> None:
        super().__init__(speed, ns)
        self.ns = ns

    def now_ns(self) -> int:
        return self.ns

    def not_before(self, ns: int) -> None:
        self.ns = max(self.ns, ns)


Begin = Callable[..., tuple[Exchange, HandMoved]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts exchanges from what a killed one has left on disk."""
    made: list[Exchange] = []

    def again(*, ns: int = START, **settings: Any) -> tuple[Exchange, HandMoved]:
        state = tmp_path / f"{len(made)}.db"
        for suffix in ("", "-wal"):
            left = tmp_path / f"{len(made) - 1}.db{suffix}"
            if left.exists():
                (tmp_path / f"{state.name}{suffix}").write_bytes(left.read_bytes())
        clock = HandMoved(settings.get("speed", 1.0), ns)
        made.append(
            Exchange(Settings(seed=1, state=state, **settings), lambda _: None, clock=clock)
        )
        return made[-1], clock

    yield again
    for exchange in made:
        exchange.close()


@given(st.lists(st.integers(0, MINUTE), min_size=1))
def test_what_is_shown_was_kept_before(steps: list[int]) -> None:
    """At every moment, and never further ahead than a quarter of a real second."""
    clock, kept = HandMoved(speed=200), list[int]()
    durable, ahead = KeptClock(clock, kept.append), round(200 * AHEAD_S * SECOND)
    for step in steps:
        clock.ns += step
        shown = durable.now_ns()
        assert shown <= kept[-1] <= shown + ahead
    assert len(kept) <= 1 + sum(steps) // ahead


@pytest.mark.parametrize("own", [{"speed": 200.0}, {"start_ns": START}], ids=["fast", "begun"])
def test_a_killed_exchange_goes_on_behind_what_it_has_shown(
    begin: Begin, own: dict[str, Any]
) -> None:
    """Though nobody ordered anything: looking at the clock is enough."""
    exchange, clock = begin(**own)
    clock.ns += 20 * MINUTE
    shown = exchange.clock.now_ns()
    again, _ = begin(**own)
    ahead = round(AHEAD_S * own.get("speed", 1.0) * SECOND)
    assert shown <= again.clock.now_ns() <= shown + ahead


def test_it_stays_so_when_the_machine_has_its_time_again(begin: Begin) -> None:
    """A clock that runs ahead of the machine's is one of its own from then on."""
    exchange, clock = begin(speed=200.0)
    clock.ns += 20 * MINUTE
    exchange.clock.now_ns()
    exchange, clock = begin()
    clock.ns += MINUTE
    shown = exchange.clock.now_ns()
    assert shown <= begin()[0].clock.now_ns()


def test_the_machine_s_time_is_not_run_ahead_of(begin: Begin) -> None:
    """It goes on by itself: a start after a kill has the machine's time, not one ahead of it."""
    exchange, clock = begin()
    clock.ns += MINUTE
    shown = exchange.clock.now_ns()
    assert begin(ns=shown)[0].clock.now_ns() == shown


def test_one_that_was_ended_goes_on_where_it_was(begin: Begin) -> None:
    """Without the jump."""
    exchange, clock = begin(speed=200.0)
    clock.ns += 20 * MINUTE
    exchange.clock.now_ns()
    exchange.close()
    assert begin(speed=200.0)[0].clock.now_ns() == clock.ns


def test_time_goes_on_without_a_disk(
    begin: Begin, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment that cannot be kept costs no answer."""

    def full() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    exchange, clock = begin(speed=200.0)
    monkeypatch.setattr(exchange.store, "connection", full)
    clock.ns += 20 * MINUTE
    assert exchange.clock.now_ns() == clock.ns
    assert "time_not_written" in caplog.text
    monkeypatch.undo()
