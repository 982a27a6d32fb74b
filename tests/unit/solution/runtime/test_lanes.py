"""Lanes: order, exits first, slots before items, and no lost wake-up."""

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from random import Random
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.runtime.lane import Sleeper
from solution.runtime.lanes import Full, Lanes, LanesClosed, Lease
from tests.helpers.clocks import PATIENCE, ManualClock, eventually
from tests.helpers.lanes import Slots, Taker, asleep, budget, empty, must_get, must_take, take

# Order


def test_one_lane_is_first_in_first_out() -> None:
    """Signals of one asset run in stream order."""
    lanes: Lanes[str] = Lanes(10)
    for item in "abcde":
        lanes.put("NVDA", item, urgent=False)
    assert empty(lanes) == list("abcde")


def test_one_at_a_time_per_lane_and_others_in_parallel() -> None:
    """The second of a lane waits for the first one's lease, other lanes do not."""
    lanes: Lanes[str] = Lanes(10)
    lanes.put("NVDA", "n1", urgent=False)
    lanes.put("NVDA", "n2", urgent=False)
    lanes.put("AAPL", "a1", urgent=False)
    first, second = must_take(lanes), must_take(lanes)
    assert (first.key, first.item, second.item) == ("NVDA", "n1", "a1")
    assert take(lanes) is None
    first.done()
    assert must_take(lanes).item == "n2"


def test_lanes_take_turns_by_arrival() -> None:
    """A lane with many items does not run ahead of what arrived before them."""
    lanes: Lanes[str] = Lanes(10)
    for key, item in [("A", "a1"), ("A", "a2"), ("B", "b1"), ("A", "a3"), ("B", "b2")]:
        lanes.put(key, item, urgent=False)
    assert empty(lanes) == ["a1", "a2", "b1", "a3", "b2"]


def test_unordered_items_have_lanes_of_their_own() -> None:
    """Two of one asset at the same time; an item may ask for order all the same."""
    lanes: Lanes[str] = Lanes(10, ordered=False)
    lanes.put("NVDA", "n1", urgent=False)
    lanes.put("NVDA", "n2", urgent=False)
    lanes.put("NVDA", "target 1", urgent=False, ordered=True)
    lanes.put("NVDA", "target 2", urgent=False, ordered=True)
    assert lanes.depths() == {"NVDA": 4}
    leases = [must_take(lanes) for _ in range(3)]
    assert [(lease.key, lease.item) for lease in leases] == [
        ("NVDA", "n1"),
        ("NVDA", "n2"),
        ("NVDA", "target 1"),
    ]
    assert take(lanes) is None
    leases[2].done()
    assert must_take(lanes).item == "target 2"


def test_urgent_items_go_first() -> None:
    """An exit that arrives last is taken first, and with a slot of its class."""
    lanes: Lanes[str] = Lanes(10)
    slots = Slots()
    for key in "ABC":
        lanes.put(key, f"entry {key}", urgent=False)
    lanes.put("X", "exit X", urgent=True)
    assert must_take(lanes, slots).item == "exit X"
    assert must_take(lanes, slots).item == "entry A"
    assert slots.asked == [True, False]


def test_what_stands_before_an_exit_of_its_lane_inherits_its_urgency() -> None:
    """It must go first anyway, so it gets the exit's place and the exit's class of slot."""
    lanes: Lanes[str] = Lanes(10)
    slots = Slots()
    for item in ("A", "B", "C"):
        lanes.put(item, f"entry {item}", urgent=False)
    lanes.put("C", "exit C", urgent=True)
    lanes.put("C", "entry C2", urgent=False)
    taken = []
    while lease := take(lanes, slots):
        taken.append(lease.item)
        lease.done()
    assert taken == ["entry C", "exit C", "entry A", "entry B", "entry C2"]
    assert slots.asked == [True, True, False, False, False]


def test_an_exit_that_arrives_while_its_lane_is_out_goes_first_afterwards() -> None:
    """The running item is left alone; the lane comes back as urgent."""
    lanes: Lanes[str] = Lanes(10)
    lanes.put("A", "entry A", urgent=False)
    running = must_take(lanes)
    lanes.put("B", "entry B", urgent=False)
    lanes.put("A", "exit A", urgent=True)
    running.done()
    assert empty(lanes) == ["exit A", "entry B"]


