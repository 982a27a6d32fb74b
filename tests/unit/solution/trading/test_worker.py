"""What one worker thread does: slots of the right class, the best lanes, one burst."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from solution.domain.records import State
from solution.errors import LeaseLost, LedgerError, OutcomeUnknown, RateLimited
from solution.rate_limiter import Priority, RateLimiter
from solution.runtime.lanes import Lanes
from solution.runtime.rush import Rush
from solution.runtime.service import Fatal
from solution.trading import worker as module
from solution.trading.airspace import Airspace
from tests.helpers.clocks import PATIENCE, eventually
from tests.helpers.trading import Answer, Answered, FakeDesk, Rig, accept_then, fail, fill

STOP = threading.Event()
SYMBOLS = ("NVDA", "AAPL", "MSFT")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKE_TIMEOUT", 0.0)


@pytest.fixture
def rig() -> Rig:
    """A fresh order path with turns and a budget of 20, one of them out of reach of entries."""
    made = Rig()
    made.limiter = RateLimiter(20, clock=made.clock)
    made.lanes = Lanes(1000, turn=10.0, clock=made.clock)
    return made


def three(rig: Rig) -> list[str]:
    """A signal each for three assets."""
    return [rig.publish(ticker=symbol) for symbol in SYMBOLS]


def told(rig: Rig, entries: list[str]) -> list[list[str]]:
    return [rig.outcomes.told(entry) for entry in entries]


SENT = ["submitted", "fill!"]


def test_one_call_sends_all_that_may_leave_before_it_books_any(rig: Rig) -> None:
    """In order; the turn is given back, and every slot is spent once."""
    entries = three(rig)
    posts_when_booked: list[int] = []
    put = rig.outcomes.put

    def noted(change: Any) -> None:
        posts_when_booked.append(len(rig.desk.posts))
        put(change)

    rig.outcomes.put = noted  # type: ignore[method-assign]
    rig.worker().work(STOP)
    assert told(rig, entries) == [SENT] * 3
    assert set(posts_when_booked) == {3}
    assert [b'"%s"' % s.encode() in body for s, body in zip(SYMBOLS, rig.desk.posts, strict=True)]
    assert not rig.lanes.turn_taken
    assert (rig.limiter.view().used, rig.limiter.view().in_flight) == (3, 0)


def test_without_work_nothing_happens(rig: Rig) -> None:
    """The time is over, and no turn was begun."""
    rig.worker().work(STOP)
    assert rig.desk.posts == []
    assert not rig.lanes.turn_taken


def test_an_exit_may_use_what_entries_may_not(rig: Rig) -> None:
    """The budget of entries is used up: the exit goes, published last; the entry waits."""
    rig.snapshot(NVDA="5")
    for _ in range(19):
        slot = rig.limiter.try_acquire(Priority.ENTRY)
        assert slot is not None
        slot.done()
    entry = rig.publish(ticker="AAPL")
    leaving = rig.publish("s")
    rig.worker().work(STOP)
    rig.worker().work(STOP)
    assert told(rig, [leaving, entry]) == [SENT, []]


def test_next_free_asks_for_the_class_of_the_lane(rig: Rig) -> None:
    """An entry waits for a minute where an exit may go."""
    for _ in range(19):
        slot = rig.limiter.try_acquire(Priority.ENTRY)
        assert slot is not None
        slot.done()
    worker = rig.worker()
    assert (worker._next_free(True), worker._next_free(False)) == (0.0, 60.0)


def test_answers_are_booked_when_others_have_sent_theirs(rig: Rig) -> None:
    """It gives way once for all, with what has come in hand; and not where it sent nothing."""

    class Way(Rush):
        given: tuple[bool, ...] = ()

        def after_answer(self) -> None:
            self.given += (all(bool(told(rig, [entry])[0]) for entry in entries),)

    way = Way(rig.lanes)
    worker = rig.worker()
    worker._supply = replace(worker._supply, rush=way)
    worker.work(STOP)
    assert way.given == ()
    entries = three(rig)
    worker.work(STOP)
    assert way.given == (False,)
    assert told(rig, entries) == [SENT] * 3


def test_where_nothing_presses_nothing_more_is_asked_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lanes are looked at once for one signal."""
    take, asked = rig.lanes.take, []

    def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        return take(*arguments)

    monkeypatch.setattr(rig.lanes, "take", counted)
    rig.publish()
    rig.worker().work(STOP)
    assert len(asked) == 1


# Where a burst ends


class OneConnection(FakeDesk):
    """Another order can leave once the one before was answered and taken in."""

    last: Answered | None = None

    @property
    def has_room(self) -> bool:
        return self.last is None or self.last.received

    @has_room.setter
    def has_room(self, _: bool) -> None: ...

    def send(self, *arguments: Any) -> Answered:
        self.last = super().send(*arguments)
        return self.last


