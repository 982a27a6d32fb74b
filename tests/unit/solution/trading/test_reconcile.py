"""AccountKeeper: when a fresh picture of the account is asked for, and from which budget."""

from decimal import Decimal

import pytest

from solution.book.positions import Account, Portfolio
from solution.errors import OutcomeUnknown
from solution.rate_limiter import Priority
from solution.trading.reconcile import AccountKeeper
from tests.helpers.clocks import ManualClock

ACCOUNT = Account("acc", Decimal(100), Decimal(100), Decimal(100))


class Desk:
    """Answers with the same account, or with an error."""

    def __init__(self, portfolio: Portfolio, clock: ManualClock) -> None:
        self.portfolio = portfolio
        self.clock = clock
        self.asked: list[Priority] = []
        self.clocks = 0
        self.error: OutcomeUnknown | None = None

    def refresh_account(self, priority: Priority) -> None:
        self.asked.append(priority)
        if self.error is not None:
            raise self.error
        self.portfolio.apply_snapshot(ACCOUNT, {}, self.clock.monotonic())

    def refresh_clock(self) -> None:
        self.clocks += 1


class Fixture:
    """A keeper just after a snapshot."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.portfolio = Portfolio(self.clock)
        self.portfolio.apply_snapshot(ACCOUNT, {}, self.clock.monotonic())
        self.desk = Desk(self.portfolio, self.clock)
        self.keeper = AccountKeeper(self.desk, self.portfolio, self.clock)

    def run(self, seconds: int) -> None:
        """One step each second."""
        for _ in range(seconds):
            self.clock.advance(1)
            assert self.keeper.step() == 1.0


@pytest.fixture
def kept() -> Fixture:
    """A fresh keeper."""
    return Fixture()


def test_a_quiet_account_is_asked_for_once_a_minute(kept: Fixture) -> None:
    """Nothing moves: one snapshot per minute, as an entry, since an old picture blocks entries."""
    kept.run(180)
    assert kept.desk.asked == [Priority.ENTRY] * 3


def test_after_a_fill_the_picture_is_renewed_within_ten_seconds(kept: Fixture) -> None:
    """And not more often than that, from the budget of polls."""
    kept.run(5)
    kept.portfolio.filled("c", "NVDA", Decimal(1), Decimal(1), Decimal(1))
    kept.run(10)
    assert kept.desk.asked == [Priority.POLL]
    kept.run(20)
    assert kept.desk.asked == [Priority.POLL]


def test_a_broker_that_does_not_answer_is_asked_again(kept: Fixture) -> None:
    """Failures are counted and the thread goes on; the next second tries again."""
    kept.desk.error = OutcomeUnknown("HTTP 504")
    kept.run(63)
    assert kept.keeper.failures == 4
    kept.desk.error = None
    kept.run(1)
    assert kept.portfolio.snapshot_at == kept.clock.monotonic()


def test_the_market_clock_is_renewed_before_it_is_too_old(kept: Fixture) -> None:
    """Every four minutes; decisions take it from memory for five."""
    kept.run(600)
    assert kept.desk.clocks == 2