def test_urgency_ends_with_the_last_urgent_item() -> None:
    """A void place of a lane in the queue is skipped, and never taken twice."""
    lanes: Lanes[str] = Lanes(1000)
    for number in range(300):
        lanes.put(f"k{number}", f"n{number}", urgent=False)
        lanes.put(f"k{number}", f"x{number}", urgent=True)
    assert len(lanes._queue.queue) <= 2 * 300 + 64
    items = empty(lanes)
    assert sorted(items) == sorted([f"{kind}{n}" for kind in "nx" for n in range(300)])
    assert lanes._queue.queue == []


def test_void_places_do_not_pile_up() -> None:
    """Exits flow for hours while entries wait: the queue stays in proportion to the lanes."""
    lanes: Lanes[str] = Lanes(1000)
    slots = Slots(others=0)
    for number in range(3):
        lanes.put(f"waiting {number}", "entry", urgent=False)
    for _ in range(500):
        lanes.put("busy", "entry", urgent=False)
        lanes.put("busy", "exit", urgent=True)
        for _ in range(2):
            must_take(lanes, slots).done()
    assert len(lanes._queue.queue) <= 2 * 3 + 64


# Room


def test_a_full_queue_refuses() -> None:
    """Capacity counts what waits, not what is out."""
    lanes: Lanes[str] = Lanes(2)
    lanes.put("A", "a1", urgent=False)
    lanes.put("A", "a2", urgent=False)
    with pytest.raises(Full):
        lanes.put("B", "b1", urgent=True)
    must_take(lanes)
    assert (lanes.room(), lanes.waiting, lanes.depths()) == (1, 1, {"A": 1})
    lanes.put("B", "b1", urgent=False)


def test_lanes_without_room_are_not_built() -> None:
    """A capacity of nothing would wait for ever."""
    with pytest.raises(ValueError, match="room"):
        Lanes(0)


def test_wait_room_wakes_when_an_item_is_taken() -> None:
    """The listener sleeps while the queue is full, and reads as soon as it is not."""
    lanes: Lanes[str] = Lanes(1)
    assert lanes.wait_room(0) == 1
    lanes.put("A", "a1", urgent=False)
    assert lanes.wait_room(0) == 0
    rooms: list[int] = []
    listener = threading.Thread(target=lambda: rooms.append(lanes.wait_room(PATIENCE)))
    listener.start()
    assert eventually(lambda: bool(lanes._space._waiters))  # type: ignore[attr-defined]
    must_take(lanes)
    listener.join(PATIENCE)
    assert rooms == [1]


# Closing


def test_close_wakes_everybody() -> None:
    """The leader, the idle and the listener return at once; nothing is taken any more."""
    lanes: Lanes[str] = Lanes(1)
    slots = Slots(others=0)
    lanes.put("A", "a1", urgent=False)
    takers = [Taker(lanes, slots) for _ in range(3)]
    rooms: list[int] = []
    listener = threading.Thread(target=lambda: rooms.append(lanes.wait_room(PATIENCE)))
    listener.start()
    assert asleep(lanes, 3)
    assert eventually(lambda: bool(lanes._space._waiters))  # type: ignore[attr-defined]
    lanes.close()
    assert [taker.item() for taker in takers] == [None, None, None]
    listener.join(PATIENCE)
    assert rooms == [0]
    assert lanes.closed
    assert take(lanes) is None
    with pytest.raises(LanesClosed):
        lanes.put("B", "b1", urgent=False)


def test_drain_hands_out_what_was_never_taken() -> None:
    """In order of arrival; what was out and comes back later is drained later."""
    lanes: Lanes[str] = Lanes(9)
    for key, item in [("A", "a1"), ("B", "b1"), ("A", "a2"), ("C", "c1")]:
        lanes.put(key, item, urgent=item == "c1")
    first, second = must_take(lanes), must_take(lanes)
    assert (first.item, second.item) == ("c1", "a1")
    lanes.close()
    assert lanes.drain() == ["b1", "a2"]
    second.requeue("a1")
    first.done()
    assert lanes.drain() == ["a1"]
    assert (lanes.drain(), lanes.waiting, lanes.depths()) == ([], 0, {})


# Waiting for items and slots


def test_take_waits_for_an_item() -> None:
    """An idle worker is woken by put()."""
    lanes: Lanes[str] = Lanes(9)
    taker = Taker(lanes, Slots())
    assert asleep(lanes, 1)
    lanes.put("A", "a1", urgent=False)
    assert taker.item() == "a1"


