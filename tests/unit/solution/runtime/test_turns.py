"""Turns at the lanes: one takes all that is runnable, and nobody waits for one that is stuck."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.runtime.lane import Entry
from solution.runtime.lanes import Lanes
from tests.helpers.clocks import PATIENCE, ManualClock, eventually
from tests.helpers.lanes import Slots, Taker, asleep, must_take, take

LONG = 10 * PATIENCE
"""A turn that nobody sees the end of."""


@pytest.fixture
def clock() -> ManualClock:
    """It stands still."""
    return ManualClock()


@pytest.fixture
def lanes(clock: ManualClock) -> Lanes[str]:
    """Three runnable lanes; a turn lasts long."""
    made: Lanes[str] = Lanes(20, turn=LONG, clock=clock)
    for key in "ABC":
        made.put(key, key.lower(), urgent=False)
    return made


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Another thread, always the same."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def deputised(lanes: Lanes[str]) -> bool:
    return eventually(lambda: lanes._deputy is not None)


def test_without_turns_everybody_takes(elsewhere: ThreadPoolExecutor) -> None:
    """As many at a time as there are lanes."""
    lanes: Lanes[str] = Lanes(20)
    lanes.put("A", "a", urgent=False)
    lanes.put("B", "b", urgent=False)
    must_take(lanes)
    assert not lanes.turn_taken
    assert not lanes.over()
    assert elsewhere.submit(must_take, lanes).result(PATIENCE).item == "b"


def test_one_takes_all_until_its_turn_is_over(
    lanes: Lanes[str], elsewhere: ThreadPoolExecutor
) -> None:
    """It comes back without waiting; another one gets nothing meanwhile."""
    assert must_take(lanes).item == "a"
    assert lanes.turn_taken
    assert elsewhere.submit(take, lanes).result(PATIENCE) is None
    assert must_take(lanes).item == "b"
    assert lanes.over()
    assert not lanes.turn_taken
    assert elsewhere.submit(must_take, lanes).result(PATIENCE).item == "c"


def test_who_has_no_turn_ends_nobody_elses(
    lanes: Lanes[str], elsewhere: ThreadPoolExecutor
) -> None:
    """Nor does one end twice."""
    assert not lanes.over()
    must_take(lanes)
    assert not elsewhere.submit(lanes.over).result(PATIENCE)
    assert lanes.turn_taken
    assert lanes.over()
    assert not lanes.over()


def test_the_deputy_takes_when_the_turn_is_over(lanes: Lanes[str]) -> None:
    """It alone waits for that; when it has taken, another one is the deputy."""
    must_take(lanes)
    first = Taker(lanes, Slots(), LONG)
    assert deputised(lanes)
    second = Taker(lanes, Slots(), LONG)
    assert asleep(lanes, 2)
    assert len(lanes._idle) == 1
    assert lanes.over()
    assert first.item() == "b"
    assert asleep(lanes, 1)
    assert deputised(lanes)
    lanes.close()
    assert second.item() is None


def test_while_a_deputy_waits_nobody_else_is_called(lanes: Lanes[str]) -> None:
    """It would only find that there is one."""
    must_take(lanes)
    takers = [Taker(lanes, Slots(), LONG) for _ in range(2)]
    assert asleep(lanes, 2)
    assert deputised(lanes)
    with lanes._mutex:
        lanes._signal()
        assert (len(lanes._idle), lanes._on_their_way) == (1, 0)
    lanes.close()
    assert [taker.item() for taker in takers] == [None, None]


def test_when_a_turn_ends_an_idle_taker_is_called(lanes: Lanes[str]) -> None:
    """There is no deputy, and nobody was called when it became runnable."""
    leases = [must_take(lanes) for _ in range(3)]
    taker = Taker(lanes, Slots(), LONG)
    assert asleep(lanes, 1)
    with lanes._mutex:
        leases[0].lane.entries.append(Entry(1, "again", urgent=False))
        lanes._stand(leases[0].lane)
    assert lanes._deputy is None
    assert lanes.over()
    assert taker.item() == "again"


def test_the_best_goes_first_in_a_turn(lanes: Lanes[str]) -> None:
    """An exit that comes meanwhile is the next one out, by the same thread."""
    assert must_take(lanes).item == "a"
    lanes.put("C", "exit", urgent=True)
    slots = Slots()
    assert must_take(lanes, slots).item == "c"
    assert must_take(lanes, slots).item == "b"
    assert slots.asked == [True, False]


def test_an_overdue_turn_is_taken_over(
    lanes: Lanes[str], clock: ManualClock, elsewhere: ThreadPoolExecutor
) -> None:
    """Its holder is stuck: it gets nothing more, and ends nobody's turn when it returns."""
    must_take(lanes)
    clock.advance(LONG)
    assert not lanes.turn_taken
    assert elsewhere.submit(must_take, lanes).result(PATIENCE).item == "b"
    assert take(lanes) is None
    assert not lanes.over()
    assert lanes.turn_taken
    assert elsewhere.submit(must_take, lanes).result(PATIENCE).item == "c"


