"""Brackets, OCO and OTO: entries, legs, and what one of them does to the others."""

from decimal import Decimal
from typing import Any

import pytest

from paper_exchange.engine.families import legs_of
from paper_exchange.orders import Order
from tests.unit.paper_exchange.conftest import Make, World

SUB_PENNY = (
    "invalid take_profit.limit_price 110.001. sub-penny increment does not fulfill minimum "
    "pricing criteria"
)
TARGET, STOP = {"limit_price": "110"}, {"stop_price": "90"}


def bracket(world: World, **fields: Any) -> tuple[Order, Order, Order]:
    """A resting bracket at 95 for ten KO, with its take-profit and its stop-loss."""
    order = {
        "order_class": "bracket",
        "take_profit": TARGET,
        "stop_loss": STOP,
        "type": "limit",
        "limit_price": "95",
        "time_in_force": "gtc",
    }
    entry = world.send(**(order | fields))
    target, stop = legs_of(world.account, entry)
    return entry, target, stop


def oco(world: World, **fields: Any) -> tuple[Order, Order]:
    """The two ends of a position of ten KO."""
    world.send()
    order = {
        "side": "sell",
        "order_class": "oco",
        "type": "limit",
        "take_profit": TARGET,
        "stop_loss": STOP,
        "time_in_force": "gtc",
    }
    first = world.send(**(order | fields))
    (stop,) = legs_of(world.account, first)
    return first, stop


def told(world: World, order: Order) -> list[str]:
    """The events of one order."""
    return [event["event"] for event in world.told if event["order"]["id"] == order.id]


def test_legs_are_held_until_the_entry_is_filled(world: World) -> None:
    """They are orders of their own, of the other side, and claim nothing yet."""
    entry, target, stop = bracket(world)
    assert (entry.status, target.status, stop.status) == ("new", "held", "held")
    assert (target.side, target.type, target.limit_price) == ("sell", "limit", Decimal(110))
    assert (stop.side, stop.type, stop.stop_price) == ("sell", "stop", Decimal(90))
    assert {target.qty, stop.qty} == {Decimal(10)}
    assert {leg.position_intent for leg in (target, stop)} == {"sell_to_close"}
    asset = entry.asset
    assert world.account.held_qty(asset) == 0
    world.price(94)
    world.later(1)
    assert (entry.status, target.status, stop.status) == ("filled", "new", "new")
    # Both close the same ten.
    assert world.account.held_qty(asset) == 10
    assert told(world, target) == told(world, stop) == ["new"]


@pytest.mark.parametrize(("price", "won", "proceeds"), [("111", 0, "110.99"), ("89", 1, "88.99")])
def test_one_exit_ends_the_other(world: World, price: str, won: int, proceeds: str) -> None:
    """The position is closed once, by whichever is reached."""
    _, *legs = bracket(world)
    world.price(94)
    world.later(1)
    world.price(price)
    world.later(1)
    winner, loser = legs[won], legs[1 - won]
    assert (winner.status, loser.status) == ("filled", "canceled")
    assert winner.filled_avg_price == Decimal(proceeds)
    assert told(world, winner) == ["new", "fill"]
    assert told(world, loser) == ["new", "canceled"]
    assert world.qty() == 0
    assert not world.account.open_orders
    assert world.account.reserved == 0


@pytest.mark.parametrize("which", [0, 1, 2])
def test_canceling_one_cancels_the_rest(world: World, which: int) -> None:
    """Whichever of the three it is."""
    family = bracket(world)
    world.engine.cancel(world.account, family[which])
    assert {order.status for order in family} == {"canceled"}
    assert world.events.count("canceled") == 3
    assert world.account.reserved == 0


def test_canceling_an_exit_keeps_the_filled_entry(world: World) -> None:
    """An order that has ended is left as it ended."""
    entry, target, stop = bracket(world)
    world.price(94)
    world.later(1)
    world.engine.cancel(world.account, stop)
    assert (entry.status, target.status, stop.status) == ("filled", "canceled", "canceled")
    assert world.qty() == 10


def test_a_partly_filled_entry_wakes_nothing(make: Make) -> None:
    """Legs wait for all of it, and go with what is left of it."""
    world = make(partial_fill_rate=1.0)
    entry, target, stop = bracket(world)
    world.price(94)
    world.later(0.3)
    assert entry.status == "partially_filled"
    assert {target.status, stop.status} == {"held"}
    world.engine.cancel(world.account, entry)
    assert {target.status, stop.status} == {"canceled"}