def test_each_put_wakes_one_and_only_one() -> None:
    """Three idle workers, one item: two sleep on. The next item wakes the next."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots()
    looks: list[int] = []
    best = lanes._best

    def counted() -> object:
        looks.append(1)
        return best()

    lanes._best = counted  # type: ignore[method-assign,assignment]
    takers = [Taker(lanes, slots) for _ in range(3)]
    assert asleep(lanes, 3)
    for number in (1, 2, 3):
        lanes.put("A", f"a{number}", urgent=False)
        assert eventually(lambda: any(taker.got for taker in takers))
        assert asleep(lanes, 3 - number)
        assert len(looks) == 3 + number
        served = next(taker for taker in takers if taker.got)
        takers.remove(served)
        must_get(served).done()


def test_take_gives_up_after_its_timeout() -> None:
    """Neither an item nor a slot came; nothing of the taker stays behind."""
    lanes: Lanes[str] = Lanes(9)
    assert lanes.take(Slots().acquire, Slots().next_free, 0.01) is None
    lanes.put("A", "a1", urgent=False)
    poor = Slots(others=0)
    assert lanes.take(poor.acquire, poor.next_free, 0.01) is None
    assert asleep(lanes, 0)
    assert lanes.waiting == 1


def test_no_item_is_taken_without_a_slot() -> None:
    """What waits for budget stays in its lane, so that an exit can still pass it."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots(urgent=1, others=0)
    for number in range(9):
        lanes.put(f"k{number}", "entry", urgent=False)
    taker = Taker(lanes, slots)
    assert asleep(lanes, 1)
    assert lanes.waiting == 9
    must_take(lanes).done()
    lanes.put("X", "exit", urgent=True)
    assert taker.item() == "exit"


def test_an_exit_wakes_the_leader_that_waits_for_the_budget_of_entries() -> None:
    """Also when many wait: one of them takes the exit, the others go on sleeping."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots(urgent=1, others=0)
    lanes.put("A", "entry", urgent=False)
    takers = [Taker(lanes, slots) for _ in range(4)]
    assert asleep(lanes, 4)
    lanes.put("X", "exit", urgent=True)
    assert eventually(lambda: any(taker.got for taker in takers))
    assert asleep(lanes, 3)
    assert lanes._leader is not None
    lanes.close()
    assert sorted(str(taker.item()) for taker in takers) == ["None", "None", "None", "exit"]


def test_more_entries_wake_nobody_while_the_leader_waits() -> None:
    """300 entries behind an empty budget cost no wake-ups."""
    lanes: Lanes[str] = Lanes(400)
    slots = Slots(others=0)
    lanes.put("A", "entry", urgent=False)
    takers = [Taker(lanes, slots) for _ in range(4)]
    assert asleep(lanes, 4)
    asked = len(slots.asked)
    for number in range(300):
        lanes.put(f"k{number}", "entry", urgent=False)
    assert len(slots.asked) == asked
    lanes.close()
    assert [taker.item() for taker in takers] == [None] * 4


def test_wake_makes_one_taker_look_again() -> None:
    """Capacity came earlier than next_free promised."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots(others=0)
    lanes.put("A", "a1", urgent=False)
    takers = [Taker(lanes, slots) for _ in range(3)]
    assert asleep(lanes, 3)
    slots.free[False] = 1
    lanes.wake()
    assert eventually(lambda: any(taker.got for taker in takers))
    assert asleep(lanes, 2)
    lanes.wake()
    lanes.close()
    assert sorted(str(taker.item()) for taker in takers) == ["None", "None", "a1"]


def test_many_slots_at_once_reach_all_who_wait() -> None:
    """One wake-up is passed on from taker to taker."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots(others=0)
    for key in "ABCDE":
        lanes.put(key, key, urgent=False)
    takers = [Taker(lanes, slots) for _ in range(5)]
    assert asleep(lanes, 5)
    slots.free[False] = 5
    lanes.wake()
    assert sorted(str(taker.item()) for taker in takers) == list("ABCDE")


def test_the_leader_wakes_when_next_free_says_so() -> None:
    """Without any call from outside."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots(others=0)
    slots.wait = 0.02
    lanes.put("A", "a1", urgent=False)
    taker = Taker(lanes, slots)
    assert eventually(lambda: len(slots.asked) >= 3)
    slots.free[False] = 1
    assert taker.item() == "a1"


def test_a_leader_that_gives_up_passes_its_part_on() -> None:
    """The one that sleeps untimed becomes the leader, else nobody would watch the budget."""
    lanes: Lanes[str] = Lanes(9)
    slots = Slots(others=0)
    slots.wait = 0.05
    lanes.put("A", "a1", urgent=False)
    leader = Taker(lanes, slots, timeout=0.05)
    assert eventually(lambda: lanes._leader is not None)
    follower = Taker(lanes, slots)
    assert leader.item() is None
    assert eventually(lambda: lanes._leader is not None)
    slots.free[False] = 1
    assert follower.item() == "a1"


