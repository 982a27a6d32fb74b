"""Prices: a seeded random walk for every asset that can be asked about any instant, with no I/O.

The walk is built top-down, so that its value at an instant depends on the
seed, the asset and the instant alone, never on when somebody looked, and so
that nothing needs to run while nobody looks:

1. day to day, a geometric walk outwards from the day the market was made;
2. minute to minute within a day, a bridge between its two ends;
3. four ticks a second within a minute, a bridge again.

The rejected alternative, stepping a walk forward on every look, costs seconds
after a quiet night and has no past to make bars of.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND

TICKS_PER_SECOND = 4
TICK_NS = SECOND // TICKS_PER_SECOND
MINUTE_NS = 60 * SECOND
DAY_NS = 86_400 * SECOND
_MINUTES = 1440
_TICKS = 60 * TICKS_PER_SECOND
_YEAR_DAYS = 365
_MASK = (1 << 64) - 1


def _scramble(number: int) -> int:
    """SplitMix64: a cheap, well mixed 64-bit hash for sizes and volumes."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


@dataclass(frozen=True, slots=True)
class Quote:
    """The top of the book and the last trade at one tick; prices in US dollars, sizes in shares."""

    symbol: str
    at_ns: int
    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int
    last: Decimal
    last_size: int

    @property
    def tick(self) -> int:
        """The running number of this tick, used as the trade's id."""
        return self.at_ns // TICK_NS


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low, close of a stretch of time that begins at ``start_ns``."""

    start_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    trades: int


def _bridge(draw: Random, steps: int, sigma: float, ends: tuple[float, float]) -> list[float]:
    """A random path of ``steps`` steps that starts and ends where it is told."""
    path = [0.0]
    at = 0.0
    for _ in range(steps):
        at += draw.gauss(0.0, sigma)
        path.append(at)
    start, end = ends
    slope = (end - start - at) / steps
    return [start + value + slope * i for i, value in enumerate(path)]


class _Kept:
    """The few most recently used paths of one kind."""

    __slots__ = ("_kept", "_limit", "_make")

    def __init__(self, limit: int, make: Callable[[int], list[float]]) -> None:
        self._limit = limit
        self._make = make
        self._kept: OrderedDict[int, list[float]] = OrderedDict()

    def get(self, key: int) -> list[float]:
        path = self._kept.get(key)
        if path is None:
            path = self._kept[key] = self._make(key)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return path


class Walk:
    """The logarithm of one asset's price over all time; ``volatility`` is per year."""

    def __init__(
        self, seed: int, symbol: str, start: float, volatility: float, origin_ns: int
    ) -> None:
        self._name = f"{seed}:{symbol}"
        self._origin_day = origin_ns // DAY_NS
        self._day_sigma = volatility / math.sqrt(_YEAR_DAYS)
        self._minute_sigma = self._day_sigma / math.sqrt(_MINUTES)
        self._tick_sigma = self._minute_sigma / math.sqrt(_TICKS)
        self._forward = [math.log(start)]
        self._backward = [math.log(start)]
        self._days = _Kept(3, self._make_day)
        self._minutes = _Kept(3, self._make_minute)

    def _draw(self, *parts: int) -> Random:
        return Random(f"{self._name}:{parts}")  # noqa: S311  -- prices, not secrets

    def _day_start(self, day: int) -> float:
        """The value at the midnight (UTC) that begins ``day``."""
        steps = abs(day - self._origin_day)
        known, sign = (self._forward, 1) if day >= self._origin_day else (self._backward, -1)
        while len(known) <= steps:
            draw = self._draw(sign, len(known))
            known.append(known[-1] + draw.gauss(0.0, self._day_sigma))
        return known[steps]

    def _make_day(self, day: int) -> list[float]:
        ends = (self._day_start(day), self._day_start(day + 1))
        return _bridge(self._draw(day), _MINUTES, self._minute_sigma, ends)

    def _make_minute(self, minute: int) -> list[float]:
        day, index = divmod(minute, _MINUTES)
        path = self._days.get(day)
        ends = (path[index], path[index + 1])
        return _bridge(self._draw(minute, 0), _TICKS, self._tick_sigma, ends)

    def tick(self, tick: int) -> float:
        """The price at a tick (tick 0 is the epoch)."""
        minute, index = divmod(tick, _TICKS)
        return math.exp(self._minutes.get(minute)[index])

    def minute(self, minute: int) -> list[float]:
        """All prices of a minute, its first tick to the next minute's first."""
        return [math.exp(value) for value in self._minutes.get(minute)]

    def minute_start(self, minute: int) -> float:
        """The price at a minute's first tick, without working out its other ticks."""
        day, index = divmod(minute, _MINUTES)
        return math.exp(self._days.get(day)[index])

    def minutes(self, first: int, last: int) -> list[float]:
        """The prices at the starts of minutes ``first`` to ``last``, both included."""
        values: list[float] = []
        for day in range(first // _MINUTES, last // _MINUTES + 1):
            start = max(first - day * _MINUTES, 0)
            stop = min(last - day * _MINUTES, _MINUTES - 1)
            values.extend(self._days.get(day)[start : stop + 1])
        return [math.exp(value) for value in values]


class _Instrument:
    """One asset's walk, what was set by hand, and the newest quote."""

    __slots__ = ("asset", "factor", "key", "pinned", "quote", "walk")

    def __init__(self, asset: Asset, walk: Walk, seed: int) -> None:
        self.asset = asset
        self.walk = walk
        self.key = _scramble(seed ^ int(asset.id[:8], 16))
        self.factor = 1.0
        self.pinned: Decimal | None = None
        self.quote: Quote | None = None

    def round(self, price: float) -> Decimal:
        step = self.asset.increment(Decimal(1) if price >= 1 else Decimal(0))
        return max(step, round(price / float(step)) * step)


class Market:
    """Quotes, trades and bars of all assets at any instant, deterministic from the seed."""

    def __init__(
        self, assets: Iterable[Asset], *, seed: int, volatility: float, origin_ns: int
    ) -> None:
        self._seed = seed
        self._volatility = volatility
        self._origin_ns = origin_ns
        self._assets = {asset.symbol: asset for asset in assets}
        self._instruments: dict[str, _Instrument] = {}

    def _instrument(self, symbol: str) -> _Instrument:
        found = self._instruments.get(symbol)
        if found is None:
            asset = self._assets[symbol]
            walk = Walk(
                self._seed, symbol, float(asset.base_price), self._volatility, self._origin_ns
            )
            found = self._instruments[symbol] = _Instrument(asset, walk, self._seed)
        return found

    def quote(self, symbol: str, now_ns: int) -> Quote:
        """The quote and last trade standing at ``now_ns``.

        The same object is returned while nothing has changed.

        Raises:
            KeyError: for a symbol the market does not have.
        """
        one = self._instrument(symbol)
        tick = now_ns // TICK_NS
        if one.quote is None or one.quote.tick != tick:
            one.quote = self._make_quote(one, tick)
        return one.quote

    def _make_quote(self, one: _Instrument, tick: int) -> Quote:
        noise = _scramble(one.key ^ tick)
        if one.pinned is not None:
            last = one.pinned
            step = one.asset.increment(last)
            bid, ask = max(step, last - step), last + step
        else:
            price = one.walk.tick(tick) * one.factor
            last = one.round(price)
            step = one.asset.increment(last)
            # One to three basis points wide, at least one step, as liquid names are.
            width = max(1, round(price * (1 + (noise >> 60) % 3) * 1e-4 / float(step)))
            bid = max(step, last - step * (width // 2))
            ask = bid + step * width
        return Quote(
            symbol=one.asset.symbol,
            at_ns=tick * TICK_NS,
            bid=bid,
            ask=ask,
            bid_size=100 * (1 + noise % 9),
            ask_size=100 * (1 + (noise >> 8) % 9),
            last=last,
            last_size=1 + (noise >> 16) % 300,
        )

    def quote_at(self, symbol: str, at_ns: int) -> Quote:
        """The quote that stands at any instant; an earlier one leaves the current in place."""
        one = self._instrument(symbol)
        tick = at_ns // TICK_NS
        if one.quote is None or one.quote.tick <= tick:
            return self.quote(symbol, at_ns)
        return self._make_quote(one, tick)

    def price_at(self, symbol: str, at_ns: int) -> Decimal:
        """The walk's price at another instant, leaving the current quote in place.

        A price held by hand is held for all time.
        """
        one = self._instrument(symbol)
        if one.pinned is not None:
            return one.pinned
        if at_ns % MINUTE_NS == 0:
            return one.round(one.walk.minute_start(at_ns // MINUTE_NS) * one.factor)
        return one.round(one.walk.tick(at_ns // TICK_NS) * one.factor)

    def set_price(self, symbol: str, price: Decimal | None, now_ns: int) -> None:
        """Hold a price, one step of spread on either side; None lets the walk go on from there.

        Raises:
            KeyError: for a symbol the market does not have.
        """
        one = self._instrument(symbol)
        if price is None and one.pinned is not None:
            one.factor = float(one.pinned) / one.walk.tick(now_ns // TICK_NS)
        one.pinned = price
        one.quote = None

    def by_hand(self, symbol: str) -> tuple[Decimal | None, float]:
        """What is left of prices set by hand: the one held, and by what the walk is multiplied."""
        one = self._instrument(symbol)
        return one.pinned, one.factor

    def restore_by_hand(self, symbol: str, held: Decimal | None, factor: float) -> None:
        """Put back what ``by_hand`` told."""
        one = self._instrument(symbol)
        one.pinned, one.factor, one.quote = held, factor, None

    def held(self) -> dict[str, Decimal]:
        """The prices held by hand, by symbol."""
        return {
            symbol: one.pinned
            for symbol, one in self._instruments.items()
            if one.pinned is not None
        }

    def minute_bar(self, symbol: str, minute_ns: int) -> Bar:
        """The one-minute bar that contains ``minute_ns``."""
        one = self._instrument(symbol)
        minute = minute_ns // MINUTE_NS
        return self._bar(one, minute * MINUTE_NS, one.walk.minute(minute), minutes=1)

    def span_bar(self, symbol: str, start_ns: int, end_ns: int) -> Bar:
        """One bar over ``[start_ns, end_ns)``, exact to the minute."""
        one = self._instrument(symbol)
        first, last = start_ns // MINUTE_NS, end_ns // MINUTE_NS
        prices = one.walk.minutes(first, last)
        return self._bar(one, start_ns, prices, minutes=last - first)

    def _bar(self, one: _Instrument, start_ns: int, prices: list[float], *, minutes: int) -> Bar:
        noise = _scramble(one.key ^ start_ns)
        trades = (20 + noise % 60) * max(1, minutes)
        if one.pinned is not None:
            held = float(one.pinned) / one.factor
            prices = [held]
        first, top, bottom, last = prices[0], max(prices), min(prices), prices[-1]
        return Bar(
            start_ns=start_ns,
            open=one.round(first * one.factor),
            high=one.round(top * one.factor),
            low=one.round(bottom * one.factor),
            close=one.round(last * one.factor),
            volume=trades * (30 + (noise >> 32) % 80),
            trades=trades,
        )
