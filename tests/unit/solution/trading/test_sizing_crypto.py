"""Sizes of crypto pairs: in increments, never below what the broker takes, never short."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from solution.book.assets import Asset
from solution.book.prices import Quote
from solution.domain.signal import Action, SizeKind
from solution.errors import Refused
from solution.trading.plan import Plan, Request, SizingRules
from solution.trading.sizing import size
from solution.trading.targets import difference
from tests.helpers import sizing
from tests.helpers.sizing import BUY, LIQUIDATE, OPEN_RULES, SELL, ZERO, holdings, qty, stated

STEP = Decimal("0.0001")
LEAST = Decimal("0.0002")
BTC = Asset("btc", "BTC/USD", "crypto", True, False, True, LEAST, STEP, Decimal("0.01"))
MARKET = Quote("BTC/USD", Decimal(49_990), Decimal(50_000), None, None, None, 0.0)
AMOUNTS = st.decimals("0", "100000", places=9)
TEN_PERCENT = replace(OPEN_RULES, max_position_pct=Decimal("0.1"))


def sized(*args: object, **changed: object) -> tuple[str, str]:
    return sizing.sized(*args, asset=BTC, market=MARKET, **changed)


def refusal(*args: object, **changed: object) -> str:
    return sizing.refusal(*args, asset=BTC, market=MARKET, **changed)


def decided(request: Request) -> Plan | None:
    """The plan, or None where it is refused."""
    try:
        return size(request)
    except Refused:
        return None


def target(value: str, kind: SizeKind = SizeKind.TARGET_QTY) -> object:
    return sizing.target(value, kind)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"policy": "weight", "max_position_pct": Decimal("0.1")}, "0.2000"),
        ({"policy": "position_pct", "max_position_pct": Decimal("0.1")}, "0.2000"),
        ({"policy": "fixed_qty", "qty": Decimal("0.00123")}, "0.0012"),
        ({"policy": "fixed_notional", "lot": Decimal(123)}, "0.0024"),
        ({"policy": "all_in"}, "2.0000"),
        ({"policy": "fixed_qty", "qty": Decimal(1), "max_order_qty": Decimal("0.5")}, "0.5000"),
        ({"policy": "fixed_qty", "qty": Decimal(1), "max_order_notional": Decimal(99)}, "0.0019"),
    ],
)
def test_every_policy_buys_parts_of_a_coin(rules: dict[str, object], expected: str) -> None:
    """Rounded down to the increment, under every cap; a whole coin would be none at all."""
    assert sized(BUY, **rules) == ("buy", expected)


def test_a_stated_size_is_rounded_down_and_says_so() -> None:
    """The broker refuses what lies between two increments."""
    plan = size(sizing.request(qty(BUY, "0.00129"), asset=BTC, market=MARKET))
    assert (plan.qty, plan.note) == (
        Decimal("0.0012"),
        "rounded down to a multiple of 0.0001",
    )


def test_an_amount_of_money_is_in_cents() -> None:
    """More decimals are refused by the broker; the size beside it is an estimate."""
    signal = stated(BUY, SizeKind.NOTIONAL, "100.129")
    plan = size(sizing.request(signal, asset=BTC, market=MARKET))
    assert (plan.notional, plan.qty, plan.note) == (Decimal("100.12"), Decimal("0.0020"), "")


def test_a_sale_is_of_what_is_there() -> None:
    """What fees left, down to the increment; the rest cannot be sold and is refused as such."""
    assert sized(SELL, holdings("0.19951234")) == ("sell", "0.1995")
    assert sized(LIQUIDATE, holdings("0.19951234")) == ("sell", "0.1995")
    assert sized(qty(SELL, "0.5"), holdings("0.19951234")) == ("sell", "0.1995")
    assert refusal(SELL, holdings("0.00001234")) == "SIZE_TOO_SMALL"
    assert refusal(SELL) == "NOTHING_TO_SELL"
    assert refusal(BUY._replace(action=Action.BUY_TO_COVER)) == "NOTHING_TO_COVER"


@pytest.mark.parametrize(
    ("signal", "held"),
    [
        (qty(BUY, "0.0001"), "0"),
        (qty(BUY, "0.00019"), "0"),
        (stated(BUY, SizeKind.NOTIONAL, "9.99"), "0"),
        (qty(SELL, "0.0001"), "1"),
    ],
)
def test_below_the_smallest_order_is_too_small(signal: object, held: str) -> None:
    """The pair's own smallest order; the message has both numbers."""
    assert refusal(signal, holdings(held)) == "SIZE_TOO_SMALL"


