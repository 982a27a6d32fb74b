"""Times in text, read to the nanosecond; what has no zone is UTC."""

import re
from datetime import UTC, date, datetime

from paper_exchange.clock import to_ns

_FRACTION = re.compile(r"\.(\d+)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


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
    """
    found = _FRACTION.search(text)
    nanoseconds = 0
    if found is not None:
        digits = found[1]
        if len(digits) > 9:
            raise ValueError(text)
        nanoseconds = int(digits.ljust(9, "0"))
        text = text[: found.start()] + text[found.end() :]
    at = datetime.fromisoformat(text)
    try:
        return to_ns(at if at.tzinfo else at.replace(tzinfo=UTC)) + nanoseconds
    except OverflowError:
        raise ValueError(text) from None
