"""The request budget, against simulated brokers that count in different ways."""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.rate_limiter import Priority, RateLimiter, Slot
from tests.helpers.clocks import ManualClock
from tests.helpers.rate_budget import ENTRY, POLL, headers


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Broker:
    """Counts as it is told to and answers with headers. Refused requests do not count.

    Args:
        reset: what the header says: ``fixed``, the end of the minute; ``oldest``, when the oldest
            request leaves; ``far``, always a window from now.
    """

    def __init__(self, clock: ManualClock, limit: int, *, sliding: bool, reset: str) -> None:
        self.clock, self.limit, self.sliding, self.reset = clock, limit, sliding, reset
        self.counted: deque[float] = deque()
        self.ours: list[float] = []
        self.refused = 0

    def _forget(self, now: float) -> None:
        gone = now - 60 if self.sliding else now - now % 60 - 1e-9
        while self.counted and self.counted[0] <= gone:
            self.counted.popleft()

    def request(self, *, ours: bool = True) -> tuple[int, dict[str, str]]:
        now = self.clock.monotonic()
        self._forget(now)
        accepted = len(self.counted) < self.limit
        if accepted:
            self.counted.append(now)
        if ours and accepted:
            self.ours.append(now)
        self.refused += ours and not accepted
        ends = {
            "fixed": 60 - now % 60,
            "oldest": self.counted[0] + 60 - now,
            "far": 60.0,
        }[self.reset]
        epoch = self.clock.epoch_ms() / 1000
        return (200 if accepted else 429), headers(
            self.limit, self.limit - len(self.counted), epoch + ends + 0.999
        )


class World:
    """Events in order of time, on a clock set by hand."""

    def __init__(self, limiter_limit: int, broker: Broker, clock: ManualClock) -> None:
        self.clock, self.broker = clock, broker
        self.limiter = RateLimiter(limiter_limit, clock=clock, on_change=self._changed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.changed = False

    def _changed(self) -> None:
        self.changed = True

    def at(self, delay: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.clock.monotonic() + delay, next(self._order), event))

    def run(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self._events and self._events[0][0] <= end:
            when, _, event = heapq.heappop(self._events)
            self.clock.advance_to(when)
            event()
        self.clock.advance_to(end)

    def send(self, slot: Slot, there: float, back: float, *, lost: bool = False) -> None:
        """One request: `there` seconds to the broker, `back` for the answer, which may get lost."""

        def arrive() -> None:
            status, fields = self.broker.request()
            self.at(back, lambda: answered(status, fields))

        def answered(status: int, fields: dict[str, str]) -> None:
            if not lost:
                self.limiter.observe(fields, status, slot)
            slot.done()

        self.at(there, arrive)


def most_in_a_window(times: list[float], window: float = 60.0) -> int:
    """The most of these that any half-open window holds."""
    inside: deque[float] = deque()
    most = 0
    for moment in sorted(times):
        inside.append(moment)
        while inside[0] <= moment - window:
            inside.popleft()
        most = max(most, len(inside))
    return most


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.integers(1, 60),
    sliding=st.booleans(),
    slow=st.sampled_from([0.01, 1.0, 20.0, 90.0]),
)
def test_never_more_than_the_limit_in_any_window(
    seed: int, limit: int, sliding: bool, slow: float
) -> None:
    """Whatever the latencies, losses and arrivals, and however the broker counts."""
    random, clock = Random(seed), ManualClock()
    broker = Broker(clock, limit, sliding=sliding, reset="oldest" if sliding else "fixed")
    world = World(limit, broker, clock)

    def arrival() -> None:
        slot = world.limiter.try_acquire(random.choice(list(Priority)))
        if slot is not None and random.random() < 0.1:
            slot.cancel()
        elif slot is not None:
            there, back = random.random() * slow, random.random() * slow
            world.send(slot, there, back, lost=random.random() < 0.1)

    for _ in range(limit * 12):
        world.at(random.random() * 240, arrival)
    world.run(500)
    assert broker.refused == 0
    assert 0 < most_in_a_window(broker.ours) <= limit
    assert world.limiter.view().used == 0
    assert not world.limiter.view().shared


class Entries:
    """Workers that always have an entry waiting, as the lanes' leader does."""

    def __init__(self, world: World, latency: float = 0.04) -> None:
        self.world, self.latency, self.sent = world, latency, 0
        world.limiter.subscribe(self.go)

    def go(self) -> None:
        while slot := self.world.limiter.try_acquire(ENTRY):
            self.world.send(slot, self.latency / 2, self.latency / 2)
            self.sent += 1

    def always(self) -> None:
        self.go()
        self.world.at(max(0.001, self.world.limiter.next_free(ENTRY)), self.always)


@pytest.mark.parametrize(("sliding", "reset"), [(True, "oldest"), (True, "far"), (False, "fixed")])
def test_waiting_entries_use_93_percent_of_every_window(
    clock: ManualClock, sliding: bool, reset: str
) -> None:
    """200 a minute, 40 ms round trip, two polls a minute: at least 186 orders in each minute."""
    world = World(200, Broker(clock, 200, sliding=sliding, reset=reset), clock)
    entries = Entries(world)
    entries.always()

    def poll() -> None:
        slot = world.limiter.try_acquire(POLL)
        if slot is not None:
            world.send(slot, 0.02, 0.02)
        world.at(30, poll)

    poll()
    world.run(600)
    orders = sorted(world.broker.ours)
    start = orders[0]
    for minute in range(1, 9):
        begun = start + minute * 60
        assert sum(begun <= at < begun + 60 for at in orders) >= 186
    assert world.broker.refused == 0
    assert most_in_a_window(orders) <= 190


@pytest.mark.parametrize("foreign", [1, 30, 100, 180, 400])
@pytest.mark.parametrize(("sliding", "reset"), [(True, "oldest"), (True, "far"), (False, "fixed")])
def test_another_client_slows_us_down_without_a_storm_or_a_standstill(
    clock: ManualClock, foreign: int, sliding: bool, reset: str
) -> None:
    """It spends at random; we take most of what it leaves, refusals stay few."""
    random = Random(foreign)
    world = World(200, Broker(clock, 200, sliding=sliding, reset=reset), clock)

    def other() -> None:
        world.broker.request(ours=False)
        world.at(random.expovariate(foreign / 60), other)

    other()
    entries = Entries(world)
    entries.always()
    world.run(1200)
    leaves = max(0, 190 - foreign)
    assert len(world.broker.ours) >= 20 * leaves * 0.6
    assert world.broker.refused <= 20 * 8
    # Nothing of this lasts: the other one goes away, and we have everything again.
    world._events = [event for event in world._events if event[2] is not other]
    world.run(130)
    before = len(world.broker.ours)
    world.run(120)
    assert len(world.broker.ours) - before >= 2 * 186
