"""Daily bars: asked of history when a session is over; no I/O and no clock of its own.

A websocket tells the day so far, minute by minute, and forgets: what counts as the day's bar is
what history says after the close.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.bar_flow import Ask
from signal_generator.market.bar_times import ONE_DAY, bar_end, day_end, is_crypto
from signal_generator.sessions import NEW_YORK

#: After the end of a day: history may know the closing auction late, or a symbol's bar at all.
_LOOKS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=20))


class DayFlow:
    """Completed daily bars; speaks as :class:`signal_generator.market.bar_flow.BarFlow` does.

    Args:
        after: by symbol, the start of the last bar that needs no delivery.
        settle: how far clocks may disagree.
    """

    def __init__(self, after: Mapping[str, datetime], settle: timedelta) -> None:
        self._last = dict(after)
        self._settle = settle
        self._due: datetime | None = None
        self._outstanding = False

    @property
    def repeated(self) -> int:
        """History repeats itself with every answer; that is not counted."""
        return 0

    @property
    def updated(self) -> int:
        """A day is told once."""
        return 0

    def whole(self) -> bool:
        """Always: a second more or less does not matter."""
        return True

    def subscribed(self, now: datetime, *, crypto: bool) -> None:
        """Of no importance here."""

    def lost(self, *, crypto: bool) -> None:
        """Of no importance here."""

    def live(self, bar: Bar) -> list[Bar]:
        """Minutes are not asked for."""
        del bar
        return []

    def correction(self, bar: Bar) -> None:
        """Minutes are not asked for."""

    def ask(self, now: datetime) -> Ask | None:
        """At the beginning, and some time after the end of each day."""
        if self._outstanding or (self._due is not None and now < self._due):
            return None
        self._outstanding = True
        return Ask(dict(self._last), Timeframe.DAY, now, {})

    def told(self, ask: Ask, bars: Mapping[str, Sequence[Bar]], *, last: bool) -> list[Bar]:
        """A part of history's answer, oldest first over all parts; `last` ends it."""
        done = []
        for symbol in self._last:
            for bar in sorted(bars.get(symbol, ()), key=lambda bar: bar.timestamp):
                over = bar_end(symbol, bar.timestamp, Timeframe.DAY) + self._settle <= ask.asked_at
                if over and bar.timestamp > self._last[symbol]:
                    self._last[symbol] = bar.timestamp
                    done.append(bar)
        if last:
            self._outstanding = False
            self._due = min(look for look in self._looks(ask.asked_at) if look > ask.asked_at)
        return sorted(done, key=lambda bar: bar.timestamp)

    def failed(self) -> None:
        """The question was not answered, and is due again."""
        self._outstanding = False
        self._due = None

    def _looks(self, now: datetime) -> list[datetime]:
        ends: set[datetime] = set()
        today = now.astimezone(NEW_YORK).date()
        if any(map(is_crypto, self._last)):
            midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            ends |= {midnight, midnight + ONE_DAY}
        if not all(map(is_crypto, self._last)):
            ends |= {day_end(today + n * ONE_DAY) for n in (-1, 0, 1)}
        return [end + max(look, self._settle) for end in ends for look in _LOOKS]
