"""Submitter: what each kind of answer to a POST leads to."""

from typing import Any

import pytest

from solution.domain.records import State
from solution.errors import (
    DuplicateOrder,
    IdentityExists,
    LeaseLost,
    LedgerError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.trading.submit import Flight
from tests.helpers.trading import Rig, accept, accept_then, fail, fill

UNCLEAR = OutcomeUnknown("no usable answer")


@pytest.fixture
def rig() -> Rig:
    """A fresh order path."""
    return Rig()


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Rejected(403, 40310000, "insufficient buying power"), "REJECTED", "REFUSED_BY_BROKER"),
        (Rejected(422, 42210000, "invalid"), "REJECTED", "REFUSED_BY_BROKER"),
        (Unauthorized(401, 0, "unauthorized."), "REJECTED", "UNAUTHORIZED"),
        (UNCLEAR, "UNKNOWN", "OUTCOME_UNKNOWN"),
        (DuplicateOrder(422, 40010001, "client_order_id must be unique"), "UNKNOWN", ""),
    ],
)
def test_an_error_leads_to_its_state(rig: Rig, error: Exception, state: str, reason: str) -> None:
    """A definite no ends the signal; everything unclear is UNKNOWN, never a refusal."""
    rig.desk.script.append(fail(error))
    rig.send()
    row = rig.row(rig.only_coid())
    assert row.state == state
    assert row.reason == (reason or "OUTCOME_UNKNOWN")


def test_a_definite_no_is_final_and_frees_everything(rig: Rig) -> None:
    """REJECTED: the broker's words told, acknowledged, nothing reserved, lane free."""
    rig.desk.script.append(fail(Rejected(403, 40310000, "insufficient buying power")))
    entry = rig.send()
    assert rig.outcomes.told(entry) == ["rejected!"]
    assert "insufficient buying power" in rig.outcomes.events[-1]["message"]
    assert rig.outcomes.acks == [entry]
    assert rig.portfolio.reserved()[0] == 0
    assert rig.is_free()