def test_ten_dollars_open_and_anything_closes() -> None:
    """A position whose price has fallen below the least cost must have an exit."""
    cheap = Quote("BTC/USD", Decimal(4), Decimal(5), None, None, None, 0.0)
    request = sizing.request(qty(BUY, "1.9999"), asset=BTC, market=cheap)
    with pytest.raises(Refused, match=r"1\.9999 BTC/USD cost 10\.00, the least") as caught:
        size(request)
    assert caught.value.reason == "SIZE_TOO_SMALL"
    assert sizing.sized(qty(BUY, "2"), asset=BTC, market=cheap) == ("buy", "2.0000")
    assert sizing.sized(SELL, holdings("0.5"), asset=BTC, market=cheap) == ("sell", "0.5000")


def test_a_target_is_reached_when_only_fees_are_missing() -> None:
    """Published again it trades nothing; what is more than a fee is traded."""
    goal = target("0.2")
    assert sized(goal, holdings()) == ("buy", "0.2000")
    assert refusal(goal, holdings("0.1995")) == "AT_TARGET"
    assert sized(goal, holdings("0.1990")) == ("buy", "0.0010")
    assert sized(target("0"), holdings("0.1995")) == ("sell", "0.1995")
    assert sized(target("0.1"), holdings("0.1995")) == ("sell", "0.0995")


def test_dust_above_a_target_is_no_difference() -> None:
    """A target of 0 published twice sells once; what is left cannot be sold."""
    assert refusal(target("0"), holdings("0.00019999")) == "AT_TARGET"
    assert sized(target("0"), holdings("0.0002")) == ("sell", "0.0002")
    assert refusal(target("0.0001"), holdings()) == "SIZE_TOO_SMALL"


def test_a_target_is_not_turned_into_a_short() -> None:
    """Only what is free is sold."""
    held = holdings("0.5", available="0.2")
    assert sized(target("0"), held) == ("sell", "0.2000")


def test_a_weight_is_reached_when_only_fees_are_missing() -> None:
    """Each further buy would otherwise trade the fee of the one before."""
    rules = {"rules": TEN_PERCENT}
    assert sized(BUY, holdings(), **rules) == ("buy", "0.2000")
    assert refusal(BUY, holdings("0.1995"), **rules) == "AT_TARGET"
    assert sized(BUY, holdings("0.1900"), **rules) == ("buy", "0.0100")
    half = stated(BUY, SizeKind.WEIGHT, "0.05")
    assert refusal(half, holdings("0.09975")) == "AT_TARGET"


def test_buying_power_clamps_to_increments() -> None:
    """As for shares, only finer."""
    assert sized(BUY, holdings(power="60"), policy="all_in") == ("buy", "0.0012")
    assert refusal(BUY, holdings(power="4"), policy="all_in") == "INSUFFICIENT_BUYING_POWER"


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    amount=AMOUNTS,
    step=st.sampled_from(["0.000000001", "0.0001", "0.5", "0.0025", "3"]).map(Decimal),
    least=st.sampled_from(["0.000000001", "0.0002", "1"]).map(Decimal),
    price=st.decimals("0.0001", "100000", places=4),
    policy=st.sampled_from(["fixed_qty", "fixed_notional", "all_in", "weight", "position_pct"]),
    held=st.decimals("0", "10", places=9),
    sells=st.booleans(),
)
def test_nothing_leaves_that_the_broker_would_find_too_small_or_uneven(
    amount: Decimal,
    step: Decimal,
    least: Decimal,
    price: Decimal,
    policy: str,
    held: Decimal,
    sells: bool,
) -> None:
    """Whatever the policy: a multiple of the increment, no less than the smallest order, $10 to
    open, never beyond money or holdings; or a refusal.
    """
    pair = replace(BTC, min_trade_increment=step, min_order_size=least)
    market = Quote("BTC/USD", price, price, None, None, None, 0.0)
    rules = SizingRules(
        weights={},
        policy=policy,
        qty=amount,
        lot=amount,
        max_position_pct=ZERO,
        max_order_notional_pct=ZERO,
    )
    own = holdings(f"{held:f}", power="50000", cash="50000")
    request = sizing.request(SELL if sells else BUY, own, asset=pair, market=market, rules=rules)
    plan = decided(request)
    assume(plan is not None)
    assert plan is not None
    assert plan.qty % step == 0
    assert plan.qty >= least
    assert plan.opens is not sells
    assert (plan.opens and 10 <= plan.cost <= 50_000) or plan.qty <= held


@settings(deadline=None, derandomize=True)
@given(st.decimals("0.001", "10", places=9), st.decimals("0", "0.0025", places=5))
def test_a_target_trades_once_at_any_fee(wanted: Decimal, fee: Decimal) -> None:
    """Buy for it, lose the fee, ask again: nothing is lacking."""
    signal = stated(BUY._replace(side=None), SizeKind.TARGET_QTY, f"{wanted:f}")
    fine = replace(BTC, min_trade_increment=Decimal("1E-9"))
    first = size(sizing.request(signal, holdings(), asset=fine, market=MARKET))
    left = (first.qty * (1 - fee)).quantize(Decimal("1E-9"))
    assert not difference(sizing.request(signal, holdings(f"{left:f}"), asset=fine, market=MARKET))
