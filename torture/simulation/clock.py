"""Time that moves only when told to, with a list of things that happen at their time."""

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

CLOSES = datetime(2026, 3, 4, 21, 0, tzinfo=UTC)
"""A Wednesday, 16:00 in New York."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SimClock:
    """A :class:`solution.clock.Clock` in whole microseconds; timers run while it moves."""

    def __init__(self, start: datetime) -> None:
        self._start_us = (start - _EPOCH) // timedelta(microseconds=1)
        self._us = 0
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self._start_us + self._us)

    def epoch_ms(self) -> int:
        return (self._start_us + self._us) // 1000

    def monotonic(self) -> float:
        return 1000.0 + self._us / 1e6

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen outside the service, ``seconds`` from now."""
        at = self._us + round(seconds * 1e6)
        heapq.heappush(self._timers, (at, next(self._numbers), action))

    def advance(self, seconds: float) -> None:
        """Move on; timers that come up meanwhile run at their own time."""
        end = self._us + max(0, round(seconds * 1e6))
        while self._timers and self._timers[0][0] <= end:
            at, _, action = heapq.heappop(self._timers)
            self._us = max(self._us, at)
            action()
        self._us = max(self._us, end)

    def advance_to(self, monotonic: float) -> None:
        """Move to a monotonic time; one that has passed already changes nothing."""
        self.advance(monotonic - self.monotonic())


class InstantStop(threading.Event):
    """A stop event on which nobody really waits: the clock moves instead."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__()
        self._sim_clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._sim_clock.advance(timeout or 0.0)
        return self.is_set()
