"""What a source of prices has to offer, and the small records it speaks in.

A tape is the record of one asset's trades over all time, future included; who
reads it must not look past now. It is asked by the minute (minutes since the
epoch), so that a bar costs the same however many trades are in it. Prices are
floats in dollars before they are rounded to the asset's increment; sizes are
whole numbers of the asset's size unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple, Protocol

from paper_exchange.clock import SECOND

TICKS_PER_SECOND = 4
TICK_NS = SECOND // TICKS_PER_SECOND
MINUTE_NS = 60 * SECOND
DAY_NS = 86_400 * SECOND
TICKS_PER_MINUTE = 60 * TICKS_PER_SECOND


class Stretch(NamedTuple):
    """The trades of some time, summed up; ``turnover`` is the sum of price times size."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int
    turnover: float


@dataclass(frozen=True, slots=True)
class Prints:
    """The trades of one minute in the order in which they happened; times in nanoseconds."""

    times: list[int]
    prices: list[float]
    sizes: list[int]


NO_PRINTS = Prints([], [], [])


class Tape(Protocol):
    """One asset's trades."""

    @property
    def first_price(self) -> float:
        """The price that stands before the first trade."""
        ...

    def prints(self, minute: int) -> Prints:
        """The trades of a minute."""
        ...

    def span(self, first: int, stop: int) -> Stretch | None:
        """The trades of the minutes ``first`` to ``stop`` (not included), None without any."""
        ...

    def latest(self, minute: int) -> int | None:
        """The newest minute with trades that is not later than ``minute``."""
        ...

    def following(self, minute: int) -> int | None:
        """The first minute with trades that is not earlier than ``minute``."""
        ...


def summed(prints: Prints) -> Stretch | None:
    """One stretch out of single trades."""
    prices = prints.prices
    if not prices:
        return None
    turnover = fsum(price * size for price, size in zip(prices, prints.sizes, strict=True))
    return Stretch(
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(prints.sizes),
        len(prices),
        turnover,
    )


def joined(parts: Iterable[Stretch | None]) -> Stretch | None:
    """One stretch out of several that follow each other; None stands for no trades."""
    found = [part for part in parts if part is not None]
    if len(found) < 2:
        return found[0] if found else None
    return Stretch(
        found[0].open,
        max(part.high for part in found),
        min(part.low for part in found),
        found[-1].close,
        sum(part.volume for part in found),
        sum(part.trades for part in found),
        fsum(part.turnover for part in found),
    )
