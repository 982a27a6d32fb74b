"""OpenOrders: the broker's list of open orders against ours, once a minute."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
import pytest

from solution.domain.records import State
from solution.errors import NoBudget, OutcomeUnknown, Rejected
from solution.trading import open_orders as module
from solution.trading.open_orders import EVERY, EVERY_WHEN_IDLE, OpenOrders
from tests.helpers.trading import Rig, RigRules, accept, accept_then, fail

UNCLEAR = OutcomeUnknown("no usable answer")
RESTING = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}


class Fixture(Rig):
    """A rig, what compares its open orders, and the strangers that it met."""

    def __init__(self) -> None:
        super().__init__(RigRules(may_resend=False))
        self.strangers: list[Mapping[str, Any]] = []
        self.settle = self.strangers.append
        self.compare = OpenOrders(
            self.desk,
            self.tracker,
            self.schedule,
            self.clock,
            is_ours=lambda coid: coid.startswith("sp-abcdefgh-"),
            has_row=lambda coid: self.ledger.find_by_client_order_id(coid) is not None,
            on_stranger=self._meet,
        )

    def _meet(self, order: Mapping[str, Any]) -> None:
        self.settle(order)

    def rest(self) -> str:
        """An order that stands at the broker; its client_order_id."""
        self.desk.script.append(accept("new"))
        self.send(**RESTING)
        return self.only_coid()

    def a_minute(self) -> list[str]:
        """The next comparison; what was asked of the broker for it."""
        self.clock.advance(EVERY)
        self.desk.asked.clear()
        self.compare.step()
        return self.desk.asked


@pytest.fixture
def rig() -> Fixture:
    """A fresh order path that never sends twice."""
    return Fixture()


def test_one_list_a_minute_from_spare_budget(rig: Fixture) -> None:
    """While anything is open; else only now and then."""
    coid = rig.rest()
    assert rig.a_minute() == ["open POLL"]
    rig.desk.asked.clear()
    rig.clock.advance(EVERY - 1)
    rig.compare.step()
    assert rig.desk.asked == []
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    assert rig.a_minute() == []
    rig.clock.advance(EVERY_WHEN_IDLE)
    rig.compare.step()
    assert rig.desk.asked == ["open POLL"]


@pytest.mark.parametrize("error", [NoBudget("no slot"), OutcomeUnknown("HTTP 504")])
def test_what_could_not_be_asked_is_asked_soon(rig: Fixture, error: Exception) -> None:
    """Orders need the budget, or the broker does not answer: five seconds later again."""
    rig.rest()
    rig.desk.lookup_error = error  # type: ignore[assignment]
    assert rig.a_minute() == ["open POLL"]
    rig.desk.lookup_error = None
    rig.clock.advance(5)
    rig.compare.step()
    assert rig.desk.asked == ["open POLL"] * 2


def test_a_missed_end_is_found(rig: Fixture) -> None:
    """Not in the list any more: polled at once, and the poll says how it ended."""
    coid = rig.rest()
    rig.advance(60)  # its own polls are half a minute apart by now
    rig.desk.fill(coid, "50")
    rig.compare.step()
    rig.advance(0.1)
    assert rig.row(coid).state is State.FILLED


def test_a_fill_in_the_list_is_booked(rig: Fixture) -> None:
    """The list is a poll of every order in it."""
    coid = rig.rest()
    rig.desk.fill(coid, "50", "4")
    rig.a_minute()
    assert rig.row(coid).filled_qty == 4


def test_an_order_too_young_for_the_list_is_left_alone(rig: Fixture) -> None:
    """It was sent while the broker made the list."""
    rig.clock.advance(EVERY - 1)
    coid = rig.rest()
    rig.desk.hidden.add(coid)
    rig.clock.advance(1)
    rig.compare.step()
    rig.advance(0.1)
    assert rig.desk.asked == ["open POLL"]


def test_an_unresolved_order_in_the_list_is_looked_up_at_once(rig: Fixture) -> None:
    """Given up, and there it is: compared, adopted, and cancelled as any late order."""
    rig.desk.script.append(accept_then(UNCLEAR))
    rig.send(**RESTING)
    coid = rig.only_coid()
    rig.desk.hidden.add(coid)
    rig.advance(100)
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    rig.desk.hidden.clear()
    rig.compare.step()
    rig.advance(0.1)
    assert rig.row(coid).state is State.OPEN
    assert rig.desk.cancels == [rig.desk.orders[coid]["id"]]
    assert {"lookup", "expired_unconfirmed", "adopted", "cancel"} <= set(rig.notes(coid))


# --- strangers ----------------------------------------------------------------------------


def test_an_order_with_our_id_and_no_row_is_told(
    rig: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged and counted once, handed on until somebody settles it."""
    rig.rest()
    stray = rig.desk.place({"client_order_id": "sp-abcdefgh-stray", "symbol": "AMD", "qty": "1"})
    rig.desk.place({"client_order_id": "sp-another0-x", "symbol": "AMD", "qty": "1"})
    rig.desk.place({"client_order_id": "by-hand", "symbol": "AMD", "qty": "1"})

    def broken(_order: Mapping[str, Any]) -> None:
        raise RuntimeError("not now")

    keep, rig.settle = rig.settle, broken
    rig.a_minute()
    rig.settle = keep
    rig.a_minute()
    assert [order["id"] for order in rig.strangers] == [stray["id"]]
    messages = [record.message for record in caplog.records]
    assert messages.count("unknown_order_with_our_id") == 1
    assert rig.tracker.board.corrections() == {"stranger": 1}


