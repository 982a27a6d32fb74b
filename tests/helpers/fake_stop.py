"""A stop flag on invented time: waits return at once and move the clock."""

from collections.abc import Callable


class FakeStop:
    """Fits `Stop`; `monotonic()` advances by what was waited for.

    Args:
        stop_at: the moment, in seconds from 0, at which the flag is set; never by default.
        on_wait: called with this object at the beginning of each wait.
    """

    def __init__(
        self,
        stop_at: float = float("inf"),
        on_wait: Callable[["FakeStop"], None] = lambda _: None,
    ) -> None:
        self.time = 0.0
        self.waits: list[float] = []
        self.stop_at = stop_at
        self._on_wait = on_wait

    def monotonic(self) -> float:
        """The invented clock, in seconds."""
        return self.time

    def is_set(self) -> bool:
        """Say whether the moment to stop has come."""
        return self.time >= self.stop_at

    def wait(self, timeout: float) -> bool:
        """Move the clock by `timeout`, or only to the moment to stop."""
        self._on_wait(self)
        self.waits.append(timeout)
        self.time = min(self.time + max(timeout, 0.0), max(self.stop_at, self.time))
        return self.is_set()
