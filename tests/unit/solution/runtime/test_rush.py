"""What a rush promises: others give way while orders leave, and nobody waits for long."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from solution.runtime import rush as module
from solution.runtime.rush import Rush
from tests.helpers.clocks import PATIENCE, eventually


class Turns:
    """What the lanes would tell."""

    def __init__(self) -> None:
        self.turn_taken = False
        self.waits = self.free = False
        self.asked = 0

    def pressing(self) -> bool:
        self.asked += 1
        return self.waits

    def staffed(self) -> bool:
        self.asked += 1
        return self.waits and self.free

    def over(self) -> bool:
        had, self.turn_taken = self.turn_taken, False
        return had


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """Patience without an end: what returns did so for a reason."""
    monkeypatch.setattr(module, "PACE", PATIENCE)
    return Turns()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def waiting(rush: Rush, number: int = 1) -> bool:
    """Whether so many give way by now."""
    return eventually(
        lambda: len(rush._calm._waiters) + len(rush._short._waiters) == number  # type: ignore[attr-defined]
    )


def both(rush: Rush) -> tuple[Callable[[], None], Callable[[], None]]:
    return rush.give_way, rush.after_answer


@pytest.mark.parametrize("which", [0, 1])
def test_nobody_gives_way_to_nobody(turns: Turns, which: int) -> None:
    """Without an order about to leave it returns at once."""
    both(Rush(turns))[which]()


@pytest.mark.parametrize("which", [0, 1])
def test_it_goes_on_when_the_turn_is_over(
    turns: Turns, pool: ThreadPoolExecutor, which: int
) -> None:
    """What can wait does so while somebody decides, and no longer."""
    rush = Rush(turns)
    turns.turn_taken = True
    done = pool.submit(both(rush)[which])
    assert waiting(rush)
    rush.over()
    done.result(PATIENCE)


def test_several_give_way_to_one(turns: Turns, pool: ThreadPoolExecutor) -> None:
    """Its end is told to all of them."""
    rush = Rush(turns)
    turns.turn_taken = True
    done = [pool.submit(rush.give_way) for _ in range(2)]
    done += [pool.submit(rush.after_answer) for _ in range(2)]
    assert waiting(rush, 4)
    rush.over()
    for one in done:
        one.result(PATIENCE)


def test_who_has_no_turn_ends_nobody_elses(turns: Turns, pool: ThreadPoolExecutor) -> None:
    """Called again, or by one that never had it."""
    rush = Rush(turns)
    turns.waits = True
    done = pool.submit(rush.give_way)
    assert waiting(rush)
    turns.waits = False
    rush.over()
    assert waiting(rush)
    turns.turn_taken = True
    rush.over()
    done.result(PATIENCE)


def test_between_two_orders_of_a_block_nobody_else_goes_on(
    turns: Turns, pool: ThreadPoolExecutor
) -> None:
    """Signals in lanes count: the next one is decided in a moment."""
    rush = Rush(turns)
    turns.turn_taken = turns.waits = turns.free = True
    done = [pool.submit(one) for one in both(rush)]
    assert waiting(rush, 2)
    rush.over()
    assert waiting(rush, 2)
    turns.turn_taken, turns.waits = True, False
    rush.over()
    for one in done:
        one.result(PATIENCE)


def test_a_worker_that_is_needed_books_its_answer_at_once(
    turns: Turns, pool: ThreadPoolExecutor
) -> None:
    """More waits in the lanes and no worker is free: those with answers must go on."""
    rush = Rush(turns)
    turns.turn_taken = turns.waits = True
    can_wait, answered = (pool.submit(one) for one in both(rush))
    assert waiting(rush, 2)
    rush.over()
    answered.result(PATIENCE)
    assert waiting(rush, 1)
    rush.after_answer()
    turns.turn_taken, turns.waits = True, False
    rush.over()
    can_wait.result(PATIENCE)


def test_nobody_gives_way_for_longer_than_pace(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rush that nobody ends: no budget is left, or the holder is stuck."""
    monkeypatch.setattr(module, "PACE", 0.001)
    turns.turn_taken = turns.waits = True
    Rush(turns).give_way()
    Rush(turns).after_answer()


def test_a_rush_that_ends_before_the_wait_is_not_waited_for(turns: Turns) -> None:
    """It ends between the first look and the lock."""

    class Ending(Turns):
        def pressing(self) -> bool:
            self.asked += 1
            return self.asked == 1

    ending = Ending()
    Rush(ending).give_way()
    assert ending.asked == 2


def test_an_end_between_look_and_wait_is_told(turns: Turns, pool: ThreadPoolExecutor) -> None:
    """The last look and the wait are one for whoever ends the rush."""
    looking, go = threading.Event(), threading.Event()

    class Slow(Turns):
        """The look under the lock takes its time."""

        def pressing(self) -> bool:
            waits = self.waits
            self.asked += 1
            if self.asked == 2:
                looking.set()
                go.wait(PATIENCE)
            return waits

    slow = Slow()
    rush = Rush(slow)
    slow.waits = True
    waits = pool.submit(rush.give_way)
    assert looking.wait(PATIENCE)
    slow.turn_taken, slow.waits = True, False
    ends = pool.submit(rush.over)
    go.set()
    for one in (ends, waits):
        one.result(PATIENCE)
