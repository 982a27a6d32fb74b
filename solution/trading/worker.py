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
from solution.runtime.lane import Lease
from solution.runtime.lanes import Lanes
from solution.runtime.rush import Rush
from solution.runtime.service import Fatal
from solution.trading.airspace import Airspace
from solution.trading.aloft import Aloft
from solution.trading.pipeline import Pipeline
from solution.trading.work import Work

TAKE_TIMEOUT = 0.5
MOST_ALOFT = 64
"""POSTs of one worker whose answers are not booked, at most."""
BURST = 0.05
"""Seconds after which a worker books what was answered, though there is more to send."""
PLACE_WAIT = 0.1
"""Seconds for which a worker waits at most until one more POST may be on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What a worker draws from.

    Args:
        space: how many POSTs may be on their way.
        may_send_more: whether another order could leave at once, without a handshake.
    """

    lanes: Lanes[Work]
    limiter: RateLimiter
    rush: Rush
    space: Airspace
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
        aloft = Aloft(self._pipeline, self._supply.space)
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
            if not self._supply.space.enter():
                self._wait_for_a_place(aloft, lease, slot)
                return
            if not self._start(aloft, lease, slot) or not self._goes_on(aloft, since):
                return
            taken = self._lanes.take(self._acquire, self._next_free, 0.0)

    def _start(self, aloft: Aloft, lease: Lease[Work], slot: Slot) -> bool:
        """Take one signal to its POST; False when it was sent back to its lane."""
        departed = None
        try:
            course = self._pipeline.start(lease.item, lease, slot, unburdened=not len(aloft))
            departed = course.departed
        finally:
            if departed is None:
                self._supply.space.leave()
        if departed is not None:
            aloft.add(departed)
        return not course.sent_back

    def _wait_for_a_place(self, aloft: Aloft, lease: Lease[Work], slot: Slot) -> None:
        """Others have sent so much that one more would be more than there are workers."""
        slot.cancel()
        lease.requeue(lease.item)
        if not len(aloft):
            self._supply.rush.over()
            self._supply.space.wait(PLACE_WAIT)

    def _goes_on(self, aloft: Aloft, since: float) -> bool:
        """Whether this thread sends another one before it looks after those it sent."""
        aloft.take_in_first()  # a broker that is near has answered by now
        if not self._supply.space.room:
            aloft.take_in()
        # What goes wrong is booked at once: the breaker, for one, is to hear of it.
        done = aloft.troubled or len(aloft) >= MOST_ALOFT or self._now() - since > BURST
        if done or not self._lanes.pressing() or not self._supply.space.room:
            return False
        return self._supply.may_send_more()

    def _land(self, aloft: Aloft) -> None:
        aloft.take_in()
        if len(aloft) and not aloft.troubled:
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
