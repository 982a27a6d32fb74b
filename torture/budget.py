"""The broker's request limit: counts every request of the trading API, by who sent it.

It is a sliding window, the hardest one for a client: whatever time of its length one looks at holds
no more. No I/O.
"""

import math
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived.

    ``at`` is monotonic seconds, ``by`` the life that sent it, ``wait`` whole seconds that it has to
    wait; 0 when it was answered.
    """

    at: float
    by: int
    wait: int = 0


class Budget:
    """Says 429 beyond the limit.

    Args:
        limit: requests per window.
        window: seconds.
    """

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self.window = window
        self.asked: list[Asked] = []
        self._counted: deque[float] = deque()

    def take(self, at: float, by: int) -> int:
        """A request came: 0, or how many seconds it has to wait; it does not count then."""
        self._forget(at)
        full = len(self._counted) >= self.limit
        wait = math.ceil(self._counted[0] + self.window - at) if full else 0
        self.asked.append(Asked(at, by, wait))
        if not full:
            self._counted.append(at)
        return wait

    def headers(self, at: float, wait: int) -> tuple[str, ...]:
        """What the answer says of it."""
        self._forget(at)
        frees = self._counted[0] + self.window - at if self._counted else 0.0
        return (
            f"X-RateLimit-Limit: {self.limit}",
            f"X-RateLimit-Remaining: {self.limit - len(self._counted)}",
            f"X-RateLimit-Reset: {math.ceil(time.time() + frees)}",
            *([f"Retry-After: {wait}"] if wait else []),
        )

    def _forget(self, at: float) -> None:
        while self._counted and self._counted[0] <= at - self.window:
            self._counted.popleft()
