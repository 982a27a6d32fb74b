"""The stretches that bars cover: minutes and hours within a day, days, weeks and months.

Minutes and hours are counted from the midnight that begins the day (New York's
for stocks, UTC for crypto), and anew every day, so that no bar reaches over
midnight. Weeks begin on Monday; months of several are counted from January.
"""

import re
from datetime import date, timedelta
from typing import NamedTuple

from paper_exchange.prices.trading_days import TradingDays

_TEXT = re.compile(r"([1-9]\d?)(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_ALLOWED = {
    "Min": range(1, 60),
    "Hour": range(1, 24),
    "Day": (1,),
    "Week": (1,),
    "Month": (1, 2, 3, 4, 6, 12),
}
_MINUTES = {"Min": 1, "Hour": 60}


class Bucket(NamedTuple):
    """What one bar covers, from ``start`` up to ``stop`` (not included), in minutes."""

    start: int
    stop: int


class Timeframe:
    """A length of bars.

    Attributes:
        minutes: the length of bars within a day; 0 for days and longer.
    """

    __slots__ = ("amount", "minutes", "unit")

    def __init__(self, amount: int, unit: str) -> None:
        self.amount = amount
        self.unit = unit
        self.minutes = amount * _MINUTES.get(unit, 0)

    def bucket(self, minute: int, days: TradingDays) -> Bucket:
        """The bar that a minute belongs to."""
        day = days.day_of(minute)
        if self.minutes:
            midnight = days.midnight(day)
            start = minute - (minute - midnight) % self.minutes
            return Bucket(start, min(start + self.minutes, days.midnight(day + 1)))
        first, after = self._dates(date.fromordinal(day))
        return Bucket(days.midnight(first.toordinal()), days.midnight(after.toordinal()))

    def _dates(self, day: date) -> tuple[date, date]:
        """The first day of the bar, and the first one after it."""
        if self.unit == "Day":
            return day, day + timedelta(days=1)
        if self.unit == "Week":
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=7)
        first = (day.month - 1) // self.amount * self.amount
        years, month = divmod(first + self.amount, 12)
        return date(day.year, first + 1, 1), date(day.year + years, month + 1, 1)

    def parts(self, bucket: Bucket, until: int, days: TradingDays) -> list[Bucket]:
        """The stretches whose trades make the bar, as far as they are over at ``until``.

        All of it within a day; for days and longer, each day's core session.
        """
        if self.minutes:
            return [Bucket(bucket.start, min(bucket.stop, until))]
        last = min(bucket.stop, until)
        if last <= bucket.start:
            return []
        found = (
            days.core(day) for day in range(days.day_of(bucket.start), days.day_of(last - 1) + 1)
        )
        return [Bucket(core[0], min(core[1], last)) for core in found if core and core[0] < last]

    def cost(self, bucket: Bucket) -> int:
        """How much work a bar is at most, in parts of the size of a minute's bar."""
        length = bucket.stop - bucket.start
        if not self.minutes:
            return length // 1440 + 1
        return length // 60 if length % 60 == 0 else length


def parse_timeframe(text: str) -> Timeframe:
    """A timeframe as Alpaca writes it: ``5Min``, ``1H``, ``1Day``, ``1W``, ``3Month``.

    Raises:
        ValueError: for anything else.
    """
    found = _TEXT.fullmatch(text)
    if found is not None:
        amount, unit = int(found[1]), _UNITS.get(found[2], found[2])
        if amount in _ALLOWED[unit]:
            return Timeframe(amount, unit)
    raise ValueError(f"not a timeframe: {text!r}")
