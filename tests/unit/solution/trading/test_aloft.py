"""What one worker has sent: answers taken in as they come, and all of them booked."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from solution.errors import LedgerError, NotSent, OutcomeUnknown, RateLimited
from solution.trading import aloft as module
from solution.trading.airspace import Airspace
from solution.trading.aloft import Aloft
from tests.helpers.clocks import PATIENCE, ManualClock
from tests.helpers.trading import Answered, FakeDesk, Rig, fail

SYMBOLS = ("NVDA", "AAPL", "MSFT")
LIMITED = RateLimited("too many requests", 1.0)


class Late:
    """An answer that comes when the test says so, and its socket tells of it."""

    def __init__(self, answer: Answered) -> None:
        self._answer = answer
        self.reads, self._writes = os.pipe()
        self.arrived = False
        self.deadline: Callable[[], bool] = lambda: False
        self.mistake: Exception | None = None

    def arrive(self) -> None:
        self.arrived = True
        os.write(self._writes, b"HTTP/1.1 200 OK")

    @property
    def failed(self) -> bool:
        return self._answer.failed

    @property
    def answering(self) -> bool:
        return (self.arrived or self.deadline()) and not self._answer.received

    def fileno(self) -> int:
        return self.reads

    def receive(self) -> None:
        self._answer.receive()
        if self.mistake is not None:
            raise self.mistake

    def order(self) -> Any:
        return self._answer.order()

    def close(self) -> None:
        for number in {self.reads, self._writes} - {-1}:
            os.close(number)


class LateDesk(FakeDesk):
    """A broker that takes its time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.late: list[Late] = []

    def send(self, *arguments: Any) -> Any:
        self.late.append(Late(super().send(*arguments)))
        return self.late[-1]


class Three:
    """Three orders aloft, and what there is about them."""

    def __init__(self) -> None:
        self.rig = Rig(make_desk=LateDesk)
        self.space = Airspace(len(SYMBOLS))
        self.aloft = Aloft(self.rig.pipeline, self.space)
        self.entries = [self.rig.publish(ticker=symbol) for symbol in SYMBOLS]
        for _ in SYMBOLS:
            taken = self.rig.lanes.take(self.rig._slot, lambda _: 0.0, 0.0)
            assert taken is not None
            lease, slot = taken
            course = self.rig.pipeline.start(lease.item, lease, slot)
            assert course.departed is not None
            assert self.space.enter()
            self.aloft.add(course.departed)
        desk: Any = self.rig.desk
        self.late: list[Late] = desk.late

    def booked(self) -> list[bool]:
        return [bool(self.rig.outcomes.told(entry)) for entry in self.entries]


@pytest.fixture
def three() -> Iterator[Three]:
    made = Three()
    yield made
    for late in made.late:
        late.close()


def test_only_what_has_arrived_is_taken_in_and_booked(three: Three) -> None:
    """In any order; the others stay aloft."""
    three.late[1].arrive()
    three.aloft.take_in()
    assert three.booked() == [False] * 3
    assert three.aloft.land() == []
    assert (three.booked(), len(three.aloft)) == ([False, True, False], 2)
    three.late[0].arrive()
    three.late[2].arrive()
    assert three.aloft.land() == []
    assert len(three.aloft) == 2
    three.aloft.take_in()
    three.aloft.take_in()
    assert three.aloft.land() == []
    assert (three.booked(), len(three.aloft)) == ([True] * 3, 0)


def test_waiting_ends_with_the_first_answer(three: Three) -> None:
    """Whichever it is."""
    three.late[0].arrive()
    three.aloft.take_in()
    three.aloft.land()
    answers = threading.Timer(0.01, three.late[2].arrive)
    answers.start()
    three.aloft.wait()
    answers.join(PATIENCE)
    three.aloft.take_in()
    three.aloft.land()
    assert three.booked() == [True, False, True]


