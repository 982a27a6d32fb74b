"""What one worker thread does, again and again: a slot, the best lane, one signal."""

import threading
from collections.abc import Callable

from solution.errors import LedgerError
from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.runtime.lanes import Lanes
from solution.runtime.rush import Rush
from solution.runtime.service import Fatal
from solution.trading.pipeline import Pipeline
from solution.trading.work import Work

TAKE_TIMEOUT = 0.5


def worker(
    lanes: Lanes[Work], limiter: RateLimiter, pipeline: Pipeline, rush: Rush
) -> Callable[[threading.Event], None]:
    """The function a :class:`~solution.runtime.pool.WorkerPool` runs."""

    def acquire(urgent: bool) -> Slot | None:
        return limiter.try_acquire(Priority.EXIT if urgent else Priority.ENTRY)

    def next_free(urgent: bool) -> float:
        return limiter.next_free(Priority.EXIT if urgent else Priority.ENTRY)

    def work(_stop: threading.Event) -> None:
        taken = lanes.take(acquire, next_free, TAKE_TIMEOUT)
        if taken is None:
            return
        lease, slot = taken
        rush.begin()
        try:
            pipeline.run(lease.item, lease, slot)
        except LedgerError as e:
            # Nothing can be made durable: no POST, no XACK, and the process ends with one line.
            raise Fatal(str(e)) from e
        finally:
            rush.over()

    return work
