"""A clock that a restart does not set back behind what anybody was shown."""

from collections.abc import Callable

from paper_exchange.clock import SECOND, SystemClock

AHEAD_S = 0.25
"""Seconds of real time: four writes a second, and the most that a kill moves the clock forward."""


class KeptClock:
    """A running clock whose time is on disk before it is told.

    Orders are kept with their time, but whoever only looks at the clock causes no commit. So a
    moment a little ahead is kept, whenever the last one is reached; a start goes on from there.

    Args:
        keep: writes a moment in nanoseconds; never raises, since a full disk must not stop time.
    """

    def __init__(self, clock: SystemClock, keep: Callable[[int], None]) -> None:
        self._clock = clock
        self._keep = keep
        self._ahead = round(AHEAD_S * SECOND / clock.real_seconds(SECOND))
        self._kept = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, monotonic also over restarts."""
        now = self._clock.now_ns()
        if now > self._kept:
            self._kept = now + self._ahead
            self._keep(self._kept)
        return now

    def real_seconds(self, ns: int) -> float:
        """Shorter than ``ns`` on a clock that runs fast."""
        return self._clock.real_seconds(ns)

    def not_before(self, ns: int) -> None:
        """Jump forward to ``ns`` if that is still to come, and go on from there."""
        self._clock.not_before(ns)
