"""Lanes as their takers use them: a budget by hand, items without waiting, threads that take."""

import threading
from collections.abc import Callable

from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.runtime.lanes import Lanes, Lease
from tests.helpers.clocks import PATIENCE, eventually


class Slots:
    """A budget by hand: so many slots for urgent items, so many for all others."""

    def __init__(self, urgent: float = float("inf"), others: float = float("inf")) -> None:
        self.free = {True: urgent, False: others}
        self.asked: list[bool] = []
        self.wait = 60.0

    def acquire(self, urgent: bool) -> str | None:
        self.asked.append(urgent)
        if self.free[urgent] <= 0:
            return None
        self.free[urgent] -= 1
        return "urgent" if urgent else "other"

    def next_free(self, urgent: bool) -> float:
        return self.wait


def take(lanes: Lanes[str], slots: Slots | None = None) -> Lease[str] | None:
    """One item without waiting."""
    slots = slots or Slots()
    got = lanes.take(slots.acquire, slots.next_free, 0)
    return got[0] if got else None


def must_take(lanes: Lanes[str], slots: Slots | None = None) -> Lease[str]:
    lease = take(lanes, slots)
    assert lease is not None
    return lease


def empty(lanes: Lanes[str]) -> list[str]:
    """Take and finish everything; the items in their order."""
    items = []
    while lease := take(lanes):
        items.append(lease.item)
        lease.done()
    return items


def budget(
    limiter: RateLimiter,
) -> tuple[Callable[[bool], Slot | None], Callable[[bool], float]]:
    """What a worker passes to take()."""
    classes = {True: Priority.EXIT, False: Priority.ENTRY}
    return (
        lambda urgent: limiter.try_acquire(classes[urgent]),
        lambda urgent: limiter.next_free(classes[urgent]),
    )


class Taker(threading.Thread):
    """A thread in take(); what it got stands in `got`."""

    def __init__(self, lanes: Lanes[str], slots: Slots, timeout: float = PATIENCE) -> None:
        super().__init__(daemon=True)
        self.lanes, self.slots, self.timeout = lanes, slots, timeout
        self.got: tuple[Lease[str], str] | None = None
        self.start()

    def run(self) -> None:
        self.got = self.lanes.take(self.slots.acquire, self.slots.next_free, self.timeout)

    def item(self) -> str | None:
        """What it took, once it has returned."""
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.got[0].item if self.got else None


def must_get(taker: Taker) -> Lease[str]:
    assert taker.got is not None
    return taker.got[0]


def asleep(lanes: Lanes[str], number: int) -> bool:
    """Whether exactly so many takers sleep, leader and deputy included."""

    def sleeping() -> int:
        return len(lanes._idle) + (lanes._leader is not None) + (lanes._deputy is not None)

    return eventually(lambda: sleeping() == number)