def test_an_unclear_answer_holds_reservation_lane_and_entry(rig: Rig) -> None:
    """Until the lookup says more nothing is given back, acknowledged or sent."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    assert rig.outcomes.told(entry) == ["unknown"]
    assert rig.outcomes.acks == []
    assert rig.portfolio.reserved()[0] == 1
    assert rig.is_free() is False


def test_a_duplicate_id_is_a_success_path(rig: Rig) -> None:
    """The order that made the id taken is fetched, compared and adopted."""
    rig.desk.script.append(accept_then(DuplicateOrder(422, 40010001, "must be unique")))
    entry = rig.send()
    rig.desk.fill(rig.only_coid())
    rig.advance(1)
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert len(rig.desk.posts) == 1


@pytest.mark.parametrize(
    ("error", "fresh"),
    [(RateLimited("too many requests", 1.0), True), (NotSent("refused"), False)],
)
def test_only_waiting_for_budget_keeps_a_signal_fresh(
    rig: Rig, error: Exception, fresh: bool
) -> None:
    """After a lost connection the age counts again, after HTTP 429 it does not."""
    rig.desk.script.append(fail(error))
    rig.publish()
    lease, slot = _taken(rig)
    rig.pipeline.run(lease.item, lease, slot)
    assert lease.item.fresh is fresh
    assert lease.item.resend == rig.only_coid()
    assert rig.row(rig.only_coid()).state is State.SUBMITTING


def test_a_signal_that_is_not_fresh_does_not_become_so(rig: Rig) -> None:
    """Read again after a crash, then told to wait for budget: its age goes on counting."""
    rig.desk.script.append(fail(RateLimited("too many requests", 1.0)))
    rig.publish()
    lease, slot = _taken(rig)
    lease.item.fresh = False
    rig.pipeline.run(lease.item, lease, slot)
    assert lease.item.fresh is False


@pytest.mark.parametrize(("unclear", "ended"), [(False, "refused!"), (True, "expired_unconfirmed")])
def test_the_last_look_stops_what_the_gates_let_through(
    rig: Rig, unclear: bool, ended: str
) -> None:
    """Nothing is sent; what an earlier POST may have done is not thereby undone."""
    entry, lease, slot, intent = _sent_in_vain(rig, unclear=unclear)
    rig.killed = "the kill switch is on"
    assert rig.submitter.post(intent, lease.item, slot) is True
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry)[-1] == ended
    assert rig.outcomes.events[-1]["message"] == "the kill switch is on"


@pytest.mark.parametrize(("unclear", "ended"), [(False, "refused!"), (True, "expired_unconfirmed")])
def test_a_switch_thrown_while_it_connects_stops_the_post(
    rig: Rig, unclear: bool, ended: str
) -> None:
    """A connection may take seconds: nothing is sent, and the gates say why at the next try."""
    entry, lease, slot, intent = _sent_in_vain(rig, unclear=unclear)
    rig.desk.connecting = lambda: setattr(rig, "killed", "the kill switch is on")
    assert rig.submitter.post(intent, lease.item, slot) is False
    assert len(rig.desk.posts) == 1
    assert lease.item.resend == intent.client_order_id
    rig.pipeline.run(lease.item, lease, slot)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry)[-1] == ended


def test_the_lease_is_looked_at_last(rig: Rig) -> None:
    """The switch is a file: while it is looked at, another thread may have the process stopped."""
    seen: list[str] = []
    denied, fence = rig.submitter._denied, rig.submitter._fence
    rig.submitter._denied = lambda *order: (seen.append("switch"), denied(*order))[1]
    rig.submitter._fence = lambda: (seen.append("lease"), fence())[1]
    rig.publish()
    rig.work()
    assert seen == ["lease", "switch", "switch", "lease"]
    assert len(rig.desk.posts) == 1


def test_a_lease_lost_while_it_connects_stops_the_post(rig: Rig) -> None:
    """The process slept meanwhile, and another instance has found the row."""
    rig.publish()

    def takeover() -> None:
        raise LeaseLost("another instance trades")

    rig.desk.connecting = lambda: setattr(rig, "fence", takeover)
    with pytest.raises(LeaseLost):
        rig.work()
    assert rig.desk.posts == []


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"message": "welcome"},
        {"id": "order-9", "status": "new", "client_order_id": "of-somebody-else"},
        {"status": "new"},
    ],
)
def test_an_answer_about_no_order_of_ours_is_unclear(rig: Rig, answer: dict[str, Any]) -> None:
    """HTTP 200 whose object does not name our order proves nothing: it is looked up."""

    def odd(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body)
        return answer

    rig.desk.script.append(odd)
    entry = rig.send()
    coid = rig.only_coid()
    assert rig.row(coid).state is State.UNKNOWN
    rig.desk.fill(coid)
    rig.advance(1)
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]


def test_an_event_before_the_answer_wins(rig: Rig) -> None:
    """The fill comes on the stream while the POST waits; a lost answer then changes nothing."""

    def fill_first(desk: Any, body: dict[str, Any]) -> Any:
        fill()(desk, body)
        rig.hear(rig.update(body["client_order_id"], "fill", execution_id="e1"))
        raise UNCLEAR

    rig.desk.script.append(fill_first)
    entry = rig.send()
    rig.advance(10)
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.acks == [entry]
    assert rig.desk.asked == []
    assert rig.held() == 10


@pytest.mark.parametrize("error", [UNCLEAR, RateLimited("429", 1.0), NotSent("refused")])
def test_before_every_post_the_row_says_submitting(rig: Rig, error: Exception) -> None:
    """Committed before the bytes leave, whatever the last answer made of it."""
    states: list[str] = []

    def seen(desk: Any, body: dict[str, Any]) -> Any:
        states.append(str(rig.row(body["client_order_id"]).state))
        if len(states) == 1:
            raise error
        return fill()(desk, body)

    rig.desk.default = seen
    rig.send()
    rig.work()
    rig.advance(5)
    assert states == ["SUBMITTING", "SUBMITTING"]
    assert rig.row(rig.only_coid()).state is State.FILLED


@pytest.mark.parametrize("error", [UNCLEAR, RateLimited("429", 1.0)])
def test_a_body_goes_out_again_only_if_the_ledger_lets_it(rig: Rig, error: Exception) -> None:
    """A frozen machine whose clocks stood still: only the epoch in the ledger tells."""
    rig.ledger.acquire_lease("me", 3.0)
    rig.desk.script.append(fail(error))
    rig.send()

    def taken_over() -> None:
        rig.ledger._write(lambda ex: ex.execute("UPDATE lease SET epoch = epoch + 1"))

    rig.desk.on_quote = taken_over  # while the gates look
    with pytest.raises(LeaseLost):
        rig.work() or rig.advance(5)
    assert len(rig.desk.posts) == 1


def test_news_between_the_gates_and_the_second_post_keeps_it_here(rig: Rig) -> None:
    """The order stream tells of the first one's order while the row is being written."""
    rig.desk.script.append(accept_then(UNCLEAR))
    entry = rig.send()
    coid = rig.only_coid()
    rig.desk.hidden.add(coid)
    begin_again = rig.ledger.begin_again

    def heard(client_order_id: str) -> bool:
        rig.desk.fill(coid)
        rig.hear(rig.update(coid, "fill", execution_id="e1"))
        return begin_again(client_order_id)

    rig.ledger.begin_again = heard  # type: ignore[method-assign]
    rig.advance(5)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.is_free()