def test_a_deputy_does_not_wait_longer_than_the_turn() -> None:
    """Nobody calls over(): the thread is dead, or asks the broker for something."""
    lanes: Lanes[str] = Lanes(20, turn=0.01)
    lanes.put("A", "a", urgent=False)
    lanes.put("B", "b", urgent=False)
    dead = Taker(lanes, Slots(), LONG)
    assert dead.item() == "a"
    assert Taker(lanes, Slots(), LONG).item() == "b"


def test_a_turn_lasts_from_what_was_taken_last(
    lanes: Lanes[str], clock: ManualClock, elsewhere: ThreadPoolExecutor
) -> None:
    """Whoever comes back for more is not stuck."""
    must_take(lanes)
    clock.advance(LONG * 0.7)
    must_take(lanes)
    clock.advance(LONG * 0.7)
    assert elsewhere.submit(take, lanes).result(PATIENCE) is None


def test_an_overdue_turn_that_nobody_wanted_goes_on(lanes: Lanes[str], clock: ManualClock) -> None:
    """Nobody else came."""
    must_take(lanes)
    clock.advance(2 * LONG)
    assert must_take(lanes).item == "b"
    assert lanes.over()


def test_a_deputy_whose_time_is_over_passes_its_part_on() -> None:
    """The idle one becomes the deputy, else nobody would see the turn end."""
    lanes: Lanes[str] = Lanes(20, turn=LONG)
    lanes.put("A", "a", urgent=False)
    lanes.put("B", "b", urgent=False)
    must_take(lanes)
    gives_up = Taker(lanes, Slots(), timeout=0.05)
    stays = Taker(lanes, Slots(), LONG)
    assert gives_up.item() is None
    assert deputised(lanes)
    lanes.over()
    assert stays.item() == "b"


def test_who_leads_waits_for_budget_and_no_turn_is_begun(lanes: Lanes[str]) -> None:
    """A taker without a slot has no turn; what is urgent wakes it as ever."""
    slots = Slots(others=0)
    taker = Taker(lanes, slots)
    assert asleep(lanes, 1)
    assert (lanes._leader is not None, lanes.turn_taken) == (True, False)
    lanes.put("X", "exit", urgent=True)
    assert taker.item() == "exit"
    assert lanes.turn_taken


def test_a_holder_without_a_slot_keeps_its_turn_until_it_gives_it_back(
    lanes: Lanes[str],
) -> None:
    """Then the deputy is the one who waits for budget."""
    must_take(lanes)
    slots = Slots(others=0)
    taker = Taker(lanes, slots)
    assert deputised(lanes)
    assert take(lanes, slots) is None
    assert lanes.over()
    assert eventually(lambda: lanes._leader is not None)
    slots.free[False] = 1
    lanes.wake()
    assert taker.item() == "b"


def test_a_leader_that_meets_a_turn_gets_nothing(lanes: Lanes[str]) -> None:
    """Budget comes while another one has the turn: it stands by, and takes afterwards."""
    poor = Slots(others=0)
    leader = Taker(lanes, poor)
    assert eventually(lambda: lanes._leader is not None)
    must_take(lanes)
    poor.free[False] = 9
    lanes.wake()
    assert deputised(lanes)
    assert leader.got is None
    assert lanes.over()
    assert leader.item() == "b"


