"""When what holds until the next session ends."""

from datetime import datetime

from solution.session import OutsideTableError, next_open

NOBODY_KNOWS = 0
"""Until a person says otherwise: the calendar does not reach so far."""


def next_session_ms(at: datetime) -> int:
    """The first opening of the New York session after ``at``, in epoch ms; 0 beyond the table."""
    try:
        return round(next_open(at).timestamp() * 1000)
    except OutsideTableError:
        return NOBODY_KNOWS
