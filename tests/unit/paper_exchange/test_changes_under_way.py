"""Cancels and replacements that take their time, or never come."""

from decimal import Decimal

import pytest

from paper_exchange.orders import Order
from tests.unit.paper_exchange.conftest import Make, World


class Stuck:
    """A venue that never confirms, and rejects what it is told to."""

    def __init__(self) -> None:
        self.rejected: set[str] = set()

    def rejects(self, order: Order) -> bool:
        """Whether the order's symbol is on the list."""
        return order.asset.symbol in self.rejected

    def cancel_delay_ns(self, order: Order) -> int | None:
        """Never."""
        return None


@pytest.fixture
def slow(make: Make) -> World:
    """Changes take half a second."""
    return make(cancel_delay_ms=500)


def test_a_cancel_is_pending(slow: World) -> None:
    """It is told twice, and asking again is no error."""
    order = slow.rest("90")
    slow.engine.cancel(slow.account, order)
    assert order.status == "pending_cancel"
    slow.engine.cancel(slow.account, order)
    assert slow.account.reserved > 0
    assert slow.later(0.4) == 100_000_000
    assert order.status == "pending_cancel"
    slow.later(0.1)
    assert order.status == "canceled"
    assert slow.events == ["new", "pending_cancel", "canceled"]
    assert slow.account.reserved == 0


def test_a_fill_wins_the_race(slow: World) -> None:
    """What is filled while the cancel is under way stays filled."""
    order = slow.rest("90")
    slow.engine.cancel(slow.account, order)
    slow.price(89)
    slow.later(0.25)
    assert order.status == "filled"
    slow.later(1)
    assert slow.events == ["new", "pending_cancel", "fill"]


def test_a_partial_fill_stays_pending(make: Make) -> None:
    """The cancel takes what is left."""
    world = make(cancel_delay_ms=500, partial_fill_rate=1.0)
    order = world.rest("90")
    world.engine.cancel(world.account, order)
    world.price(89)
    world.later(0.25)
    assert (order.status, order.filled_qty > 0) == ("pending_cancel", True)
    world.later(0.25)
    assert order.status == "canceled"
    assert world.qty() == order.filled_qty


def test_a_stuck_cancel_waits_for_its_release(world: World) -> None:
    """Nothing but that, or a fill, ends it."""
    order, other = world.rest("90"), world.rest("90")
    world.engine.conduct = Stuck()
    world.engine.cancel(world.account, order)
    world.later(3600)
    assert order.status == "pending_cancel"
    assert world.engine.release_cancels([world.account]) == 1
    assert (order.status, other.status) == ("canceled", "new")
    assert world.engine.release_cancels([world.account]) == 0


def test_an_order_that_waits_is_canceled_at_once(make: Make) -> None:
    """Only what is in the market has to be got back from there."""
    world = make(cancel_delay_ms=500)
    order = world.rest("90", time_in_force="opg")
    world.engine.cancel(world.account, order)
    assert order.status == "canceled"


def test_a_late_rejection(world: World) -> None:
    """The order was accepted, then never got into the market."""
    conduct = Stuck()
    conduct.rejected.add("KO")
    world.engine.conduct = conduct
    order = world.send()
    assert (order.status, order.failed_ns is not None) == ("rejected", True)
    assert world.events == ["rejected"]
    assert world.account.reserved == 0


def test_a_replacement_is_pending(slow: World) -> None:
    """Both orders are open, the larger claim is reserved, and neither can be changed again."""
    order = slow.rest("90")
    before = slow.account.reserved
    successor = slow.replace(order, qty="20")
    assert (order.status, successor.status) == ("pending_replace", "pending_new")
    assert slow.account.reserved == 2 * before
    for change, message in (
        (lambda: slow.replace(order, qty="30"), "cannot replace order in pending_replace status"),
        (lambda: slow.replace(successor, qty="30"), "order chain not fully replaced"),
        (
            lambda: slow.engine.cancel(slow.account, order),
            'order is already in "pending_replace" state',
        ),
    ):
        assert slow.refusal(change)["message"] == message
    slow.later(0.5)
    assert (order.status, successor.status) == ("replaced", "new")
    assert (order.replaced_by, successor.replaces) == (successor.id, order.id)
    assert slow.account.reserved == 2 * before
    assert slow.events == ["new", "pending_replace", "replaced", "new"]


