"""Trading hours of both kinds."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from paper_exchange.clock import to_datetime, to_ns
from paper_exchange.hours import Phase, make_hours

NYSE = make_hours("nyse")
ALWAYS = make_hours("always")


def utc(day: int, hour: int, minute: int = 0) -> int:
    """A time in November 2026 (Thanksgiving is the 26th, New York is at UTC-5)."""
    return to_ns(datetime(2026, 11, day, hour, minute, tzinfo=UTC))


@pytest.mark.parametrize(
    ("day", "hour", "minute", "phase"),
    [
        (20, 8, 59, Phase.CLOSED),
        (20, 9, 0, Phase.EXTENDED),
        (20, 14, 29, Phase.EXTENDED),
        (20, 14, 30, Phase.CORE),
        (20, 20, 59, Phase.CORE),
        (20, 21, 0, Phase.EXTENDED),
        (21, 0, 59, Phase.EXTENDED),
        (21, 1, 0, Phase.CLOSED),
        (21, 16, 0, Phase.CLOSED),
        (26, 16, 0, Phase.CLOSED),
        (27, 17, 59, Phase.CORE),
        (27, 18, 0, Phase.EXTENDED),
    ],
)
def test_phases(day: int, hour: int, minute: int, phase: Phase) -> None:
    """Sessions, early closes, weekends and holidays."""
    assert NYSE.phase(utc(day, hour, minute)) is phase
    assert ALWAYS.phase(utc(day, hour, minute)) is Phase.CORE


def test_next_bells() -> None:
    """Over a weekend the next bells are Monday's."""
    assert to_datetime(NYSE.next_open(utc(21, 12))) == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert to_datetime(NYSE.next_close(utc(21, 12))) == datetime(2026, 11, 23, 21, tzinfo=UTC)
    assert to_datetime(ALWAYS.next_close(utc(21, 12))) == datetime(2026, 11, 22, 5, tzinfo=UTC)


def test_calendar() -> None:
    """Sessions with their hours and the following session as settlement."""
    rows = [day.render() for day in NYSE.calendar(date(2026, 11, 25), date(2026, 11, 29))]
    assert [row["date"] for row in rows] == ["2026-11-25", "2026-11-27"]
    assert rows[0]["settlement_date"] == "2026-11-27"
    assert (rows[1]["open"], rows[1]["close"]) == ("09:30", "13:00")
    assert (rows[1]["session_open"], rows[1]["session_close"]) == ("0400", "2000")
    assert len(ALWAYS.calendar(date(2026, 11, 25), date(2026, 11, 29))) == 5


def test_calendar_is_cut_to_the_table() -> None:
    """Asked for all years, it answers for those it knows."""
    days = NYSE.calendar(date(1970, 1, 1), date(2099, 12, 31))
    assert days
    assert all(one.day < other.day for one, other in pairwise(days))


def test_no_waiting_when_always_open() -> None:
    """An order that has to wait would wait for nothing."""
    assert ALWAYS.queue_until(utc(21, 12), extended=True) == utc(21, 12)
    assert ALWAYS.day_order_end(utc(21, 12), extended=True) == utc(22, 5)
    assert ALWAYS.next_open(utc(21, 12)) == utc(22, 5)
