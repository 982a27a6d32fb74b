"""Bars and quotes as strategies see them.

Prices here are floats: data to compute with, as pandas and every indicator do. What becomes an
order's price or quantity is turned into exact text in :mod:`signal_generator.signals`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class Timeframe(Enum):
    """How long a bar lasts; the values are Alpaca's names."""

    MINUTE = "1Min"
    FIVE_MINUTES = "5Min"
    QUARTER = "15Min"
    HOUR = "1Hour"
    DAY = "1Day"

    @property
    def length(self) -> timedelta:
        """From a bar's start to the next one's; a day is a calendar day."""
        return timedelta(
            minutes={"1Min": 1, "5Min": 5, "15Min": 15, "1Hour": 60, "1Day": 1440}[self.value]
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """One completed bar.

    Args:
        timestamp: its start, aware UTC.
        volume: shares, or coins.
    """

    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int = 0
    vwap: float = 0.0


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask at a moment (aware UTC); 0 where there is none."""

    symbol: str
    timestamp: datetime
    bid: float
    ask: float