def test_a_partial_exit_shrinks_its_sibling(make: Make) -> None:
    """What is left of the position is what is left of both."""
    world = make(liquidity="displayed")
    entry, target, stop = bracket(world, qty="1500")
    world.price(94)
    while entry.status != "filled":
        world.later(0.25)
    world.price(111)
    world.later(0.25)
    assert target.status == "partially_filled"
    assert target.qty == 1500
    assert stop.qty == 1500 - target.filled_qty == world.qty()
    assert world.account.held_qty(entry.asset) == world.qty()
    world.price(89)
    while stop.is_open:
        world.later(0.25)
    assert (target.status, stop.status) == ("canceled", "filled")
    assert world.qty() == 0


def test_exits_of_a_day_expire_together(world: World) -> None:
    """Nobody canceled them."""
    _, target, stop = bracket(world, time_in_force="day")
    world.price(94)
    world.later(1)
    world.later(86_400)
    assert (target.status, stop.status) == ("expired", "expired")
    assert world.events.count("expired") == 2


def test_an_unfilled_entry_of_the_day_takes_its_legs_along(world: World) -> None:
    """Held legs are canceled: they never were in the market."""
    entry, target, stop = bracket(world, time_in_force="day")
    world.later(86_400)
    assert (entry.status, target.status, stop.status) == ("expired", "canceled", "canceled")


def test_short_bracket(world: World) -> None:
    """Sides and prices the other way round."""
    entry, target, stop = bracket(
        world,
        side="sell",
        limit_price="99",
        take_profit={"limit_price": "90"},
        stop_loss={"stop_price": "105", "limit_price": "106"},
    )
    assert entry.status == "filled"
    assert (target.side, stop.side, stop.type) == ("buy", "buy", "stop_limit")
    assert stop.limit_price == 106
    world.price("105.5")
    world.later(1)
    assert (stop.status, target.status) == ("filled", "canceled")
    assert world.qty() == 0


def test_one_triggers_another(world: World) -> None:
    """An OTO has one leg."""
    entry = world.send(
        order_class="oto", stop_loss={"stop_price": "95"}, time_in_force="day", type="market"
    )
    (stop,) = legs_of(world.account, entry)
    assert (entry.status, stop.status) == ("filled", "new")
    world.price(94)
    world.later(1)
    assert stop.status == "filled"


@pytest.mark.parametrize(("price", "won"), [("111", 0), ("89", 1)])
def test_one_cancels_the_other(world: World, price: str, won: int) -> None:
    """The take-profit is the order itself, the stop its leg; together they claim the position."""
    family = oco(world)
    first, stop = family
    assert (first.status, first.limit_price, stop.status) == ("new", Decimal(110), "new")
    assert world.account.held_qty(first.asset) == 10
    world.price(price)
    world.later(1)
    assert family[won].status == "filled"
    assert family[1 - won].status == "canceled"
    assert world.qty() == 0


def test_a_bracket_is_no_wash_trade(world: World) -> None:
    """A simple purchase beside the exits of a bracket would be one, another bracket is not."""
    _, target, stop = bracket(world)
    world.price(94)
    world.later(1)
    assert {target.status, stop.status} == {"new"}
    entry, *_ = bracket(world, limit_price="80", stop_loss={"stop_price": "70"})
    assert entry.status == "new"
    # The positions' shares are claimed by the exits.
    refusal = world.refusal(lambda: world.send(side="sell", time_in_force="day"))
    assert refusal["held_for_orders"] == "10"


def test_replacing_an_exit(world: World) -> None:
    """Its replacement belongs to the family, held or not; its size is the position's."""
    entry, target, stop = bracket(world)
    moved = world.replace(stop, stop_price="85")
    assert (moved.status, stop.status) == ("held", "replaced")
    world.price(94)
    world.later(1)
    raised = world.replace(target, limit_price="120")
    assert [leg.id for leg in legs_of(world.account, entry)] == [raised.id, moved.id]
    assert world.refusal(lambda: world.replace(raised, qty="5"))["message"] == (
        "qty of an exit order cannot be changed"
    )
    world.price(84)
    world.later(1)
    assert (moved.status, raised.status, world.qty()) == ("filled", "canceled", 0)


def test_replacing_an_entry(world: World) -> None:
    """The legs follow it, in size too."""
    entry, target, stop = bracket(world)
    larger = world.replace(entry, qty="30")
    assert {target.parent_id, stop.parent_id} == {larger.id}
    assert {target.qty, stop.qty} == {Decimal(30)}
    world.price(94)
    world.later(1)
    assert (larger.status, target.status) == ("filled", "new")
    world.price(120)
    world.later(1)
    assert (target.status, stop.status, world.qty()) == ("filled", "canceled", 0)


