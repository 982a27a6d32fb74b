"""The instants at which a portfolio history has its data points."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from paper_exchange.clock import NEW_YORK, SECOND, new_york, to_ns
from paper_exchange.hours import Hours

MINUTE_NS = 60 * SECOND
#: Window sizes in nanoseconds; None is a trading day.
TIMEFRAMES: dict[str, int | None] = {
    "1Min": MINUTE_NS,
    "5Min": 5 * MINUTE_NS,
    "15Min": 15 * MINUTE_NS,
    "1H": 60 * MINUTE_NS,
    "1D": None,
}
#: Where Alpaca's examples put the point of a trading day.
_DAY_LABEL = time(20)
_FIRST_DAY = date(1970, 1, 1)
#: Longer than the exchange is ever closed.
_LONGEST_BREAK = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A day and its sessions, in nanoseconds since the epoch."""

    day: date
    open_ns: int
    close_ns: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Point:
    """A data point: its timestamp, when equity is taken, and the close its profit counts from."""

    label_ns: int
    at_ns: int
    since: TradingDay | None


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked for: ``reporting`` as in Alpaca's ``intraday_reporting``."""

    start_ns: int
    end_ns: int
    timeframe: str
    reporting: str


def _at(day: date, clock: time) -> int:
    return to_ns(datetime.combine(day, clock, tzinfo=NEW_YORK))


def trading_days(hours: Hours, start_ns: int, end_ns: int) -> list[TradingDay]:
    """The days on which there is trading, and one or more before them."""
    first = max(new_york(start_ns).date() - _LONGEST_BREAK, _FIRST_DAY)
    days = []
    for row in hours.calendar(first, new_york(end_ns).date()):
        open_ns = _at(row.day, row.open)
        close_ns = hours.next_close(open_ns)
        # Round the clock, the day's last minute is not the end of it.
        last_ns = max(close_ns, _at(row.day, row.session_close))
        days.append(TradingDay(row.day, open_ns, close_ns, _at(row.day, row.session_open), last_ns))
    return days


def points(hours: Hours, span: Span, now_ns: int) -> list[Point]:
    """The data points of a span, oldest first; none lies in the future."""
    days = trading_days(hours, span.start_ns, span.end_ns)
    size = TIMEFRAMES[span.timeframe]
    if size is None:
        return _daily(days, span, now_ns)
    if span.reporting == "continuous":
        return list(_continuous(days, span, size, now_ns))
    return list(_in_sessions(days, span, size, now_ns))


def _daily(days: list[TradingDay], span: Span, now_ns: int) -> list[Point]:
    """One point per trading day that has begun; all count from the close before the first."""
    first = new_york(span.start_ns).date()
    wanted = [one for one in days if one.day >= first and one.open_ns <= span.end_ns]
    if not wanted:
        return []
    before = days.index(wanted[0])
    since = days[before - 1] if before else None
    return [Point(_at(one.day, _DAY_LABEL), min(one.close_ns, now_ns), since) for one in wanted]


def _in_sessions(days: list[TradingDay], span: Span, size: int, now_ns: int) -> Iterator[Point]:
    """From the beginning of each session to its end, both included."""
    previous = None
    core = span.reporting == "market_hours"
    for one in days:
        begin, end = (one.open_ns, one.close_ns) if core else (one.first_ns, one.last_ns)
        if span.start_ns <= end:
            for label in range(begin, min(end, span.end_ns) + 1, size):
                yield Point(label, min(label + size, end, now_ns), previous)
        previous = one


def _continuous(days: list[TradingDay], span: Span, size: int, now_ns: int) -> Iterator[Point]:
    """Round the clock; between two trading days, the last one goes on."""
    for label in range(span.start_ns // size * size, span.end_ns + 1, size):
        today = new_york(label).date()
        current = bisect_right(days, today, key=lambda one: one.day) - 1
        yield Point(label, min(label + size, now_ns), days[current - 1] if current > 0 else None)
