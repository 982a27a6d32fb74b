"""The circuit breaker: after so many failures in a row nothing opens a position any more.

A failure is what :mod:`solution.trading.blame` counts as one, an order that the broker rejects
after it had taken it, and ten failed reconnects of the order stream. Refusals of our own gates and
mistakes of producers are none.

Closed → N failures in a row → open → the cool-down, if there is one → half-open: one order that
opens a position goes out as the probe. Accepted, it closes the breaker; any order's failure opens
it anew. Only the answer to the probe's POST gives its place to another, whatever the order stream
tells of it meanwhile: a broker that takes orders and answers none is not sound. The next session's
open closes it as well, and so does whoever deletes its row in the ledger, which is all that
``signalpaca breaker reset`` does.

The row is the authority: it is read again before anything is written to it, and each second while
it stands. Memory answers the order path, which writes only when a run of failures begins to count
or ends, and before a probe leaves: a process that starts where one had no answer opens it anew.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from solution import failpoints
from solution.clock import Clock, moment_of
from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.errors import LedgerError
from solution.trading.breaker_row import KEY, Standing
from solution.trading.next_session import next_session_ms
from solution.trading.restricting import Restricts
from solution.trading.verdict_run import VerdictRun

log = logging.getLogger(__name__)

SOURCE = "breaker"
"""Of its restriction of the trading state."""
ALMOST_OVER_MS = 1_000
"""A restriction that is gone this shortly before its end was not lifted by a person."""


class Failures(Protocol):
    """What the order path tells and asks the breaker; safe from any thread, never raises."""

    def failed(self, client_order_id: str, why: str) -> None:
        """The order came to nothing and neither its producer nor the position is the cause."""
        ...

    def succeeded(self, client_order_id: str) -> None:
        """The broker has taken the order."""
        ...

    def unjudged(self, client_order_id: str) -> None:
        """The order was not sent after all, or its answer says nothing about the broker."""
        ...

    def claim(self, client_order_id: str) -> str | None:
        """Why an order that opens a position must not go out now, or None: send it at once."""
        ...


class NoBreaker:
    """Never opens."""

    def failed(self, client_order_id: str, why: str) -> None: ...
    def succeeded(self, client_order_id: str) -> None: ...
    def unjudged(self, client_order_id: str) -> None: ...
    def claim(self, client_order_id: str) -> str | None:  # noqa: ARG002 - of the protocol
        """Everything may go out."""
        return None

    def reason(self, *, beside: str = "") -> str | None:  # noqa: ARG002 - likewise
        """There is none."""
        return None


class BreakerLedger(Protocol):
    """Where its row is kept."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...
    def delete_state(self, key: str, *, sync: bool = True) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """``failures`` 0: it never opens. ``cooldown`` 0: it never lets an order through to see."""

    failures: int
    cooldown: float = 0.0
    reset: bool = False
    """Close it at start, whatever its row says."""
    trips_to: TradingState = TradingState.REDUCING


