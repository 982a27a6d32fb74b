"""A seeded random walk that can be asked about any time, in bars of any length.

The walk is built top-down, so that what happens at an instant depends on the
seed, the asset, the day the market was made and the instant alone, never on
who looked before, and so that nothing needs to run while nobody looks:

1. from day to day, a geometric walk outwards from the day the market was made;
2. within a day, each leg's open, high, low and close;
3. within a leg, those of its clock hours, and within an hour, of its minutes;
4. within a minute, its trades.

Each level is made from the one above, whose open, high, low and close it takes
over to the last bit. A daily bar therefore costs no more than a minute's, and
both tell of the same trades.

The rejected alternative, making minutes out of trades and days out of minutes,
costs a second for a year of daily bars.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from math import fsum, sqrt
from typing import TypeVar

from paper_exchange.prices.exact import exp, gaussians, ln, noise, scramble
from paper_exchange.prices.refine import Node, noise_size, refine, thread
from paper_exchange.prices.tape import (
    MINUTE_NS,
    NO_PRINTS,
    TICK_NS,
    TICKS_PER_MINUTE,
    Prints,
    Stretch,
)
from paper_exchange.prices.trading_days import Leg, TradingDays
from paper_exchange.prices.volume import LegVolume, leg_volume

_YEAR_DAYS = 365
_DAY_MINUTES = 1440
_HOUR = 60
_DAY, _LEG, _HOURS, _MINUTES, _TRADES = range(5)

#: A node, its trades and its units.
_Part = tuple[Node, int, int]
T = TypeVar("T")


class _Kept(OrderedDict[int, T]):
    """The few most recently made things of one kind."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def through(self, key: int, make: Callable[[], T]) -> T:
        """What is kept under the key, made when it is missing."""
        found = self.get(key)
        if found is None:
            found = self[key] = make()
            if len(self) > self._limit:
                self.popitem(last=False)
        return found


