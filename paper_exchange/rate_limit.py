"""The trading API's request limit: a sliding window per key, in real time."""

from collections import deque
from dataclasses import dataclass

from paper_exchange.clock import SECOND, Clock, SystemClock

#: Seconds in the Retry-After of a 429. Alpaca's trading answer is not documented.
RETRY_AFTER = b"1"
#: What an unlimited exchange says its limit is, for clients that adapt to the header.
UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands after a request; ``reset`` is in epoch seconds."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The three headers every trading answer carries."""
        return [
            (b"x-ratelimit-limit", str(self.limit).encode()),
            (b"x-ratelimit-remaining", str(self.remaining).encode()),
            (b"x-ratelimit-reset", str(self.reset).encode()),
        ]


class RateLimiter:
    """Counts requests per key; refused requests are not counted.

    Args:
        limit: requests in any window; 0 is unlimited.
        window_ns: how long a request counts.
        clock: of its own, since clients count in real time even where the exchange's clock runs
            faster.
    """

    def __init__(
        self, limit: int, *, window_ns: int = 60 * SECOND, clock: Clock | None = None
    ) -> None:
        self._limit = limit
        self._window_ns = window_ns
        self._clock = clock or SystemClock()
        self._requests: dict[str, deque[int]] = {}

    def take(self, key: str) -> Standing:
        """Count a request if the window has room for it."""
        now_ns = self._clock.now_ns()
        if not self._limit:
            reset = _seconds(now_ns + self._window_ns)
            return Standing(allowed=True, limit=UNLIMITED, remaining=UNLIMITED, reset=reset)
        times = self._requests.setdefault(key, deque())
        while times and times[0] <= now_ns - self._window_ns:
            times.popleft()
        allowed = len(times) < self._limit
        if allowed:
            times.append(now_ns)
        # The moment at which the oldest request leaves the window and a slot frees.
        reset = _seconds(times[0] + self._window_ns)
        return Standing(allowed, self._limit, self._limit - len(times), reset)


def _seconds(ns: int) -> int:
    return -(-ns // SECOND)
