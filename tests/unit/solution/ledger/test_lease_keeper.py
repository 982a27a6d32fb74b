"""Taking the lease, keeping it, and noticing that another has it."""

import threading

import pytest

from solution.errors import LeaseLost, LedgerError
from solution.ledger.lease import GIVE_UP, LEASE_TTL, LeaseKeeper, released, wait_for_lease
from solution.runtime.service import Fatal
from tests.helpers.clocks import ManualClock


class Ledger:
    """A lease in memory that others can take."""

    def __init__(self, free_at: int = 0) -> None:
        self.asked = 0
        self.free_at = free_at
        self.renewals = 0
        self.error: LedgerError | None = None

    def acquire_lease(self, holder: str, ttl: float) -> int | None:
        self.asked += 1
        return 7 if self.asked > self.free_at else None

    def renew_lease(self, ttl: float) -> None:
        self.renewals += 1
        if self.error is not None:
            raise self.error

    def release_lease(self) -> None:
        if self.error is not None:
            raise self.error


class Never(threading.Event):
    """Nobody waits in a unit test."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_a_standby_asks_until_the_lease_is_free() -> None:
    """And knows its epoch then."""
    ledger = Ledger(free_at=3)
    assert wait_for_lease(ledger, "me", Never()) == 7
    assert ledger.asked == 4


def test_a_standby_that_is_stopped_goes_without_it() -> None:
    """SIGTERM ends a standby at once."""
    stop = Never()
    stop.set()
    assert wait_for_lease(Ledger(free_at=99), "me", stop) is None


def test_within_its_time_a_check_costs_no_question() -> None:
    """It stands before every POST."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    keeper.check()
    assert ledger.renewals == 1
    clock.advance(LEASE_TTL - 0.01)
    keeper.check()
    assert ledger.renewals == 1


def test_a_process_that_slept_asks_before_it_sends() -> None:
    """SIGSTOP, a frozen machine: the clock ran on, and another may trade by now."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    keeper.step()
    clock.advance(LEASE_TTL)
    ledger.error = LeaseLost("epoch 8 is another's")
    with pytest.raises(LeaseLost):
        keeper.check()


@pytest.mark.parametrize("slept", [LEASE_TTL, 3600.0, -0.001], ids=["ttl", "hour", "set-back"])
def test_a_pause_that_only_the_wall_clock_tells_of_counts(slept: float) -> None:
    """A suspended machine's monotonic clock stands still; a wall clock set back tells nothing."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    keeper.step()
    clock.jump_wall(slept)
    ledger.error = LeaseLost("epoch 8 is another's")
    with pytest.raises(LeaseLost):
        keeper.check()


def test_a_pause_while_the_answer_is_on_its_way_counts() -> None:
    """The answer says who held the lease before the pause: it is asked for once more."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    renew, pauses = ledger.renew_lease, [LEASE_TTL]

    def frozen(ttl: float) -> None:
        renew(ttl)
        clock.jump_wall(pauses.pop() if pauses else 0.0)

    ledger.renew_lease = frozen  # type: ignore[method-assign]
    keeper.check()
    assert ledger.renewals == 2


def test_the_time_counts_from_the_question_not_from_the_answer() -> None:
    """An answer that was long on its way must not lengthen the lease."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    renew = ledger.renew_lease

    def slow(ttl: float) -> None:
        renew(ttl)
        clock.advance(2.0)

    ledger.renew_lease = slow  # type: ignore[method-assign]
    keeper.step()
    clock.advance(LEASE_TTL - 2.0)
    keeper.check()
    assert ledger.renewals == 2


def test_a_lost_lease_ends_the_service() -> None:
    """Fatal: no new thread would have it either."""
    ledger = Ledger()
    ledger.error = LeaseLost("taken")
    with pytest.raises(Fatal, match="taken"):
        LeaseKeeper(ledger, ManualClock()).step()


def test_a_database_that_does_not_answer_is_asked_again() -> None:
    """For a while; what may not be sent meanwhile is the check's business."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    ledger.error = LedgerError("no connection")
    keeper.step()
    clock.advance(GIVE_UP - 0.1)
    keeper.step()
    with pytest.raises(LedgerError):
        keeper.check()
    ledger.error = None
    keeper.step()
    ledger.error = LedgerError("no connection")
    clock.advance(GIVE_UP)
    keeper.step()


def test_a_database_that_stays_away_ends_the_service() -> None:
    """An idle service has no writer that would notice."""
    ledger, clock = Ledger(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    ledger.error = LedgerError("no connection")
    keeper.step()
    clock.advance(GIVE_UP)
    with pytest.raises(Fatal, match="no connection"):
        keeper.step()


def test_the_time_that_an_attempt_took_counts_but_no_single_one_ends_the_service() -> None:
    """A server that says nothing takes seconds each time; a paused process seems to as well."""

    class Slow(Ledger):
        def renew_lease(self, ttl: float) -> None:
            clock.advance(GIVE_UP)
            super().renew_lease(ttl)

    ledger, clock = Slow(), ManualClock()
    keeper = LeaseKeeper(ledger, clock)
    ledger.error = LedgerError("no answer")
    keeper.step()
    with pytest.raises(Fatal, match="no answer"):
        keeper.step()


def test_a_lease_that_cannot_be_given_back_expires() -> None:
    """No reason to fail a stop."""
    ledger = Ledger()
    ledger.error = LedgerError("no connection")
    released(ledger)
