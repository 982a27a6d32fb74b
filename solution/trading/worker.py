"""What one worker thread does, again and again: a slot, the best lane, one signal.

While more is to be sent it does not wait for the answer to what it sent, but takes the next signal:
in a burst one thread decides and sends all of it, in order, and books the answers afterwards. The
lanes give it a turn for that, so that the others do not decide beside it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from solution.clock import Clock, SystemClock
from solution.errors import LedgerError
from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.runtime.lanes import Lanes
from solution.runtime.rush import Rush
from solution.runtime.service import Fatal
from solution.trading.aloft import Aloft
from solution.trading.pipeline import Pipeline
from solution.trading.work import Work

TAKE_TIMEOUT = 0.5
MOST_ALOFT = 64
"""POSTs of one worker whose answers are not booked, at most."""
BURST = 0.05
"""Seconds after which a worker books what was answered, though there is more to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What a worker draws from.

    Args:
        may_send_more: whether another order could leave at once, though the answers to others are
            still awaited.
    """

    lanes: Lanes[Work]
    limiter: RateLimiter
    rush: Rush
    may_send_more: Callable[[], bool]


class Worker:
    """:meth:`work` is what a :class:`~solution.runtime.pool.WorkerPool` runs in each thread."""

    def __init__(self, supply: Supply, pipeline: Pipeline, clock: Clock | None = None) -> None:
        self._supply = supply
        self._lanes = supply.lanes
        self._pipeline = pipeline
        self._now = (clock or SystemClock()).monotonic

    def work(self, _stop: threading.Event) -> None:
        """One burst, which mostly is one signal: sent, then landed.

        Raises:
            Fatal: nothing can be made durable any more. No POST, no XACK, and the process ends.
        """
        aloft = Aloft(self._pipeline)
        # Not for what is no Exception: where the process dies, nothing of it goes on.
        try:
            self._send(aloft)
        except Exception as e:
            self._end(aloft)
            if isinstance(e, LedgerError):
                raise Fatal(str(e)) from e
            raise
        self._end(aloft)

    def _end(self, aloft: Aloft) -> None:
        self._supply.rush.over()
        try:
            self._land(aloft)
        except LedgerError as e:
            raise Fatal(str(e)) from e

    def _send(self, aloft: Aloft) -> None:
        taken = self._lanes.take(self._acquire, self._next_free, TAKE_TIMEOUT)
        since = self._now()
        while taken is not None:
            lease, slot = taken
            course = self._pipeline.start(lease.item, lease, slot, unburdened=not len(aloft))
            if course.departed is not None:
                aloft.add(course.departed)
            if course.sent_back or not self._goes_on(aloft, since):
                return
            taken = self._lanes.take(self._acquire, self._next_free, 0.0)

    def _goes_on(self, aloft: Aloft, since: float) -> bool:
        """Whether this thread sends another one before it looks after those it sent."""
        full = len(aloft) >= MOST_ALOFT or self._now() - since > BURST
        if full or not self._lanes.pressing():
            return False
        if self._supply.may_send_more():
            return True
        aloft.take_in()  # a broker that is near has answered the first by now
        return self._supply.may_send_more()

    def _land(self, aloft: Aloft) -> None:
        aloft.take_in()
        if len(aloft):
            self._supply.rush.after_answer()
        errors: list[Exception] = []
        while len(aloft):
            # What fails for one, the ledger even, does not keep the others from their answers.
            errors += aloft.land()
            if len(aloft):
                aloft.wait()
                aloft.take_in()
        for error in sorted(errors, key=lambda error: not isinstance(error, LedgerError)):
            raise error

    def _acquire(self, urgent: bool) -> Slot | None:
        return self._supply.limiter.try_acquire(Priority.EXIT if urgent else Priority.ENTRY)

    def _next_free(self, urgent: bool) -> float:
        return self._supply.limiter.next_free(Priority.EXIT if urgent else Priority.ENTRY)
