"""The session's minute bars of one symbol, from its open on, wherever the process started."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from signal_generator.bars import Bar
from signal_generator.hosting import BrokerUnavailable, History, Session

_MINUTE = timedelta(minutes=1)


class SessionBars:
    """Grows by each bar; what came before the first one is fetched when it is first needed.

    Not at the start: what completes between then and the first bar would be missing.
    """

    def __init__(self, symbol: str, session: Session, history: History) -> None:
        self._symbol = symbol
        self._session = session
        self._history = history
        self._bars: dict[datetime, Bar] = {}
        self._complete = False

    def add(self, bar: Bar) -> None:
        """A bar of this session; a repetition replaces the earlier one."""
        self._bars[bar.timestamp] = bar

    def until(self, start: datetime) -> Sequence[Bar] | None:
        """All bars up to the one that starts then; None while earlier ones are not to be had."""
        if not self._complete and not self._fetch(start):
            return None
        bars = sorted(self._bars.values(), key=_start)
        return bars[: bisect_right(bars, start, key=_start)]

    def _fetch(self, start: datetime) -> bool:
        count = (start - self._session.opens) // _MINUTE + 1
        try:
            earlier = self._history(self._symbol, count, start)
        except BrokerUnavailable:
            return False
        found = {bar.timestamp: bar for bar in earlier if bar.timestamp >= self._session.opens}
        self._bars = found | self._bars
        self._complete = True
        return True


def _start(bar: Bar) -> datetime:
    return bar.timestamp
