"""AccountKeeper: when a fresh picture of the account is asked for, and what follows from it."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from solution.book.positions import Account, Portfolio, Position
from solution.errors import LedgerError, OutcomeUnknown
from solution.rate_limiter import Priority
from solution.trading.reconcile import AccountKeeper, Duties
from tests.helpers.clocks import ManualClock
from tests.helpers.trading import Rig, accept

ACCOUNT = Account("acc", Decimal(100), Decimal(100), Decimal(100))


class Desk:
    """Answers with the same account, or with an error."""

    def __init__(self, portfolio: Portfolio, clock: ManualClock) -> None:
        self.portfolio = portfolio
        self.clock = clock
        self.asked: list[Priority] = []
        self.clocks = self.renewals = 0
        self.account_wanted = False
        self.error: OutcomeUnknown | None = None
        self.held: dict[str, Position] = {}

    def refresh_account(self, priority: Priority) -> None:
        self.asked.append(priority)
        if self.error is not None:
            raise self.error
        self.portfolio.apply_snapshot(ACCOUNT, self.held, self.clock.monotonic())

    def refresh_clock(self) -> None:
        self.clocks += 1

    def renew_assets(self) -> None:
        self.renewals += 1


class Fixture:
    """A keeper just after a snapshot."""

    def __init__(self, *, watched: bool = False, **held: str) -> None:
        self.clock = ManualClock()
        self.portfolio = Portfolio(self.clock)
        self.desk = Desk(self.portfolio, self.clock)
        self.desk.held = {
            symbol: Position(symbol, Decimal(qty), Decimal(qty), Decimal(1))
            for symbol, qty in held.items()
        }
        self.portfolio.apply_snapshot(ACCOUNT, self.desk.held, self.clock.monotonic())
        self.keeper = AccountKeeper(self.desk, self.portfolio, self.clock, watched=watched)

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


@pytest.mark.parametrize(
    ("watched", "held", "asked"), [(True, "5", 10), (True, "0", 3), (False, "5", 3)]
)
def test_a_limit_on_the_days_loss_is_judged_every_twenty_seconds(
    *, watched: bool, held: str, asked: int
) -> None:
    """While something is held that can lose: as an entry, since a poll may have to wait."""
    kept = Fixture(watched=watched, NVDA=held)
    kept.run(180)
    assert kept.desk.asked == [Priority.ENTRY] * asked


def test_after_a_fill_the_picture_is_renewed_within_ten_seconds(kept: Fixture) -> None:
    """And not more often than that, from the budget of polls."""
    kept.run(5)
    kept.portfolio.filled("c", "NVDA", Decimal(1), Decimal(1), Decimal(1))
    kept.run(10)
    assert kept.desk.asked == [Priority.POLL]
    kept.run(20)
    assert kept.desk.asked == [Priority.POLL]


def test_a_picture_that_a_signal_waits_for_is_asked_for_in_its_place(kept: Fixture) -> None:
    """As an entry, since a poll would come behind all of them; at most every ten seconds."""
    kept.run(8)
    kept.desk.account_wanted = True
    kept.run(14)
    assert kept.desk.asked == [Priority.ENTRY] * 2


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


def test_the_asset_list_is_looked_after(kept: Fixture) -> None:
    """Whether it is old enough is for the wrapper to say, which knows when it was asked for."""
    kept.run(3)
    assert kept.desk.renewals == 3


# --- what follows from a snapshot -----------------------------------------------------------


class Curve:
    """Keeps points, or fails."""

    def __init__(self) -> None:
        self.points: list[tuple[int, Decimal, Decimal]] = []
        self.full = False

    def add_equity(self, at_ms: int, equity: Decimal, daily_pnl: Decimal) -> None:
        if self.full:
            raise LedgerError("disk full")
        self.points.append((at_ms, equity, daily_pnl))


class Dutiful(Rig):
    """A rig with the duties that follow from its snapshots."""

    def __init__(self) -> None:
        super().__init__()
        self.curve = Curve()
        self.compared = self.checked = 0
        self.duties = Duties(
            self.portfolio,
            self.tracker,
            self.schedule,
            self.clock,
            errands=(self._check, self._compare),
            equity=self.curve,
        )

    def _check(self) -> None:
        self.checked += 1

    def _compare(self) -> None:
        self.compared += 1

    def worth(self, equity: str, last: str | None = "100000") -> None:
        """A snapshot with these numbers, asked for now."""
        account = Account(
            "acc", Decimal(equity), Decimal(100_000), Decimal(200_000),
            last_equity=None if last is None else Decimal(last),
        )  # fmt: skip
        self.portfolio.apply_snapshot(account, {}, self.clock.monotonic())


def test_the_equity_curve_has_a_point_a_minute() -> None:
    """Equity, and what it gained since the last session's close; no request of its own."""
    rig = Dutiful()
    rig.worth("100250.5")
    for _ in range(150):
        rig.clock.advance(1)
        if rig.clock.monotonic() % 30 < 1:
            rig.worth("100250.5")
        rig.duties.step()
    assert {point[1:] for point in rig.curve.points} == {(Decimal("100250.5"), Decimal("250.5"))}
    times = [point[0] for point in rig.curve.points]
    assert len(times) == 3
    assert all(60_000 <= b - a <= 91_000 for a, b in pairwise(times))
    assert rig.compared == rig.checked == 150


def test_an_old_picture_makes_no_point() -> None:
    """The broker does not answer: the curve has a gap and no invented line."""
    rig = Dutiful()
    rig.worth("100250.5")
    rig.duties.step()
    for _ in range(300):
        rig.clock.advance(1)
        rig.duties.step()
    assert len(rig.curve.points) == 1


def test_without_the_last_close_there_is_no_point() -> None:
    """Nothing is guessed."""
    rig = Dutiful()
    rig.worth("100250.5", None)
    rig.duties.step()
    assert rig.curve.points == []


def test_a_ledger_that_takes_no_point_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Said once a second at most, and tried again."""
    rig = Dutiful()
    rig.worth("1")
    rig.curve.full = True
    rig.duties.step()
    assert "equity_not_kept" in [record.message for record in caplog.records]
    rig.curve.full = False
    rig.duties.step()
    assert len(rig.curve.points) == 1


def test_corrections_are_counted_and_cash_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Positions are logged where the snapshot is applied, cash here; the status counts both."""
    rig = Dutiful()
    rig.snapshot(NVDA="3")
    account = rig.portfolio.account()
    assert account is not None
    rig.clock.advance(1)
    less = replace(account, cash=Decimal(99_000))
    rig.portfolio.apply_snapshot(less, {}, rig.clock.monotonic())
    rig.duties.step()
    assert rig.tracker.board.corrections() == {"position": 2, "cash": 1}
    [record] = [r for r in caplog.records if r.message == "cash_corrected"]
    assert (record.ours, record.broker) == ("100000", "99000")  # type: ignore[attr-defined]


def test_a_missed_fill_is_asked_for_at_once() -> None:
    """The position moved while our order is open in it: the order is polled, not the minute."""
    rig = Dutiful()
    rig.desk.script.append(accept("new"))
    rig.send(order_type="limit", limit_price="50", time_in_force="day")
    coid = rig.only_coid()
    rig.advance(61)
    rig.desk.fill(coid, "50")
    rig.snapshot(NVDA="10")
    rig.duties.step()
    rig.advance(0.1)
    assert rig.row(coid).filled_qty == 10
    assert rig.tracker.board.corrections() == {}