def test_a_failing_acquire_leaves_everything_in_order() -> None:
    """The error reaches that taker; the item is still there, and another taker gets it."""
    lanes: Lanes[str] = Lanes(9)
    lanes.put("A", "a1", urgent=False)

    def broken(urgent: bool) -> Slot | None:
        raise OSError("no budget today")

    with pytest.raises(OSError, match="no budget"):
        lanes.take(broken, Slots().next_free, PATIENCE)
    assert must_take(lanes).item == "a1"


def test_an_exit_behind_300_waiting_entries_is_the_next_order_out() -> None:
    """With the real limiter: the reserve is there for it, entries cannot reach it."""
    clock = ManualClock()
    lanes: Lanes[str] = Lanes(400)
    limiter = RateLimiter(200, clock=clock, on_change=lanes.wake)

    acquire, _ = budget(limiter)
    for number in range(340):
        lanes.put(f"k{number}", f"entry {number}", urgent=False)
    taken: list[str] = []

    def take_all() -> None:
        while got := lanes.take(acquire, Slots().next_free, 0):
            taken.append(got[0].item)
            got[1].done()
            got[0].done()

    take_all()
    assert taken == [f"entry {number}" for number in range(190)]
    lanes.put("k339", "exit", urgent=True)
    take_all()
    assert taken[190:] == ["entry 339", "exit"]
    clock.advance(60)
    take_all()
    assert taken[192:] == [f"entry {number}" for number in range(190, 339)]


def test_a_slot_given_back_wakes_a_worker_through_the_limiter() -> None:
    """lanes → limiter is the lock order; the subscriber runs outside the limiter's lock."""
    lanes: Lanes[str] = Lanes(9)
    limiter = RateLimiter(1, on_change=lanes.wake)
    held = limiter.try_acquire(Priority.ENTRY)
    assert held is not None
    lanes.put("A", "a1", urgent=False)
    got: list[str] = []

    def work() -> None:
        result = lanes.take(*budget(limiter), PATIENCE)
        got.extend([result[0].item] if result else [])

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    assert asleep(lanes, 1)
    held.cancel()
    worker.join(PATIENCE)
    assert got == ["a1"]


# All at once


class Model:
    """Lanes beside a plain list of what must be in them; one random action at a time."""

    def __init__(self, seed: int, *, short: bool) -> None:
        self.random = Random(seed)
        self.short = short
        self.lanes: Lanes[str] = Lanes(30)
        self.slots = Slots(others=3 if short else float("inf"))
        self.items: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        self.out: dict[str, Lease[str]] = {}

    def act(self, number: int) -> None:
        self.random.choice([self.put, self.put, self.take, self.release])(number)

    def put(self, number: int) -> None:
        key, urgent = self.random.choice("ABCDE"), self.random.random() < 0.2
        if self.lanes.room():
            self.lanes.put(key, str(number), urgent=urgent)
            self.items[key].append((number, urgent))

    def take(self, number: int) -> None:
        best = min(
            (not any(urgent for _, urgent in items), items[0][0], key)
            for key, items in [*self.items.items(), ("nobody", [(number + 1, False)])]
            if items and key not in self.out
        )
        not_urgent, expected, key = best
        lease = take(self.lanes, self.slots)
        if lease is None:
            assert key == "nobody" or (self.short and not_urgent)
        else:
            assert (lease.key, lease.item) == (key, str(expected))
            self.out[key] = lease

    def release(self, number: int) -> None:
        key = self.random.choice([*sorted(self.out), "nobody"])
        lease = self.out.pop(key, None)
        if lease is not None and self.random.random() < 0.3:
            lease.requeue(lease.item)
        elif lease is not None:
            lease.done()
            del self.items[key][0]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_any_sequence_keeps_order_and_loses_nothing(seed: int, short: bool) -> None:
    """Puts, takes, releases and requeues at random do what the model says."""
    model = Model(seed, short=short)
    for number in range(300):
        model.act(number)
    assert model.lanes.waiting == sum(map(len, model.items.values())) - len(model.out)


