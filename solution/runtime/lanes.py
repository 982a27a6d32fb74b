"""Per-key lanes between who brings items and the workers, entered only with a slot in hand.

Items of one key run in order, one at a time; different keys in parallel. A lane is *runnable* when
it has items and none of them is out. Runnable lanes stand in a ``queue.PriorityQueue``: those with
an urgent item first, then by the arrival of their head. An item in front of an urgent one of its
own lane must go first anyway, so it is treated as urgent, for its place and for its slot.

A taker looks at the best runnable lane, asks for a slot of its class and takes the item only when
it gets one, all under one mutex. So nothing that waits for budget is in anybody's hands, and an
urgent item published behind hundreds that wait is the next one out.

Who waits how, so that 64 workers do not wake for one slot:

- Takers without anything runnable are *idle*; each sleeps on a gate of its own, and each lane that
  becomes runnable wakes one (the last one to fall asleep: its connections are the warmest).
- When there is something runnable but no slot, one taker becomes the *leader* and alone waits for
  ``next_free``; all others sleep like the idle ones.
- Whoever leaves take(), with an item or without, calls :meth:`Lanes._signal`, which wakes one idle
  taker when more lanes are runnable than takers are on their way and no leader watches. So the
  leader's part is passed on and no wake-up is lost, including one given to a taker whose time ran
  out at that moment.

Turns (where ``turn`` is set): who takes an item has the turn until it calls :meth:`Lanes.over`, and
takes more items meanwhile; nobody else takes any. When there is something runnable in another one's
turn, one taker becomes the *deputy* and waits for its end; all others sleep like the idle ones. A
turn lasts from the last item taken: one that is overdue, whose holder is stuck or dead, is simply
taken over, and the holder gets nothing more before it is that one's turn no longer.

Locks: ``_mutex`` is held while ``acquire`` and ``next_free`` are called (lanes → limiter). Neither
may block or call back into the lanes; the limiter's subscribers run outside its lock, so
:meth:`Lanes.wake` may be one of them.
"""

import threading
from collections import Counter
from collections.abc import Callable
from heapq import heapify
from queue import Full, PriorityQueue
from typing import Generic, TypeVar

from solution.clock import Clock, SystemClock
from solution.runtime.lane import Entry, Lane, Lease, Sleeper

T = TypeVar("T")
S = TypeVar("S")

__all__ = ["Full", "Lanes", "LanesClosed", "Lease"]

#: No timed wait for budget is shorter, so that a promise missed by rounding cannot make one spin.
_FLOOR = 0.0005


class LanesClosed(Exception):
    """put() after close()."""