def test_without_room_it_books_before_it_sends_another_one(rig: Rig) -> None:
    """No connection is open: what a worker would wait for is a connection."""
    rig.desk.has_room = False
    entries = three(rig)
    rig.worker().work(STOP)
    assert told(rig, entries) == [SENT, [], []]


def test_an_answer_that_is_there_makes_room() -> None:
    """It is taken in and booked later."""
    rig = Rig(make_desk=OneConnection)
    entries = three(rig)
    rig.worker().work(STOP)
    assert told(rig, entries) == [SENT] * 3


def test_no_more_than_so_many_are_aloft(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is aloft when the process dies has to be looked up."""
    monkeypatch.setattr(module, "MOST_ALOFT", 2)
    three(rig)
    rig.worker().work(STOP)
    assert len(rig.desk.posts) == 2


@pytest.mark.parametrize(("each", "posts"), [(0.6, 2), (1.2, 1), (0.1, 3)])
def test_a_burst_has_an_end(rig: Rig, each: float, posts: int) -> None:
    """However much more there is to send: an answer is worth something, too."""
    rig.desk.connecting = lambda: rig.clock.advance(each * module.BURST)
    three(rig)
    rig.worker().work(STOP)
    assert len(rig.desk.posts) == posts


def test_lanes_that_close_end_a_burst(rig: Rig) -> None:
    """A shutdown: what was sent is booked, nothing more is."""
    entries = three(rig)
    rig.desk.connecting = lambda: rig.lanes.close() if len(rig.desk.posts) == 1 else None
    rig.worker().work(STOP)
    assert told(rig, entries) == [SENT, SENT, []]
    assert len(rig.lanes.drain()) == 1


# What is sent back


def test_what_may_have_killed_the_process_is_not_sent_beside_others(rig: Rig) -> None:
    """A redelivered entry in the middle of a burst: first the others are booked."""
    first = rig.publish(ticker="NVDA")
    again = f"{rig.clock.epoch_ms()}-7"
    rig._put(again, "b", {"ticker": "AAPL"}, redelivered=True)
    last = rig.publish(ticker="MSFT")
    worker = rig.worker()
    worker.work(STOP)
    assert told(rig, [first, again, last]) == [SENT, [], []]
    assert rig.limiter.view().used == 1
    worker.work(STOP)
    assert told(rig, [first, again, last]) == [SENT] * 3


def test_a_suspect_does_not_wait_for_one_that_waits_for_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits until nobody is inside; a worker that has something inside does not wait for it."""
    monkeypatch.setattr("solution.trading.pipeline.PATIENCE", PATIENCE)
    entries = three(rig)
    with ThreadPoolExecutor(1) as pool:
        alone: list[Any] = []

        def suspect() -> None:
            if not alone:
                enter = rig.turnstile.enter
                alone.append(pool.submit(enter, "suspect", alone=True, patience=PATIENCE / 2))
                assert eventually(lambda: rig.turnstile._alone == "suspect")

        rig.desk.connecting = suspect
        rig.worker().work(STOP)
        assert alone[0].result(PATIENCE) is True
    assert told(rig, entries) == [SENT, [], []]
    rig.turnstile.leave("suspect")
    rig.worker().work(STOP)
    assert told(rig, entries) == [SENT] * 3


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "events", "posts"),
    [
        (fail(RateLimited("too many requests", 1.0)), [], 4),
        (accept_then(OutcomeUnknown("lost")), ["unknown"], 3),
    ],
)
def test_one_answer_among_several_is_bad(
    rig: Rig, answer: Answer, events: list[str], posts: int
) -> None:
    """It ends the burst and is booked at once; what was not taken goes again, the same body."""
    rig.desk.script += [fill(), answer]
    entries = three(rig)
    worker = rig.worker()
    worker.work(STOP)
    assert told(rig, entries) == [SENT, events, []]
    worker.work(STOP)
    worker.work(STOP)
    assert told(rig, entries)[2] == SENT
    assert len(rig.desk.posts) == posts
    assert set(rig.desk.posts[2:-1]) <= {rig.desk.posts[1]}
    assert rig.submitter.in_flight() == frozenset()


def test_a_burst_ends_before_the_breaker_is_overrun(rig: Rig) -> None:
    """Each failure is told before the next order leaves, as if each was awaited."""
    rig.desk.default = fail(OutcomeUnknown("HTTP 500"))
    entries = [rig.publish(ticker=symbol) for symbol in SYMBOLS]
    worker = rig.worker()
    for sent in range(1, 4):
        worker.work(STOP)
        assert len(rig.desk.posts) == rig.tracker.count_unclear() == sent
    assert told(rig, entries) == [["unknown"]] * 3