def test_a_fill_beats_the_replacement(slow: World) -> None:
    """The new order is rejected, as the answer never guaranteed it."""
    order = slow.rest("90")
    successor = slow.replace(order, qty="20")
    slow.price(89)
    slow.later(0.25)
    assert (order.status, successor.status) == ("filled", "rejected")
    assert slow.qty() == 10
    assert slow.account.reserved == 0
    slow.later(1)
    assert slow.events == ["new", "pending_replace", "fill", "rejected"]


def test_an_order_in_dollars_is_not_replaced(make: Make) -> None:
    """Its quantity is not known before it trades."""
    world = make(fill_delay_ms=500)
    order = world.send(qty=None, notional="100", time_in_force="day")
    refusal = world.refusal(lambda: world.replace(order, time_in_force="gtc"))
    assert refusal["message"] == "notional orders cannot be replaced"


def filled_partly_while_replaced(make: Make, qty: str) -> tuple[Order, Order]:
    """An order for 2,500 and what was to replace it, after the replacement would have come."""
    world = make(cancel_delay_ms=500, liquidity="displayed")
    order = world.rest("90", qty="2500")
    successor = world.replace(order, qty=qty)
    world.price(89)
    world.later(0.25)
    world.price(100)
    world.later(0.5)
    return order, successor


def test_what_traded_meanwhile_is_taken_off(make: Make) -> None:
    """The chain's total is what was asked for."""
    order, successor = filled_partly_while_replaced(make, "3000")
    assert order.status == "replaced"
    assert order.filled_qty > 0
    assert successor.qty == 3000 - order.filled_qty


def test_a_replacement_for_less_than_has_traded(make: Make) -> None:
    """Comes too late: the old order goes on."""
    order, successor = filled_partly_while_replaced(make, "1")
    assert (order.status, successor.status) == ("partially_filled", "rejected")
    assert order.successor_id is None


def test_both_claims_on_shares_count_once(slow: World) -> None:
    """A sale and its replacement are for the same shares."""
    slow.send()
    order = slow.rest("110", side="sell", qty="4")
    slow.replace(order, qty="6")
    assert slow.account.held_qty(order.asset) == 6
    refusal = slow.refusal(lambda: slow.rest("110", side="sell", qty="5"))
    assert refusal["available"] == "4"


def test_the_close_ends_a_pending_cancel_as_canceled(make: Make) -> None:
    """The cancel was there first."""
    world = make()
    world.engine.conduct = Stuck()
    order = world.rest("90", time_in_force="day")
    world.engine.cancel(world.account, order)
    world.later(86_400)
    assert (order.status, order.filled_qty) == ("canceled", Decimal(0))


def test_who_cancels_the_new_order_wants_neither(slow: World) -> None:
    """The old one is canceled when its replacement would have taken place."""
    order = slow.rest("90")
    successor = slow.replace(order, qty="20")
    slow.engine.cancel(slow.account, successor)
    assert (order.status, successor.status) == ("pending_replace", "canceled")
    slow.later(0.5)
    assert (order.status, successor.status) == ("canceled", "canceled")
    assert slow.account.reserved == 0


def test_a_canceled_successor_stays_as_it_ended(make: Make) -> None:
    """What the old order still gets is taken off no order that has ended."""
    world = make(cancel_delay_ms=500, partial_fill_rate=1.0)
    order = world.rest("90", qty="2000")
    successor = world.replace(order, qty="3000")
    world.engine.cancel(world.account, successor)
    ended = (successor.status, successor.qty, successor.updated_ns)
    world.price(89)
    world.later(0.25)
    assert (order.status, order.filled_qty > 0) == ("pending_replace", True)
    assert (successor.status, successor.qty, successor.updated_ns) == ended
    assert ended[:2] == ("canceled", Decimal(3000))
