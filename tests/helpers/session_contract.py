"""What each package's copy of the NYSE sessions must do, run once per copy."""

import warnings
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from types import ModuleType
from typing import ClassVar

import exchange_calendars
import pytest

FIRST, LAST = date(2015, 1, 1), date(2029, 12, 31)


@lru_cache(maxsize=1)
def official() -> list[tuple[date, datetime, datetime]]:
    """Return (day, open, close) of every session as exchange_calendars has it, in UTC."""
    with warnings.catch_warnings():
        # The library's own use of pandas; nothing that this project could change.
        warnings.simplefilter("ignore", DeprecationWarning)
        calendar = exchange_calendars.get_calendar(
            "XNYS", start=FIRST.isoformat(), end=LAST.isoformat()
        )
    return [
        (row.Index.date(), row.open.to_pydatetime(), row.close.to_pydatetime())
        for row in calendar.schedule.itertuples()
    ]


def utc(text: str) -> datetime:
    """Read `2026-11-27 18:00` as a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class SessionContract:
    """Inherit as a `Test…` class and set `module`."""

    module: ClassVar[ModuleType]

    def test_every_day_equals_exchange_calendars(self) -> None:
        """Opens and closes agree on all 15 years, clock changes and half days included."""
        ours = [(s.day, s.open, s.close) for s in self.module.sessions(FIRST, LAST)]
        assert ours == official()

    def test_moments_are_in_utc(self) -> None:
        """A session's times carry UTC, so that they print and compare as such."""
        session = self.module.session_on(date(2026, 11, 20))
        assert (session.open.tzinfo, session.close.tzinfo) == (UTC, UTC)

    @pytest.mark.parametrize(
        ("day", "opens", "closes", "early"),
        [
            ("2026-03-06", "14:30", "21:00", False),  # Friday before clocks go forward
            ("2026-03-09", "13:30", "20:00", False),  # the Monday after
            ("2026-10-30", "13:30", "20:00", False),  # Friday before clocks go back
            ("2026-11-02", "14:30", "21:00", False),  # the Monday after
            ("2026-11-27", "14:30", "18:00", True),  # day after Thanksgiving
            ("2025-07-03", "13:30", "17:00", True),  # half day in summer time
        ],
    )
    def test_known_days(self, day: str, opens: str, closes: str, early: bool) -> None:
        """Days chosen by hand have the hours the exchange announced."""
        session = self.module.session_on(date.fromisoformat(day))
        assert session == self.module.Session(
            date.fromisoformat(day), utc(f"{day} {opens}"), utc(f"{day} {closes}"), early
        )

    @pytest.mark.parametrize(
        "day",
        ["2026-11-21", "2026-11-22", "2026-11-26", "2018-12-05", "2025-01-09", "2027-12-24"],
    )
    def test_no_session(self, day: str) -> None:
        """Weekends, holidays and days of mourning have no session."""
        assert self.module.session_on(date.fromisoformat(day)) is None

    def test_sessions_includes_both_ends(self) -> None:
        """Thanksgiving week has four sessions, the first and last day among them."""
        days = [s.day.day for s in self.module.sessions(date(2026, 11, 23), date(2026, 11, 27))]
        assert days == [23, 24, 25, 27]

    def test_sessions_of_a_reversed_range(self) -> None:
        """An end before the start is an empty range."""
        assert self.module.sessions(date(2026, 11, 27), date(2026, 11, 23)) == []

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            ("2026-11-20 14:29:59.999999", False),
            ("2026-11-20 14:30", True),
            ("2026-11-20 20:59:59.999999", True),
            ("2026-11-20 21:00", False),
            ("2026-11-27 17:59:59", True),
            ("2026-11-27 18:00", False),
            ("2026-11-26 16:00", False),
            ("2026-11-21 16:00", False),
        ],
    )
    def test_is_open(self, at: str, expected: bool) -> None:
        """The opening moment belongs to the session, the closing one does not."""
        assert self.module.is_open(utc(at)) is expected

    def test_is_open_in_another_zone(self) -> None:
        """Tokyo's Saturday morning is still New York's Friday."""
        tokyo = timezone(timedelta(hours=9))
        assert self.module.is_open(datetime(2026, 11, 21, 5, 59, tzinfo=tokyo))

    @pytest.mark.parametrize(
        ("at", "opens", "closes"),
        [
            ("2026-11-20 14:29", "2026-11-20 14:30", "2026-11-20 21:00"),
            ("2026-11-20 14:30", "2026-11-23 14:30", "2026-11-20 21:00"),
            ("2026-11-20 21:00", "2026-11-23 14:30", "2026-11-23 21:00"),
            ("2026-11-25 22:00", "2026-11-27 14:30", "2026-11-27 18:00"),
            ("2026-11-21 02:00", "2026-11-23 14:30", "2026-11-23 21:00"),
        ],
    )
    def test_next_open_and_close(self, at: str, opens: str, closes: str) -> None:
        """Both are strictly later than the moment asked about."""
        answer = (self.module.next_open(utc(at)), self.module.next_close(utc(at)))
        assert answer == (utc(opens), utc(closes))

    @pytest.mark.parametrize("name", ["is_open", "next_open", "next_close"])
    def test_naive_time_is_refused(self, name: str) -> None:
        """A time without a zone is a programming error, not New York time."""
        with pytest.raises(ValueError, match="time zone"):
            getattr(self.module, name)(datetime(2026, 11, 20, 16, 0))  # noqa: DTZ001  # the naive input under test

    @pytest.mark.parametrize("day", [FIRST - timedelta(days=1), LAST + timedelta(days=1)])
    def test_outside_the_table(self, day: date) -> None:
        """A day that is not covered is an error which names the range, never `closed`."""
        with pytest.raises(self.module.OutsideTableError, match="2015-01-01 to 2029-12-31"):
            self.module.session_on(day)

    @pytest.mark.parametrize("name", ["next_open", "next_close"])
    def test_table_ends(self, name: str) -> None:
        """After the last session there is no guess."""
        with pytest.raises(LookupError):
            getattr(self.module, name)(utc("2029-12-31 21:00"))

    def test_covered(self) -> None:
        """The range is known to callers which must stay inside it."""
        assert self.module.covered() == (FIRST, LAST)
