"""Tests of signal_generator.blocks.durations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.blocks.durations import WrongParameter, period, run_length

#: A Wednesday, 10:00 in New York; the session ends at 21:00 UTC.
OPEN = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
#: The day after Thanksgiving: closes at 13:00 in New York.
HALF_DAY = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
SATURDAY = datetime(2026, 3, 7, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *((5, 5.0), (0.25, 0.25), (0, 0.0), ("90", 90.0), ("90s", 90.0), ("1m", 60.0)),
        *(("15m", 900.0), ("1h", 3600.0), ("2H", 7200.0), (" 1.5 h ", 5400.0)),
    ],
)
def test_numbers_and_texts(text: Any, seconds: float) -> None:
    """A number is seconds; a text has a unit, or is seconds too."""
    assert period("frequency", text, lambda: OPEN) == seconds
    assert run_length("run_seconds", text, lambda: OPEN) == seconds


@pytest.mark.parametrize("value", ["", "m", "1d", "-1m", "1m30s", None, True, [], "soon", "１m "])
def test_what_is_no_duration_is_named(value: Any) -> None:
    """The sentence has the parameter's name and the value."""
    with pytest.raises(WrongParameter, match=r"^frequency: .* is no duration"):
        period("frequency", value if value != "１m " else "１mm", lambda: OPEN)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "9999999999h"])
def test_impossible_seconds_are_named(value: Any) -> None:
    """Neither negative nor endless."""
    with pytest.raises(WrongParameter, match=r"^run_seconds: .* between 0 seconds and a year"):
        period("run_seconds", value, lambda: OPEN)


def test_eod_is_half_a_minute_before_the_close() -> None:
    """Six hours of the session are left, less 30 seconds."""
    assert run_length("run_seconds", "EOD", lambda: OPEN) == 6 * 3600 - 30
    assert period("frequency", "eod", lambda: OPEN) == 6 * 3600 - 30


def test_eod_knows_half_days() -> None:
    """The close is the real one: 18:00 UTC."""
    assert run_length("run_seconds", "EOD", lambda: HALF_DAY) == 3 * 3600 - 30


def test_before_the_open_the_session_lies_ahead() -> None:
    """A run may be started in the morning."""
    assert run_length("run_seconds", "EOD", lambda: OPEN - timedelta(hours=2)) == 8 * 3600 - 30


@pytest.mark.parametrize("value", ["EOD", "1m", "60"])
def test_a_text_is_refused_while_the_market_is_closed(value: str) -> None:
    """On a Saturday, and from 30 seconds before the close on."""
    with pytest.raises(WrongParameter, match=r"run_seconds: .*closed today"):
        run_length("run_seconds", value, lambda: SATURDAY)
    with pytest.raises(WrongParameter, match="too late: the market closes at 21:00 UTC"):
        run_length("run_seconds", value, lambda: OPEN + timedelta(hours=6, seconds=-30))


def test_a_text_beyond_the_close_is_refused() -> None:
    """Seven hours do not fit into six."""
    with pytest.raises(WrongParameter, match="'7h' is longer than the 21570 seconds"):
        run_length("run_seconds", "7h", lambda: OPEN)


def test_numbers_and_frequencies_ask_no_calendar() -> None:
    """A number of seconds runs on a weekend, as against the local exchange."""
    assert run_length("run_seconds", 60, lambda: SATURDAY) == 60
    assert period("frequency", "1m", lambda: SATURDAY) == 60


def test_a_day_without_a_table_is_named() -> None:
    """Beyond the shipped calendar nothing is guessed."""
    with pytest.raises(WrongParameter, match="run_seconds: 'EOD' needs the hours of today"):
        run_length("run_seconds", "EOD", lambda: datetime(2040, 1, 4, 15, 0, tzinfo=UTC))


@given(
    day=st.dates(datetime(2015, 1, 2).date(), datetime(2029, 12, 31).date()),  # noqa: DTZ001  # only its date
    minute=st.integers(0, 1439),
)
def test_eod_always_ends_half_a_minute_before_a_close(day: Any, minute: int) -> None:
    """Whenever it is asked: it names a moment 30 seconds before a full or half day's close."""
    now = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)
    try:
        left = run_length("run_seconds", "EOD", lambda: now)
    except WrongParameter:
        return
    end = now + timedelta(seconds=left)
    assert left > 0
    assert (end + timedelta(seconds=30)).strftime("%H:%M:%S") in {
        *("18:00:00", "17:00:00", "21:00:00", "20:00:00"),
    }
