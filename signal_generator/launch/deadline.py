"""A moment that several waits share."""

import threading
import time

from signal_generator.launch.options import LaunchError
from signal_generator.runtime import Stop


class Deadline:
    """`seconds` from now, by the monotonic clock.

    Args:
        stop: ends every pause at once, and the start that it belongs to.
    """

    def __init__(self, seconds: float, stop: Stop | None = None) -> None:
        self._at = time.monotonic() + seconds
        self._stop: Stop = stop or threading.Event()

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - time.monotonic())

    def passed(self) -> bool:
        """Whether none are left."""
        return not self.left()

    def pause(self, seconds: float) -> None:
        """Wait, though not beyond the deadline.

        Raises:
            LaunchError: the user wants no more.
        """
        if self._stop.wait(min(seconds, self.left())):
            raise LaunchError("stopped before everything had started")