def test_a_row_that_is_gone_is_not_sent_again(rig: Rig) -> None:
    """No durable row, no POST; the process ends."""
    rig.desk.script.append(fail(RateLimited("429", 1.0)))
    rig.send()
    rig.ledger._write(lambda executor: executor.execute("DELETE FROM order_intents"))
    with pytest.raises(LedgerError, match="no unresolved row"):
        rig.work()
    assert len(rig.desk.posts) == 1


def test_a_no_without_effect_to_the_second_post_says_nothing_of_the_first(rig: Rig) -> None:
    """The row says SUBMITTING then, yet the first POST may have got through: never REFUSED."""
    rig.desk.script += [accept_then(UNCLEAR), _then_closed(rig)]
    rig.send()
    coid = rig.only_coid()
    rig.desk.hidden.add(coid)
    rig.advance(5)
    assert len(rig.desk.posts) == 2
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    assert rig.portfolio.reserved()[0] == 1


def _then_closed(rig: Rig) -> Any:
    """Refused for the rate, and by the next try the market is closed."""

    def run(_desk: Any, _body: dict[str, Any]) -> Any:
        rig.desk.is_open = False
        raise RateLimited("429", 1.0)

    return run


def test_a_body_whose_row_took_its_time_is_judged_once_more(rig: Rig) -> None:
    """Nothing that was checked waits, be it for the ledger."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    begin_again = rig.ledger.begin_again

    def slow(client_order_id: str) -> bool:
        rig.clock.advance(1)
        rig.desk.is_open = False
        return begin_again(client_order_id)

    rig.ledger.begin_again = slow  # type: ignore[method-assign]
    rig.advance(5)
    assert len(rig.desk.posts) == 1
    assert rig.row(rig.only_coid()).state is State.EXPIRED_UNCONFIRMED


# --- what the history tells of it ---------------------------------------------------------


def test_a_normal_order_has_one_line_with_the_times_of_its_stages(rig: Rig) -> None:
    """Whichever comes first, the answer or the order stream; microseconds, by one clock."""
    rig.clock.advance(1)

    def stream_first(desk: Any, body: dict[str, Any]) -> Any:
        rig.clock.advance(0.008)
        order = fill()(desk, body)
        rig.hear(rig.update(body["client_order_id"], "fill", execution_id="e1"))
        return order

    rig.desk.script += [stream_first, _slow_fill(rig)]
    lines = []
    for symbol in ("NVDA", "AAPL"):
        rig.publish(ticker=symbol)
        rig.clock.advance(0.002)
        rig.work()
        coid = rig.only_coid_of(symbol)
        with rig.ledger.open_reader() as reader:
            lines.append([(note.kind, note.detail) for note in reader.notes(coid)])
    stages = "us: lane 2000, budget 0, gates 0, row 0, send 0"
    assert lines == [
        [("answered", f"HTTP 200 in 8.000 ms; it was known already; {stages}")],
        [
            (
                "answered",
                f"HTTP 200 in 8.000 ms; filled, order order-2, 8 ms after its row; {stages}",
            )
        ],
    ]


def _slow_fill(rig: Rig) -> Any:
    def run(desk: Any, body: dict[str, Any]) -> Any:
        rig.clock.advance(0.008)
        return fill()(desk, body)

    return run


def test_each_post_and_each_answer_that_is_not_the_usual_one_has_a_line(rig: Rig) -> None:
    """Not taken twice, lost, sent again, the id taken: found."""
    rig.desk.script += [
        fail(RateLimited("too many requests", 1.0)),
        fail(NotSent("connection refused")),
        accept_then(UNCLEAR),
        fail(DuplicateOrder(422, 40010001, "must be unique")),
    ]
    rig.send()
    rig.work_all()
    coid = rig.only_coid()
    rig.desk.hidden.add(coid)
    rig.advance(2.3)
    rig.desk.hidden.clear()
    rig.desk.fill(coid)
    rig.advance(1)
    assert rig.notes(coid) == [
        *("not_taken", "posted", "not_taken", "posted", "unknown"),
        *("lookup", "lookup", "lookup", "resend", "posted", "unknown", "adopted"),
    ]
    told = rig.history(coid)
    assert told[0] == "HTTP 429, after 0.000 ms: too many requests"
    assert told[2] == "not sent, after 0.000 ms: connection refused"
    assert told[4] == "UNKNOWN, OUTCOME_UNKNOWN: no usable answer"
    assert told[10] == "UNKNOWN, OUTCOME_UNKNOWN: the client_order_id exists at the broker"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            fail(RateLimited("too many requests", 1.0)),
            "HTTP 429, after 4000.000 ms: too many requests",
        ),
        (accept(), "HTTP 200 in 4000.000 ms"),
    ],
)
def test_what_a_post_took_is_told(rig: Rig, answer: Any, words: str) -> None:
    """Connecting included; afterwards nobody is posting any more."""
    rig.clock.advance(3.0)  # a clock does not begin at a multiple of what the request takes
    rig.desk.script.append(answer)
    rig.desk.connecting = lambda: rig.clock.advance(4.0)
    rig.publish()
    lease, slot = _taken(rig)
    rig.pipeline.run(lease.item, lease, slot)
    assert any(words in line for line in rig.history(rig.only_coid()))
    assert lease.item.posting is False


def test_a_broker_that_takes_nothing_for_long_does_not_fill_the_history(rig: Rig) -> None:
    """The first tries one by one, then a line each time their number has doubled."""
    rig.desk.default = fail(RateLimited("too many requests", 1.0))
    rig.send()
    rig.work_all(40)
    kinds = rig.notes(rig.only_coid())
    assert (kinds.count("not_taken"), kinds.count("posted")) == (8, 7)
    assert rig.history(rig.only_coid())[-1].endswith("too many requests (32 times by now)")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UNCLEAR, "unknown", "no usable answer"),
        (Rejected(403, 1, "no"), "answered", "no (HTTP 403, code 1)"),
    ],
)
def test_an_answer_that_came_too_late_to_matter_has_a_line(
    rig: Rig, error: Exception, kind: str, words: str
) -> None:
    """The order stream had told that the order is there."""

    def stream_first(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body)
        rig.hear(rig.update(body["client_order_id"], "new"))
        raise error

    rig.desk.script.append(stream_first)
    rig.send()
    coid = rig.only_coid()
    assert rig.row(coid).state is State.OPEN
    assert (rig.notes(coid), rig.history(coid)) == ([kind], [f"{words}; it was known already"])


def test_a_row_that_exists_already_leaves_the_other_order_alone(rig: Rig) -> None:
    """IdentityExists: nothing is sent, and the tracker forgets only what was just put there."""
    rig.desk.script.append(accept("new"))
    rig.send()
    intent = rig.row(rig.only_coid())
    rig.publish(ticker="AAPL")
    lease, _ = _taken(rig)
    with pytest.raises(IdentityExists):
        rig.submitter.begin(intent, lease.item, lease, keeps_lane=True)
    assert len(rig.desk.posts) == 1


def _sent_in_vain(rig: Rig, *, unclear: bool) -> tuple[str, Any, Any, Any]:
    """A POST that was unclear or not taken: entry, lane's lease, slot and row for the next one."""
    rig.desk.script.append(fail(UNCLEAR if unclear else RateLimited("too many requests", 1.0)))
    entry = rig.publish()
    lease, slot = _taken(rig)
    rig.pipeline.run(lease.item, lease, slot)
    return entry, lease, slot, rig.row(rig.only_coid())


