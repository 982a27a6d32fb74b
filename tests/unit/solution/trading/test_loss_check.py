"""Ledger against broker after Redis lost data."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from solution.errors import LedgerError, NoBudget, OutcomeUnknown, StartupError
from solution.trading import loss_check
from solution.trading.loss_check import LossCheck
from tests.helpers.clocks import ManualClock

ORDER = {"client_order_id": "sp-1", "symbol": "NVDA"}


class Rig:
    """A check between lists; ``errors`` come before its answers."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sent: list[tuple[str, str, str]] = []
        self.errors: list[Exception] = []
        self.since: list[int] = []
        self.told_since: list[int] = []
        self.settled: list[Mapping[str, Any]] = []
        self.woken = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.check = LossCheck(
            ledger=self, unclaimed=self._unclaimed, settle=self._settle, clock=self.clock
        )
        self.check.wake = self._wake
        self.clock.advance(60.0)
        self.now = self.clock.epoch_ms()

    def sent_since(self, since_ms: int) -> list[tuple[str, str, str]]:
        self.told_since.append(since_ms)
        return self.sent

    def _unclaimed(self, since_ms: int) -> Mapping[str, Mapping[str, Any]]:
        self.since.append(since_ms)
        if self.errors:
            raise self.errors.pop(0)
        return {"sp-1": ORDER}

    def _settle(self, found: Mapping[str, Any]) -> None:
        self.settled.append(found)
        self.meanwhile()

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_nothing_is_asked_before_something_is_lost(rig: Rig) -> None:
    """It runs once a second for ever."""
    rig.check.step()
    assert rig.since == []


def test_it_is_compared_once_for_everybody_who_asked(rig: Rig) -> None:
    """The orders without a row are settled; who asks afterwards waits for another look."""
    first, second = rig.check.ask({}), rig.check.ask({"nvda": ((rig.now - 5_000, 3), (rig.now, 0))})
    assert (first(), second(), rig.woken) == (False, False, 2)
    rig.check.step()
    assert (first(), second()) == (True, True)
    assert (rig.since, rig.settled) == ([rig.now - 5_000], [{"sp-1": ORDER}])
    third = rig.check.ask({})
    assert not third()
    rig.check.step()
    assert third()
    assert rig.since == [rig.now - 5_000, rig.now]


def test_a_stream_that_is_gone_has_no_end_to_go_back_to(rig: Rig) -> None:
    """Orders from before the start were compared at the start; told are those of a day."""
    rig.check.ask({"nvda": ((0, 0), (rig.now, 0))})
    rig.check.step()
    assert (rig.since, rig.told_since) == ([rig.now - 60_000], [rig.now - 86_400_000])


@pytest.mark.parametrize(
    "error", [OutcomeUnknown("503"), LedgerError("locked"), StartupError("Redis does not answer")]
)
def test_a_failure_is_tried_again_after_a_while(rig: Rig, error: Exception) -> None:
    """Until it is done nobody goes on."""
    done = rig.check.ask({})
    rig.errors = [error]
    rig.check.step()
    rig.check.step()
    assert (done(), len(rig.since)) == (False, 1)
    rig.clock.advance(loss_check.AFTER_FAILURE)
    rig.check.step()
    assert (done(), len(rig.since)) == (True, 2)


def test_without_budget_it_is_tried_again_at_once(rig: Rig) -> None:
    done = rig.check.ask({})
    rig.errors = [NoBudget("none left")]
    rig.check.step()
    rig.check.step()
    assert (done(), len(rig.since)) == (True, 2)


def test_what_is_lost_while_it_compares_is_looked_at_next(rig: Rig) -> None:
    """By then more is gone: the one who asks in between waits for the next look."""
    later: list[Callable[[], bool]] = []
    lost = {"nvda": ((rig.now - 9_000, 0), (rig.now, 1))}
    rig.meanwhile = lambda: later.append(rig.check.ask(lost))
    first = rig.check.ask({"nvda": ((rig.now - 1_000, 0), (rig.now, 0))})
    rig.check.step()
    assert (first(), later[0]()) == (True, False)
    rig.meanwhile = lambda: None
    rig.check.step()
    assert later[0]()
    assert rig.since == [rig.now - 1_000, rig.now - 9_000]


def test_orders_whose_entries_are_gone_are_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Those above the end that is left, of that stream; others need no explanation."""
    end, last = (rig.now - 3_000, 1), (rig.now - 1_000, 0)
    rig.sent = [
        ("nvda", "a", f"{end[0]}-1"),
        ("nvda", "a", f"{end[0]}-2"),
        ("nvda", "a", f"{last[0]}-0"),
        ("nvda", "a", f"{last[0]}-1"),
        ("aapl", "b", f"{last[0]}-0"),
        ("", "c", ""),
    ]
    rig.check.ask({"nvda": (end, last), "msft": (end, last)})
    rig.check.step()
    (told,) = [r.__dict__ for r in caplog.records if r.message == "orders_without_entry"]
    assert (told["stream"], told["orders"]) == ("nvda", 2)
    assert told["detail"] == f"{end[0]}-2 {last[0]}-0"
    assert told["reason"] == "REDIS_TAIL_LOST"
