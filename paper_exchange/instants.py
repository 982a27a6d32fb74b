"""Times in text, read to the nanosecond; what has no zone is UTC."""

import re
from datetime import UTC, date, datetime

from paper_exchange.clock import SECOND

_FRACTION = re.compile(r"\.(\d{1,9})(?!\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# A "+" that a client left unescaped in a query string arrives as a space.
_LOST_PLUS = re.compile(r"(?<=[\d.]) (?=\d\d:?\d\d$)")


def parse_date(text: str) -> date | None:
    """A bare date, None for anything that is not written like one.

    Raises:
        ValueError: for a day that does not exist.
    """
    return date.fromisoformat(text) if _DATE.fullmatch(text) else None


def parse_instant(text: str) -> int:
    """A date and time as nanoseconds since the epoch, with up to nine fractional digits.

    Raises:
        ValueError: when the text is none.
        OverflowError: when it is one at the very ends of the calendar.
    """
    nanoseconds = 0
    if "." in text:
        found = _FRACTION.search(text)
        if found is None:
            raise ValueError(text)
        nanoseconds = int(found[1].ljust(9, "0"))
        text = text[: found.start()] + text[found.end() :]
    at = datetime.fromisoformat(text)
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + nanoseconds


def parse_asked(text: str) -> int:
    """What ``parse_instant`` reads, out of a query string.

    Raises:
        ValueError, OverflowError: as ``parse_instant``.
    """
    return parse_instant(_LOST_PLUS.sub("+", text))


def parse_time(text: str) -> int:
    """A time as somebody asks for it, or a bare date (midnight UTC), in nanoseconds.

    Raises:
        ValueError: when the text is neither.
    """
    try:
        return parse_asked(text.strip())
    except OverflowError:
        raise ValueError(text) from None
