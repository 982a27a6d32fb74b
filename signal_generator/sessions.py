"""Regular sessions of the New York Stock Exchange, read from the table beside this module.

The table is written by `scripts/generate_sessions.py`; no calendar library is needed here. The
same code stands in each of the three packages, because they import nothing from each other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_ONE_DAY = timedelta(days=1)


class OutsideTableError(LookupError):
    """The question concerns a day that the shipped table does not cover."""


@dataclass(frozen=True, slots=True)
class Session:
    """One regular session; `open` and `close` are aware and in UTC, `close` is exclusive."""

    day: date
    open: datetime
    close: datetime
    early_close: bool


@dataclass(frozen=True, slots=True)
class _Table:
    first_day: date
    last_day: date
    opens: time
    closes: time
    holidays: frozenset[date]
    early_closes: Mapping[date, time]


@lru_cache(maxsize=1)
def _table() -> _Table:
    raw = json.loads(Path(__file__).with_name("nyse_sessions.json").read_text(encoding="utf-8"))
    return _Table(
        first_day=date.fromisoformat(raw["first_day"]),
        last_day=date.fromisoformat(raw["last_day"]),
        opens=time.fromisoformat(raw["opens"]),
        closes=time.fromisoformat(raw["closes"]),
        holidays=frozenset(map(date.fromisoformat, raw["weekday_holidays"])),
        early_closes={
            date.fromisoformat(day): time.fromisoformat(closes)
            for day, closes in raw["early_closes"].items()
        },
    )


def covered() -> tuple[date, date]:
    """Return the first and the last day the table can answer for."""
    return _table().first_day, _table().last_day


@lru_cache(maxsize=1024)
def session_on(day: date) -> Session | None:
    """Return the session of this New York calendar day, or None on a weekend or holiday.

    Raises:
        OutsideTableError: the day is not covered.
    """
    table = _table()
    if not table.first_day <= day <= table.last_day:
        raise OutsideTableError(
            f"no NYSE session table for {day}: it covers {table.first_day} to {table.last_day}"
        )
    if day.weekday() >= 5 or day in table.holidays:
        return None
    early = table.early_closes.get(day)
    return Session(day, _utc(day, table.opens), _utc(day, early or table.closes), early is not None)


def sessions(start: date, end: date) -> list[Session]:
    """Return the sessions from `start` to `end`, both included; empty when `end` is earlier.

    Raises:
        OutsideTableError: a day of the range is not covered.
    """
    days = map(date.fromordinal, range(start.toordinal(), end.toordinal() + 1))
    return [session for day in days if (session := session_on(day)) is not None]


def is_open(at: datetime) -> bool:
    """Say whether the regular session runs at this moment: open <= at < close.

    Raises:
        ValueError: `at` has no time zone.
        OutsideTableError: the day is not covered.
    """
    session = session_on(_new_york(at).date())
    return session is not None and session.open <= at < session.close


def next_open(at: datetime) -> datetime:
    """Return the first opening strictly after `at`, in UTC; at an opening, the following one.

    Raises:
        ValueError: `at` has no time zone.
        OutsideTableError: the table ends before an answer is found.
    """
    day = _new_york(at).date()
    while (session := session_on(day)) is None or session.open <= at:
        day += _ONE_DAY
    return session.open


def next_close(at: datetime) -> datetime:
    """Return the first close strictly after `at`, in UTC; at a close, the following one.

    Raises:
        ValueError: `at` has no time zone.
        OutsideTableError: the table ends before an answer is found.
    """
    day = _new_york(at).date()
    while (session := session_on(day)) is None or session.close <= at:
        day += _ONE_DAY
    return session.close


def _utc(day: date, local: time) -> datetime:
    # Through the zone for every day: the same 09:30 is 13:30 or 14:30 UTC.
    return datetime.combine(day, local, NEW_YORK).astimezone(UTC)


def _new_york(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError("a market time needs a time zone")
    return at.astimezone(NEW_YORK)
