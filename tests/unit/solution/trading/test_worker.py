"""What one worker thread does: a slot of the right class, the best lane, one signal."""

import threading

import pytest

from solution.errors import LedgerError
from solution.rate_limiter import Priority, RateLimiter
from solution.runtime.rush import Rush
from solution.runtime.service import Fatal
from solution.trading import worker as module
from solution.trading.worker import worker
from tests.helpers.trading import Rig

STOP = threading.Event()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A fresh order path with a budget of 20, one of them out of reach of entries."""
    monkeypatch.setattr(module, "TAKE_TIMEOUT", 0.0)
    made = Rig()
    made.limiter = RateLimiter(20, clock=made.clock)
    return made


def test_one_call_is_one_signal(rig: Rig) -> None:
    """Also when more are waiting."""
    first, second = rig.publish(ticker="NVDA"), rig.publish(ticker="AAPL")
    work = worker(rig.lanes, rig.limiter, rig.pipeline, Rush(rig.lanes.pressing, rig.lanes.staffed))
    work(STOP)
    assert (bool(rig.outcomes.told(first)), bool(rig.outcomes.told(second))) == (True, False)
    work(STOP)
    work(STOP)
    assert rig.outcomes.told(second) == ["submitted", "fill!"]


def test_an_exit_may_use_what_entries_may_not(rig: Rig) -> None:
    """The budget of entries is used up: the exit goes, published last; the entry waits."""
    rig.snapshot(NVDA="5")
    for _ in range(19):
        slot = rig.limiter.try_acquire(Priority.ENTRY)
        assert slot is not None
        slot.done()
    entry = rig.publish(ticker="AAPL")
    leaving = rig.publish("s")
    work = worker(rig.lanes, rig.limiter, rig.pipeline, Rush(rig.lanes.pressing, rig.lanes.staffed))
    work(STOP)
    work(STOP)
    assert rig.outcomes.told(leaving) == ["submitted", "fill!"]
    assert rig.outcomes.told(entry) == []


def test_a_ledger_that_fails_ends_the_pool(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fatal carries the one line that the process ends with."""

    def full(_: object) -> None:
        raise LedgerError("the disk of the ledger is full")

    monkeypatch.setattr(rig.ledger, "begin", full)
    rig.publish()
    with pytest.raises(Fatal, match="the disk of the ledger is full"):
        worker(rig.lanes, rig.limiter, rig.pipeline, Rush(rig.lanes.pressing, rig.lanes.staffed))(
            STOP
        )
    assert rig.desk.posts == []
