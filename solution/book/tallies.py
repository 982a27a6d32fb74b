"""How many orders that open a position were sent today, and within the last minute.

Counted when an order is reserved, so that of decisions made side by side none sees less than all
others: with 64 workers the 500th order of the day is the last. An order that never left gives its
place back; one that the broker refused has been sent.
"""

from collections import deque
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from solution.clock import Clock

NEW_YORK = ZoneInfo("America/New_York")
WINDOW = 60.0
"""Seconds of the limits per minute: any 60 seconds, not those of the clock's minutes."""


class Tally(NamedTuple):
    """Orders that open: of the New York day, of the last minute, of the last minute in a ticker."""

    today: int
    minute: int
    ticker_minute: int


class Sent(NamedTuple):
    """An order of the ledger: its id, its ticker, and when it was sent (epoch ms)."""

    client_order_id: str
    symbol: str
    sent_ms: int


_Times = deque[tuple[float, str]]
"""Monotonic seconds and client_order_id, oldest first."""


class Tallies:
    """Not locked: the portfolio's mutex guards it.

    Args:
        clock: the wall clock tells the day, the monotonic one the minute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._day: date | None = None
        self._day_until_ms = 0
        self._today: set[str] = set()
        self._all: _Times = deque()
        self._by_symbol: dict[str, _Times] = {}

    def of(self, symbol: str, beside: str = "") -> Tally:
        """The counts before an order of this ticker; ``beside``: an order that does not count."""
        self._turn_day()
        since = self._clock.monotonic() - WINDOW
        _drop_before(self._all, since)
        mine = self._by_symbol.get(symbol)
        if mine:
            _drop_before(mine, since)
        tally = Tally(len(self._today), len(self._all), len(mine) if mine else 0)
        if beside not in self._today:
            return tally
        lately = int(any(coid == beside for _, coid in mine or ()))
        return Tally(tally.today - 1, tally.minute - lately, tally.ticker_minute - lately)

    def add(self, client_order_id: str, symbol: str) -> None:
        """An order that opens is about to be sent; the same one again is the same one."""
        self._turn_day()
        if client_order_id in self._today:
            return
        self._today.add(client_order_id)
        at = self._clock.monotonic(), client_order_id
        self._all.append(at)
        self._by_symbol.setdefault(symbol, deque()).append(at)

    def drop(self, client_order_id: str, symbol: str) -> None:
        """It never left."""
        if client_order_id not in self._today:
            return
        self._today.discard(client_order_id)
        for times in (self._all, self._by_symbol.get(symbol, deque())):
            # From the newest: what is taken back was added a moment ago.
            found = next((at for at in reversed(times) if at[1] == client_order_id), None)
            if found is not None:
                times.remove(found)

    def restore(self, sent: Iterable[Sent]) -> None:
        """What was sent before this process, by whichever process it was; in order of sending."""
        self._turn_day()
        now_ms, now = self._clock.epoch_ms(), self._clock.monotonic()
        for order in sent:
            if self._day_of(order.sent_ms) != self._day or order.client_order_id in self._today:
                continue
            self._today.add(order.client_order_id)
            age = max(0.0, (now_ms - order.sent_ms) / 1000)
            if age < WINDOW:
                at = now - age, order.client_order_id
                self._all.append(at)
                self._by_symbol.setdefault(order.symbol, deque()).append(at)

    def _turn_day(self) -> None:
        now_ms = self._clock.epoch_ms()
        if now_ms < self._day_until_ms:
            return
        day = self._day_of(now_ms)
        if day != self._day:
            self._day, self._today = day, set()
        # Looked at again each minute, not each time: the zone's arithmetic takes microseconds.
        self._day_until_ms = now_ms - now_ms % 60_000 + 60_000

    @staticmethod
    def _day_of(epoch_ms: int) -> date:
        return datetime.fromtimestamp(epoch_ms / 1000, NEW_YORK).date()


def day_began_ms(epoch_ms: int) -> int:
    """The beginning of the New York day (epoch ms) that a moment belongs to."""
    local = datetime.fromtimestamp(epoch_ms / 1000, NEW_YORK)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return int(midnight.timestamp() * 1000)


def _drop_before(times: _Times, since: float) -> None:
    while times and times[0][0] <= since:
        times.popleft()
