"""Time, as the exchange sees it: integer nanoseconds since the epoch, and their written forms."""

import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Says what time it is at the exchange."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, never going backwards."""
        ...

    def real_seconds(self, ns: int) -> float | None:
        """How long ``ns`` of this clock take; None when only somebody's hand moves it."""
        ...

    def not_before(self, ns: int) -> None:
        """Jump forward to ``ns`` if that is still to come, and go on from there."""
        ...


class SystemClock:
    """The machine's time, or another one that begins at ``start_ns`` and runs ``speed`` times it.

    Anchored once to the monotonic clock, so that a step of the system clock
    cannot reverse it.
    """

    def __init__(self, speed: float = 1.0, start_ns: int | None = None) -> None:
        self._speed = speed
        self._anchor = time.monotonic_ns()
        self._start = time.time_ns() if start_ns is None else start_ns

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, monotonic."""
        passed = time.monotonic_ns() - self._anchor
        return self._start + (passed if self._speed == 1 else round(passed * self._speed))

    def real_seconds(self, ns: int) -> float:
        """Shorter than ``ns`` on a clock that runs fast."""
        return ns / SECOND / self._speed

    def not_before(self, ns: int) -> None:
        """Jump forward to ``ns`` if that is still to come, and go on from there."""
        self._start += max(0, ns - self.now_ns())


class ManualClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, start: datetime | int) -> None:
        self.ns = start if isinstance(start, int) else to_ns(start)

    def now_ns(self) -> int:
        """The time set last."""
        return self.ns

    def real_seconds(self, ns: int) -> None:
        """Nobody knows."""

    def not_before(self, ns: int) -> None:
        """Move forward to ``ns`` if that is still to come."""
        self.ns = max(self.ns, ns)

    def advance(self, seconds: float) -> None:
        """Move forward by ``seconds``."""
        self.ns += round(seconds * SECOND)


#: Where a stepped clock begins unless told: a Monday, ten o'clock in New York.
_STEPPED_START = datetime(2026, 1, 5, 15, tzinfo=UTC)


def make_clock(speed: float = 1.0, start_ns: int | None = None, *, stepped: bool = False) -> Clock:
    """The clock that the settings describe."""
    if stepped:
        return ManualClock(to_ns(_STEPPED_START) if start_ns is None else start_ns)
    return SystemClock(speed, start_ns)


def to_ns(at: datetime) -> int:
    """An aware datetime as nanoseconds since the epoch, exact to the microsecond."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def to_datetime(ns: int) -> datetime:
    """Nanoseconds as an aware UTC datetime, truncated to the microsecond."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(ns: int) -> str:
    """RFC 3339 in UTC with nine fractional digits, as trading responses carry it."""
    second, fraction = divmod(ns, SECOND)
    return f"{_second_text(second)}.{fraction:09d}Z"


def stamp_or_none(ns: int | None) -> str | None:
    """``stamp``, passing None through."""
    return None if ns is None else stamp(ns)


def new_york(ns: int) -> datetime:
    """The New York wall-clock time of an instant."""
    return to_datetime(ns).astimezone(NEW_YORK)


def new_york_midnight(day: date) -> int:
    """The instant at which ``day`` begins in New York, in nanoseconds."""
    return to_ns(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC))