def test_waiting_ends_with_a_deadline(three: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket tells of it, and one that is closed tells nothing."""
    monkeypatch.setattr(module, "LOOK_EVERY", 0.001)
    looks = iter([False, False, True])
    os.close(three.late[0].reads)
    three.late[0].reads = -1
    three.late[0].deadline = lambda: next(looks, True)
    three.aloft.wait()
    assert next(looks, None) is None


def test_there_is_nothing_to_wait_for_once_all_were_taken_in(three: Three) -> None:
    """They are on the ground, and nothing of them is answering."""
    for late in three.late:
        late.arrive()
    three.aloft.take_in()
    three.aloft.wait()
    assert three.aloft.land() == []


def test_a_mistake_in_taking_one_in_is_told_when_it_lands(three: Three) -> None:
    """Its order may exist and is looked up; the others are not its concern."""
    three.late[0].mistake = ZeroDivisionError("a mistake")
    for late in three.late:
        late.arrive()
    three.aloft.take_in()
    assert three.aloft.land() == []
    assert [three.rig.outcomes.told(entry) for entry in three.entries] == [
        ["unknown"],
        ["submitted", "fill!"],
        ["submitted", "fill!"],
    ]
    assert three.rig.submitter.in_flight() == frozenset()


def test_what_goes_wrong_with_one_is_kept_until_all_have_landed(three: Three) -> None:
    """The ledger's error, or any other."""
    errors = iter([LedgerError("the disk is full"), ZeroDivisionError("a mistake")])
    finish = three.rig.pipeline.finish

    def run(departed: Any) -> bool:
        for error in errors:
            raise error
        return finish(departed)

    three.rig.pipeline.finish = run  # type: ignore[method-assign]
    for late in three.late:
        late.arrive()
    three.aloft.take_in()
    assert [type(error) for error in three.aloft.land()] == [LedgerError, ZeroDivisionError]
    assert (three.booked(), len(three.aloft)) == ([False, False, True], 0)


def test_those_that_were_not_taken_wait_together(three: Three) -> None:
    """One pause for all; then each is in its lane again."""
    rig = three.rig
    for late, answer in zip(three.late, (LIMITED, LIMITED, OutcomeUnknown("lost")), strict=True):
        late._answer._answer = answer
        late.arrive()
    three.aloft.take_in()
    before = rig.clock.monotonic()
    assert three.aloft.land() == []
    assert rig.clock.monotonic() - before == pytest.approx(0.1)
    assert (rig.lanes.waiting, rig.tracker.count_unclear()) == (2, 1)
    assert rig.work_all() == 2
    assert len(rig.desk.posts) == 5


def test_each_has_a_place_until_its_answer_was_taken_in(three: Three) -> None:
    """Booked or not; in a burst the oldest are looked at, and the others once there is no room."""
    assert not three.space.room
    three.late[1].arrive()
    three.aloft.take_in_first()
    assert not three.space.room
    three.late[0].arrive()
    three.aloft.take_in_first()
    assert [three.space.enter() for _ in range(3)] == [True, True, False]
    assert three.booked() == [False] * 3


def test_where_there_is_no_place_the_younger_answers_are_looked_at_too(three: Three) -> None:
    """The oldest may hang; a burst goes on over the place of another one."""
    three.rig.space = three.space
    worker, now = three.rig.worker(), three.rig.clock.monotonic()
    three.rig.publish(ticker="AMD")
    assert not worker._goes_on(three.aloft, now)
    three.late[2].arrive()
    assert worker._goes_on(three.aloft, now)
    assert three.space.room


def test_who_finds_no_place_in_a_burst_books_what_it_has(three: Three) -> None:
    """Another worker took the last place meanwhile: the signal is back, and nobody waits."""
    rig = three.rig
    rig.space = three.space
    rig.publish(ticker="AMD")
    taken = rig.lanes.take(rig._slot, lambda _: 0.0, 0.0)
    assert taken is not None
    waits: list[float] = []
    three.space.wait = waits.append  # type: ignore[method-assign]
    rig.worker()._wait_for_a_place(three.aloft, *taken)
    assert (waits, rig.lanes.waiting) == ([], 1)


def test_one_that_never_left_gives_its_place_back(three: Three) -> None:
    """It is on the ground, and trouble."""
    rig = three.rig
    rig.desk.script.append(fail(NotSent("refused")))
    three.late[0].arrive()
    three.aloft.take_in()
    rig.publish(ticker="AMD")
    taken = rig.lanes.take(rig._slot, lambda _: 0.0, 0.0)
    assert taken is not None
    course = rig.pipeline.start(taken[0].item, *taken)
    assert course.departed is not None
    assert three.space.enter()
    three.aloft.add(course.departed)
    assert (three.space.room, three.aloft.troubled, len(three.aloft)) == (True, True, 4)


def test_a_worker_lands_each_when_its_answer_comes(three: Three) -> None:
    """The youngest first here: none waits for another one's broker."""
    three.rig.space = three.space
    to_come, booked = list(three.late), []

    def wait() -> None:
        booked.append(three.booked())
        to_come.pop().arrive()

    three.aloft.wait = wait  # type: ignore[method-assign]
    three.rig.worker()._land(three.aloft)
    assert booked == [[False, False, False], [False, False, True], [False, True, True]]
    assert three.booked() == [True] * 3


def test_trouble_shows_before_it_is_booked(three: Three) -> None:
    """Not by a success, and by one that is none."""
    three.late[0].arrive()
    three.aloft.take_in()
    assert not three.aloft.troubled
    three.late[1]._answer._answer = LIMITED
    three.late[1].arrive()
    three.aloft.take_in()
    assert three.aloft.troubled
