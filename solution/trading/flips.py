"""The repeated-execution throttle: a ticker that is bought and sold in a circle stops.

Two producers of opposite opinion, or one that sees its own orders in the prices, pay the spread
each time round. No single order of it is wrong, so no other limit sees it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from solution.clock import Clock, moment_of
from solution.domain.records import Intent, Trade
from solution.errors import LedgerError

log = logging.getLogger(__name__)

PREFIX = "flips_since:"
"""``flips_since:{SYMBOL}``: executions before this (epoch ms) count no more."""
NOT_COUNTED = "flatten:"
"""How the identity of an order begins that an operator's flatten has made."""


class TickerHalts(Protocol):
    """Where a ticker is halted."""

    def halt(self, symbol: str, why: str) -> None: ...
    def reason(self, symbol: str) -> str | None: ...


class FlipLedger(Protocol):
    """What was executed before this process."""

    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...
    def states(self, prefix: str) -> dict[str, str]: ...


@dataclass(slots=True)
class _Ticker:
    side: str = ""
    changes: deque[int] = field(default_factory=deque)
    """When each change of side came, epoch ms."""


class Flips:
    """Counts changes of side between orders that were executed, at least in part.

    Args:
        most: changes within ``window`` seconds that a ticker may have; 0 = no limit.
        halts: a ticker with more of them is halted here, until a person resumes it.
    """

    def __init__(
        self, most: int, window: float, ledger: FlipLedger, halts: TickerHalts, clock: Clock
    ) -> None:
        self._most = most
        self._window_ms = round(window * 1000)
        self._ledger = ledger
        self._halts = halts
        self._clock = clock
        self._mutex = threading.Lock()
        self._tickers: dict[str, _Ticker] = {}

    def restore(self, trades_since: Callable[[datetime], Iterable[Trade]]) -> None:
        """Count again what was executed before the start.

        Args:
            trades_since: executions on record since then, oldest first.

        Raises:
            LedgerError: they cannot be read.
        """
        if not self._most:
            return
        begin = self._clock.epoch_ms() - self._window_ms
        since = {k.removeprefix(PREFIX): v for k, v in self._ledger.states(PREFIX).items()}
        seen: set[str] = set()
        for trade in trades_since(moment_of(begin)):
            at, coid = _epoch_ms(trade.at), trade.client_order_id
            if at is None or coid in seen or at <= max(begin, _number(since.get(trade.symbol))):
                continue
            seen.add(coid)  # an order may have many executions
            if self._halts.reason(trade.symbol) is None:
                with self._mutex:
                    self._count(trade.symbol, trade.side, at)

    def executed(self, intent: Intent) -> None:
        """The first execution of an order. Never raises."""
        if not self._most or intent.identity.startswith(NOT_COUNTED):
            return
        symbol, now = intent.symbol, self._clock.epoch_ms()
        if self._halts.reason(symbol) is not None:
            self._begin_anew(symbol, now)  # once resumed; an order that rested does not count
            return
        with self._mutex:
            if self._count(symbol, intent.side, now) <= self._most:
                return
        self._halt(symbol, now)

    def changes(self) -> Mapping[str, int]:
        """How often each ticker changed its side within the window, where it did."""
        begin = self._clock.epoch_ms() - self._window_ms
        with self._mutex:
            found = {s: sum(at > begin for at in t.changes) for s, t in self._tickers.items()}
        return {symbol: number for symbol, number in sorted(found.items()) if number}

    @property
    def most(self) -> int:
        """The limit; 0 = none."""
        return self._most

    def _count(self, symbol: str, side: str, at_ms: int) -> int:
        """Changes of side within the window, this one included. Requires holding ``_mutex``."""
        ticker = self._tickers.setdefault(symbol, _Ticker())
        changes = ticker.changes
        if ticker.side and side != ticker.side:
            changes.append(at_ms)
        ticker.side = side
        while changes and changes[0] <= at_ms - self._window_ms:
            changes.popleft()
        return len(changes)

    def _halt(self, symbol: str, now_ms: int) -> None:
        window = self._window_ms / 1000
        why = f"its orders changed side more than MAX_FLIPS={self._most} times in {window:g} s"
        try:
            # First: a crash between the two may halt it once more after a resume, and no less.
            self._halts.halt(symbol, why)
        except LedgerError as error:  # halted in memory; the service ends soon
            log.error("flips_not_kept", extra={"symbol": symbol, "detail": str(error)})  # noqa: TRY400 - one line
        self._begin_anew(symbol, now_ms)

    def _begin_anew(self, symbol: str, now_ms: int) -> None:
        """What was executed until now counts no more, after a restart either."""
        with self._mutex:
            self._tickers.pop(symbol, None)
        try:
            self._ledger.set_state(PREFIX + symbol, str(now_ms), sync=False)
        except LedgerError as error:
            log.warning("flips_not_kept", extra={"symbol": symbol, "detail": str(error)})


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _epoch_ms(at: str) -> int | None:
    """None for what is no time, as of a broker that said none."""
    try:
        return round(datetime.fromisoformat(at).timestamp() * 1000)
    except ValueError:
        return None
