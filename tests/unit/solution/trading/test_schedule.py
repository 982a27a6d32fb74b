"""When the broker is asked about an order. Times by a manual clock; nothing waits."""

import threading
from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import Intent, State
from solution.trading.schedule import (
    CANCEL_RETRY,
    LOOKUP_DELAYS,
    POLL_FIRST,
    POLL_FIRST_WITHOUT_STREAM,
    POLL_LONGEST,
    POLL_LONGEST_WITHOUT_STREAM,
    WATCH_FIRST,
    WATCH_LONGEST,
    Due,
    Schedule,
    Task,
)
from tests.helpers.clocks import ManualClock


class Plan:
    """A schedule, its clock, a stream to switch off, and how often it woke anybody."""

    def __init__(self) -> None:
        self.clock = ManualClock(monotonic=0.0)
        self.stream_alive = True
        self.schedule = Schedule(lambda: self.stream_alive)
        self.woken = 0
        self.schedule.wake = self.wake

    def wake(self) -> None:
        assert not self.schedule._mutex.locked()
        self.woken += 1

    def follow(self, coid: str = "a", *, cancel_after: str | None = None, **more: Any) -> None:
        intent = Intent(
            identity=coid,
            digest="d",
            stream="nvda",
            entry_id="1-0",
            client_order_id=coid,
            state=State.OPEN,
            cancel_after=None if cancel_after is None else Decimal(cancel_after),
        )
        self.schedule.follow(intent, self.clock.monotonic(), **more)

    def at(self, seconds: float) -> list[tuple[str, str]]:
        """Everything that is due once the clock stands there."""
        self.clock.advance_to(seconds)
        return [(d.task.value, d.client_order_id) for d in self.due()]

    def due(self) -> list[Due]:
        return self.schedule.due(self.clock.monotonic())

    def pauses(self, task: Task, count: int) -> list[float]:
        """Seconds between one try and the next."""
        found = []
        due = Due(task, "a", 0)
        for _ in range(count):
            now = self.clock.monotonic()
            self.schedule.again(due, now)
            upcoming = self.schedule.next_at()
            assert upcoming is not None
            self.clock.advance_to(upcoming)
            found.append(round(upcoming - now, 6))
            (due,) = self.due()
        return found


@pytest.fixture
def plan() -> Plan:
    return Plan()


# --- first times ----------------------------------------------------------------------------------


def test_an_accepted_order_is_polled_should_the_stream_stay_silent(plan: Plan) -> None:
    """Not before two seconds have passed, and once."""
    plan.follow()
    assert plan.schedule.next_at() == POLL_FIRST
    assert plan.at(1.99) == []
    assert plan.at(2.0) == [("poll", "a")]
    assert plan.at(100.0) == []


def test_without_a_stream_it_is_polled_soon(plan: Plan) -> None:
    """Nobody else would tell."""
    plan.stream_alive = False
    plan.follow()
    assert plan.schedule.next_at() == POLL_FIRST_WITHOUT_STREAM


def test_a_resting_order_is_cancelled_in_time(plan: Plan) -> None:
    """cancel_after counts from acceptance, fractions of a second included."""
    plan.follow(cancel_after="7.5")
    assert plan.at(7.49) == [("poll", "a")]
    assert plan.at(7.5) == [("cancel", "a")]


@pytest.mark.parametrize(("age", "left"), [(3.0, 4.5), (7.5, 0.0), (600.0, 0.0)])
def test_a_time_to_live_counts_from_the_sending(plan: Plan, age: float, left: float) -> None:
    """An order that is found late, or after a restart, is not given its time anew."""
    plan.follow(cancel_after="7.5", age=age)
    assert ("cancel", "a") in plan.at(left)


def test_an_unwanted_order_is_cancelled_at_once(plan: Plan) -> None:
    """It appeared after we gave it up; its cancel_after does not matter any more."""
    plan.follow(cancel_after="60", cancel_now=True)
    assert plan.at(0.0) == [("cancel", "a")]
    assert plan.woken == 1
    assert plan.at(100.0) == [("poll", "a")]


def test_a_lookup_comes_first_and_wakes(plan: Plan) -> None:
    """An unclear POST is asked for after a quarter of a second."""
    plan.schedule.lookup("a", 0.0)
    assert (plan.woken, plan.schedule.next_at()) == (1, LOOKUP_DELAYS[0])


