"""Submitter: what each kind of answer to a POST leads to."""

from typing import Any

import pytest

from solution.domain.records import State
from solution.errors import (
    DuplicateOrder,
    IdentityExists,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
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
    rig.desk.script.append(fail(UNCLEAR if unclear else RateLimited("too many requests", 1.0)))
    entry = rig.publish()
    lease, slot = _taken(rig)
    rig.pipeline.run(lease.item, lease, slot)
    intent = rig.row(rig.only_coid())
    rig.killed = "the kill switch is on"
    assert rig.submitter.post(intent, lease.item, slot) is True
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry)[-1] == ended
    assert rig.outcomes.events[-1]["message"] == "the kill switch is on"


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


def _taken(rig: Rig) -> Any:
    slot = rig.limiter.try_acquire(3)  # type: ignore[arg-type]
    return rig.lanes.take(lambda _: slot, lambda _: 0.0, 0.0)