def test_no_more_are_on_their_way_than_there_are_places(rig: Rig) -> None:
    """One who took a signal and finds no place puts it back, with its slot, and waits."""
    rig.space = Airspace(1)
    assert rig.space.enter()
    entries = three(rig)
    worker = rig.worker()
    worker.work(STOP)
    assert (rig.desk.posts, rig.lanes.waiting, rig.lanes.turn_taken) == ([], 3, False)
    assert (rig.limiter.view().used, rig.limiter.view().in_flight) == (0, 0)
    rig.space.leave()
    worker.work(STOP)
    assert told(rig, entries) == [SENT] * 3
    assert rig.space.enter()


def test_who_waits_for_a_place_has_it_when_it_is_free() -> None:
    """Told by who leaves it, long before the time is up."""
    space = Airspace(1)
    assert space.enter()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(space.wait, PATIENCE)
        space.leave()
        waiting.result(PATIENCE / 2)
    space.wait(PATIENCE)
    assert (space.enter(), space.enter()) == (True, False)


def nth(number: int, error: Exception) -> Callable[..., None]:
    """Raises when it is called for that time."""
    calls: list[object] = []

    def run(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == number:
            raise error

    return run


def _no_row(rig: Rig) -> None:
    begin, check = rig.ledger.begin, nth(2, LedgerError("the disk is full"))

    def run(intent: Any) -> None:
        check()
        begin(intent)

    rig.ledger.begin = run  # type: ignore[method-assign]


def _no_lease(rig: Rig) -> None:
    rig.fence = nth(4, LeaseLost("the disk is full, says another instance"))


@pytest.mark.parametrize("breaks", [_no_row, _no_lease])
def test_a_ledger_that_fails_while_others_are_aloft(
    rig: Rig, breaks: Callable[[Rig], None]
) -> None:
    """They are booked as far as it goes, nothing more is sent, and the process ends."""
    breaks(rig)
    entries = three(rig)
    with pytest.raises(Fatal, match="the disk is full"):
        rig.worker().work(STOP)
    assert told(rig, entries) == [SENT, [], []]
    assert len(rig.desk.posts) == 1
    assert rig.submitter.in_flight() == frozenset()
    assert not rig.lanes.turn_taken
    assert rig.limiter.view().in_flight == 0


def test_a_ledger_that_fails_for_one_answer(rig: Rig) -> None:
    """The other answers are booked first, then the process ends."""
    put, check = rig.outcomes.put, nth(1, LedgerError("the disk is full"))

    def run(change: Any) -> None:
        check()
        put(change)

    rig.outcomes.put = run  # type: ignore[method-assign]
    entries = three(rig)
    with pytest.raises(Fatal, match="the disk is full"):
        rig.worker().work(STOP)
    assert told(rig, entries) == [[], SENT, SENT]
    assert rig.submitter.in_flight() == frozenset()


def test_the_ledger_is_what_ends_the_process_whatever_else_went_wrong(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two errors at the landing: the second is the one that counts."""
    errors = iter([ZeroDivisionError("a mistake"), LedgerError("the disk is full")])

    def finish(_: object) -> bool:
        raise next(errors)

    monkeypatch.setattr(rig.pipeline, "finish", finish)
    rig.publish(ticker="NVDA")
    rig.publish(ticker="AAPL")
    with pytest.raises(Fatal, match="the disk is full"):
        rig.worker().work(STOP)


def test_a_mistake_in_a_burst_does_not_keep_others_from_their_answers(rig: Rig) -> None:
    """It is raised, and the pool counts it."""
    entries = three(rig)
    worker = rig.worker()
    mistake = _true_then(ZeroDivisionError("a mistake"))
    worker._supply = replace(worker._supply, may_send_more=mistake)
    with pytest.raises(ZeroDivisionError):
        worker.work(STOP)
    assert told(rig, entries) == [SENT, SENT, []]
    assert not rig.lanes.turn_taken


def _true_then(error: Exception) -> Callable[[], bool]:
    answers = iter([True])

    def run() -> bool:
        for answer in answers:
            return answer
        raise error

    return run


def test_where_the_process_dies_nothing_of_it_goes_on(rig: Rig) -> None:
    """Its turn is another one's when it is overdue; what it sent is looked up at the next start."""

    class Death(BaseException):
        pass

    def die() -> None:
        if len(rig.desk.posts) == 1:
            rig.desk.connecting = lambda: None
            raise Death

    rig.desk.connecting = die
    entries = three(rig)
    with pytest.raises(Death):
        rig.worker().work(STOP)
    assert told(rig, entries) == [[], [], []]
    assert rig.row(rig.only_coid()).state is State.SUBMITTING
    with ThreadPoolExecutor(1) as pool:
        pool.submit(rig.worker().work, STOP).result(PATIENCE)
        assert len(rig.desk.posts) == 1
        rig.clock.advance(10.0)
        pool.submit(rig.worker().work, STOP).result(PATIENCE)
    assert told(rig, entries) == [[], [], SENT]