# --- ended by our record, open at the broker ------------------------------------------------


def ended_here(rig: Fixture) -> str:
    """An order that we were told is cancelled, and that goes on at the broker."""
    coid = rig.rest()
    order = dict(rig.desk.orders[coid]) | {"status": "canceled"}
    rig.hear(rig.update(coid, "canceled", order=order))
    rig.publish("b", ticker="AMD", **RESTING)  # something is open, so there is a list a minute
    rig.desk.script.append(accept("new"))
    rig.work()
    return coid


def test_an_ended_order_that_is_open_is_cancelled(
    rig: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """The end stands, what it still trades is booked as a correction, and it is cancelled."""
    coid = ended_here(rig)
    order = rig.desk.orders[coid]
    rig.desk.fill(coid, "50", "4")
    rig.a_minute()
    assert rig.desk.cancels == [order["id"]]
    row = rig.row(coid)
    assert (row.state, row.filled_qty, rig.held()) == (State.CANCELED, Decimal(4), Decimal(4))
    assert "ended_order_is_open" in [record.message for record in caplog.records]
    assert rig.tracker.board.corrections() == {"order": 1, "execution": 1}
    assert "corrected" in rig.notes(coid)
    # Between the cancel and its end two more shares filled; nobody told.
    order |= {"status": "canceled", "filled_qty": "6"}
    rig.a_minute()
    assert (rig.row(coid).filled_qty, rig.held()) == (Decimal(6), Decimal(6))
    assert rig.a_minute() == ["open POLL"]


def test_a_list_that_was_late_cancels_nothing(rig: Fixture) -> None:
    """The second question says that the order has ended after all."""
    coid = ended_here(rig)
    listed = [dict(rig.desk.orders[coid])]
    rig.desk.orders[coid]["status"] = "canceled"
    rig.desk.open_orders = lambda priority: listed  # type: ignore[method-assign]  # noqa: ARG005
    rig.a_minute()
    assert rig.desk.cancels == []


def test_a_cancel_that_is_refused_is_tried_again(rig: Fixture) -> None:
    """Once a minute for as long as the broker has it open; counted once."""
    ended_here(rig)

    def refuse(_order_id: str) -> None:
        raise Rejected(422, 42210000, "not cancelable")

    rig.desk.on_cancel = refuse
    rig.a_minute()
    rig.a_minute()
    assert len(rig.desk.cancels) == 2
    assert rig.tracker.board.corrections() == {"order": 1}


def test_somebody_elses_order_under_our_id_is_left_alone(rig: Fixture) -> None:
    """ID_CONFLICT, also after a restart: it is not ours to cancel."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    coid = rig.only_coid()
    rig.tracker.conflicts(coid, "another symbol")
    body = orjson.loads(rig.desk.posts[0]) | {"symbol": "AAPL"}
    rig.desk.place(body)
    rig.clock.advance(EVERY_WHEN_IDLE)
    rig.compare.step()
    rig.tracker._registry.ended.clear()
    rig.clock.advance(EVERY_WHEN_IDLE)
    rig.compare.step()
    assert rig.desk.asked[-2:] == ["open POLL"] * 2
    assert rig.desk.cancels == []
    assert rig.strangers == []


def test_an_order_that_vanished_is_let_go(rig: Fixture) -> None:
    """Cancelled by us, and the broker does not even know it any more."""
    coid = ended_here(rig)
    rig.a_minute()
    del rig.desk.orders[coid]
    rig.a_minute()
    assert rig.a_minute() == ["open POLL"]


def test_a_list_as_long_as_a_page_says_nothing_of_what_it_lacks(
    rig: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order may be on the next page."""
    monkeypatch.setattr(module, "COMPLETE", 1)
    coid = rig.rest()
    rig.desk.hidden.add(coid)
    rig.desk.place({"client_order_id": "by-hand", "symbol": "AMD", "qty": "1"})
    polled: list[list[str]] = []
    monkeypatch.setattr(rig.schedule, "poll_now", lambda coids, _at: polled.append(coids))
    rig.a_minute()
    assert polled == []
    monkeypatch.setattr(module, "COMPLETE", 2)
    rig.a_minute()
    assert polled == [[coid]]


def test_an_end_heard_while_the_list_was_made_is_believed(rig: Fixture) -> None:
    """The list is older than the end: no question, no cancel."""
    coid = rig.rest()
    listed = [dict(rig.desk.orders[coid])]

    def slow(priority: Any) -> list[dict[str, Any]]:
        rig.clock.advance(1)
        order = dict(listed[0]) | {"status": "canceled"}
        rig.hear(rig.update(coid, "canceled", order=order))
        return listed

    rig.desk.open_orders = slow  # type: ignore[method-assign]
    assert rig.a_minute() == []
    assert rig.desk.cancels == []
