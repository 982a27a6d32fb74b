"""Every bar once and in order, whatever order they are heard of in; no I/O and no clock.

A symbol is either *whole*, then what comes live goes on at once, or it has a *gap*: something may
be missing, as after a reconnect. Then live bars wait until history has told what is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from signal_generator.bars import Bar


class BarSequence:
    """The bars of some symbols.

    Args:
        after: by symbol, the start of the last bar that needs no delivery. All begin with a gap.
        step: a live bar that begins more than this after the one before opens a gap by itself:
            either nothing was traded between them or something was lost, and only history knows.

    Attributes:
        repeated: bars that came again, or after a later one, and were dropped.
        updated: corrections of bars that were delivered already.
    """

    def __init__(self, after: Mapping[str, datetime], step: timedelta) -> None:
        self._last = dict(after)
        self._step = step
        self._held: dict[str, dict[datetime, Bar]] = {symbol: {} for symbol in after}
        self._gaps = set(after)
        self.repeated = 0
        self.updated = 0

    def gaps(self) -> dict[str, datetime]:
        """The symbols with a gap, and the bar behind which it begins."""
        return {symbol: self._last[symbol] for symbol in self._last if symbol in self._gaps}

    def has_gap(self, symbol: str) -> bool:
        """Whether something may be missing of this symbol."""
        return symbol in self._gaps

    def open_gap(self, symbols: Iterable[str]) -> None:
        """From here on something may be missing."""
        self._gaps.update(symbol for symbol in symbols if symbol in self._last)

    def live(self, bar: Bar) -> list[Bar]:
        """What may be delivered now that this bar came."""
        last = self._last.get(bar.symbol)
        if last is None:
            return []
        if bar.timestamp <= last:
            self.repeated += 1
            return []
        if bar.timestamp - last > self._step:
            self._gaps.add(bar.symbol)
        if bar.symbol in self._gaps:
            self._hold(bar)
            return []
        self._last[bar.symbol] = bar.timestamp
        return [bar]

    def correction(self, bar: Bar) -> None:
        """A bar was told anew: taken while it waits, only counted once it is delivered."""
        held = self._held.get(bar.symbol, {})
        if bar.timestamp in held:
            held[bar.timestamp] = bar
        else:
            self.updated += 1

    def fetched(self, symbol: str, bars: Sequence[Bar], *, closes: bool) -> list[Bar]:
        """What may be delivered now that history told these bars of one symbol.

        Args:
            bars: completed ones, without a hole behind the last one delivered.
            closes: nothing is missing any more but what comes live.
        """
        last, held = self._last[symbol], self._held[symbol]
        newest = max((bar.timestamp for bar in bars), default=last)
        known = {bar.timestamp: bar for bar in bars}
        # What was heard live is what a stream without a gap would have delivered.
        known |= {at: bar for at, bar in held.items() if closes or at <= newest}
        found = [known[at] for at in sorted(known) if at > last]
        if found:
            last = self._last[symbol] = found[-1].timestamp
        self._held[symbol] = {at: bar for at, bar in held.items() if at > last}
        if closes:
            self._gaps.discard(symbol)
        return found

    def _hold(self, bar: Bar) -> None:
        held = self._held[bar.symbol]
        if bar.timestamp in held:
            self.repeated += 1
        else:
            held[bar.timestamp] = bar
