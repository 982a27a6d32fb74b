"""What may be sent now: the restrictions of the account by source, and those of tickers.

The ledger is the authority; memory answers, and is read again five times a second. Whatever is the
most restrictive counts. A state that nobody has read for more than a second is unknown, and then
nothing is sent: the last question before a POST tries to read it first.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from solution import failpoints
from solution.clock import Clock, Moment
from solution.domain.kills import CONTROL_RESUMED, FLATTEN
from solution.domain.kills import TRADING_STATE as PREFIX
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState, strictest
from solution.errors import LedgerError
from solution.runtime.service import Service
from solution.trading.halts import PREFIX as HALTED
from solution.trading.halts import Halts, of_symbol, plain, under
from solution.trading.state_rows import StateLedger, StateRows
from solution.trading.under_way import UnderWay

log = logging.getLogger(__name__)

REDUCING = "reducing:"
OPERATOR = "operator"
OPERATOR_REDUCING = "operator_reducing"
"""A row of its own, so that ``reduce-only`` never takes a ``kill`` back, whoever writes first."""
SESSION_END = "session_end"
"""Of stocks."""
FRESH = 1.0
"""Seconds after which what was read last is no longer known."""
READ_EVERY = 0.2
_RANK = {state: rank for rank, state in enumerate(TradingState)}


@dataclass(frozen=True, slots=True)
class Lasting:
    """One source's restriction, and when it ends by itself (epoch ms; 0 = a person ends it)."""

    restriction: Restriction
    at_ms: int
    until_ms: int = 0

    def counts(self, now_ms: int) -> bool:
        return not self.until_ms or now_ms < self.until_ms

    def joined(self, new: "Lasting") -> "Lasting":
        """This and a newer one of the same source: as strict as either, as long as either."""
        weaker = _RANK[new.restriction.state] < _RANK[self.restriction.state]
        until = 0 if 0 in (self.until_ms, new.until_ms) else max(self.until_ms, new.until_ms)
        return replace(self if weaker else new, until_ms=until)


def written(one: Lasting) -> str:
    """The row's value."""
    value = {
        "state": str(one.restriction.state),
        "reason": str(one.restriction.reason),
        "message": one.restriction.message,
        "at_ms": one.at_ms,
        "until_ms": one.until_ms,
    }
    return orjson.dumps(value).decode()


def read(source: str, value: str) -> Lasting:
    """The row's meaning. What cannot be read means HALTED until a person resumes."""
    try:
        said: Mapping[str, Any] = orjson.loads(value)
        state = TradingState(said["state"])
        usual = Reason.REDUCING_ONLY if state is TradingState.REDUCING else Reason.TRADING_HALTED
        code = said.get("reason")
        reason = next((one for one in Reason if one == code), usual)
        found = Restriction(state, reason, str(said.get("message") or f"by {source}"))
        return Lasting(found, int(said.get("at_ms") or 0), int(said.get("until_ms") or 0))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        why = f"the row {PREFIX}{source} of the ledger cannot be read"
        return Lasting(Restriction(TradingState.HALTED, Reason.TRADING_HALTED, why), 0)


