"""Spread, collar and wash trade, each on both sides of its boundary and as a property."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.assets import Asset
from solution.book.prices import Quote
from solution.domain.market import Market
from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Signal
from solution.trading.gates import price_gates
from solution.trading.gates.view import Gate, GateRules, Resting, View
from solution.trading.plan import Plan

SIGNAL = Signal(stream="nvda", entry_id="1-0", ticker="NVDA", digest="d", side=Side.BUY)
QUOTE = Quote("NVDA", Decimal(99), Decimal(101), Decimal(100), None, None, 0.0)
BUY = Plan(side=Side.BUY, qty=Decimal(1), price=Decimal(101), opens=True)
SHORT = Plan(side=Side.SELL, qty=Decimal(1), price=Decimal(99), opens=True)
SALE = SHORT._replace(opens=False)
VIEW = View(
    signal=SIGNAL,
    asset=Asset("id", "NVDA", "us_equity", True, True, True),
    rules=GateRules(max_spread_bps=Decimal(200), price_collar_pct=Decimal("0.05")),
    market=Market(is_open=True, at=datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
    age=0.0,
    starved=0.0,
    waited=0.0,
    quote=QUOTE,
    plan=BUY,
    time_in_force=TimeInForce.IOC,
)
PRICES = st.decimals("0.01", "10000", places=2)


def verdict(gate: Gate, **changed: Any) -> str | None:
    """The reason, or None where it passes; a denial always explains itself."""
    denial = gate(replace(VIEW, **changed))
    assert denial is None or len(denial.message) > 10
    return None if denial is None else denial.reason


def limit(price: str, side: Side = Side.BUY) -> Signal:
    """A limit order's signal."""
    return SIGNAL._replace(side=side, order_type=OrderType.LIMIT, limit_price=Decimal(price))


# --- spread --------------------------------------------------------------------------------------


def test_the_widest_spread_allowed_passes() -> None:
    """99 to 101 are 200 basis points of their middle: exactly the limit."""
    assert verdict(price_gates.spread) is None
    wider = replace(QUOTE, ask=Decimal("101.01"))
    assert verdict(price_gates.spread, quote=wider) == Reason.WIDE_SPREAD


@pytest.mark.parametrize("gone", [{"bid": None}, {"ask": None}, {"bid": Decimal(0)}])
def test_without_one_side_there_is_no_spread_to_trust(gone: dict[str, Any]) -> None:
    """A gate that cannot know refuses."""
    assert verdict(price_gates.spread, quote=replace(QUOTE, **gone)) == Reason.WIDE_SPREAD


@pytest.mark.parametrize(
    "spared",
    [
        {"plan": SALE},
        {"signal": limit("100")},
        {"signal": SIGNAL._replace(order_type=OrderType.STOP, stop_price=Decimal(120))},
        {"market": Market(is_open=False, at=VIEW.market.at)},
        {"rules": GateRules()},
    ],
)
def test_who_is_spared_the_spread(spared: dict[str, Any]) -> None:
    """An exit, a limit of one's own, a stop, a closed market, and no limit set."""
    assert verdict(price_gates.spread, quote=replace(QUOTE, bid=None), **spared) is None


@given(PRICES, PRICES)
def test_no_wider_spread_opens(one: Decimal, other: Decimal) -> None:
    """Whatever passes is at most the limit apart, by the definition itself."""
    bid, ask = sorted((one, other))
    passed = verdict(price_gates.spread, quote=replace(QUOTE, bid=bid, ask=ask)) is None
    assert passed == ((ask - bid) * 20_000 <= 200 * (ask + bid))


# --- collar --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"plan": BUY._replace(price=Decimal(105))}, None),
        ({"plan": BUY._replace(price=Decimal("105.01"))}, Reason.PRICE_COLLAR),
        ({"plan": SHORT, "quote": replace(QUOTE, bid=Decimal(95))}, None),
        ({"plan": SHORT, "quote": replace(QUOTE, bid=Decimal("94.99"))}, Reason.PRICE_COLLAR),
        ({"signal": limit("105")}, None),
        ({"signal": limit("105.01")}, Reason.PRICE_COLLAR),
        ({"signal": limit("1")}, None),
        ({"plan": SALE, "signal": limit("95", Side.SELL)}, None),
        ({"plan": SALE, "signal": limit("94.99", Side.SELL)}, Reason.PRICE_COLLAR),
        ({"plan": SALE, "quote": replace(QUOTE, bid=Decimal(1))}, None),
        ({"quote": replace(QUOTE, last=None)}, Reason.PRICE_COLLAR),
        ({"quote": replace(QUOTE, last=Decimal(0))}, Reason.PRICE_COLLAR),
        ({"quote": replace(QUOTE, last=None), "plan": SALE}, None),
        ({"rules": GateRules(), "quote": replace(QUOTE, last=Decimal(1))}, None),
    ],
)
def test_the_collar(changed: dict[str, Any], expected: str | None) -> None:
    """On the costly side only; an exit at whatever price there is passes."""
    assert verdict(price_gates.collar, **changed) == expected


