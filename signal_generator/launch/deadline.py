"""A moment that several waits share."""

import threading
import time


class Deadline:
    """`seconds` from now, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._tick = threading.Event()

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - time.monotonic())

    def passed(self) -> bool:
        """Whether none are left."""
        return not self.left()

    def pause(self, seconds: float) -> None:
        """Wait, though not beyond the deadline; a signal's handler may end it by raising."""
        self._tick.wait(min(seconds, self.left()))
