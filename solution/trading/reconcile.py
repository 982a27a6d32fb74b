"""Keeps account, positions, open orders, assets and the market clock in step with the broker.

All of it comes from budget that orders do not need. Where the broker and we differ, the broker's
number stands from then on, and both are logged and counted.

An order of somebody else under an id of ours (``ID_CONFLICT``) is none of our reservations. What
its fills do to the position is taken from the stream, in doubt until the next snapshot; where the
stream is down, the snapshot shows it as ``position_corrected``, at most a minute later.
"""

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.records import State
from solution.errors import BrokerError, LedgerError, NoBudget
from solution.rate_limiter import Priority
from solution.runtime.service import Service
from solution.trading.schedule import Schedule
from solution.trading.tracker import OrderTracker

log = logging.getLogger(__name__)

AFTER_FILLS = 10.0
"""Seconds between snapshots while fills keep moving the account: at 200 orders a minute two
requests each ten seconds are 0.06 per order."""
AT_LEAST = 60.0
WATCHED = 18.0
"""Likewise while a limit on the day's loss is set and something is held: at most 20 s with the tick
and the requests themselves."""
CLOCK_EVERY = 240.0
EQUITY_EVERY = 60.0
TICK = 1.0


class AccountDesk(Protocol):
    account_wanted: bool
    """A signal waits for the next picture of the account."""

    def refresh_account(self, priority: Priority) -> None: ...
    def refresh_clock(self) -> None: ...
    def renew_assets(self) -> None: ...


class EquityLog(Protocol):
    def add_equity(self, at_ms: int, equity: Decimal, daily_pnl: Decimal) -> None: ...


class AccountKeeper(Service):
    """Asks for a snapshot ten seconds after something moved, and every minute anyway.

    Args:
        desk, portfolio, clock: who is asked, and what is kept.
        book: what the other duties need; without it only snapshots are kept.
        watched: whether the day's loss has a limit.
    """

    def __init__(
        self,
        desk: AccountDesk,
        portfolio: Portfolio,
        clock: Clock,
        duties: "Duties | None" = None,
        *,
        watched: bool = False,
    ) -> None:
        super().__init__("account-keeper")
        self._desk = desk
        self._portfolio = portfolio
        self._clock = clock
        self._duties = duties
        self._watched = watched
        self._clock_at = clock.monotonic()
        self.failures = 0

    def step(self) -> float:
        now = self._clock.monotonic()
        if now - self._clock_at >= CLOCK_EVERY:
            self._clock_at = now
            self._desk.refresh_clock()
        age = now - self._portfolio.snapshot_at
        moved = self._portfolio.stale_since() is not None or self._desk.account_wanted
        late = age >= self._at_least()
        if late or (moved and age >= AFTER_FILLS):
            self._refresh(late=late or age >= AT_LEAST / 2)
        self._desk.renew_assets()
        if self._duties is not None:
            self._duties.step()
        return TICK

    def _at_least(self) -> float:
        return WATCHED if self._watched and self._portfolio.quantities() else AT_LEAST

    def _refresh(self, *, late: bool) -> None:
        # Entries may use up all that polls can have; an old picture then asks as one of them. So
        # does one that an entry waits for, and stands in line in its place.
        as_entry = late or self._desk.account_wanted
        priority = Priority.ENTRY if as_entry else Priority.POLL
        try:
            self._desk.refresh_account(priority)
        except NoBudget:
            log.debug("account_refresh_waits")  # orders need the budget; asked again in a second
        except BrokerError as e:
            self.failures += 1
            log.warning("account_refresh_failed", extra={"detail": str(e)})


class Duties:
    """What follows from a snapshot: findings are acted on, the equity curve grows.

    Args:
        errands: what else is to be asked of the broker; each decides itself when it is time.
        equity: where the curve is kept.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        tracker: OrderTracker,
        schedule: Schedule,
        clock: Clock,
        *,
        errands: Sequence[Callable[[], None]],
        equity: EquityLog,
    ) -> None:
        self._portfolio = portfolio
        self._tracker = tracker
        self._schedule = schedule
        self._clock = clock
        self._errands = errands
        self._equity = equity
        self._equity_at = float("-inf")

    def step(self) -> None:
        self._findings()
        for errand in self._errands:
            errand()
        self._add_equity()

    def _findings(self) -> None:
        found, suspects = self._portfolio.drain_findings()
        for one in found:
            self._tracker.board.corrected("position" if one.symbol else "cash")
            if not one.symbol:  # positions are logged by whoever applied the snapshot
                log.warning(
                    "cash_corrected",
                    extra={"ours": f"{one.ours:f}", "broker": f"{one.broker:f}"},
                )
        if suspects:
            orders = [
                t.intent.client_order_id
                for t in self._tracker.open_orders()
                if t.intent.symbol in suspects and t.progress.state is State.OPEN
            ]
            self._schedule.poll_now(orders, self._clock.monotonic())

    def _add_equity(self) -> None:
        """A point a minute, and only of a snapshot that is not older than the last point."""
        now, taken = self._clock.monotonic(), self._portfolio.snapshot_at
        account = self._portfolio.account()
        fresh = taken > self._equity_at and now - taken < EQUITY_EVERY
        if account is None or not fresh or now - self._equity_at < EQUITY_EVERY:
            return
        if account.last_equity is None:
            return
        pnl = account.equity - account.last_equity
        try:
            self._equity.add_equity(self._clock.epoch_ms(), account.equity, pnl)
        except LedgerError as e:
            log.warning("equity_not_kept", extra={"detail": str(e)})
            return
        self._equity_at = now
