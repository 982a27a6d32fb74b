"""When what holds until the next session ends: the minute before and after, on awkward dates."""

from datetime import UTC, datetime

import pytest

from solution.session import NEW_YORK
from solution.trading.next_session import next_session_ms


def ny(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-03-04 09:29", "2026-03-04 09:30"),
        ("2026-03-04 09:30", "2026-03-05 09:30"),
        ("2026-03-04 16:01", "2026-03-05 09:30"),
        ("2026-03-06 12:00", "2026-03-09 09:30"),  # over the weekend in which clocks go forward
        ("2026-10-30 15:59", "2026-11-02 09:30"),  # and back
        ("2026-11-25 16:00", "2026-11-27 09:30"),  # Thanksgiving
        ("2026-11-27 13:01", "2026-11-30 09:30"),  # the half day after it
        ("2026-12-24 13:01", "2026-12-28 09:30"),
        ("2026-12-31 16:01", "2027-01-04 09:30"),
        ("2028-02-28 16:01", "2028-02-29 09:30"),  # leap day
        ("2026-07-02 12:00", "2026-07-06 09:30"),  # Independence Day on a Saturday
    ],
)
def test_the_first_opening_after(at: str, opens: str) -> None:
    """In New York's time of that day, whatever the zone of the question."""
    assert next_session_ms(ny(at).astimezone(UTC)) == ny(opens).timestamp() * 1000


def test_beyond_the_calendar_nobody_knows() -> None:
    """0: until a person says otherwise."""
    assert next_session_ms(datetime(2500, 1, 1, tzinfo=UTC)) == 0
