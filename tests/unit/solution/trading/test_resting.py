"""The resting orders of a flatten: which, how often asked for, and what becomes of them."""

import pytest

from solution.domain.flattening import Flattening
from solution.errors import BrokerError, NoBudget, NotFound, OutcomeUnknown, Rejected
from solution.trading.resting import CANCEL_AGAIN, LIST_EVERY, Standing
from tests.helpers.flatten import FlattenRig
from tests.helpers.trading import accept, fail

RESTS = {"order_type": "limit", "limit_price": "50", "time_in_force": "gtc", "qty": "2"}


@pytest.fixture
def made() -> FlattenRig:
    """Two orders of ours rest, one of them in another ticker, and one is somebody else's."""
    one = FlattenRig(NVDA="10")
    one.answers(accept("new"), accept("new"))
    one.rig.send("b", **RESTS)
    one.rig.send("b", ticker="AAPL", **RESTS)
    other = {"client_order_id": "by-hand", "symbol": "NVDA", "side": "sell", "qty": "1"}
    one.desk.place(other, type="limit")
    one.desk.on_cancel = lambda _order_id: None
    return one


def standing(made: FlattenRig, symbol: str = "") -> dict[str, Standing]:
    return made.resting.standing(lambda found: found == symbol if symbol else True)


def request() -> Flattening:
    return Flattening("one", (), "a test", 0)


def test_ours_of_the_symbol_stand_by_tracker_and_list(made: FlattenRig) -> None:
    """Told once, whoever knows of them."""
    before = standing(made)
    made.resting.look()
    assert standing(made) == before
    assert sorted(one.symbol for one in before.values()) == ["AAPL", "NVDA"]
    (found,) = standing(made, "NVDA").values()
    assert (found.side, found.qty) == ("buy", "2")


def test_one_that_only_the_list_knows_is_found(made: FlattenRig) -> None:
    """Of another process, or from before a loss of the ledger; an ended one is not."""
    ours = {"client_order_id": "sp-abcdefgh-lost", "symbol": "NVDA", "side": "buy", "qty": "1"}
    order = made.desk.place(ours, type="limit")
    made.resting.look()
    assert standing(made, "NVDA")[order["id"]].client_order_id == ""
    order["status"] = "canceled"
    made.resting.look()
    assert order["id"] not in standing(made, "NVDA")


def test_a_cancel_is_asked_for_again_after_a_while(made: FlattenRig) -> None:
    """Not with each round: a cancel may take its time."""
    asked = request()
    for seconds in (0.0, 1.0, CANCEL_AGAIN):
        made.rig.clock.advance(seconds)
        made.resting.cancel(asked, standing(made, "NVDA"))
    assert len(made.desk.cancels) == 2
    assert [one.end for one in asked.cancelled.values()] == [""]


@pytest.mark.parametrize(
    ("error", "again_after", "kind"),
    [
        (Rejected(422, 1, "filled already"), CANCEL_AGAIN, "cancel_refused"),
        (NotFound(404, 1, "no such order"), CANCEL_AGAIN, "cancel_refused"),
        (OutcomeUnknown("HTTP 502"), LIST_EVERY, "cancel"),
    ],
)
def test_what_came_of_a_cancel_is_in_the_orders_history(
    made: FlattenRig, error: BrokerError, again_after: float, kind: str
) -> None:
    """One without an answer is asked for sooner."""

    def fails(_order_id: str) -> None:
        raise error

    made.desk.on_cancel = fails
    found = standing(made, "NVDA")
    made.resting.cancel(request(), found)
    made.rig.clock.advance(again_after - 0.1)
    made.resting.cancel(request(), found)
    assert len(made.desk.cancels) == 1
    made.rig.clock.advance(0.2)
    made.resting.cancel(request(), found)
    assert len(made.desk.cancels) == 2
    (one,) = found.values()
    assert made.rig.notes(one.client_order_id)[-1] == kind
    assert "for flatten:one" in made.rig.history(one.client_order_id)[-1]


def test_without_budget_the_rest_waits_for_the_next_round(made: FlattenRig) -> None:
    """Nothing is taken for asked."""

    def fails(_order_id: str) -> None:
        raise NoBudget("no slot")

    made.desk.on_cancel = fails
    found = standing(made)
    made.resting.cancel(request(), found)
    assert len(made.desk.cancels) == 1
    made.desk.on_cancel = lambda _order_id: None
    made.resting.cancel(request(), found)
    assert len(made.desk.cancels) == 3


def test_an_end_that_nobody_told_is_asked_for(made: FlattenRig) -> None:
    """The stream dropped it, and the list has the order no more."""
    found = standing(made, "NVDA")
    made.resting.cancel(request(), found)
    (order_id,) = found
    made.order(order_id)["status"] = "canceled"
    made.rig.clock.advance(LIST_EVERY + 0.1)
    made.resting.look()
    assert order_id in standing(made, "NVDA")
    made.resting.settle(standing(made, "NVDA"))
    assert standing(made, "NVDA") == {}
    assert made.resting.end_of(order_id) == "canceled"
    assert made.resting.end_of("unheard-of") == "ended"


def test_a_broker_that_does_not_answer_leaves_them_standing(made: FlattenRig) -> None:
    """Nothing is guessed."""
    found = standing(made, "NVDA")
    made.resting.cancel(request(), found)
    made.rig.clock.advance(LIST_EVERY + 0.1)
    made.desk.hidden = set(made.desk.orders)
    made.resting.look()
    made.desk.lookup_error = OutcomeUnknown("HTTP 502")
    made.resting.settle(found)
    assert standing(made, "NVDA") == found


def test_an_order_on_its_way_is_unresolved_and_no_closing_order_is(made: FlattenRig) -> None:
    """A flatten waits for the one, and sends the other itself."""
    made.answers(fail(OutcomeUnknown("reset")))
    made.rig.send("b", qty="1")
    assert [t.intent.symbol for t in made.resting.unresolved()] == ["NVDA"]