def test_nested(world: World) -> None:
    """Legs are shown where they are asked for, as they stand."""
    entry, target, stop = bracket(world)
    assert entry.render()["legs"] is None
    moved = world.replace(stop, stop_price="85")
    shown = entry.render(legs_of(world.account, entry))["legs"]
    assert isinstance(shown, list)
    assert [(leg["id"], leg["status"]) for leg in shown] == [
        (target.id, "held"),
        (moved.id, "held"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_loss": None}, "bracket orders require stop_loss.stop_price"),
        ({"take_profit": None}, "bracket orders require take_profit.limit_price"),
        ({"take_profit": "110"}, "take_profit must be an object"),
        ({"take_profit": {"limit_price": "x"}}, "take_profit.limit_price must be a number"),
        ({"stop_loss": {"stop_price": "-1"}}, "stop_loss.stop_price must be > 0"),
        ({"order_class": "basket"}, "invalid order_class"),
        ({"order_class": "mleg"}, 'order_class "mleg" is not supported by this exchange'),
        ({"time_in_force": "ioc"}, "bracket orders must be DAY or GTC orders"),
        ({"time_in_force": "day", "qty": "1.5"}, "fractional orders must be simple orders"),
        (
            {"time_in_force": "day", "extended_hours": True},
            "bracket orders are not allowed in extended hours",
        ),
        (
            {"type": "trailing_stop", "trail_price": "1", "limit_price": None},
            "trailing stop orders must be simple orders",
        ),
        (
            {"symbol": "BTC/USD"},
            "crypto orders not allowed for advanced order_class: bracket",
        ),
        (
            {"take_profit": {"limit_price": "89"}},
            "take_profit.limit_price must be > stop_loss.stop_price",
        ),
        (
            {"side": "sell"},
            "take_profit.limit_price must be < stop_loss.stop_price",
        ),
        ({"stop_loss": {"stop_price": "95"}}, "stop_loss.stop_price must be <= base_price - 0.01"),
        (
            {"take_profit": {"limit_price": "95"}},
            "take_profit.limit_price must be >= base_price + 0.01",
        ),
        (
            {"take_profit": {"limit_price": "110.001"}},
            SUB_PENNY,
        ),
        ({"order_class": "oto"}, "oto orders require exactly one of take_profit and stop_loss"),
        (
            {"order_class": "oco"},
            "take_profit.limit_price must be < stop_loss.stop_price",
        ),
        (
            {"order_class": "oco", "side": "sell"},
            "oco orders must be exit orders",
        ),
        (
            {"order_class": "oco", "type": "stop", "stop_price": "1"},
            "oco orders must be limit orders",
        ),
    ],
)
def test_refusals(world: World, changes: dict[str, Any], message: str) -> None:
    """Each of them leaves nothing behind."""
    if changes.get("type") == "stop":
        changes = changes | {"limit_price": None, "take_profit": None}
    refusal = world.refusal(lambda: bracket(world, **changes))
    assert refusal["message"] == message
    assert not list(world.account.orders)


def test_an_entry_opens(world: World) -> None:
    """A bracket that would close a position is refused."""
    world.send()
    refusal = world.refusal(
        lambda: bracket(
            world,
            side="sell",
            limit_price="99",
            take_profit={"limit_price": "90"},
            stop_loss={"stop_price": "105"},
        )
    )
    assert refusal["message"] == "bracket orders must be entry orders"


def test_legs_close_no_more_than_is_there(make: Make) -> None:
    """What was sold while the entry was still being filled is not sold again."""
    world = make(liquidity="displayed")
    entry, target, stop = bracket(world, qty="1500")
    world.price(94)
    world.later(0.25)
    assert entry.status == "partially_filled"
    world.send(side="sell", qty="10", order_class=None)
    while entry.is_open:
        world.later(0.25)
    assert {target.qty, stop.qty} == {Decimal(1490)}
    assert world.account.held_qty(entry.asset) == world.qty() == 1490


@pytest.mark.parametrize("role", [0, 1])
def test_an_exit_filled_while_its_sibling_is_replaced(make: Make, role: int) -> None:
    """Neither the replaced one nor its successor sells anything more."""
    world = make(cancel_delay_ms=500)
    entry, *legs = bracket(world)
    world.price(94)
    world.later(1)
    change = {"limit_price": "115"} if role == 0 else {"stop_price": "88"}
    successor = world.replace(legs[role], **change)
    assert world.account.held_qty(entry.asset) == 10
    world.price(89 if role == 0 else 111)
    world.later(0.25)
    assert legs[1 - role].status == "filled"
    assert not legs[role].is_open
    assert not successor.is_open
    assert not world.account.open_orders
    assert world.qty() == 0
