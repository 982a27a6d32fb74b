"""Bars of 5 minutes, a quarter or an hour out of minute bars; no I/O and no clock of its own."""

from collections.abc import Collection
from datetime import datetime, timedelta

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.bar_times import ONE_MINUTE, floor


class BarAggregate:
    """Minute bars in, longer ones out, per symbol in order.

    A bar is over when its last minute is in, when a minute of a later one arrives, or when
    :meth:`settle` is told that all minutes up to its end are in: of an illiquid symbol the last
    one, and the next, may never come.

    Attributes:
        late: minutes that came for a bar that was over already.
    """

    def __init__(self, timeframe: Timeframe) -> None:
        if timeframe is Timeframe.DAY:
            raise ValueError("days are not made of minutes: ask for daily bars")
        self._length = timeframe.length
        self._parts: dict[str, list[Bar]] = {}
        self._over: dict[str, datetime] = {}
        self.late = 0

    def add(self, minute: Bar) -> list[Bar]:
        """The bars that are over now that this minute is in."""
        start, done = floor(minute.timestamp, self._length), []
        if start < self._over.get(minute.symbol, start):
            self.late += 1
            return []
        parts = self._parts.setdefault(minute.symbol, [])
        if parts and floor(parts[0].timestamp, self._length) != start:
            done.append(self._finish(minute.symbol))
            parts = self._parts.setdefault(minute.symbol, [])
        parts.append(minute)
        if minute.timestamp + ONE_MINUTE >= start + self._length:
            done.append(self._finish(minute.symbol))
        return done

    def settle(self, until: datetime, symbols: Collection[str] | None = None) -> list[Bar]:
        """The bars, of these symbols or of all, that end by a time up to which all is in."""
        due = [symbol for symbol in self.unfinished(until) if symbols is None or symbol in symbols]
        return [self._finish(symbol) for symbol in due]

    def unfinished(self, until: datetime) -> list[str]:
        """The symbols whose bar should be over by this time, and is not."""
        return [
            symbol
            for symbol, parts in self._parts.items()
            if floor(parts[0].timestamp, self._length) + self._length <= until
        ]

    def finish(self) -> list[Bar]:
        """Whatever is there, at the end of a file."""
        return [self._finish(symbol) for symbol in list(self._parts)]

    def _finish(self, symbol: str) -> Bar:
        parts = self._parts.pop(symbol)
        bar = combined(parts, self._length)
        self._over[symbol] = bar.timestamp + self._length
        return bar


def combined(parts: list[Bar], length: timedelta) -> Bar:
    """One bar out of consecutive ones of the same symbol."""
    volume = sum(bar.volume for bar in parts)
    weighted = sum(bar.vwap * bar.volume for bar in parts)
    return Bar(
        symbol=parts[0].symbol,
        timestamp=floor(parts[0].timestamp, length),
        open=parts[0].open,
        high=max(bar.high for bar in parts),
        low=min(bar.low for bar in parts),
        close=parts[-1].close,
        volume=volume,
        trade_count=sum(bar.trade_count for bar in parts),
        vwap=weighted / volume if volume else parts[-1].vwap,
    )
