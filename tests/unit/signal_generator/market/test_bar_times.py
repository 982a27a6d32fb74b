"""When bars begin and end."""

from datetime import UTC, date, datetime, timedelta

import pytest

from signal_generator.bars import Timeframe
from signal_generator.market.bar_times import bar_end, day_end, floor, is_crypto


def test_minutes_and_hours_are_the_clocks() -> None:
    """Also those of a session that begins at half past."""
    moment = datetime(2026, 3, 2, 14, 44, 59, tzinfo=UTC)
    assert floor(moment, timedelta(minutes=15)) == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert floor(moment, timedelta(hours=1)) == datetime(2026, 3, 2, 14, tzinfo=UTC)
    assert bar_end("NVDA", moment.replace(second=0), Timeframe.MINUTE).minute == 45


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-02T05:00:00+00:00", "2026-03-02T21:00:00+00:00"),
        ("2026-07-01T04:00:00+00:00", "2026-07-01T20:00:00+00:00"),
        ("2026-11-27T05:00:00+00:00", "2026-11-27T18:00:00+00:00"),
        ("2026-03-07T05:00:00+00:00", "2026-03-08T05:00:00+00:00"),
    ],
)
def test_a_day_of_shares_ends_with_its_session(start: str, end: str) -> None:
    """In winter, in summer, early after Thanksgiving, and at midnight where there is none."""
    day = datetime.fromisoformat(start)
    assert bar_end("NVDA", day, Timeframe.DAY) == datetime.fromisoformat(end)


def test_a_day_of_crypto_is_utcs() -> None:
    """Without sessions."""
    day = datetime(2026, 3, 2, tzinfo=UTC)
    assert is_crypto("BTC/USD")
    assert bar_end("BTC/USD", day, Timeframe.DAY) == day + timedelta(days=1)


def test_days_beyond_the_table_end_at_midnight() -> None:
    """A recording may be older than the table of sessions."""
    assert day_end(date(1999, 6, 1)) == datetime(1999, 6, 2, 4, tzinfo=UTC)
