"""When orders trade: round the clock, or in the sessions of the New York Stock Exchange."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from paper_exchange import sessions
from paper_exchange.clock import NEW_YORK, SECOND, new_york, new_york_midnight, to_datetime, to_ns


class Phase(Enum):
    """What a moment is to an equity order."""

    CORE = "core"
    EXTENDED = "extended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One row of ``GET /v2/calendar``; times are New York wall-clock times."""

    day: date
    open: time
    close: time
    session_open: time
    session_close: time
    settlement: date

    def render(self) -> dict[str, str]:
        """The row as Alpaca writes it."""
        return {
            "date": self.day.isoformat(),
            "open": _written(self.open, "%H:%M"),
            "close": _written(self.close, "%H:%M"),
            "session_open": _written(self.session_open, "%H%M"),
            "session_close": _written(self.session_close, "%H%M"),
            "settlement_date": self.settlement.isoformat(),
        }


@lru_cache(maxsize=256)
def _written(at: time, how: str) -> str:
    """A time of day; a calendar of decades has few of them, and strftime is slow."""
    return at.strftime(how)


class Hours(Protocol):
    """The trading hours an exchange keeps. All times are nanoseconds since the epoch."""

    def phase(self, now_ns: int) -> Phase:
        """What now is."""
        ...

    def next_open(self, now_ns: int) -> int:
        """The start of the next core session, later than now."""
        ...

    def next_close(self, now_ns: int) -> int:
        """The end of the running core session, or of the next one."""
        ...

    def queue_until(self, now_ns: int, *, extended: bool) -> int:
        """When an order that cannot trade now enters the market."""
        ...

    def day_order_end(self, now_ns: int, *, extended: bool) -> int:
        """When a DAY order taken now expires."""
        ...

    def auction_ns(self, time_in_force: str, now_ns: int) -> int | None:
        """The auction an ``opg`` or ``cls`` order takes part in, None when it is too late."""
        ...

    def calendar(self, start: date, end: date) -> list[CalendarDay]:
        """The trading days from ``start`` to ``end``, both included."""
        ...


class AlwaysOpen:
    """Every day is a session from midnight to midnight in New York, without a gap."""

    def phase(self, now_ns: int) -> Phase:  # noqa: ARG002  -- the protocol's signature
        """Always the core session."""
        return Phase.CORE

    def next_open(self, now_ns: int) -> int:
        """The coming midnight, where the next session follows this one."""
        return self.next_close(now_ns)

    def next_close(self, now_ns: int) -> int:
        """The coming midnight."""
        return new_york_midnight(new_york(now_ns).date() + timedelta(days=1))

    def queue_until(self, now_ns: int, *, extended: bool) -> int:  # noqa: ARG002  -- as above
        """Now: nothing has to wait."""
        return now_ns

    def day_order_end(self, now_ns: int, *, extended: bool) -> int:  # noqa: ARG002  -- as above
        """The coming midnight."""
        return self.next_close(now_ns)

    def auction_ns(self, time_in_force: str, now_ns: int) -> int:  # noqa: ARG002  -- as above
        """The coming midnight, which closes one session and opens the next; never too late."""
        return self.next_close(now_ns)

    def calendar(self, start: date, end: date) -> list[CalendarDay]:
        """Every day."""
        first, last = time(0), time(23, 59)
        days = [start + timedelta(days=n) for n in range((end - start).days + 2)]
        return [CalendarDay(day, first, last, first, last, after) for day, after in pairwise(days)]


def _at(day: date, clock: time) -> int:
    """A New York wall-clock time as nanoseconds since the epoch."""
    return to_ns(datetime.combine(day, clock, tzinfo=NEW_YORK))


_OPG_CUTOFF = 120 * SECOND
_CLS_CUTOFF = 600 * SECOND
#: A good-till-canceled order ends after 90 days, a quarter past the close.
_GTC_LIFE = timedelta(days=90)
_GTC_END = time(16, 15)


def gtc_end(now_ns: int) -> int:
    """When a GTC order taken now is canceled: 16:15 in New York, 90 days on (documented)."""
    return _at(new_york(now_ns).date() + _GTC_LIFE, _GTC_END)