def test_a_taker_is_free_who_waits_for_a_turn(lanes: Lanes[str]) -> None:
    """The deputy can decide what presses."""
    must_take(lanes)
    assert not lanes.staffed()
    taker = Taker(lanes, Slots(), LONG)
    assert deputised(lanes)
    assert lanes.staffed()
    lanes.close()
    assert taker.item() is None


def test_close_wakes_the_deputy(lanes: Lanes[str]) -> None:
    """And the holder gets nothing more."""
    must_take(lanes)
    takers = [Taker(lanes, Slots(), LONG) for _ in range(3)]
    assert asleep(lanes, 3)
    assert deputised(lanes)
    lanes.close()
    assert [taker.item() for taker in takers] == [None] * 3
    assert take(lanes) is None
    assert lanes.over()


def test_one_is_called_at_a_time(lanes: Lanes[str]) -> None:
    """Of several that sleep, for several that are runnable: the others would find a turn."""
    leases = [must_take(lanes) for _ in range(3)]
    assert lanes.over()
    takers = [Taker(lanes, Slots(), LONG) for _ in range(3)]
    assert asleep(lanes, 3)
    with lanes._mutex:  # whoever is called cannot look before all are runnable
        for lease in leases:
            lease.lane.entries.append(Entry(1, "again", urgent=False))
            lanes._stand(lease.lane)
            lanes._signal()
        assert (len(lanes._idle), lanes._on_their_way) == (2, 1)
    assert eventually(lambda: any(taker.got for taker in takers))
    assert deputised(lanes)
    lanes.close()
    assert sum(taker.item() is not None for taker in takers) == 1


class Crowd:
    """Threads that take all there is; some stall in their turn, some die in it."""

    def __init__(self, seed: int, threads: int, items: int, turn: float) -> None:
        self.seed, self.items = seed, items
        self.lanes: Lanes[int] = Lanes(items, turn=turn)
        self.slots = Slots()
        self.taken: list[int] = []
        self.inside: Counter[str] = Counter()
        self.overlaps = 0
        self._nobody = threading.Event()
        self._threads = [
            threading.Thread(target=self.work, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def work(self, number: int) -> None:
        random = Random(self.seed + number)
        while not self.lanes.closed:
            got = self.lanes.take(
                self.slots.acquire, self.slots.next_free, random.choice([0.0, 0.002, PATIENCE])
            )
            while got is not None:
                lease, _ = got
                self.overlaps += self.inside[lease.key]
                self.inside[lease.key] += 1
                if random.random() < 0.05:
                    self._nobody.wait(0.003)
                self.inside[lease.key] -= 1
                self.taken.append(lease.item)
                lease.done()
                if number and random.random() < 0.02:
                    return  # in its turn; the first lives
                got = self.lanes.take(self.slots.acquire, self.slots.next_free, 0.0)
            self.lanes.over()

    def run(self) -> None:
        random = Random(self.seed)
        for thread in self._threads:
            thread.start()
        for item in range(self.items):
            self.lanes.put(f"k{random.randrange(9)}", item, urgent=random.random() < 0.1)
            if random.random() < 0.05:
                self._nobody.wait(0.001)
        assert eventually(lambda: len(self.taken) >= self.items)
        self.lanes.close()
        for thread in self._threads:
            thread.join(PATIENCE)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    threads=st.integers(1, 8),
    turn=st.sampled_from((0.0, 0.0005, 0.002, 0.05)),
)
def test_each_item_is_taken_once_whoever_stalls_or_dies(
    seed: int, threads: int, turn: float
) -> None:
    """And one at a time of a lane."""
    crowd = Crowd(seed, threads, 150, turn)
    crowd.run()
    assert sorted(crowd.taken) == list(range(150))
    assert crowd.overlaps == 0
    assert (crowd.lanes.waiting, crowd.lanes.drain()) == (0, [])