class TradingStates:
    """Every restriction there is. Safe from any thread.

    Args:
        ledger: read here, at each :meth:`refresh`, and by :meth:`denied` when that is too long ago.
        clock: monotonic and wall time.

    Attributes:
        on_change: called after a restriction was set or lifted here or found changed; must return
            at once.
    """

    def __init__(self, ledger: StateLedger, clock: Clock) -> None:
        self._clock = clock
        self._ledger = ledger
        self.on_change: Callable[[], None] = lambda: None
        self._rows = StateRows(ledger, (PREFIX, HALTED, REDUCING, CONTROL_RESUMED, FLATTEN))
        self._parsed: tuple[Mapping[str, str], Mapping[str, Lasting]] = ({}, {})
        self._flattens = UnderWay()
        self._asked = Moment.now(clock)
        self.halts = Halts(ledger, self._rows)

    # --- asking -----------------------------------------------------------------------------------

    def restriction(self, symbol: str) -> Restriction | None:
        """The strictest that counts for the ticker now, its own and the account's; from memory.

        While a flatten is about to close it, it may only be reduced, whoever lifted what else.
        """
        rows = self._rows.rows
        if not rows:
            return None
        account = self.lasting()
        if "/" in symbol:
            account.pop(SESSION_END, None)  # crypto has no session that ends
        closing = self._flattens.of_symbol(rows, symbol, self._clock.epoch_ms())
        return strictest((*account.values(), *_of_ticker(rows, symbol), *closing))

    def account(self) -> Restriction | None:
        """The strictest that counts for every ticker."""
        closing = self._flattens.of_account(self._rows.rows, self._clock.epoch_ms())
        return strictest((*self.lasting().values(), *closing.values()))

    def lasting(self) -> dict[str, Restriction]:
        """What counts for the account now, by source."""
        now_ms = self._clock.epoch_ms()
        return {s: one.restriction for s, one in self._sources().items() if one.counts(now_ms)}

    def denied(self, symbol: str, *, opens: bool) -> Restriction | None:
        """Asked immediately before a POST: why the order must not leave, or None.

        Reads the ledger where the last reading is too old; one reading of clocks otherwise.
        """
        unknown = self._unknown()
        if unknown is not None:
            return unknown
        found = self.restriction(symbol)
        return found if found is not None and found.forbids(opens=opens) else None

    def age(self) -> float:
        """Seconds since the ledger was asked successfully."""
        return self._clock.monotonic() - self._asked.monotonic

    def picture(self) -> dict[str, Any]:
        """For the status snapshot."""
        account, now_ms, rows = self.account(), self._clock.epoch_ms(), self._rows.rows
        lasting = {s: one for s, one in self._sources().items() if one.counts(now_ms)}
        if not lasting:  # else a flatten is told by what it has set
            closing = self._flattens.of_account(rows, now_ms)
            lasting = {key: Lasting(found, now_ms) for key, found in closing.items()}
        return {
            "trading_state": str(account.state if account else TradingState.ACTIVE),
            "restrictions": {s: orjson.loads(written(one)) for s, one in lasting.items()},
            "reducing": self._flattens.of_tickers(rows, now_ms) | under(rows, REDUCING),
            "state_age_s": round(self.age(), 1),
        }

    # --- changing -------------------------------------------------------------------------------

    def restrict(
        self,
        source: str,
        state: TradingState,
        reason: Reason,
        message: str,
        *,
        until_ms: int = 0,
    ) -> None:
        """Allow less: in force at once, durable on return.

        A source that has said something stricter, or for longer, keeps that.

        Raises:
            LedgerError: it is in force in this process; writing it is tried again.
        """
        now_ms = self._clock.epoch_ms()
        new = Lasting(Restriction(state, reason, message), now_ms, until_ms)
        old = self._sources().get(source)
        if old is not None and old.counts(now_ms):
            new = old.joined(new)
        log.error(
            "trading_restricted",
            extra={"source": source, "state": str(state), "reason": str(reason), "detail": message},
        )
        try:
            self._rows.put(PREFIX + source, written(new))
        finally:
            self.on_change()

    def shorten(self, source: str, until_ms: int) -> None:
        """What this source said ends then, if not before; in force throughout, durable on return.

        Raises:
            LedgerError: as :meth:`restrict`.
        """
        old = self._sources().get(source)
        if old is None or 0 < old.until_ms <= until_ms:
            return
        try:
            self._rows.put(PREFIX + source, written(replace(old, until_ms=until_ms)))
        finally:
            self.on_change()

    def reduce_ticker(self, symbol: str, why: str) -> None:
        """Let orders of the ticker only shrink its position; as :meth:`restrict`."""
        log.error("ticker_reducing", extra={"symbol": symbol, "detail": why})
        try:
            self._rows.put(REDUCING + symbol.upper(), why)
        finally:
            self.on_change()

    def resumed_ms(self) -> int:
        """When a person resumed last, by Redis's clock; 0 = never, as far as is known."""
        text = self._rows.rows.get(CONTROL_RESUMED, "0")
        return int(text) if text.isdecimal() else 0

    def lift_ticker(self, symbol: str) -> list[str]:
        """The ticker's own restrictions count no more; returns their keys. As :meth:`lift`."""
        rows, wanted = self._rows.rows, plain(symbol)
        ours = [k for k in rows if k.startswith((HALTED, REDUCING))]
        found = [k for k in ours if plain(k.partition(":")[2]) == wanted]
        for key in found:
            self._rows.drop(key)
            log.warning("trading_resumed", extra={"source": key})
        self.halts.tell_resumed()
        self.on_change()
        return found

    def lift(self, source: str) -> None:
        """What this source said counts no more; durable on return.

        Raises:
            LedgerError: it is still in force.
        """
        if PREFIX + source not in self._rows.rows:
            return
        self._rows.drop(PREFIX + source)
        log.warning("trading_resumed", extra={"source": source})
        self.on_change()

    def refresh(self) -> None:
        """Read again what stands in the ledger.

        Raises:
            LedgerError: what was known stays.
        """
        # The time before the question: the answer may have been long on its way.
        asked, before = Moment.now(self._clock), self._rows.rows
        self._rows.refresh()
        self._asked = asked
        if self._rows.rows != before:
            self._tell_changes(before)
            self.on_change()

    # --- inside ---------------------------------------------------------------------------------

    def _unknown(self) -> Restriction | None:
        """A restriction that says so while the state is not known, even after asking for it."""
        if self._asked.is_younger_than(FRESH, self._clock):
            return None
        why = f"not read for {max(self.age(), FRESH):.1f} s"
        failpoints.hit("states.stale")
        try:
            self.refresh()
        except LedgerError as error:
            why = str(error)
        if self._asked.is_younger_than(FRESH, self._clock):
            return None
        message = f"the trading state is not known: {why}"
        return Restriction(TradingState.HALTED, Reason.STATE_UNKNOWN, message)

    def _sources(self) -> Mapping[str, Lasting]:
        """Parsed once for each time the rows change."""
        rows, (of, found) = self._rows.rows, self._parsed
        if of is not rows:
            found = {s: read(s, value) for s, value in under(rows, PREFIX).items()}
            self._parsed = (rows, found)
        return found

    def _tell_changes(self, before: Mapping[str, str]) -> None:
        self.halts.tell_resumed()
        now = {k: v for k, v in self._rows.rows.items() if not k.startswith(FLATTEN)}
        for key in sorted(before.keys() - now.keys()):
            if not key.startswith((HALTED, FLATTEN)):
                log.warning("trading_resumed", extra={"source": key})
        for key in sorted(now.keys() - before.keys()):
            log.warning("trading_restriction_found", extra={"source": key, "detail": now[key]})


class StateKeeper(Service):
    """Reads the state five times a second, in a thread of its own: a lease's renewal may hang.

    Args:
        also: reads what else people change in the ledger; may raise LedgerError.
    """

    def __init__(
        self, states: TradingStates, clock: Clock, *, also: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__("trading-state", error_pause=READ_EVERY, clock=clock)
        self._states = states
        self._also = also
        self._failing = False

    def step(self) -> float:
        try:
            self._states.refresh()
            self._also()
            self._failing = False
        except LedgerError as error:
            if not self._failing:
                log.warning("trading_state_not_read", extra={"detail": str(error)})
            self._failing = True
        return READ_EVERY


def _of_ticker(rows: Mapping[str, str], symbol: str) -> list[Restriction]:
    found = []
    halted, reducing = of_symbol(rows, HALTED, symbol), of_symbol(rows, REDUCING, symbol)
    if halted is not None:
        found.append(Restriction(TradingState.HALTED, Reason.TICKER_HALTED, halted))
    if reducing is not None:
        found.append(Restriction(TradingState.REDUCING, Reason.REDUCING_ONLY, reducing))
    return found