def _taken(rig: Rig) -> Any:
    slot = rig.limiter.try_acquire(3)  # type: ignore[arg-type]
    return rig.lanes.take(lambda _: slot, lambda _: 0.0, 0.0)


def test_checks_that_took_long_are_old(rig: Rig) -> None:
    """A ledger that answered after a second: the gates look again, then it is sent."""
    slow = iter([1.0])
    rig.fence = lambda: rig.clock.advance(next(slow, 0.0)) if rig.submitter.in_flight() else None
    entry = rig.send()
    assert len(rig.desk.posts) == 0
    rig.work_all()
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_an_order_is_in_flight_until_its_answer_is_known(rig: Rig) -> None:
    """From before its last check to after the tracker has heard; whatever the answer was."""
    seen: list[frozenset[str]] = []
    rig.desk.connecting = lambda: seen.append(rig.submitter.in_flight())
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    assert seen == [frozenset({rig.only_coid()})]
    assert rig.submitter.in_flight() == frozenset()
    assert rig.tracker.count_unclear() == 1


def test_the_turn_ends_before_the_request(rig: Rig) -> None:
    """Others decide while this one is at the broker."""
    seen: list[int] = []
    entry = rig.publish()
    rig.submitter.leaving = lambda: seen.append(len(rig.desk.posts))
    rig.work()
    assert seen == [0]
    assert rig.outcomes.told(entry)[0] == "submitted"