@pytest.mark.parametrize(
    ("stop", "price", "expected"),
    [("150", "157.5", None), ("150", "157.51", Reason.PRICE_COLLAR), ("150", None, None)],
)
def test_a_stop_is_judged_by_its_own_price(
    stop: str, price: str | None, expected: str | None
) -> None:
    """It trades only once the market is there."""
    kind = OrderType.STOP_LIMIT if price else OrderType.STOP
    signal = SIGNAL._replace(
        order_type=kind, stop_price=Decimal(stop), limit_price=Decimal(price) if price else None
    )
    assert verdict(price_gates.collar, signal=signal) == expected


@given(PRICES, PRICES, st.sampled_from(Side))
def test_no_order_that_opens_trades_beyond_the_collar(
    last: Decimal, price: Decimal, side: Side
) -> None:
    """Whatever passes is within five percent of the last trade, or on the cheap side of it."""
    plan = Plan(side=side, qty=Decimal(1), price=price, opens=True)
    quote = Quote("NVDA", price, price, last, None, None, 0.0)
    beyond = price - last if side is Side.BUY else last - price
    passed = verdict(price_gates.collar, plan=plan, quote=quote) is None
    assert passed == (beyond * 20 <= last)


# --- wash trade ----------------------------------------------------------------------------------

SELL_100 = Resting("sell", Decimal(100))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"resting": (SELL_100,)}, Reason.WASH_TRADE),
        ({"resting": (SELL_100,), "signal": limit("100")}, Reason.WASH_TRADE),
        ({"resting": (SELL_100,), "signal": limit("99.99")}, None),
        ({"resting": (Resting("sell", None),), "signal": limit("1")}, Reason.WASH_TRADE),
        ({"resting": (Resting("buy", None),)}, None),
        ({"resting": (Resting("sell", None, exempt=True),)}, None),
        ({"resting": (Resting("buy", Decimal(98)),), "plan": SHORT}, Reason.WASH_TRADE),
        (
            {
                "resting": (Resting("buy", Decimal(98)),),
                "plan": SHORT,
                "signal": limit("98.01", Side.SELL),
            },
            None,
        ),
        (
            {
                "resting": (SELL_100,),
                "signal": SIGNAL._replace(take_profit=Decimal(120), stop_loss=Decimal(90)),
            },
            None,
        ),
        (
            {
                "resting": (SELL_100,),
                "signal": SIGNAL._replace(
                    order_type=OrderType.TRAILING_STOP, trail_percent=Decimal(1)
                ),
            },
            None,
        ),
        ({"resting": (Resting("buy", None),), "plan": SALE}, None),
        (
            {
                "resting": (Resting("buy", None),),
                "plan": SALE,
                "rules": GateRules(exits_cancel_resting=False),
            },
            Reason.WASH_TRADE,
        ),
    ],
)
def test_wash_trades(changed: dict[str, Any], expected: str | None) -> None:
    """As the broker judges them; an exit that cancels what is in its way is not held up."""
    assert verdict(price_gates.wash_trade, **changed) == expected


@given(PRICES, PRICES, st.sampled_from(Side))
def test_two_limits_conflict_exactly_when_they_cross(
    mine: Decimal, other: Decimal, side: Side
) -> None:
    """A buy at or above a sale of ours."""
    plan = Plan(side=side, qty=Decimal(1), price=mine, opens=True)
    opposite = Side.SELL if side is Side.BUY else Side.BUY
    buy, sell = (mine, other) if side is Side.BUY else (other, mine)
    signal = limit(str(mine), side)
    resting = (Resting(opposite, other),)
    denied = verdict(price_gates.wash_trade, plan=plan, signal=signal, resting=resting)
    assert (denied == Reason.WASH_TRADE) == (buy >= sell)