class Breaker:
    """Counts failures in a row; see :class:`Failures` and the module.

    Args:
        states: restricted while it is open.
        on_its_way: whether an order that was not sent may still be. A probe that waits for its
            turn keeps its place until then.

    Raises:
        LedgerError: its row could not be read, or could not be deleted.
    """

    def __init__(
        self,
        rules: BreakerRules,
        ledger: BreakerLedger,
        states: Restricts,
        clock: Clock,
        *,
        on_its_way: Callable[[str], bool],
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._states = states
        self._clock = clock
        self._on_its_way = on_its_way
        self._mutex = threading.Lock()
        self._waiting = ""
        """The probe that was not sent yet."""
        self._unwritten = False
        self._standing = Standing()
        self._run = VerdictRun()
        self._start()

    # --- what the order path says and asks -------------------------------------------------------

    def failed(self, client_order_id: str, why: str) -> None:
        """One more failure, if it is news."""
        with self._mutex:
            self._settle_if_readable()
            news = self._run.failed(client_order_id)
            probe = self._probe_without(client_order_id)
            self._count(client_order_id, why, news=news, probe=probe)

    def rejected(self, client_order_id: str, why: str) -> None:
        """The broker takes back that it took the order; its answer to the POST may come later."""
        with self._mutex:
            self._settle_if_readable()
            news = self._run.rejected(client_order_id)
            self._count(client_order_id, why, news=news, probe=self._standing.probe)

    def succeeded(self, client_order_id: str) -> None:
        """The run of failures ends; a probe closes the breaker."""
        with self._mutex:
            counts = self._run.succeeded(client_order_id)
            if self._standing.is_clean:
                return  # nearly always: nothing is written
            self._settle_if_readable()
            standing, probe = self._standing, self._probe_without(client_order_id)
            judged = counts and probe != standing.probe
            if judged and self._is_half_open(standing, self._clock.epoch_ms()):
                self._close("the order that was let through was accepted")
            elif standing.tripped:
                failures = 0 if counts else standing.failures
                self._keep(replace(standing, failures=failures, probe=probe))
            elif counts and standing.failures:
                self._keep(Standing())

    def unjudged(self, client_order_id: str) -> None:
        """A probe gives its place back, or waits with it for its turn."""
        if client_order_id != self._standing.probe:
            return
        with self._mutex:
            self._settle_if_readable()
            if client_order_id == self._standing.probe:
                self._waiting = client_order_id
                self._keep(replace(self._standing, probe=""))

    def claim(self, client_order_id: str) -> str | None:
        """The last question before a POST; half-open, None makes the order the probe, durably."""
        if not self._standing.tripped:
            return None
        with self._mutex:
            why = self.reason(beside=client_order_id)
            if why is not None:
                return why
            try:
                self._settle()
                if self._standing.tripped:
                    self._let_through(client_order_id)
            except LedgerError as error:
                return f"half-open: which order is let through cannot be kept: {error}"
            return None

    def reason(self, *, beside: str = "") -> str | None:
        """Why nothing may open a position, from memory; ``beside`` is the order that asks."""
        standing, now = self._standing, self._clock.epoch_ms()
        if not standing.tripped or self._is_over(standing, now):
            return None
        if not self._is_half_open(standing, now):
            return f"{standing.failures} orders in a row failed, the last one: {standing.why}"
        probe, waiting = standing.probe, self._waiting
        if not probe and waiting and waiting != beside and self._on_its_way(waiting):
            probe = waiting
        if probe and probe != beside:
            return f"half-open: it waits for what becomes of order {probe}"
        return None

    # --- what others do to it ------------------------------------------------------------------

    def refresh(self) -> None:
        """Look whether somebody has reset it, or the time has; called each second.

        Raises:
            LedgerError: nobody knows; unchanged.
        """
        with self._mutex:
            if self._unwritten:
                self._write()
            self._settle()

    def status(self) -> Mapping[str, Any]:
        """For the status page."""
        standing, now = self._standing, self._clock.epoch_ms()
        open_ = standing.tripped and not self._is_over(standing, now)
        half = open_ and self._is_half_open(standing, now)
        state = "half-open" if half else "open" if open_ else "closed"
        shown: dict[str, Any] = {
            "state": state if self._rules.failures else "off",
            "failures": standing.failures,
            "limit": self._rules.failures,
        }
        if not standing.is_clean:
            shown |= {"why": standing.why, "at_ms": standing.at_ms}
        return shown | ({"until_ms": self._over_ms(standing)} if open_ else {})

    # --- inside; all of it requires holding ``_mutex`` -----------------------------------------

    def _start(self) -> None:
        """A reset comes first: what stands in the row is not even looked at."""
        text = self._ledger.get_state(KEY)
        if text is not None and (self._rules.reset or not self._rules.failures):
            self._ledger.delete_state(KEY)
            log.warning("circuit_breaker_reset", extra={"detail": text})
            text = None
        try:
            standing = Standing.of(text)
        except ValueError as error:
            self._trip(f"the ledger's row cannot be read: {error}")
            return
        self._standing, self._run = standing, VerdictRun(standing.failures)
        if not standing.tripped:
            self._states.lift(SOURCE)  # the row was deleted while nobody ran
            return
        self._settle()
        if probe := self._standing.probe:
            self._trip(f"the process ended before order {probe} had an answer")

    def _probe_without(self, answered: str) -> str:
        """Whose POST has still no verdict once this order's has."""
        probe = self._standing.probe
        return "" if probe == answered else probe

    def _let_through(self, client_order_id: str) -> None:
        """Raises LedgerError: it must not go out; the process might end before its verdict."""
        before = self._standing
        if before.probe == client_order_id:
            return
        self._standing, self._unwritten = replace(before, probe=client_order_id), True
        try:
            self._write(restricts=False)
        except LedgerError:
            self._standing = before
            raise
        self._waiting = ""
        log.warning("circuit_breaker_probe", extra={"client_order_id": client_order_id})

    def _count(self, client_order_id: str, why: str, *, news: bool, probe: str) -> None:
        """``probe``: whose POST has still no verdict."""
        standing, limit, now = self._standing, self._rules.failures, self._clock.epoch_ms()
        if standing.tripped:
            again = client_order_id == standing.probe or self._is_half_open(standing, now)
        else:
            again = news and 0 < limit <= self._run.length
        if again:
            self._trip(why, probe=probe)
        elif news:
            at_ms = standing.at_ms if standing.tripped else now
            told = standing.why if standing.tripped else why
            self._keep(replace(standing, failures=self._run.length, at_ms=at_ms, why=told))

    def _trip(self, why: str, *, probe: str = "") -> None:
        self._waiting = ""
        self._keep(
            Standing(
                tripped=True,
                failures=self._run.length,
                at_ms=self._clock.epoch_ms(),
                why=why,
                probe=probe,
            )
        )
        log.error(
            "circuit_breaker_open",
            extra={"failures": self._run.length, "detail": why, "state": self._rules.trips_to},
        )

    def _close(self, why: str) -> None:
        self._run, self._waiting = VerdictRun(), ""
        was_open = self._standing.tripped
        self._keep(Standing())
        if was_open:
            log.warning("circuit_breaker_closed", extra={"detail": why})

    def _keep(self, standing: Standing) -> None:
        """Memory first: a ledger that fails ends the service soon, and nothing opens until then."""
        opened = standing.tripped and standing != replace(
            self._standing, failures=standing.failures, probe=standing.probe
        )
        self._standing, self._unwritten = standing, True
        try:
            self._write(restricts=opened)
        except LedgerError as error:
            log.error("circuit_breaker_not_kept", extra={"detail": str(error)})  # noqa: TRY400 - one line

    def _write(self, *, restricts: bool = True) -> None:
        """The restriction before the row: a row without one tells that a person has resumed.

        Raises:
            LedgerError: to be tried again.
        """
        standing = self._standing
        if standing.tripped and restricts:
            message = f"the circuit breaker is open: {standing.why}"
            self._states.restrict(
                SOURCE,
                self._rules.trips_to,
                Reason.CIRCUIT_OPEN,
                message,
                until_ms=self._restricted_until(standing),
            )
            failpoints.hit("breaker.restricted")
        if not standing.tripped:
            self._states.lift(SOURCE)
        if standing.is_clean:
            self._ledger.delete_state(KEY, sync=False)
        else:
            self._ledger.set_state(KEY, standing.text(), sync=standing.tripped)
        self._unwritten = False

    def _settle_if_readable(self) -> None:
        try:
            self._settle()
        except LedgerError as error:
            log.warning("circuit_breaker_not_read", extra={"detail": str(error)})

    def _settle(self) -> None:
        """Close it where its time is over or a person has said so.

        Raises:
            LedgerError: its row could not be read.
        """
        standing, now = self._standing, self._clock.epoch_ms()
        if standing.is_clean or self._unwritten:
            return
        if standing.tripped and self._is_over(standing, now):
            self._close("the next session has begun")
        elif self._ledger.get_state(KEY) is None:
            self._close("it was reset")
        elif standing.tripped and self._was_resumed(standing, now):
            self._close("trading was resumed")

    def _was_resumed(self, standing: Standing, now_ms: int) -> bool:
        ends = self._restricted_until(standing)
        lasts = not ends or now_ms < ends - ALMOST_OVER_MS
        return lasts and SOURCE not in self._states.lasting()

    def _over_ms(self, standing: Standing) -> int:
        return next_session_ms(moment_of(standing.at_ms))

    def _is_over(self, standing: Standing, now_ms: int) -> bool:
        ends = self._over_ms(standing)
        return 0 < ends <= now_ms

    def _half_open_ms(self, standing: Standing) -> int:
        return standing.at_ms + round(self._rules.cooldown * 1000)

    def _is_half_open(self, standing: Standing, now_ms: int) -> bool:
        return self._rules.cooldown > 0 and now_ms >= self._half_open_ms(standing)

    def _restricted_until(self, standing: Standing) -> int:
        """Half-open, the breaker alone decides: the state would refuse its probe as well."""
        ends = [self._over_ms(standing)]
        if self._rules.cooldown > 0:
            ends.append(self._half_open_ms(standing))
        return min(filter(None, ends), default=0)