class Lanes(Generic[T]):
    """Items in lanes, at most `capacity` of them waiting.

    Args:
        capacity: how many may wait; those taken do not count.
        ordered: False gives each item a lane of its own.
        turn: seconds for which one taker at a time has all that is runnable, each time that it
            takes something: it comes back for more, or calls :meth:`over`. 0: no turns.
        clock: for the timeouts.
    """

    def __init__(
        self,
        capacity: int,
        *,
        ordered: bool = True,
        turn: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError("lanes need room for at least one item")
        self._capacity = capacity
        self._ordered = ordered
        self._now = (clock or SystemClock()).monotonic
        self._mutex = threading.Lock()
        self._space = threading.Condition(self._mutex)
        self._lanes: dict[str | int, Lane[T]] = {}
        self._queue: PriorityQueue[tuple[int, int, int, Lane[T]]] = PriorityQueue()
        self._runnable = 0
        self._waiting = 0
        self._arrivals = 0
        self._tickets = 0
        self._idle: dict[Sleeper, None] = {}
        self._on_their_way = 0  # idle takers that were woken and have not looked yet
        self._turn = turn
        self._holder = 0  # the thread whose turn it is
        self._turn_ends = 0.0
        self._deputy: Sleeper | None = None
        self._leader: Sleeper | None = None
        self._led_since = 0.0
        self._starved = 0.0
        self._closed = False

    # The bringing side

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return self._waiting

    @property
    def closed(self) -> bool:
        return self._closed

    def pressing(self) -> bool:
        """Whether a lane is runnable and, as far as known, not for want of a slot; no lock."""
        return self._runnable > 0 and self._leader is None

    def staffed(self) -> bool:
        """Whether it is pressing and a taker is free for it; no lock."""
        free = bool(self._idle) or self._on_their_way > 0 or self._deputy is not None
        return self.pressing() and free

    @property
    def turn_taken(self) -> bool:
        """Whether it is somebody's turn, and not overdue; no lock."""
        return self._holder != 0 and self._now() < self._turn_ends

    def room(self) -> int:
        """How many items still fit."""
        return max(0, self._capacity - self._waiting)

    def wait_room(self, timeout: float) -> int:
        """Wait until at least one item fits; returns room(), 0 when time is over or on close()."""
        end = self._now() + timeout
        with self._mutex:
            while not self._closed and self._waiting >= self._capacity:
                left = end - self._now()
                if left <= 0:
                    return 0
                self._space.wait(left)
            return 0 if self._closed else self._capacity - self._waiting

    def put(self, key: str, item: T, *, urgent: bool, ordered: bool | None = None) -> None:
        """Add an item at the end of its lane.

        Args:
            key: of the lane.
            item: anything.
            urgent: goes before all that is not, its own lane's head included.
            ordered: overrides the lanes' setting for this item.

        Raises:
            Full: no room.
            LanesClosed: after close().
        """
        with self._mutex:
            if self._closed:
                raise LanesClosed
            if self._waiting >= self._capacity:
                raise Full
            self._arrivals += 1
            in_order = self._ordered if ordered is None else ordered
            lane_id = key if in_order else self._arrivals
            lane = self._lanes.get(lane_id)
            if lane is None:
                lane = self._lanes[lane_id] = Lane(lane_id, key)
            lane.entries.append(Entry(self._arrivals, item, urgent=urgent))
            lane.urgent += urgent
            self._waiting += 1
            # An entry behind others changes nothing; an urgent one may move its lane forward.
            if not lane.busy and (not lane.ticket or (urgent and lane.urgent == 1)):
                self._stand(lane)
                self._signal()

    def close(self) -> None:
        """Nothing more comes in or out; everybody who waits returns at once."""
        with self._mutex:
            self._closed = True
            self._space.notify_all()
            if self._leader is not None:
                self._leader.wake()
            if self._deputy is not None:
                self._deputy.wake()
            for sleeper in self._idle:
                sleeper.wake()
                self._on_their_way += 1
            self._idle.clear()

    def drain(self) -> list[T]:
        """After close(): what was never taken, in order of arrival. It is then gone from here."""
        with self._mutex:
            entries = [entry for lane in self._lanes.values() for entry in lane.entries]
            for lane in self._lanes.values():
                lane.entries.clear()
                lane.urgent = lane.ticket = 0
            self._lanes = {lane.id: lane for lane in self._lanes.values() if lane.busy}
            self._queue.queue.clear()
            self._waiting = self._runnable = 0
            return [entry.item for entry in sorted(entries, key=lambda entry: entry.arrival)]

    def depths(self) -> dict[str, int]:
        """How many items wait, by key; keys without any are absent."""
        depths: Counter[str] = Counter()
        with self._mutex:
            for lane in self._lanes.values():
                depths[lane.key] += len(lane.entries)
        return {key: depth for key, depth in depths.items() if depth}

    # The taking side

    def take(
        self,
        acquire: Callable[[bool], S | None],
        next_free: Callable[[bool], float],
        timeout: float,
    ) -> tuple[Lease[T], S] | None:
        """Wait for a runnable lane and a slot for it.

        Args:
            acquire: called with whether it is for an urgent item; a slot, or None; never blocks.
            next_free: seconds until acquire may succeed, never less for what is not urgent than
                for what is. :meth:`wake` must be called when it turns out earlier.
            timeout: seconds.

        Returns:
            The item and its slot; None when the time is over or the lanes are closed.
        """
        end = self._now() + timeout
        with self._mutex:
            try:
                while not self._closed:
                    pause = left = end - self._now()
                    lane = self._best()
                    if lane is not None and (others := self._others_turn()) > 0.0:
                        if self._deputy is None and left > 0:
                            self._stand_by(min(left, others))
                            continue
                    elif lane is not None:
                        urgent = lane.urgent > 0
                        slot = acquire(urgent)
                        if slot is not None:
                            self._begin_turn()
                            return self._pop(lane), slot
                        if self._leader is None and left > 0:
                            pause = min(left, max(_FLOOR, next_free(urgent)))
                            self._lead(urgent, pause)
                            continue
                    if left <= 0:
                        return None
                    self._sleep(pause)
                return None
            finally:
                self._signal()

    def over(self) -> bool:
        """The calling taker does not come back for more now; whether it was its turn."""
        if self._holder != threading.get_ident():
            return False
        with self._mutex:
            if self._holder != threading.get_ident():
                return False  # it took too long, and somebody else has it by now
            self._holder = 0
            if self._deputy is not None:
                self._deputy.wake()
            else:
                self._signal()
            return True

    def starved(self) -> float:
        """Seconds so far in which something was runnable and there was no slot for it.

        The difference between two readings is how long an item waited for the budget alone.
        """
        with self._mutex:
            now = 0.0 if self._leader is None else self._now() - self._led_since
            return self._starved + now

    def wake(self) -> None:
        """Slots may be there earlier than next_free said: one taker looks again."""
        with self._mutex:
            if self._leader is not None:
                self._leader.wake()
            else:
                self._signal()

    # Below: everything requires holding ``_mutex``, except _release.

    def _release(self, lease: Lease[T], again: Entry[T] | None) -> None:
        with self._mutex:
            if not lease.open:
                return
            lease.open = False
            lane = lease.lane
            lane.busy = False
            if again is not None:
                lane.entries.appendleft(again)
                lane.urgent += again.urgent
                self._waiting += 1
            if lane.entries:
                self._stand(lane)
                self._signal()
            else:
                del self._lanes[lane.id]

    def _stand(self, lane: Lane[T]) -> None:
        """Give a lane its place in the queue; a place it had before is void."""
        queue = self._queue
        if not lane.ticket:
            self._runnable += 1
        self._tickets += 1
        lane.ticket = self._tickets
        rank = 0 if lane.urgent else 1
        queue.put_nowait((rank, lane.entries[0].arrival, lane.ticket, lane))
        if len(queue.queue) > 2 * self._runnable + 64:
            queue.queue[:] = [place for place in queue.queue if place[2] == place[3].ticket]
            heapify(queue.queue)
        if lane.urgent and self._leader is not None and not self._leader.urgent:
            # The leader waits for budget of the other class; this one may have some now.
            self._leader.wake()

    def _best(self) -> Lane[T] | None:
        """The first runnable lane, left in its place."""
        queue = self._queue
        while queue.queue:
            _, _, ticket, lane = queue.queue[0]
            if ticket == lane.ticket:
                return lane
            queue.get_nowait()
        return None

    def _pop(self, lane: Lane[T]) -> Lease[T]:
        """Take the head of the best lane."""
        self._queue.get_nowait()
        self._runnable -= 1
        lane.ticket = 0
        lane.busy = True
        entry = lane.entries.popleft()
        lane.urgent -= entry.urgent
        if self._waiting == self._capacity:
            self._space.notify_all()
        self._waiting -= 1
        return Lease(self._release, lane, entry)

    def _others_turn(self) -> float:
        """Seconds until the turn may be taken from another taker; 0: it may be had now."""
        if not self._holder or self._holder == threading.get_ident():
            return 0.0
        return self._turn_ends - self._now()

    def _begin_turn(self) -> None:
        if self._turn:
            self._holder = threading.get_ident()
            self._turn_ends = self._now() + self._turn

    def _stand_by(self, seconds: float) -> None:
        """Sleep until it is nobody's turn, or the other's is overdue."""
        sleeper = self._deputy = Sleeper()
        try:
            self._wait(sleeper, seconds)
        finally:
            self._deputy = None

    def _signal(self) -> None:
        """Wake one idle taker if there is something for it that nobody else looks after."""
        if (
            self._leader is None
            and self._deputy is None
            and self._idle
            and self._runnable > self._on_their_way
            and not (self._turn and self._on_their_way)
        ):
            sleeper, _ = self._idle.popitem()
            self._on_their_way += 1
            sleeper.wake()

    def _sleep(self, seconds: float) -> None:
        """Sleep among the idle."""
        sleeper = Sleeper()
        self._idle[sleeper] = None
        try:
            self._wait(sleeper, seconds)
        finally:
            if sleeper.woken:
                self._on_their_way -= 1
            else:
                del self._idle[sleeper]

    def _lead(self, urgent: bool, seconds: float) -> None:
        """Sleep as the leader, until there may be budget."""
        sleeper = self._leader = Sleeper(urgent=urgent)
        self._led_since = self._now()
        try:
            self._wait(sleeper, seconds)
        finally:
            self._starved += self._now() - self._led_since
            self._leader = None

    def _wait(self, sleeper: Sleeper, seconds: float) -> None:
        """Give up the mutex until woken or the time is over."""
        self._mutex.release()
        try:
            sleeper.gate.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
        finally:
            self._mutex.acquire()
