"""Time as an argument: wall clock in UTC, monotonic clock, and deadlines."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MS = timedelta(milliseconds=1)
_FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _ONE_MS
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _ONE_MS


def moment_of(epoch_ms: int) -> datetime:
    """The UTC time of epoch milliseconds, or the nearest there is.

    A producer may choose an entry id or a ``ts`` beyond any calendar.
    """
    return _EPOCH + _ONE_MS * min(max(epoch_ms, _FIRST_MS), _LAST_MS)


class Clock(Protocol):
    """What the service asks of a clock; tests pass one they can set."""

    def now(self) -> datetime:
        """Wall time, timezone-aware UTC."""
        ...

    def epoch_ms(self) -> int:
        """Wall time in whole milliseconds since 1970, the unit of Redis entry ids."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def epoch_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was asked, by both clocks: each of them may miss that the process was paused.

    The monotonic one stands still while the machine is suspended, and the wall clock may be set
    back.
    """

    monotonic: float
    epoch_ms: int

    @classmethod
    def now(cls, clock: Clock) -> "Moment":
        return cls(clock.monotonic(), clock.epoch_ms())

    def is_younger_than(self, seconds: float, clock: Clock) -> bool:
        """By both clocks; a wall clock that was set back tells nothing, which is no yes."""
        slept_ms = clock.epoch_ms() - self.epoch_ms
        return clock.monotonic() - self.monotonic < seconds and 0 <= slept_ms < seconds * 1000


class Deadline:
    """A point in monotonic time that several waits share.

    Args:
        seconds: from now until the deadline.
        clock: where now comes from.
    """

    __slots__ = ("_at", "_clock")

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._at = self._clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self._clock.monotonic())

    def passed(self) -> bool:
        return self.left() <= 0.0
