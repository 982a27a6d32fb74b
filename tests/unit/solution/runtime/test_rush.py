"""What a rush promises: one decides at a time, others give way, and nobody waits for long."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from solution.runtime.rush import MOMENT, Rush
from tests.helpers.clocks import ManualClock

DEADLINE = 10.0


def no() -> bool:
    """Nothing waits, or nobody is free."""
    return False


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def rush(monkeypatch: pytest.MonkeyPatch) -> Rush:
    """One whose turns and moments are long: what returns early did so for a reason."""
    monkeypatch.setattr("solution.runtime.rush.TURN", DEADLINE)
    monkeypatch.setattr("solution.runtime.rush.MOMENT", DEADLINE)
    return Rush(no, no)


class Decider:
    """A thread that has a turn until it is told to end it."""

    def __init__(self, rush: Rush, pool: ThreadPoolExecutor) -> None:
        self.began, self._end = threading.Event(), threading.Event()
        self._done = pool.submit(self._run, rush)

    def _run(self, rush: Rush) -> None:
        rush.begin()
        self.began.set()
        self._end.wait(DEADLINE)
        rush.over()

    def end(self) -> None:
        self._end.set()
        self._done.result(DEADLINE)


def test_the_second_decides_when_the_first_is_over(rush: Rush, pool: ThreadPoolExecutor) -> None:
    """A turn is one thread's alone until it gives it back."""
    first = Decider(rush, pool)
    assert first.began.wait(DEADLINE)
    second = Decider(rush, pool)
    assert not second.began.wait(0.05)
    first.end()
    assert second.began.wait(DEADLINE)
    second.end()


def test_a_holder_that_does_not_return_is_passed_by(pool: ThreadPoolExecutor) -> None:
    """It waits for something slow; after one turn's patience nobody waits for it any more."""
    rush = Rush(no, no)
    stuck = Decider(rush, pool)
    assert stuck.began.wait(DEADLINE)
    for _ in range(3):
        passing = Decider(rush, pool)
        assert passing.began.wait(DEADLINE)
        passing.end()
    stuck.end()
    after = Decider(rush, pool)
    assert after.began.wait(DEADLINE)
    after.end()


def test_over_may_be_called_by_anybody_at_any_time(rush: Rush, pool: ThreadPoolExecutor) -> None:
    """A thread without a turn ends nobody else's."""
    first = Decider(rush, pool)
    assert first.began.wait(DEADLINE)
    rush.over()
    rush.over()
    second = Decider(rush, pool)
    assert not second.began.wait(0.05)
    first.end()
    second.end()


def test_nobody_gives_way_to_nobody(rush: Rush) -> None:
    """Without an order about to leave it returns at once."""
    rush.giving_way()()


def waits(give_way: Callable[[], None], pool: ThreadPoolExecutor) -> threading.Event:
    """An event that is set once ``give_way`` has returned in another thread."""
    returned = threading.Event()

    def run() -> None:
        give_way()
        returned.set()

    pool.submit(run)
    return returned


def test_what_can_wait_goes_on_when_the_order_is_on_its_way(
    rush: Rush, pool: ThreadPoolExecutor
) -> None:
    """It waits while somebody decides, and no longer."""
    decider = Decider(rush, pool)
    assert decider.began.wait(DEADLINE)
    returned = waits(rush.giving_way(), pool)
    assert not returned.wait(0.05)
    decider.end()
    assert returned.wait(DEADLINE)


@pytest.mark.usefixtures("rush")  # for its long moments
def test_between_two_orders_of_a_block_nobody_else_goes_on(pool: ThreadPoolExecutor) -> None:
    """Signals in lanes count: the next one is decided in a moment."""
    waiting = [True]
    rush = Rush(lambda: waiting[0], no)
    returned = waits(rush.giving_way(), pool)
    first = Decider(rush, pool)
    assert first.began.wait(DEADLINE)
    first.end()
    assert not returned.wait(0.05)
    last = Decider(rush, pool)
    assert last.began.wait(DEADLINE)
    waiting[0] = False
    last.end()
    assert returned.wait(DEADLINE)


def test_after_a_moment_of_giving_way_it_has_one_for_itself(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a rush without an end, half of the time is for what can wait."""
    clock = ManualClock()
    rush = Rush(lambda: True, no, clock)
    give_way = rush.giving_way()
    give_way()
    monkeypatch.setattr("solution.runtime.rush.MOMENT", DEADLINE)
    clock.advance(MOMENT / 2)
    assert waits(give_way, pool).wait(DEADLINE / 2)
    monkeypatch.setattr("solution.runtime.rush.MOMENT", 0.1)
    clock.advance(MOMENT)
    returned = waits(give_way, pool)
    assert not returned.wait(0.02)
    assert returned.wait(DEADLINE)


def test_an_answer_is_booked_when_the_other_orders_have_left(
    rush: Rush, pool: ThreadPoolExecutor
) -> None:
    """A worker that has its answer waits for one that decides."""
    decider = Decider(rush, pool)
    assert decider.began.wait(DEADLINE)
    returned = waits(rush.after_answer, pool)
    assert not returned.wait(0.05)
    decider.end()
    assert returned.wait(DEADLINE)


@pytest.mark.usefixtures("rush")  # for its long moments
def test_a_worker_that_is_needed_books_its_answer_at_once(pool: ThreadPoolExecutor) -> None:
    """More waits in the lanes and no worker is free: those with answers must go on."""
    free = [True]
    rush = Rush(lambda: True, lambda: free[0])
    returned = waits(rush.after_answer, pool)
    assert not returned.wait(0.05)
    last = Decider(rush, pool)
    assert last.began.wait(DEADLINE)
    free[0] = False
    last.end()
    assert returned.wait(DEADLINE)
    rush.after_answer()
