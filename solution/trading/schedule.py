"""When to ask the broker about an order, should no news come by itself. Times only, no I/O."""

import heapq
import itertools
import threading
from collections.abc import Callable
from enum import StrEnum

from solution.domain.records import Intent

LOOKUP_DELAYS = (0.25, 1.0, 1.0, 1.0)
"""Seconds before each lookup of an unclear POST: three span at least two seconds."""

POLL_FIRST = 2.0
POLL_FIRST_WITHOUT_STREAM = 0.5
POLL_LONGEST = 30.0
POLL_LONGEST_WITHOUT_STREAM = 5.0
WATCH_FIRST = 5.0
WATCH_LONGEST = 300.0
CANCEL_RETRY = 5.0
FAILURE_FIRST = 0.25
FAILURE_LONGEST = 5.0
_MOST_DOUBLINGS = 10
"""Far beyond the longest pause; 2.0 ** 1024, a few hours of polling, overflows a float."""
_NOT_YET = float("inf")


class Task(StrEnum):
    POLL = "poll"
    LOOKUP = "lookup"
    WATCH = "watch"
    CANCEL = "cancel"


class Due:
    """One thing to do about one order; ``attempt`` counts from 0.

    ``since`` is when this attempt came up first; a lack of budget does not change it.
    """

    __slots__ = ("attempt", "client_order_id", "since", "task")

    def __init__(self, task: Task, client_order_id: str, attempt: int) -> None:
        self.task = task
        self.client_order_id = client_order_id
        self.attempt = attempt
        self.since = _NOT_YET


class Schedule:
    """A heap of due times. Entries of orders that ended meanwhile are dropped when they come up.

    Each task of an order stands in it once, at the earliest time asked for: every reconnect polls
    all open orders, and a second row of polls must not begin each time.

    Args:
        stream_alive: whether the order stream delivers, which makes polling rare.
    """

    def __init__(self, stream_alive: Callable[[], bool]) -> None:
        self.stream_alive = stream_alive
        self._mutex = threading.Lock()
        self._heap: list[tuple[float, int, Due]] = []
        self._numbers = itertools.count()
        self._valid: dict[tuple[Task, str], tuple[float, int, Due]] = {}
        self.wake: Callable[[], None] = _nobody

    def follow(
        self, intent: Intent, at: float, *, age: float = 0.0, cancel_now: bool = False
    ) -> None:
        """The broker has the order: poll it should the stream stay silent, cancel it in time.

        Args:
            at: now, monotonic.
            age: seconds since the order was sent; its time to live counts from there, also when
                it is found only later or after a restart.
        """
        first = POLL_FIRST if self.stream_alive() else POLL_FIRST_WITHOUT_STREAM
        self._push(at + first, Due(Task.POLL, intent.client_order_id, 0))
        if cancel_now:
            self._push(at, Due(Task.CANCEL, intent.client_order_id, 0))
            self.wake()
        elif intent.cancel_after is not None:
            left = max(0.0, float(intent.cancel_after) - age)
            self._push(at + left, Due(Task.CANCEL, intent.client_order_id, 0))

    def poll_now(self, client_order_ids: list[str], at: float) -> None:
        """After a reconnect: the stream has no replay, so every open order is asked for."""
        for coid in client_order_ids:
            self._push(at, Due(Task.POLL, coid, 0))
        self.wake()

    def lookup(self, client_order_id: str, at: float) -> None:
        self._push(at + LOOKUP_DELAYS[0], Due(Task.LOOKUP, client_order_id, 0))
        self.wake()

    def look_now(self, client_order_id: str, at: float, *, watched: bool) -> None:
        """An unresolved order was seen at the broker: its lookup need not wait.

        Args:
            watched: it was given up, and is looked for as such.
        """
        self._push(at, Due(Task.WATCH if watched else Task.LOOKUP, client_order_id, 0))
        self.wake()

    def watch(self, client_order_id: str, at: float) -> None:
        self._push(at + WATCH_FIRST, Due(Task.WATCH, client_order_id, 0))

    def again(self, due: Due, at: float) -> None:
        """Not settled: the same once more, later each time."""
        self._push(at + self._pause(due), Due(due.task, due.client_order_id, due.attempt + 1))

    def rarely(self, due: Due, at: float) -> None:
        """Nothing will come of asking by itself: twice as late each time."""
        pause = min(WATCH_LONGEST, 2.0 ** min(due.attempt, _MOST_DOUBLINGS))
        self._push(at + pause, Due(due.task, due.client_order_id, due.attempt + 1))

    def soon(self, due: Due, at: float) -> None:
        """There was no budget for it: the same attempt, shortly."""
        self._push(at + 0.25, due)

    def failed(self, due: Due, at: float) -> None:
        """The broker did not answer: less and less often, or an outage eats the rate budget."""
        pause = min(FAILURE_LONGEST, FAILURE_FIRST * 2.0 ** min(due.attempt, _MOST_DOUBLINGS))
        self._push(at + pause, Due(due.task, due.client_order_id, due.attempt + 1))

    def _pause(self, due: Due) -> float:
        if due.task is Task.LOOKUP:
            return LOOKUP_DELAYS[min(due.attempt + 1, len(LOOKUP_DELAYS) - 1)]
        if due.task is Task.WATCH:
            return min(WATCH_LONGEST, WATCH_FIRST * 2.0 ** min(due.attempt, _MOST_DOUBLINGS))
        if due.task is Task.CANCEL:
            return CANCEL_RETRY
        longest = POLL_LONGEST if self.stream_alive() else POLL_LONGEST_WITHOUT_STREAM
        return min(longest, 2.0 ** min(due.attempt, _MOST_DOUBLINGS))

    def due(self, now: float) -> list[Due]:
        """Everything whose time has come, oldest first."""
        found = []
        with self._mutex:
            while self._heap and self._heap[0][0] <= now:
                entry = heapq.heappop(self._heap)
                at, _, due = entry
                key = (due.task, due.client_order_id)
                if self._valid.get(key) is entry:
                    del self._valid[key]
                    due.since = min(due.since, at)
                    found.append(due)
        return found

    def next_at(self) -> float | None:
        """Monotonic time of the earliest entry, or None."""
        with self._mutex:
            return self._heap[0][0] if self._heap else None

    def _push(self, at: float, due: Due) -> None:
        key = (due.task, due.client_order_id)
        with self._mutex:
            standing = self._valid.get(key)
            if standing is not None:
                # Two that become one have waited as long as the longer of them: each reconnect asks
                # for all open orders, and would begin their waiting anew.
                due.since = standing[2].since = min(due.since, standing[2].since)
                if standing[0] <= at:
                    return
            entry = at, next(self._numbers), due
            self._valid[key] = entry
            heapq.heappush(self._heap, entry)


def _nobody() -> None:
    """No one to wake yet."""