class NyseHours:
    """The sessions of the New York Stock Exchange, with pre-market from 04:00 to post at 20:00."""

    _PRE = time(4)
    _POST = time(20)
    #: From then on auction orders are for the next day.
    _TOMORROWS = time(19)

    def __init__(self) -> None:
        self._phase = Phase.CLOSED
        self._from_ns = self._until_ns = 0

    def phase(self, now_ns: int) -> Phase:
        """What now is; remembered until the next boundary, for it is asked for every order."""
        if not self._from_ns <= now_ns < self._until_ns:
            self._phase, self._from_ns, self._until_ns = self._look_up(now_ns)
        return self._phase

    def _look_up(self, now_ns: int) -> tuple[Phase, int, int]:
        day = new_york(now_ns).date()
        midnight = new_york_midnight(day)
        end_of_day = new_york_midnight(day + timedelta(days=1))
        session = sessions.session_on(day)
        if session is None:
            return Phase.CLOSED, midnight, end_of_day
        edges = [
            (Phase.CLOSED, midnight),
            (Phase.EXTENDED, _at(day, self._PRE)),
            (Phase.CORE, to_ns(session.open)),
            (Phase.EXTENDED, to_ns(session.close)),
            (Phase.CLOSED, _at(day, self._POST)),
        ]
        ends = [start for _, start in edges[1:]] + [end_of_day]
        for (phase, start), end in zip(edges, ends, strict=True):
            if start <= now_ns < end:
                return phase, start, end
        raise AssertionError(f"{now_ns} is not within its own day")

    def next_open(self, now_ns: int) -> int:
        """The next session's opening bell."""
        return to_ns(sessions.next_open(to_datetime(now_ns)))

    def next_close(self, now_ns: int) -> int:
        """The next closing bell."""
        return to_ns(sessions.next_close(to_datetime(now_ns)))

    def queue_until(self, now_ns: int, *, extended: bool) -> int:
        """The opening bell, or 04:00 of its day for an extended-hours order."""
        opening = self.next_open(now_ns)
        return _at(new_york(opening).date(), self._PRE) if extended else opening

    def day_order_end(self, now_ns: int, *, extended: bool) -> int:
        """The closing bell, or 20:00 for an extended-hours order."""
        if not extended:
            return self.next_close(now_ns)
        today = new_york(now_ns).date()
        tonight = _at(today, self._POST)
        if sessions.session_on(today) is not None and now_ns < tonight:
            return tonight
        return _at(new_york(self.next_open(now_ns)).date(), self._POST)

    def auction_ns(self, time_in_force: str, now_ns: int) -> int | None:
        """The next auction; None from 2 (opening) or 10 minutes (closing) before it until 19:00.

        Source: Alpaca's page on placing orders (09:28 and 15:50); on a half
        day the ten minutes count from its own close (choice).
        """
        day = new_york(now_ns).date()
        session = sessions.session_on(day)
        if session is not None and now_ns < _at(day, self._TOMORROWS):
            opening = time_in_force == "opg"
            bell = to_ns(session.open if opening else session.close)
            return bell if now_ns < bell - (_OPG_CUTOFF if opening else _CLS_CUTOFF) else None
        return self.next_open(now_ns) if time_in_force == "opg" else self.next_close(now_ns)

    def calendar(self, start: date, end: date) -> list[CalendarDay]:
        """The sessions between the dates, settling on the following session.

        Days outside the shipped table are left out.
        """
        first, last = sessions.covered()
        days = sessions.sessions(max(start, first), min(end + timedelta(days=10), last))
        return [
            CalendarDay(
                day=one.day,
                open=one.open.astimezone(NEW_YORK).time(),
                close=one.close.astimezone(NEW_YORK).time(),
                session_open=self._PRE,
                session_close=self._POST,
                settlement=following.day,
            )
            for one, following in pairwise(days)
            if one.day <= end
        ]


def make_hours(name: str) -> Hours:
    """The hours called ``always`` or ``nyse``."""
    return NyseHours() if name == "nyse" else AlwaysOpen()
