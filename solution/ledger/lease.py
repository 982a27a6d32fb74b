"""One instance trades, the others wait: taking the ledger's lease and keeping it.

A process that was paused (SIGSTOP, a suspended machine, a frozen virtual one) may wake long after
another one took over. It cannot write: every write compares the epoch. What it could still do is to
send an order whose row it wrote before the pause; :meth:`LeaseKeeper.check` closes that gap,
immediately before each POST.

How long it was paused no single clock tells. The monotonic one stands still while the machine is
suspended, and the wall clock may be set back; so the lease counts only while both say that it is
young enough.
"""

import logging
import threading
from typing import Protocol

from solution.clock import Clock, Moment
from solution.errors import LeaseLost, LedgerBusy, LedgerError
from solution.runtime.service import Fatal, Service

log = logging.getLogger(__name__)

LEASE_TTL = 3.0
"""Seconds after which a silent holder has lost it: with a start of under a second, a dead
instance is replaced within five."""
RENEW_EVERY = 0.75
GIVE_UP = 5.0
"""Seconds of a ledger that does not answer after which the service ends."""
ASK_EVERY = 0.2
"""Seconds between a standby's attempts."""


class LeasedLedger(Protocol):
    """What the keeper asks of a ledger; see :class:`solution.domain.ports.Lease`."""

    def acquire_lease(self, holder: str, ttl: float) -> int | None: ...
    def renew_lease(self, ttl: float) -> None: ...
    def release_lease(self) -> None: ...


def wait_for_lease(
    ledger: LeasedLedger, holder: str, stop: threading.Event, ttl: float = LEASE_TTL
) -> int | None:
    """Be the standby until the lease is ours.

    Returns:
        the epoch, or None when ``stop`` was set first.

    Raises:
        LedgerError: the database does not answer.
    """
    waiting = False
    while (epoch := _asked(ledger, holder, ttl)) is None:
        if not waiting:
            waiting = True
            log.warning("standby", extra={"detail": "another instance holds the ledger's lease"})
        if stop.wait(ASK_EVERY):
            return None
    log.info("lease_taken", extra={"epoch": epoch, "holder": holder})
    return epoch


def _asked(ledger: LeasedLedger, holder: str, ttl: float) -> int | None:
    try:
        return ledger.acquire_lease(holder, ttl)
    except LedgerBusy:
        return None  # the holder was paused inside a transaction; the server ends it soon


class LeaseKeeper(Service):
    """Renews the lease; ends the process when another instance has it.

    Args:
        ledger: whose lease is held.
        clock: monotonic and wall time: the one or the other runs on while the process is paused.
        ttl: seconds.
    """

    def __init__(
        self,
        ledger: LeasedLedger,
        clock: Clock,
        *,
        ttl: float = LEASE_TTL,
    ) -> None:
        super().__init__("lease-keeper", clock=clock)
        self._ledger = ledger
        self._ttl = ttl
        self._asked: Moment | None = None
        self._failing: float | None = None

    def step(self) -> float:
        began = self._clock.monotonic()
        try:
            self._renew()
        except LeaseLost as error:
            raise Fatal(str(error)) from error
        except LedgerError as error:
            self._fails(error, began)
        else:
            self._failing = None
        return RENEW_EVERY

    def _fails(self, error: LedgerError, began: float) -> None:
        """Nothing is sent meanwhile (see :meth:`check`); after a while the process ends.

        Not at the first failure, however long that took: the process may have been paused in it.
        """
        if self._failing is None:
            self._failing = began
            log.warning("lease_not_renewed", extra={"detail": str(error)})
        elif self._clock.monotonic() - self._failing >= GIVE_UP:
            raise Fatal(f"the ledger failed for {GIVE_UP:g} s: {error}") from error

    def check(self) -> None:
        """Return only while the lease is certainly ours; costs two readings of clocks then.

        Raises:
            LeaseLost: it is another's. Nothing may be sent.
            LedgerError: nobody knows. Nothing may be sent either.
        """
        while self._asked is None or not self._asked.is_younger_than(self._ttl, self._clock):
            self._renew()  # and look again: the pause may come while the answer is on its way

    def _renew(self) -> None:
        # The time before the question: the answer may have been long on its way.
        asked = Moment.now(self._clock)
        self._ledger.renew_lease(self._ttl)
        self._asked = asked


def released(ledger: LeasedLedger) -> None:
    """Let a standby have the lease at once; a failure only means that it waits for the expiry."""
    try:
        ledger.release_lease()
    except LedgerError as error:
        log.warning("lease_not_released", extra={"detail": str(error)})
