"""What :class:`~solution.runtime.lanes.Lanes` are made of: lanes, entries, leases, sleepers.

None of these has a lock: the mutex of the lanes guards them.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Entry(Generic[T]):
    """One waiting item."""

    __slots__ = ("arrival", "item", "urgent")

    def __init__(self, arrival: int, item: T, *, urgent: bool) -> None:
        self.arrival = arrival
        self.item = item
        self.urgent = urgent


class Lane(Generic[T]):
    """The items of one key. It is dropped when it is empty and free."""

    __slots__ = ("busy", "entries", "id", "key", "ticket", "urgent")

    def __init__(self, lane_id: str | int, key: str) -> None:
        self.id = lane_id
        self.key = key
        self.entries: deque[Entry[T]] = deque()
        self.urgent = 0  # how many of the entries are
        self.busy = False  # one is out
        self.ticket = 0  # of its one valid place in the queue; 0 = it has none


class Lease(Generic[T]):
    """One item, taken. Its lane waits until :meth:`done` or :meth:`requeue`; the first counts.

    May be released by another thread than the one that took it.

    Args:
        release: called with this and what goes back to the front of the lane, if anything.
    """

    __slots__ = ("_entry", "_release", "lane", "open")

    def __init__(
        self,
        release: "Callable[[Lease[T], Entry[T] | None], None]",
        lane: Lane[T],
        entry: Entry[T],
    ) -> None:
        self._release = release
        self._entry = entry
        self.lane = lane
        self.open = True  # changed under the mutex of the lanes

    @property
    def key(self) -> str:
        return self.lane.key

    @property
    def item(self) -> T:
        return self._entry.item

    @property
    def urgent(self) -> bool:
        """Whether an urgent item waits in the lane behind this one."""
        return self.lane.urgent > 0

    def done(self) -> None:
        """Free the lane for its next item."""
        self._release(self, None)

    def requeue(self, item: T) -> None:
        """Free the lane with `item` at its front, where this one was; also when it is full."""
        self._release(self, Entry(self._entry.arrival, item, urgent=self._entry.urgent))


class Sleeper:
    """One taker asleep: a gate that whoever wakes it opens, once."""

    __slots__ = ("gate", "urgent", "woken")

    def __init__(self, *, urgent: bool = False) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.urgent = urgent  # the class for whose budget a leader waits
        self.woken = False

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            self.gate.release()
