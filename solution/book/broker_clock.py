"""One answer of the broker's clock, and how long it may be believed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from solution.errors import OutcomeUnknown

CLOCK_STEP = 1.0
"""Seconds by which our wall clock may stray from the monotonic one before it counts as set anew."""


class BrokerClock:
    """One answer of ``GET /v2/clock``: true until its next transition, by the broker's time.

    ``ahead`` is how far the broker's clock is ahead of ours at the most: it wrote its time after it
    was asked, so counting from the asking makes the broker's time too late by no more than the
    request took, and never too early. Late, a transition is asked for once more; early, an order
    would go out past the close.
    """

    __slots__ = ("_asked", "_asked_at", "ahead", "changes_at", "is_open")

    def __init__(
        self,
        ahead: timedelta,
        changes_at: datetime,
        asked: float,
        asked_at: datetime,
        *,
        is_open: bool,
    ) -> None:
        self.ahead = ahead
        self.changes_at = changes_at
        self.is_open = is_open
        self._asked = asked
        self._asked_at = asked_at

    @classmethod
    def of(cls, raw: Mapping[str, Any], asked: float, asked_at: datetime) -> "BrokerClock":
        """Read an answer.

        Args:
            asked, asked_at: when it was asked for, by our monotonic and our wall clock.
        """
        is_open = raw.get("is_open") is True
        at = instant_of(raw.get("timestamp"))
        change = instant_of(raw.get("next_close" if is_open else "next_open"))
        if at is None or change is None:
            raise OutcomeUnknown("the broker's clock names no readable times")
        return cls(at - asked_at, change, asked, asked_at, is_open=is_open)

    def holds(self, monotonic: float, now: datetime) -> bool:
        """Whether no transition has come since, and ``ahead`` can still be counted on."""
        # Both clocks: the monotonic one stands still while the machine is suspended, and the wall
        # clock may be set; either way the two no longer agree on how long ago the answer was.
        strayed = (now - self._asked_at).total_seconds() - (monotonic - self._asked)
        return abs(strayed) <= CLOCK_STEP and now + self.ahead < self.changes_at


def instant_of(text: object) -> datetime | None:
    """An RFC 3339 time with an offset, in UTC; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None