# A POST and its answer, apart


def _on_its_way(rig: Rig) -> Any:
    """What is left of a signal when its POST is under way."""
    rig.publish()
    lease, slot = _taken(rig)
    course = rig.pipeline.start(lease.item, lease, slot)
    assert course.departed is not None
    return course.departed


@pytest.mark.parametrize(
    ("answer", "taken"),
    [(fill(), True), (fail(UNCLEAR), True), (fail(RateLimited("too many", 1.0)), False)],
)
def test_a_flight_is_under_way_until_it_is_booked(rig: Rig, answer: Any, taken: bool) -> None:
    """Taking in its answer changes nothing that anybody else can see."""
    rig.desk.script.append(answer)
    flight = _on_its_way(rig).flight
    coid = rig.only_coid()
    assert (flight.in_the_air, flight.answering) == (True, True)
    flight.receive()
    flight.receive()
    assert (flight.in_the_air, flight.answering) == (False, False)
    assert (rig.submitter.in_flight(), rig.row(coid).state) == ({coid}, State.SUBMITTING)
    assert flight.land() is taken
    assert rig.submitter.in_flight() == frozenset()


def test_landing_takes_the_answer_in(rig: Rig) -> None:
    """Nobody needs to have done it before."""
    flight = _on_its_way(rig).flight
    assert flight.land()
    assert rig.row(rig.only_coid()).state is State.FILLED


def test_what_a_post_took_ends_with_its_answer_and_not_with_the_booking(rig: Rig) -> None:
    """Others were sent meanwhile."""
    flight = _on_its_way(rig).flight
    rig.clock.advance(0.008)
    flight.receive()
    rig.clock.advance(4.0)
    flight.land()
    assert rig.history(rig.only_coid())[0].startswith("HTTP 200 in 8.000 ms")


def test_news_before_the_booking_leaves_one_line(rig: Rig) -> None:
    """The order stream is faster than a worker that sends others; its answer is still the line."""
    rig.desk.default = accept("new")
    flight = _on_its_way(rig).flight
    flight.receive()
    coid = rig.only_coid()
    rig.hear(rig.update(coid, "new"))
    flight.land()
    assert rig.notes(coid) == ["answered"]
    assert flight.work.posting is False


def test_a_flight_that_never_left_is_on_the_ground(rig: Rig) -> None:
    """Forbidden at the last moment: nothing is awaited, and landing is all there is to do."""
    rig.fence = lambda: setattr(rig, "killed", "stop")
    rig.publish()
    lease, slot = _taken(rig)
    course = rig.pipeline.start(lease.item, lease, slot)
    assert course.departed is not None
    assert course.departed.flight.troubled
    assert not course.departed.flight.in_the_air
    assert rig.limiter.view().in_flight == 0
    assert rig.pipeline.finish(course.departed)
    assert rig.desk.posts == []
    assert rig.submitter.in_flight() == frozenset()
    assert rig.outcomes.events[-1]["reason"] == "KILL_SWITCH"


def test_who_goes_on_sending_keeps_the_turn(rig: Rig) -> None:
    """It would be another one's otherwise, between two orders of one burst."""
    left: list[str] = []
    rig.submitter.leaving = lambda: left.append("left")
    rig.pipeline.finish(_on_its_way(rig))
    assert left == []


def test_without_an_answer_there_is_no_socket(rig: Rig) -> None:
    """What is on the ground is in nobody's way when others are waited for."""
    flight = Flight(rig.submitter, *_body_of(rig))
    assert (flight.in_the_air, flight.answering, flight.fileno()) == (False, False, -1)
    flight.receive()
    assert flight.land()


def _body_of(rig: Rig) -> Any:
    departed = _on_its_way(rig)
    rig.pipeline.finish(departed)
    return departed.flight.intent, departed.work
