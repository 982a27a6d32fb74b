"""What a market shows: quotes, bars, and the rows of a recorded book."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from paper_exchange.prices.tape import TICK_NS


@dataclass(frozen=True, slots=True)
class Quote:
    """The top of the book at one tick and the last trade up to it.

    Prices in US dollars, sizes in shares or coins; ``traded_ns`` and
    ``trade_id`` are the last trade's.
    """

    symbol: str
    at_ns: int
    bid: Decimal
    ask: Decimal
    bid_size: float
    ask_size: float
    last: Decimal
    last_size: float
    traded_ns: int = 0
    trade_id: int = 0

    @property
    def tick(self) -> int:
        """The running number of this tick."""
        return self.at_ns // TICK_NS


class Top(NamedTuple):
    """One row of a recorded book; sizes in units of the asset's grid."""

    at_ns: int
    bid: float
    ask: float
    bid_units: int
    ask_units: int


class Book(Protocol):
    """Recorded quotes in the order of their times."""

    def rank(self, at_ns: int) -> int:
        """How many rows are earlier than an instant."""
        ...

    def row(self, rank: int) -> Top:
        """A row by its rank."""
        ...

    def __len__(self) -> int: ...