class Walk:
    """One asset's trades by chance; ``volatility`` is per year. A ``Tape``."""

    def __init__(
        self,
        name: str,
        days: TradingDays,
        *,
        start: float,
        volatility: float,
        origin: date,
    ) -> None:
        self._name = name
        self.days = days
        self.key = scramble(int.from_bytes(noise(name, size=8), "big"))
        self.first_price = start
        self._origin = origin.toordinal()
        self._day_sigma = volatility / sqrt(_YEAR_DAYS)
        self._sigma = self._day_sigma / sqrt(_DAY_MINUTES)
        self._forward = [ln(start)]
        self._backward = [ln(start)]
        self._legs: _Kept[Node] = _Kept(512)
        self._volumes: _Kept[LegVolume] = _Kept(64)
        self._hours: _Kept[list[Node]] = _Kept(8)
        self._minutes: _Kept[list[Node]] = _Kept(8)
        self._prints: _Kept[Prints] = _Kept(4)

    def _noise(self, level: int, number: int, size: int) -> bytes:
        return noise(self._name, level, number, size=size)

    # -- prices, as logarithms -----------------------------------------------------------------

    def _change(self, day: int) -> float:
        return gaussians(self._noise(_DAY, day, noise_size(1)), 1)[0] * self._day_sigma

    def _day_start(self, day: int) -> float:
        """The value at the midnight that begins ``day``."""
        while len(self._forward) <= day - self._origin:
            last = self._origin + len(self._forward) - 1
            self._forward.append(self._forward[-1] + self._change(last))
        while len(self._backward) <= self._origin - day:
            before = self._origin - len(self._backward)
            self._backward.append(self._backward[-1] - self._change(before))
        away = day - self._origin
        return self._forward[away] if away >= 0 else self._backward[-away]

    def _leg(self, leg: Leg) -> Node:
        return self._legs.through(leg.start, lambda: self._make_leg(leg))

    def _make_leg(self, leg: Leg) -> Node:
        """Ends from the day's own bridge over its legs and the nights around them."""
        day, days = leg.day, self.days
        edges = [days.midnight(day), days.midnight(day + 1)]
        for one in days.legs(day):
            edges += [one.start, one.stop]
        edges = sorted(set(edges))
        lengths = [after - before for before, after in pairwise(edges)]
        whole: Node = (self._day_start(day), 0.0, 0.0, self._day_start(day + 1))
        dice = self._noise(_LEG, day, noise_size(len(lengths)))
        nodes = refine(whole, lengths, self._sigma, dice, bounded=False)
        return nodes[edges.index(leg.start)]

    def _hour_starts(self, leg: Leg) -> list[int]:
        first = leg.start // _HOUR * _HOUR + _HOUR
        return [leg.start, *range(first, leg.stop, _HOUR), leg.stop]

    def _hours_of(self, leg: Leg) -> list[Node]:
        return self._hours.through(leg.start, lambda: self._make_hours(leg))

    def _make_hours(self, leg: Leg) -> list[Node]:
        lengths = [after - before for before, after in pairwise(self._hour_starts(leg))]
        dice = self._noise(_HOURS, leg.start, noise_size(len(lengths)))
        return refine(self._leg(leg), lengths, self._sigma, dice)

    def _minutes_of(self, leg: Leg, number: int, start: int, stop: int) -> list[Node]:
        return self._minutes.through(start, lambda: self._make_minutes(leg, number, start, stop))

    def _make_minutes(self, leg: Leg, number: int, start: int, stop: int) -> list[Node]:
        count = stop - start
        dice = self._noise(_MINUTES, start, noise_size(count))
        return refine(self._hours_of(leg)[number], [1] * count, self._sigma, dice)

    def _minute(self, leg: Leg, minute: int) -> Node:
        number = minute // _HOUR - leg.start // _HOUR
        start = max(leg.start, minute // _HOUR * _HOUR)
        stop = min(leg.stop, minute // _HOUR * _HOUR + _HOUR)
        return self._minutes_of(leg, number, start, stop)[minute - start]

    # -- the tape --------------------------------------------------------------------------------

    def _volume(self, leg: Leg) -> LegVolume:
        return self._volumes.through(leg.start, lambda: leg_volume(leg, self.key))

    def _leg_at(self, minute: int) -> Leg | None:
        leg = self.days.latest(minute)
        return leg if leg is not None and minute < leg.stop else None

    def latest(self, minute: int) -> int | None:
        """See ``Tape``: every minute of a leg has trades."""
        leg = self.days.latest(minute)
        return None if leg is None else min(minute, leg.stop - 1)

    def following(self, minute: int) -> int | None:
        """See ``Tape``."""
        leg = self.days.following(minute)
        return None if leg is None else max(minute, leg.start)

    def prints(self, minute: int) -> Prints:
        """See ``Tape``: at most one trade a tick, the first at the start of the minute."""
        return self._prints.through(minute, lambda: self._make_prints(minute))

    def _make_prints(self, minute: int) -> Prints:
        leg = self._leg_at(minute)
        if leg is None:
            return NO_PRINTS
        count, units = self._volume(leg).between(minute, minute + 1)
        dice = self._noise(_TRADES, minute, noise_size(count))
        path = thread(self._minute(leg, minute), count, self._sigma, dice)
        start_ns = minute * MINUTE_NS
        times, sizes = [], []
        weights = [1 + byte for byte in dice[-count:]]
        whole, so_far, given = sum(weights), 0, 0
        for n, weight in enumerate(weights):
            slot = TICKS_PER_MINUTE * n // count
            width = TICKS_PER_MINUTE * (n + 1) // count - slot
            times.append(start_ns + (slot + (dice[n] % width if n else 0)) * TICK_NS)
            so_far += weight
            now_given = (units - count) * so_far // whole
            sizes.append(1 + now_given - given)
            given = now_given
        return Prints(times, [exp(value) for value in path], sizes)

    def span(self, first: int, stop: int) -> Stretch | None:
        """See ``Tape``."""
        parts: list[_Part] = []
        for leg in self.days.legs_between(first, stop):
            self._collect(leg, max(first, leg.start), min(stop, leg.stop), parts)
        return _stretch(parts) if parts else None

    def _collect(self, leg: Leg, start: int, end: int, parts: list[_Part]) -> None:
        """Add the largest nodes that make up ``start`` to ``end``."""
        volume = self._volume(leg)
        if end - start == 1:
            parts.append((self._minute(leg, start), *volume.between(start, end)))
            return
        if (start, end) == (leg.start, leg.stop):
            parts.append((self._leg(leg), *volume.between(start, end)))
            return
        borders = self._hour_starts(leg)
        for number in range(start // _HOUR - leg.start // _HOUR, len(borders) - 1):
            begin, finish = borders[number], borders[number + 1]
            if begin >= end:
                return
            if start <= begin and finish <= end:
                parts.append((self._hours_of(leg)[number], *volume.between(begin, finish)))
                continue
            minutes = self._minutes_of(leg, number, begin, finish)
            for minute in range(max(start, begin), min(end, finish)):
                counts = volume.between(minute, minute + 1)
                parts.append((minutes[minute - begin], *counts))


def _stretch(parts: list[_Part]) -> Stretch:
    """Nodes that follow each other; the average price is weighted with their volumes."""
    units = sum(part[2] for part in parts)
    if len(parts) == 1:
        start, top, bottom, end = map(exp, parts[0][0])
        return Stretch(
            start, top, bottom, end, units, parts[0][1], (top + bottom + end) / 3 * units
        )
    weighed = fsum((node[1] + node[2] + node[3]) / 3 * volume for node, _, volume in parts)
    return Stretch(
        exp(parts[0][0][0]),
        exp(max(node[1] for node, _, _ in parts)),
        exp(min(node[2] for node, _, _ in parts)),
        exp(parts[-1][0][3]),
        units,
        sum(part[1] for part in parts),
        exp(weighed / units) * units,
    )
