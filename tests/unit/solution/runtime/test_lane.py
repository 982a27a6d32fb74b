"""What a taker holds of a lane: once, and whoever releases it."""

import threading

from solution.runtime.lane import Sleeper
from solution.runtime.lanes import Lanes
from tests.helpers.clocks import PATIENCE
from tests.helpers.lanes import Slots, Taker, asleep, empty, must_take, take


def test_a_lease_knows_of_an_urgent_item_behind_it() -> None:
    """In its own lane, as soon as it is there, and its own urgency aside."""
    lanes: Lanes[str] = Lanes(10)
    lanes.put("a", "first", urgent=True)
    lease = must_take(lanes)
    assert not lease.urgent
    lanes.put("b", "elsewhere", urgent=True)
    lanes.put("a", "second", urgent=False)
    assert not lease.urgent
    lanes.put("a", "third", urgent=True)
    assert lease.urgent


def test_a_requeued_item_is_the_next_of_its_lane() -> None:
    """It keeps its arrival, so it also stands where it stood among the lanes."""
    lanes: Lanes[str] = Lanes(2)
    lanes.put("A", "a1", urgent=False)
    lanes.put("B", "b1", urgent=False)
    lease = must_take(lanes)
    lanes.put("A", "a2", urgent=False)
    lease.requeue("a1 again")
    assert lanes.room() == 0
    assert lanes.waiting == 3
    assert empty(lanes) == ["a1 again", "b1", "a2"]


def test_a_requeued_exit_is_still_urgent() -> None:
    """It lost nothing by having been out."""
    lanes: Lanes[str] = Lanes(9)
    lanes.put("B", "b1", urgent=False)
    lanes.put("A", "exit", urgent=True)
    must_take(lanes).requeue("exit")
    assert empty(lanes) == ["exit", "b1"]


def test_a_lease_ends_once() -> None:
    """The first of done() and requeue() counts; nothing is freed or put back twice."""
    lanes: Lanes[str] = Lanes(9)
    for item in ("a1", "a2", "a3"):
        lanes.put("A", item, urgent=False)
    first = must_take(lanes)
    first.done()
    second = must_take(lanes)
    first.done()
    first.requeue("a1")
    assert take(lanes) is None
    second.requeue("a2 again")
    second.done()
    assert empty(lanes) == ["a2 again", "a3"]


def test_another_thread_may_release() -> None:
    """A worker hands an order over to the tracker, which frees the lane."""
    lanes: Lanes[str] = Lanes(9)
    lanes.put("A", "a1", urgent=False)
    lanes.put("A", "a2", urgent=False)
    lease = must_take(lanes)
    taker = Taker(lanes, Slots())
    assert asleep(lanes, 1)
    tracker = threading.Thread(target=lease.done)
    tracker.start()
    tracker.join(PATIENCE)
    assert taker.item() == "a2"


def test_empty_lanes_leave_nothing_behind() -> None:
    """A lane lives as long as it has items or one of them is out."""
    lanes: Lanes[str] = Lanes(9)
    lanes.put("A", "a1", urgent=False)
    lease = must_take(lanes)
    assert lanes.depths() == {}
    lease.done()
    assert lanes._lanes == {}


def test_a_gate_is_opened_once() -> None:
    """Two who wake one sleeper at a time are no error."""
    sleeper = Sleeper()
    sleeper.wake()
    sleeper.wake()
    assert sleeper.gate.acquire(blocking=False)
    assert not sleeper.gate.acquire(blocking=False)
