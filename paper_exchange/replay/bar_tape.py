"""Recorded bars as a tape: each bar's trades are walked through its four prices.

A bar that rose, or stood, is walked from its open to its low, its high and its
close; one that fell from its open to its high, its low and its close. Its
trades are spread evenly over its time, their prices lie on the straight lines
between those turning points, and their sizes are equal up to one unit. All of
that is arithmetic on the row, so any part of a bar costs the same, and rows are
all that is kept.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from math import fsum
from typing import NamedTuple

from paper_exchange.prices.tape import MINUTE_NS, NO_PRINTS, Prints, Stretch, joined

_REMEMBERED = 3


class BarColumns(NamedTuple):
    """Bars in order of time, none twice; ``stops`` are the ends of their times.

    ``units`` and ``counts`` are what ``Way`` needs: at least a unit a trade, and
    at least as many trades as there are turning points.
    """

    times: "array[int]"
    stops: "array[int] | None"
    length_ns: int
    opens: "array[float]"
    highs: "array[float]"
    lows: "array[float]"
    closes: "array[float]"
    units: "array[int]"
    counts: "array[int]"
    averages: "array[float] | None"


def turning_points(opened: float, high: float, low: float, close: float) -> list[float]:
    """The prices that a bar is walked through, none twice in a row."""
    between = (low, high) if close >= opened else (high, low)
    points = [opened]
    for price in (*between, close):
        if price != points[-1]:
            points.append(price)
    return points


class _Way:
    """One bar's trades, numbered from 0."""

    __slots__ = ("_marks", "_points", "count", "length_ns", "start_ns", "units")

    def __init__(
        self, start_ns: int, length_ns: int, points: list[float], count: int, units: int
    ) -> None:
        self.start_ns = start_ns
        self.length_ns = length_ns
        self.count = count
        self.units = units
        self._points = points
        last = max(len(points) - 1, 1)
        #: The numbers of the trades that stand at the turning points.
        self._marks = [(count - 1) * n // last for n in range(len(points))]

    def time(self, number: int) -> int:
        return self.start_ns + self.length_ns * number // self.count

    def first_from(self, at_ns: int) -> int:
        """The number of the first trade not earlier than an instant, ``count`` if there is none."""
        ahead = at_ns - self.start_ns
        return min(max(-(-ahead * self.count // self.length_ns), 0), self.count)

    def price(self, number: int) -> float:
        place = bisect_right(self._marks, number) - 1
        before, mark = self._points[place], self._marks[place]
        if number == mark or place + 1 == len(self._marks):
            return before
        after = self._points[place + 1]
        price = before + (after - before) * (number - mark) / (self._marks[place + 1] - mark)
        return min(max(price, min(before, after)), max(before, after))

    def before(self, number: int) -> int:
        """Units traded before a trade."""
        return self.units * number // self.count

    def stretch(self, first: int, stop: int) -> Stretch | None:
        """The trades ``first`` to ``stop`` (not included), summed up."""
        if first >= stop:
            return None
        seen = [self.price(first), self.price(stop - 1)]
        seen += [
            point
            for point, mark in zip(self._points, self._marks, strict=True)
            if first <= mark < stop
        ]
        high, low = max(seen), min(seen)
        volume = self.before(stop) - self.before(first)
        average = (high + low + seen[1]) / 3
        return Stretch(seen[0], high, low, seen[1], volume, stop - first, average * volume)


class BarTape:
    """One symbol's recorded bars. A ``Tape``."""

    def __init__(self, columns: BarColumns) -> None:
        self._columns = columns
        self._times = columns.times
        self.first_price = columns.opens[0]
        self._kept: dict[int, Prints] = {}

    def _stop(self, row: int) -> int:
        """The end of a bar's time: that of its length, or the next bar's start."""
        if self._columns.stops is not None:
            return self._columns.stops[row]
        end = self._times[row] + self._columns.length_ns
        return min(end, self._times[row + 1]) if row + 1 < len(self._times) else end

    def _way(self, row: int) -> _Way:
        columns, start = self._columns, self._times[row]
        points = turning_points(
            columns.opens[row], columns.highs[row], columns.lows[row], columns.closes[row]
        )
        length = self._stop(row) - start
        return _Way(start, length, points, columns.counts[row], columns.units[row])

    def _rows(self, begin_ns: int, end_ns: int) -> range:
        """The bars that share time with an interval."""
        first = bisect_right(self._times, begin_ns) - 1
        if first < 0 or self._stop(first) <= begin_ns:
            first += 1
        return range(first, bisect_left(self._times, end_ns))

    def prints(self, minute: int) -> Prints:
        """See ``Tape``."""
        found = self._kept.get(minute)
        if found is None:
            if len(self._kept) >= _REMEMBERED:
                self._kept.clear()
            found = self._kept[minute] = self._make_prints(minute * MINUTE_NS)
        return found

    def _make_prints(self, begin_ns: int) -> Prints:
        end_ns = begin_ns + MINUTE_NS
        rows = self._rows(begin_ns, end_ns)
        if not rows:
            return NO_PRINTS
        made = Prints([], [], [])
        for row in rows:
            way = self._way(row)
            numbers = range(way.first_from(begin_ns), way.first_from(end_ns))
            made.times.extend(map(way.time, numbers))
            made.prices.extend(map(way.price, numbers))
            made.sizes.extend(way.before(n + 1) - way.before(n) for n in numbers)
        return made

    def span(self, first: int, stop: int) -> Stretch | None:
        """See ``Tape``: bars that lie in it wholly are taken as they are."""
        return joined(self._parts(first * MINUTE_NS, stop * MINUTE_NS))

    def _parts(self, begin_ns: int, end_ns: int) -> Iterator[Stretch | None]:
        rows = self._rows(begin_ns, end_ns)
        if not rows:
            return
        first, stop = rows.start, rows.stop
        if self._times[first] < begin_ns:
            yield self._part(first, begin_ns, end_ns)
            first += 1
        cut = first < stop and self._stop(stop - 1) > end_ns
        if first < stop - cut:
            yield self._whole(first, stop - cut)
        if cut:
            yield self._part(stop - 1, begin_ns, end_ns)

    def _part(self, row: int, begin_ns: int, end_ns: int) -> Stretch | None:
        way = self._way(row)
        return way.stretch(way.first_from(begin_ns), way.first_from(end_ns))

    def _whole(self, first: int, stop: int) -> Stretch:
        columns = self._columns
        highs, lows = columns.highs[first:stop], columns.lows[first:stop]
        closes, units = columns.closes[first:stop], columns.units[first:stop]
        if columns.averages is None:
            averages = [
                (high + low + close) / 3
                for high, low, close in zip(highs, lows, closes, strict=True)
            ]
        else:
            averages = list(columns.averages[first:stop])
        return Stretch(
            columns.opens[first],
            max(highs),
            min(lows),
            closes[-1],
            sum(units),
            sum(columns.counts[first:stop]),
            fsum(price * size for price, size in zip(averages, units, strict=True)),
        )

    def latest(self, minute: int) -> int | None:
        """See ``Tape``."""
        end_ns = (minute + 1) * MINUTE_NS
        row = bisect_left(self._times, end_ns) - 1
        if row < 0:
            return None
        way = self._way(row)
        return way.time(way.first_from(end_ns) - 1) // MINUTE_NS

    def following(self, minute: int) -> int | None:
        """See ``Tape``."""
        begin_ns = minute * MINUTE_NS
        row = max(bisect_right(self._times, begin_ns) - 1, 0)
        for one in range(row, min(row + 2, len(self._times))):
            way = self._way(one)
            number = way.first_from(begin_ns)
            if number < way.count:
                return way.time(number) // MINUTE_NS
        return None
