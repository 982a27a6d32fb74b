"""A clock that tests set by hand, and a bounded wait for what other threads do."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: The longest a test waits for another thread before it fails.
PATIENCE = 20.0


class ManualClock:
    """A :class:`solution.clock.Clock` that moves only when told to.

    Args:
        start: wall time at the beginning, timezone-aware; a Wednesday, 10:00 in New York.
        monotonic: seconds on the monotonic clock at the beginning.
    """

    def __init__(
        self,
        start: datetime = datetime(2026, 3, 4, 15, 0, tzinfo=UTC),
        *,
        monotonic: float = 1000.0,
    ) -> None:
        self._mutex = threading.Lock()
        self._wall = start.astimezone(UTC)
        self._monotonic = monotonic

    def now(self) -> datetime:
        with self._mutex:
            return self._wall

    def epoch_ms(self) -> int:
        since = self.now() - datetime(1970, 1, 1, tzinfo=UTC)
        return since // timedelta(milliseconds=1)

    def monotonic(self) -> float:
        with self._mutex:
            return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        with self._mutex:
            self._wall += timedelta(seconds=seconds)
            self._monotonic += seconds

    def advance_to(self, monotonic: float) -> None:
        """Move both clocks to a monotonic time; one that has passed already changes nothing."""
        self.advance(max(0.0, monotonic - self.monotonic()))

    def jump_wall(self, seconds: float) -> None:
        """Correct the wall clock alone, as NTP or an administrator would."""
        with self._mutex:
            self._wall += timedelta(seconds=seconds)


def eventually(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Whether the condition becomes true within `patience` seconds of real time."""
    began = time.monotonic()
    pause = threading.Event()
    while not condition():
        waited = time.monotonic() - began
        if waited > patience:
            return False
        # The longer it takes, the less a look more often would tell: looking costs what is waited
        # for the processor.
        pause.wait(min(max(waited / 10, 0.002), 0.05))
    return True