def test_watching_and_following_wake_nobody(plan: Plan) -> None:
    """They are due later than anybody sleeps."""
    plan.schedule.watch("a", 0.0)
    plan.follow("b")
    assert plan.woken == 0
    assert plan.at(WATCH_FIRST) == [("poll", "b"), ("watch", "a")]


def test_after_a_reconnect_every_open_order_is_polled_at_once(plan: Plan) -> None:
    """The stream has no replay."""
    plan.schedule.poll_now(["a", "b"], 0.0)
    assert plan.woken == 1
    assert plan.at(0.0) == [("poll", "a"), ("poll", "b")]


def test_a_schedule_of_its_own_wakes_nobody() -> None:
    """Before the watch is joined to it."""
    schedule = Schedule(lambda: True)
    schedule.poll_now(["a"], 0.0)
    schedule.lookup("b", 0.0)
    assert len(schedule.due(1.0)) == 2


# --- once per order and task ----------------------------------------------------------------------


def test_reconnects_start_no_second_row_of_polls(plan: Plan) -> None:
    """A flapping stream must not multiply the polls of a resting order."""
    plan.follow()
    for number in range(50):
        plan.schedule.poll_now(["a"], plan.clock.monotonic())
        (due,) = plan.due()
        plan.schedule.again(due, plan.clock.monotonic())
        plan.clock.advance(0.001 * number)
    later = [plan.schedule.due(float(second)) for second in range(3, 600)]
    assert sum(len(found) for found in later) == 1


def test_the_earlier_time_wins(plan: Plan) -> None:
    """Asking for the same later changes nothing, asking for it sooner does."""
    plan.follow()
    plan.schedule.again(Due(Task.POLL, "a", 9), 0.0)
    assert plan.at(POLL_FIRST) == [("poll", "a")]
    plan.schedule.again(Due(Task.POLL, "a", 9), 2.0)
    plan.schedule.poll_now(["a"], 3.0)
    assert plan.at(3.0) == [("poll", "a")]
    assert plan.at(1000.0) == []


def test_tasks_and_orders_do_not_displace_each_other(plan: Plan) -> None:
    """One order may be polled and cancelled, and another one too."""
    plan.follow("a", cancel_after="2")
    plan.follow("b", cancel_after="2")
    found = sorted(plan.at(2.0))
    assert found == [("cancel", "a"), ("cancel", "b"), ("poll", "a"), ("poll", "b")]


def test_what_lacks_budget_has_waited_since_it_was_due(plan: Plan) -> None:
    """Also when a reconnect asks for it anew, which comes before the next try or after it."""
    plan.follow()
    plan.clock.advance_to(POLL_FIRST + 0.1)
    (due,) = plan.due()
    assert due.since == POLL_FIRST
    plan.schedule.soon(due, plan.clock.monotonic())
    plan.schedule.poll_now(["a"], plan.clock.monotonic())
    (due,) = plan.due()
    assert due.since == POLL_FIRST
    plan.schedule.poll_now(["a"], plan.clock.monotonic())
    plan.schedule.soon(due, plan.clock.monotonic())
    (due,) = plan.due()
    assert due.since == POLL_FIRST
    plan.schedule.again(due, plan.clock.monotonic())
    plan.clock.advance(60)
    (due,) = plan.due()
    assert due.since == POLL_FIRST + 0.1 + 1.0


# --- order ----------------------------------------------------------------------------------------


def test_the_oldest_comes_first(plan: Plan) -> None:
    """By time, and in the order of asking where times are equal."""
    plan.schedule.soon(Due(Task.POLL, "late", 0), 2.0)
    plan.schedule.soon(Due(Task.POLL, "first", 0), 1.0)
    plan.schedule.soon(Due(Task.CANCEL, "second", 0), 1.0)
    assert [coid for _, coid in plan.at(10.0)] == ["first", "second", "late"]


def test_nothing_planned_is_nothing_due(plan: Plan) -> None:
    """No time to wait for."""
    assert (plan.schedule.next_at(), plan.due()) == (None, [])


# --- later each time ------------------------------------------------------------------------------


def test_three_lookups_span_two_seconds(plan: Plan) -> None:
    """From the unclear answer to the third lookup: at least what "not found" needs."""
    plan.schedule.lookup("a", 0.0)
    times = []
    for _ in range(5):
        plan.clock.advance_to(plan.schedule.next_at() or 0.0)
        times.append(plan.clock.monotonic())
        (due,) = plan.due()
        plan.schedule.again(due, plan.clock.monotonic())
    assert times == [0.25, 1.25, 2.25, 3.25, 4.25]


