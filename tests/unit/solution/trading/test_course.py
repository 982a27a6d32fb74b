"""A signal whose answer is awaited apart: as if it had been awaited at once."""

from typing import Any

import pytest

from solution.domain.records import State
from solution.errors import (
    DuplicateOrder,
    LedgerError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from solution.rate_limiter import RateLimiter
from solution.trading.course import Course, Departure
from tests.helpers.trading import Answer, Rig, RigRules, accept, accept_then, fail, fill


@pytest.fixture
def rig() -> Rig:
    """A fresh order path with a budget."""
    made = Rig()
    made.limiter = RateLimiter(20, clock=made.clock)
    return made


def start(rig: Rig, *, unburdened: bool = True) -> Course:
    """The best lane's signal."""
    taken = rig.lanes.take(rig._slot, lambda _: 0.0, 0.0)
    assert taken is not None
    lease, slot = taken
    return rig.pipeline.start(lease.item, lease, slot, unburdened=unburdened)


def departed(rig: Rig) -> Departure:
    """It is on its way."""
    course = start(rig)
    assert course.departed is not None
    return course.departed


def by_halves(rig: Rig) -> None:
    """What a worker does with one signal."""
    one = departed(rig)
    if not rig.pipeline.finish(one):
        rig.pipeline.send_later([one])


ANSWERS: tuple[Answer, ...] = (
    fill(),
    accept("new"),
    accept("pending_new", client_order_id="another"),
    fail(Rejected(403, 40310000, "insufficient buying power")),
    fail(RateLimited("too many requests", 1.0)),
    fail(OutcomeUnknown("lost")),
    accept_then(OutcomeUnknown("lost")),
    accept_then(DuplicateOrder(422, 40010001, "must be unique")),
)


def traces(rig: Rig, entry: str) -> tuple[Any, ...]:
    """Everything that it leaves behind."""
    coid = rig.only_coid()
    row = rig.row(coid)
    return (
        rig.outcomes.events,
        rig.outcomes.acks,
        (row.state, row.reason, row.body),
        (rig.notes(coid), rig.history(coid)),
        rig.portfolio.reserved(),
        rig.held(),
        (rig.lanes.waiting, rig.limiter.view().used, rig.limiter.view().in_flight),
        rig.submitter.in_flight(),
        rig.turnstile._inside,
        rig.is_free(),
        rig.outcomes.told(entry),
    )


@pytest.mark.parametrize("answer", ANSWERS)
def test_both_halves_are_the_whole(answer: Answer) -> None:
    """Events, rows, history, reservations, budget and lane are the same."""
    left = []
    for whole in (True, False):
        rig = Rig()
        rig.limiter = RateLimiter(20, clock=rig.clock)
        rig.desk.script.append(answer)
        entry = rig.publish(entry_id="1772636400001-0")
        rig.work() if whole else by_halves(rig)
        left.append(traces(rig, entry))
    assert left[0] == left[1]


def test_nothing_is_booked_before_the_second_half(rig: Rig) -> None:
    """The row is there, its slot is out, and the order counts as under way."""
    entry = rig.publish()
    one = departed(rig)
    coid = rig.only_coid()
    assert (rig.row(coid).state, rig.outcomes.told(entry)) == (State.SUBMITTING, [])
    assert rig.portfolio.reserved()[0] == 1
    assert rig.limiter.view().in_flight == 1
    assert rig.submitter.in_flight() == {coid}
    assert rig.pipeline.finish(one)
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.limiter.view().in_flight == 0
    assert rig.submitter.in_flight() == frozenset()


def test_the_same_signal_once_more_does_not_wait_for_the_answer() -> None:
    """It has its row: no second order, and it is told what becomes of the first; or it is no such
    signal, and told that."""
    rig = Rig(RigRules(ordered=False))
    first = rig.publish(signal_id="one")
    one = departed(rig)
    second = rig.publish(signal_id="one")
    other = rig.publish(signal_id="one", ticker="AAPL")
    for _ in range(2):
        course = start(rig, unburdened=False)
        assert (course.departed, course.sent_back) == (None, False)
    assert rig.outcomes.told(second) == []
    assert rig.outcomes.events[-1]["reason"] == "SIGNAL_ID_REUSED"
    assert rig.pipeline.finish(one)
    assert rig.lanes.waiting == 0
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(second)[-1] == "fill!"
    assert other in rig.outcomes.acks


def test_a_burst_asks_for_no_position(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in doubt is asked for when this thread has nothing to book."""
    entry = rig.publish()
    asked = len(rig.desk.refreshed)
    with monkeypatch.context() as doubt:
        doubt.setattr(rig.portfolio, "is_uncertain", lambda _: True)
        course = start(rig, unburdened=False)
    assert (course.departed, course.sent_back) == (None, True)
    assert len(rig.desk.refreshed) == asked
    assert (rig.portfolio.reserved()[0], rig.limiter.view().in_flight) == (0, 0)
    rig.work_all()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_it_stays_inside_no_longer_whatever_goes_wrong(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger fails at the landing: the error is the caller's."""
    rig.publish(signal_id="one")
    one = departed(rig)

    def full(*_: object, **__: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(rig.tracker, "answered", full)
    with pytest.raises(LedgerError):
        rig.pipeline.finish(one)
    assert (rig.turnstile._inside, rig.submitter.in_flight()) == (set(), frozenset())


def test_a_mistake_at_the_landing_is_looked_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order exists: UNKNOWN, never a refusal."""
    entry = rig.publish()
    one = departed(rig)
    answered = rig.tracker.answered

    def broken(*_: object, **__: object) -> None:
        monkeypatch.setattr(rig.tracker, "answered", answered)
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(rig.tracker, "answered", broken)
    assert rig.pipeline.finish(one)
    rig.advance(1)
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.turnstile._inside == set()
    assert rig.is_free()


@pytest.mark.parametrize("unburdened", [True, False])
def test_a_redelivered_entry_is_never_hurried(rig: Rig, unburdened: bool) -> None:
    """It may be what killed the process: awaited at once, and never beside others."""
    entry = f"{rig.clock.epoch_ms()}-0"
    rig._put(entry, "b", {}, redelivered=True)
    course = start(rig, unburdened=unburdened)
    assert course.departed is None
    assert course.sent_back is not unburdened
    assert len(rig.desk.posts) == (1 if unburdened else 0)
    assert rig.limiter.view().used == len(rig.desk.posts)
    assert rig.ledger.open_starts() == {}
    rig.work_all()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


@pytest.mark.parametrize("unburdened", [True, False])
def test_what_is_sent_again_is_never_hurried(rig: Rig, unburdened: bool) -> None:
    """Nor is it sent beside others."""
    rig.desk.script.append(fail(RateLimited("too many requests", 1.0)))
    entry = rig.publish()
    by_halves(rig)
    course = start(rig, unburdened=unburdened)
    assert (course.departed, course.sent_back) == (None, not unburdened)
    assert len(rig.desk.posts) == (2 if unburdened else 1)
    rig.work_all()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert len(rig.desk.posts) == 2


def test_where_nothing_left_the_burst_pauses_for_nobody(rig: Rig) -> None:
    """No connection: the slot is free, and the body goes again once the burst has landed."""
    rig.desk.script.append(fail(NotSent("refused")))
    entry = rig.publish()
    before = rig.clock.monotonic()
    one = departed(rig)
    assert (one.flight.in_the_air, one.flight.troubled) == (False, True)
    assert (rig.clock.monotonic(), rig.limiter.view().used) == (before, 0)
    assert rig.turnstile._inside == set()
    assert not rig.pipeline.finish(one)
    rig.pipeline.send_later([one])
    rig.work_all()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_a_burst_asks_for_no_price(rig: Rig) -> None:
    """One that is not in memory is fetched when this thread has nothing to book."""
    rig.desk.unpriced.add("NVDA")
    looks: list[str] = []
    rig.desk.on_quote = lambda: looks.append("look")
    entry = rig.publish()
    course = start(rig, unburdened=False)
    assert (course.departed, course.sent_back, looks) == (None, True, [])
    rig.work_all()
    assert looks
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_a_refused_signal_gives_its_slot_back(rig: Rig) -> None:
    """There is nothing to finish."""
    rig.desk.price = None
    entry = rig.publish()
    assert start(rig).departed is None
    assert rig.outcomes.told(entry) == ["refused!"]
    assert (rig.limiter.view().used, rig.turnstile._inside) == (0, set())


def test_who_waits_for_budget_is_sent_back(rig: Rig) -> None:
    """It keeps its place."""
    rig.desk.refresh_if_uncertain = lambda _symbol, **_of: False  # type: ignore[method-assign]
    rig.publish()
    assert start(rig).sent_back
    assert (rig.lanes.waiting, rig.limiter.view().used) == (1, 0)
