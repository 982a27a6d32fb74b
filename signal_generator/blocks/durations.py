"""How often and how long: numbers of seconds, or texts such as ``15m`` and ``EOD``."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from signal_generator import sessions

Now = Callable[[], datetime]

BEFORE_CLOSE = timedelta(seconds=30)
"""A run ends this long before the close, so that what it sells at the end is still traded."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)", re.IGNORECASE)
_LONGEST = 366 * 24 * 3600.0


class WrongParameter(ValueError):
    """One sentence that names the parameter and its value."""


def period(name: str, value: Any, now: Now) -> float:
    """Seconds from one call to the next.

    Raises:
        WrongParameter: no duration, or ``EOD`` where no session is left today.
    """
    if _is_eod(value):
        return _until_end(name, value, now())
    return _seconds(name, value)


def run_length(name: str, value: Any, now: Now) -> float:
    """Seconds that a run lasts.

    A number runs at any time. A text asks the calendar: it must end, and so begin, before 30
    seconds before the close of today's session (half days close early).

    Raises:
        WrongParameter: no duration, no session today, or one that is over too soon.
    """
    if not isinstance(value, str):
        return _seconds(name, value)
    left = _until_end(name, value, now())
    if _is_eod(value):
        return left
    seconds = _seconds(name, value)
    if seconds > left:
        raise WrongParameter(
            f"{name}: {value!r} is longer than the {left:.0f} seconds until 30 seconds before"
            " today's close"
        )
    return seconds


def _is_eod(value: Any) -> bool:
    return isinstance(value, str) and value.strip().upper() == "EOD"


def _until_end(name: str, value: str, now: datetime) -> float:
    try:
        session = sessions.session_on(now.astimezone(sessions.NEW_YORK).date())
    except sessions.OutsideTableError as error:
        raise WrongParameter(f"{name}: {value!r} needs the hours of today: {error}") from None
    if session is None:
        raise WrongParameter(f"{name}: {value!r} needs a session, and the market is closed today")
    left = (session.close - BEFORE_CLOSE - now.astimezone(UTC)).total_seconds()
    if left <= 0:
        raise WrongParameter(
            f"{name}: {value!r} is too late: the market closes at {session.close:%H:%M} UTC, and a"
            " run ends 30 seconds before"
        )
    return left


def _seconds(name: str, value: Any) -> float:
    match = _TEXT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        return _usual(name, value, float(match[1]) * _UNITS[match[2].lower()])
    if isinstance(value, (str, bool)) or not hasattr(value, "__float__"):
        raise WrongParameter(
            f"{name}: {value!r} is no duration: a number of seconds, or a text such as 90s, 15m, 2h"
            " or EOD"
        )
    return _usual(name, value, float(value))


def _usual(name: str, value: Any, seconds: float) -> float:
    if not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST:
        raise WrongParameter(f"{name}: {value!r} is not between 0 seconds and a year")
    return seconds