@pytest.mark.parametrize(
    ("task", "alive", "expected"),
    [
        (Task.POLL, True, [1, 2, 4, 8, 16, POLL_LONGEST, POLL_LONGEST]),
        (Task.POLL, False, [1, 2, 4, POLL_LONGEST_WITHOUT_STREAM, POLL_LONGEST_WITHOUT_STREAM]),
        (Task.WATCH, True, [5, 10, 20, 40, 80, 160, WATCH_LONGEST, WATCH_LONGEST]),
        (Task.CANCEL, True, [CANCEL_RETRY] * 3),
    ],
)
def test_pauses_grow_to_a_longest(
    plan: Plan, task: Task, alive: bool, expected: list[float]
) -> None:
    """Each task by its own table; a dead stream keeps polls at five seconds."""
    plan.stream_alive = alive
    assert plan.pauses(task, len(expected)) == expected


@pytest.mark.parametrize("task", list(Task))
def test_an_order_can_be_asked_for_all_year(plan: Plan, task: Task) -> None:
    """The pause of the ten-thousandth try is a number, not an overflow."""
    plan.schedule.again(Due(task, "a", 10_000), 0.0)
    assert 0 < (plan.schedule.next_at() or 0) <= WATCH_LONGEST


def test_a_new_try_counts(plan: Plan) -> None:
    """again() is one attempt further; soon() is the same attempt, for it never was one."""
    plan.schedule.again(Due(Task.POLL, "a", 3), 0.0)
    plan.schedule.soon(Due(Task.POLL, "b", 3), 0.0)
    plan.clock.advance_to(100.0)
    assert {d.client_order_id: d.attempt for d in plan.due()} == {"a": 4, "b": 3}


def test_what_could_not_be_tried_comes_again_shortly(plan: Plan) -> None:
    """No budget, no network: a quarter of a second."""
    plan.schedule.soon(Due(Task.CANCEL, "a", 0), 0.0)
    assert plan.schedule.next_at() == 0.25


def test_a_broker_that_does_not_answer_is_asked_less_and_less(plan: Plan) -> None:
    """An outage must not eat the rate budget; each failure is an attempt."""
    due, times = Due(Task.LOOKUP, "a", 0), []
    for _ in range(7):
        plan.schedule.failed(due, 0.0)
        times.append(plan.schedule.next_at())
        (due,) = plan.schedule.due(100.0)
    assert times == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    plan.schedule.failed(Due(Task.LOOKUP, "a", 10_000), 0.0)
    assert plan.schedule.next_at() == 5.0


def test_what_waits_for_somebody_else_is_asked_twice_as_late_each_time(plan: Plan) -> None:
    """Up to five minutes; a lookup, which is otherwise asked every second, included."""
    due, times = Due(Task.LOOKUP, "a", 2), []
    for _ in range(3):
        plan.schedule.rarely(due, 0.0)
        times.append(plan.schedule.next_at())
        (due,) = plan.schedule.due(100.0)
    assert times == [4.0, 8.0, 16.0]
    plan.schedule.rarely(Due(Task.LOOKUP, "a", 10_000), 0.0)
    assert plan.schedule.next_at() == 300.0


def test_a_stream_that_dies_shortens_the_next_pause(plan: Plan) -> None:
    """The table is chosen each time."""
    plan.schedule.again(Due(Task.POLL, "a", 20), 0.0)
    plan.stream_alive = False
    plan.schedule.again(Due(Task.POLL, "b", 20), 0.0)
    assert plan.at(POLL_LONGEST_WITHOUT_STREAM) == [("poll", "b")]
    assert plan.at(POLL_LONGEST) == [("poll", "a")]


def test_many_threads_plan_and_take(plan: Plan) -> None:
    """Everything planned is handed out exactly once."""
    taken: list[str] = []
    gate = threading.Barrier(8)

    def work(number: int) -> None:
        gate.wait(10)
        for turn in range(200):
            plan.schedule.poll_now([f"{number}.{turn}"], 0.0)
            taken.extend(d.client_order_id for d in plan.schedule.due(0.0))

    plan.schedule.wake = lambda: None
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == sorted(f"{n}.{t}" for n in range(8) for t in range(200))
