"""Keeps account, positions and the market clock current, from budget that orders do not need."""

import logging
from typing import Protocol

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.errors import BrokerError, NoBudget
from solution.rate_limiter import Priority
from solution.runtime.service import Service

log = logging.getLogger(__name__)

AFTER_FILLS = 10.0
"""Seconds between snapshots while fills keep moving the account: at 200 orders a minute two
requests each ten seconds are 0.06 per order."""
AT_LEAST = 60.0
CLOCK_EVERY = 240.0
TICK = 1.0


class AccountDesk(Protocol):
    def refresh_account(self, priority: Priority) -> None: ...
    def refresh_clock(self) -> None: ...


class AccountKeeper(Service):
    """Asks for a snapshot ten seconds after something moved, and every minute anyway."""

    def __init__(self, desk: AccountDesk, portfolio: Portfolio, clock: Clock) -> None:
        super().__init__("account-keeper")
        self._desk = desk
        self._portfolio = portfolio
        self._clock = clock
        self._clock_at = clock.monotonic()
        self.failures = 0

    def step(self) -> float:
        now = self._clock.monotonic()
        if now - self._clock_at >= CLOCK_EVERY:
            self._clock_at = now
            self._desk.refresh_clock()
        age = now - self._portfolio.snapshot_at
        moved = self._portfolio.stale_since() is not None
        if age >= AT_LEAST or (moved and age >= AFTER_FILLS):
            self._refresh(age)
        return TICK

    def _refresh(self, age: float) -> None:
        # Entries may use up all that polls can have; an old picture then asks as one of them.
        priority = Priority.ENTRY if age >= AT_LEAST / 2 else Priority.POLL
        try:
            self._desk.refresh_account(priority)
        except NoBudget:
            log.debug("account_refresh_waits")  # orders need the budget; asked again in a second
        except BrokerError as e:
            self.failures += 1
            log.warning("account_refresh_failed", extra={"detail": str(e)})