class Stress:
    """Producers and workers with a scarce budget; what they saw."""

    keys, each = 4, 2500

    def __init__(self) -> None:
        self.lanes: Lanes[tuple[str, int]] = Lanes(500)
        self.limiter = RateLimiter(40, window=0.01, on_change=self.lanes.wake)
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.inside: dict[str, int] = defaultdict(int)
        self.overlaps: list[str] = []
        self.finished = threading.Semaphore(0)

    def produce(self, producer: int) -> None:
        random = Random(producer)
        for number in range(self.each):
            key = f"{producer}.{random.randrange(self.keys)}"
            self.put(key, number, urgent=random.random() < 0.05)

    def put(self, key: str, number: int, *, urgent: bool) -> None:
        while self.lanes.wait_room(PATIENCE):
            # Another producer may have been faster.
            with suppress(Full):
                return self.lanes.put(key, (key, number), urgent=urgent)
        raise AssertionError("no room")

    def work(self, worker: int) -> None:
        random = Random(worker)
        while not self.lanes.closed:
            got = self.lanes.take(*budget(self.limiter), random.choice([0.0, 0.001, 0.5]))
            if got is not None:
                self.handle(*got, random)

    def handle(self, lease: Lease[tuple[str, int]], slot: Slot, random: Random) -> None:
        key, number = lease.item
        self.inside[key] += 1
        self.overlaps.extend([key] * (self.inside[key] - 1))
        self.inside[key] -= 1
        # Most give the slot back unused, which frees it at once, for the test's sake.
        (slot.done if random.random() < 0.03 else slot.cancel)()
        if random.random() < 0.02:
            lease.requeue(lease.item)
        else:
            self.seen[key].append(number)
            lease.done()
            self.finished.release()

    def run(self, producers: int, workers: int) -> int:
        """Returns how many were finished before everything stood still for 10 s."""
        threads = [Thread(target=self.work, args=(n,), daemon=True) for n in range(workers)]
        threads += [Thread(target=self.produce, args=(n,), daemon=True) for n in range(producers)]
        for thread in threads:
            thread.start()
        finished = 0
        while finished < producers * self.each and self.finished.acquire(timeout=10):
            finished += 1
        self.lanes.close()
        for thread in threads:
            thread.join(PATIENCE)
        return finished


def test_stress_8_producers_8_workers() -> None:
    """20,000 items: order kept per key, one at a time per key, nothing lost or doubled."""
    stress = Stress()
    assert stress.run(8, 8) == 20_000
    assert stress.overlaps == []
    assert all(numbers == sorted(numbers) for numbers in stress.seen.values())
    assert sum(map(len, stress.seen.values())) == 20_000
    assert (stress.lanes.waiting, stress.lanes.drain(), stress.lanes._lanes) == (0, [], {})


@pytest.mark.parametrize("release", [Lease.done, lambda lease: lease.requeue(lease.item)])
def test_a_release_wakes_an_idle_worker(release: Callable[[Lease[str]], None]) -> None:
    """The lane is runnable again and somebody must come for it."""
    lanes: Lanes[str] = Lanes(9)
    lanes.put("A", "a1", urgent=False)
    lease = must_take(lanes)
    lanes.put("A", "a2", urgent=False)
    taker = Taker(lanes, Slots())
    assert asleep(lanes, 1)
    release(lease)
    assert taker.item() in {"a1", "a2"}


# Pressing


def test_lanes_press_while_something_is_runnable() -> None:
    """What is out, or stands behind it in its lane, cannot be taken by anybody."""
    lanes: Lanes[str] = Lanes(10)
    assert not lanes.pressing()
    lanes.put("a", "first", urgent=False)
    lanes.put("a", "second", urgent=False)
    assert lanes.pressing()
    lease = must_take(lanes)
    assert not lanes.pressing()
    lease.done()
    assert lanes.pressing()


def test_what_lacks_a_slot_does_not_press() -> None:
    """It may wait for a minute, and others must not give way to it for as long."""
    lanes: Lanes[str] = Lanes(10)
    lanes.put("a", "first", urgent=False)
    taker = Taker(lanes, Slots(others=0))
    assert asleep(lanes, 1)
    assert not lanes.pressing()
    lanes.close()
    assert taker.item() is None


def test_lanes_are_staffed_while_a_taker_is_free() -> None:
    """One that was woken for an item counts until it has looked."""
    lanes: Lanes[str] = Lanes(10)
    lanes.put("a", "first", urgent=False)
    assert not lanes.staffed()
    lanes._idle[Sleeper()] = None  # asleep, and slow to get up
    lanes.put("b", "second", urgent=False)
    assert lanes.staffed()
    assert [lease.item for lease in (must_take(lanes), must_take(lanes))] == ["first", "second"]
    assert not lanes.staffed()
