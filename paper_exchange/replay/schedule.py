"""When recorded rows happen here: at their own times, or moved to the exchange's start."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

from paper_exchange.clock import new_york, to_datetime
from paper_exchange.prices.tape import DAY_NS, MINUTE_NS
from paper_exchange.prices.trading_days import Leg, TradingDays
from paper_exchange.replay.errors import ReplayError
from paper_exchange.replay.tables import Table

#: New York days are 23 to 25 hours long.
_SHORTEST_DAY = 23 * 60 * MINUTE_NS
_LONGEST_DAY = 25 * 60 * MINUTE_NS
#: The core session of days that the table of sessions does not have: 09:30 to 16:00.
_OPENS, _CLOSES = 570, 960


def usual_gap(times: "array[int]") -> int | None:
    """The most common distance between rows; of equally common ones the shortest."""
    gaps = Counter(after - before for before, after in pairwise(times))
    return min(gaps, key=lambda gap: (-gaps[gap], gap)) if gaps else None


def bar_length(table: Table, others: int | None) -> int:
    """How long a table's bars are.

    A single row is taken to be as long as the bars of ``others``, or else a
    minute, or a day if it has a bare date.

    Raises:
        ReplayError: for bars of more than a day.
    """
    gap = usual_gap(table.times)
    if gap is None:
        gap = DAY_NS if table.dates else others or MINUTE_NS
    if gap > _LONGEST_DAY:
        raise ReplayError(
            f"{table.source}: bars of {gap / DAY_NS:.3g} days cannot be replayed, "
            "only those of a day or less"
        )
    return gap


def is_daily(length_ns: int) -> bool:
    """Whether bars of this length are a day's."""
    return length_ns >= _SHORTEST_DAY


def days_of(times: "array[int]", days: TradingDays) -> list[int]:
    """The dates (as ordinals) of daily rows: UTC's at midnight UTC, else the asset's own."""
    return [
        to_datetime(at_ns).toordinal() if at_ns % DAY_NS == 0 else days.day_of(at_ns // MINUTE_NS)
        for at_ns in times
    ]


def day_bounds(day: int, days: TradingDays) -> tuple[int, int]:
    """When a daily bar begins and ends: with the core session of its day."""
    core = days.core(day)
    if core is None:
        midnight = days.midnight(day)
        core = midnight + _OPENS, midnight + _CLOSES
    return core[0] * MINUTE_NS, core[1] * MINUTE_NS


def intraday_shift(first_ns: int, start_ns: int) -> int:
    """By how much times move so that the first falls into the minute of the start."""
    return (start_ns // MINUTE_NS - first_ns // MINUTE_NS) * MINUTE_NS


class DayShift:
    """Where the dates of daily bars move: the first to today, the others by as many days.

    With the sessions of the New York Stock Exchange, the rows of stocks move
    to successive sessions instead, beginning with one that is not over yet.
    """

    def __init__(
        self, stock_days: Iterable[int], crypto_days: Iterable[int], start_ns: int
    ) -> None:
        self._stock_days = sorted(set(stock_days))
        first = min([*self._stock_days[:1], *crypto_days], default=0)
        self._by = new_york(start_ns).date().toordinal() - first
        self._start = start_ns // MINUTE_NS

    def days(self) -> Callable[[int], int]:
        """The new day for each old one."""
        return lambda day: day + self._by

    def sessions(self, stocks: TradingDays) -> Callable[[int], int | None]:
        """The session for each old day; None after the last one that the table knows."""
        moved: dict[int, int] = {}
        earliest = stocks.midnight(self._stock_days[0] + self._by) if self._stock_days else 0
        session = _core_from(stocks, max(earliest, self._start))
        for day in self._stock_days:
            if session is None:
                break
            moved[day] = session.day
            session = _core_from(stocks, session.stop)
        return moved.get


def _core_from(days: TradingDays, minute: int) -> Leg | None:
    """The core session that a minute lies in, or the next one."""
    leg = days.following(minute)
    while leg is not None and leg.kind != "core":
        leg = days.following(leg.stop)
    return leg
