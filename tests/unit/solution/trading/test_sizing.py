"""How many shares, and which way."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.domain.caps import NO_LIMIT, Cap
from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Action, Signal, SizeKind
from solution.errors import Refused, SignalError
from solution.trading.plan import Plan, Request, SizingRules
from solution.trading.sizing import size
from tests.helpers.sizing import (
    BUY,
    LIQUIDATE,
    NVDA,
    ONE,
    OPEN_RULES,
    SELL,
    SHORT,
    WHOLE_ONLY,
    ZERO,
    holdings,
    qty,
    quote,
    refusal,
    request,
    sized,
    stated,
    target,
)

# --- policies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "more", "shares"),
    [
        ("weight", {"weights": {"NVDA": Decimal("0.3")}}, "300"),
        ("weight", {"symbols": ("NVDA", "AAPL")}, "500"),
        ("weight", {"symbols": ("AAPL",), "max_position_pct": Decimal("0.2")}, "200"),
        ("weight", {"weights": {"AAPL": Decimal("0.3")}, "symbols": ("NVDA",)}, "1000"),
        ("position_pct", {"max_position_pct": Decimal("0.05")}, "50"),
        ("position_pct", {}, "1000"),
        ("fixed_qty", {"qty": Decimal(7)}, "7"),
        ("fixed_qty", {"qty": Decimal("0.5")}, "0.5"),
        ("fixed_notional", {"lot": Decimal(1250)}, "12"),
        ("all_in", {}, "1000"),
    ],
)
def test_each_policy_sizes_a_bare_buy(policy: str, more: dict[str, Any], shares: str) -> None:
    """On the ask, rounded down to whole shares where it is computed from money."""
    assert sized(policy=policy, **more) == ("buy", shares)


@pytest.mark.parametrize(
    ("policy", "more", "shares"),
    [
        ("weight", {"weights": {"NVDA": Decimal("0.3")}}, "303"),
        ("position_pct", {"max_position_pct": Decimal("0.05")}, "50"),
        ("fixed_qty", {"qty": Decimal("7.9")}, "7"),
        ("fixed_notional", {"lot": Decimal(1250)}, "12"),
        ("all_in", {}, "1010"),
    ],
)
def test_each_policy_sizes_a_short_sale(policy: str, more: dict[str, Any], shares: str) -> None:
    """On the bid, always whole shares."""
    assert sized(SHORT, policy=policy, **more) == ("sell", shares)


@pytest.mark.parametrize(
    "policy", ["weight", "position_pct", "fixed_qty", "fixed_notional", "all_in"]
)
def test_no_policy_touches_a_bare_sale(policy: str) -> None:
    """It sells all that is free, whatever buys are sized by."""
    assert sized(SELL, holdings("10.5", available="8.5"), policy=policy) == ("sell", "8.5")


def test_a_weight_counts_what_is_held_and_pending() -> None:
    """10 % of 100,000 at 100 is 100 shares: 60 held, 15 coming, 25 missing."""
    weights = {"NVDA": Decimal("0.1")}
    assert sized(BUY, holdings("60", pending="15", buys="15"), weights=weights) == ("buy", "25")
    full = holdings("60", pending="40", buys="40")
    assert refusal(BUY, full, weights=weights) == Reason.AT_TARGET


def test_a_weight_is_bounded_by_the_position_cap() -> None:
    """The smaller of the two."""
    rules = {"weights": {"NVDA": Decimal("0.3")}, "max_position_pct": Decimal("0.1")}
    assert sized(**rules) == ("buy", "100")


def test_a_price_above_the_money_is_too_small() -> None:
    """Less than one share, and nothing held: say so."""
    assert refusal(policy="fixed_notional", lot=Decimal("99.99")) == Reason.SIZE_TOO_SMALL


# --- caps on computed sizes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "note"),
    [
        ({"max_order_qty": Decimal(40)}, "MAX_ORDER_QTY"),
        ({"max_order_notional": Decimal(4099)}, "MAX_ORDER_NOTIONAL"),
        ({"max_order_notional_pct": Decimal("0.04")}, "MAX_ORDER_NOTIONAL"),
        ({"max_position_pct": Decimal("0.04")}, "MAX_POSITION_PCT"),
    ],
)
def test_a_computed_size_is_clamped(cap: dict[str, Any], note: str) -> None:
    """To exactly the cap, with a note that names it."""
    plan = size(request(policy="fixed_qty", qty=Decimal(50), **cap))
    assert (plan.qty, plan.note) == (Decimal(40), f"clamped to {note}")


ROOMS: tuple[tuple[dict[str, Any], str, Reason], ...] = (
    ({"ticker_caps": {"NVDA": Cap(amount=Decimal(14_099))}}, "TICKER_CAPS", Reason.TICKER_CAP),
    (
        {"strategy_caps": {"sma": Cap(fraction=Decimal("0.05"))}},
        "STRATEGY_CAPS",
        Reason.STRATEGY_CAP,
    ),
    (
        {"gross_exposure": Cap(fraction=Decimal("0.24"))},
        "MAX_GROSS_EXPOSURE_PCT",
        Reason.GROSS_EXPOSURE_CAP,
    ),
)
"""Each leaves room for 40 shares at 100 beside what :func:`invested` holds."""


def invested(*, full: bool = False) -> Holdings:
    """100 shares held, 1,000 of them a strategy's, and another 10,000 in other positions."""
    more = Decimal(4_000 if full else 0)
    held = holdings("140" if full else "100")
    return held._replace(gross=20_000 + more, strategy_value=1_000 + more)


@pytest.mark.parametrize(("cap", "name", "reason"), ROOMS)
def test_a_computed_size_keeps_to_what_limits_leave(
    cap: dict[str, Any], name: str, reason: Reason
) -> None:
    """To exactly what is left; nothing left is a refusal that names the limit."""
    signal = BUY._replace(strategy="sma")
    plan = size(request(signal, invested(), policy="fixed_qty", qty=Decimal(50), **cap))
    assert (plan.qty, plan.note) == (Decimal(40), f"clamped to {name}")
    full = invested(full=True)
    assert refusal(signal, full, policy="fixed_qty", qty=Decimal(50), **cap) == reason


@pytest.mark.parametrize(("cap", "name", "reason"), ROOMS)
def test_an_exit_knows_no_such_limit(cap: dict[str, Any], name: str, reason: Reason) -> None:
    """What is held may go, whatever the limits say."""
    signal = SELL._replace(strategy="sma")
    assert sized(signal, invested(full=True), policy="fixed_qty", **cap) == ("sell", "140")


def test_a_size_at_the_cap_passes_untouched() -> None:
    """Caps are inclusive, and nothing is said."""
    caps: dict[str, Any] = {"max_order_qty": Decimal(50), "max_order_notional": Decimal(5000)}
    plan = size(request(policy="fixed_qty", qty=Decimal(50), **caps))
    assert (plan.qty, plan.note) == (Decimal(50), "")


def test_an_amount_goes_before_a_percentage() -> None:
    """MAX_ORDER_NOTIONAL as an amount replaces the default of 10 %."""
    rules = replace(
        OPEN_RULES, max_order_notional=Decimal(5), max_order_notional_pct=Decimal("0.1")
    )
    assert rules.notional_cap(Decimal(1000)) == 5
    assert replace(rules, max_order_notional=ZERO).notional_cap(Decimal(1000)) == 100


def test_zero_in_the_settings_is_no_limit() -> None:
    """And a limit of nothing is not the absence of one."""
    assert OPEN_RULES.notional_cap(ZERO) == OPEN_RULES.position_cap(ZERO) == NO_LIMIT
    capped = SizingRules(weights={})
    assert capped.notional_cap(ZERO) == capped.position_cap(ZERO) == 0
    assert capped.position_cap(Decimal(-5)) < 0


@pytest.mark.parametrize("cap", ["max_position_pct", "max_order_notional_pct"])
@pytest.mark.parametrize("equity", ["0", "-100"])
def test_without_equity_nothing_is_bought(cap: str, equity: str) -> None:
    """An account object without equity must not switch the caps off."""
    rules = {"policy": "fixed_qty", "qty": Decimal(1), cap: Decimal("0.1")}
    assert refusal(BUY, holdings(equity=equity), **rules) == Reason.SIZE_TOO_SMALL


def test_what_a_resting_sale_may_free_is_no_room_yet() -> None:
    """100 held with a sale of all of them resting: buying 100 more could end at twice the cap."""
    held = holdings("100", available="0", pending="-100")
    rules = {"policy": "fixed_qty", "qty": Decimal(100), "max_position_pct": Decimal("0.1")}
    assert refusal(BUY, held, **rules) == Reason.SIZE_TOO_SMALL


def test_a_size_is_clamped_to_buying_power() -> None:
    """As many whole shares as it pays; none is a refusal of its own."""
    rules = {"policy": "fixed_qty", "qty": Decimal(50)}
    assert sized(BUY, holdings(power="1999.99"), **rules) == ("buy", "19")
    for power in ("99.99", "0", "-5"):
        reason = refusal(BUY, holdings(power=power), **rules)
        assert reason == Reason.INSUFFICIENT_BUYING_POWER


def test_a_short_sale_is_charged_more_than_its_value() -> None:
    """1.03 times the ask, 103 a share, although it brings 99; or its limit, if that is more."""
    rules = {"policy": "fixed_qty", "qty": Decimal(50)}
    assert sized(SHORT, holdings(power="1030"), **rules) == ("sell", "10")
    assert sized(SHORT, holdings(power="1029.99"), **rules) == ("sell", "9")
    high = SHORT._replace(limit_price=Decimal(120))
    assert sized(high, holdings(power="1200"), **rules) == ("sell", "10")
    assert sized(high, holdings(power="1199.99"), **rules) == ("sell", "9")
    ten = {"policy": "fixed_qty", "qty": Decimal(10)}
    assert sized(SHORT, holdings(power="1000"), **ten) == ("sell", "9")


@pytest.mark.parametrize(
    ("signal", "charge"),
    [
        (SHORT, "103.00"),
        (qty(SHORT, "5"), "103.00"),
        (stated(SHORT, SizeKind.WEIGHT, "0.05"), "103.00"),
        (SHORT._replace(limit_price=Decimal(120)), "120"),
        (BUY, "100"),
        (qty(BUY, "5"), "100"),
        (BUY._replace(limit_price=Decimal(120)), "120"),
    ],
)
def test_what_is_reserved_is_what_the_broker_charges(signal: Signal, charge: str) -> None:
    """Short sales sent at the same moment must not promise the same buying power twice."""
    plan = size(request(signal))
    assert plan.charge == Decimal(charge)
    assert plan.cost == plan.qty * plan.charge


def test_a_short_sale_counts_at_the_limit_that_is_sent() -> None:
    """1.001 is sent as 1.01: 10,000 are 9,900 shares, not 9,990."""
    signal = SHORT._replace(limit_price=Decimal("1.001"))
    plan = size(request(signal, market=quote(ONE, ONE), max_position_pct=Decimal("0.1")))
    assert (plan.qty, plan.price) == (Decimal(9900), Decimal("1.01"))


# --- whole shares ---------------------------------------------------------------------------------

NEEDS_WHOLE: dict[str, dict[str, Any]] = {
    "ioc": {"time_in_force": TimeInForce.IOC},
    "gtc": {"time_in_force": TimeInForce.GTC},
    "trailing": {"order_type": OrderType.TRAILING_STOP, "trail_percent": Decimal(1)},
}


@pytest.mark.parametrize("why", sorted(NEEDS_WHOLE))
def test_a_sale_of_all_is_rounded_down_where_fractions_are_refused(why: str) -> None:
    """10.5 shares and an explicit ioc sell 10; the half share stays."""
    plan = size(request(SELL._replace(**NEEDS_WHOLE[why]), holdings("10.5")))
    assert (plan.qty, plan.note) == (Decimal(10), "rounded down to whole shares")


@pytest.mark.parametrize("why", sorted(NEEDS_WHOLE))
def test_less_than_a_share_cannot_be_sold_so(why: str) -> None:
    """Rounded down to nothing."""
    signal = SELL._replace(**NEEDS_WHOLE[why])
    assert refusal(signal, holdings("0.5")) == Reason.SIZE_TOO_SMALL


def test_a_configured_time_in_force_leaves_the_fraction() -> None:
    """A bare sale then becomes a day order, which may be fractional."""
    plan = size(request(SELL, holdings("10.5")))
    assert (plan.qty, plan.fractional) == (Decimal("10.5"), True)


def test_all_of_an_asset_without_fractions_can_be_left() -> None:
    """A split left half a share: the exit sells the whole ones instead of being refused."""
    assert sized(SELL, holdings("10.5"), asset=WHOLE_ONLY) == ("sell", "10")
    assert sized(LIQUIDATE, holdings("10.5"), asset=WHOLE_ONLY) == ("sell", "10")


@pytest.mark.parametrize(
    "rules",
    [
        {"policy": "fixed_qty", "qty": Decimal("0.1234567899")},
        {"policy": "fixed_qty", "qty": Decimal(5), "max_order_qty": Decimal("0.1234567899")},
    ],
)
def test_a_computed_fraction_has_the_broker_s_nine_decimals(rules: dict[str, Any]) -> None:
    """QTY and MAX_ORDER_QTY may be written with more; the broker would refuse every order."""
    assert sized(**rules) == ("buy", "0.123456789")


@pytest.mark.parametrize("shares", ["7.9", "7.000000001"])
def test_a_computed_buy_is_whole_where_fractions_are_refused(shares: str) -> None:
    """fixed_qty with a bracket, and an asset that has no fractions."""
    rules = {"policy": "fixed_qty", "qty": Decimal(shares)}
    assert sized(BUY._replace(stop_loss=Decimal(90)), **rules) == ("buy", "7")
    assert sized(BUY, asset=WHOLE_ONLY, **rules) == ("buy", "7")


def test_a_stated_fraction_is_left_to_the_gates() -> None:
    """The producer asked for exactly that: refuse it, do not trade something else."""
    assert sized(qty(BUY, "1.5"), asset=WHOLE_ONLY) == ("buy", "1.5")
    assert sized(qty(SELL, "1.5"), holdings("10"), asset=WHOLE_ONLY) == ("sell", "1.5")
    assert sized(qty(SELL, "20.5"), holdings("10.5"), asset=WHOLE_ONLY) == ("sell", "10")


# --- sizes stated in the signal -------------------------------------------------------------------


def test_a_stated_size_is_not_clamped() -> None:
    """Beyond every cap and all buying power: it passes here and is refused by the gates."""
    plan = size(request(qty(BUY, "5000"), holdings(power="1"), max_position_pct=Decimal("0.01")))
    assert (plan.qty, plan.stated, plan.opens) == (Decimal(5000), True, True)


def test_an_amount_is_sent_as_such() -> None:
    """The shares are an estimate to nine decimals; the order names the money."""
    plan = size(request(stated(BUY, SizeKind.NOTIONAL, "1000"), market=quote(ask=Decimal(300))))
    assert (plan.notional, plan.qty) == (Decimal(1000), Decimal("3.333333333"))
    assert (plan.value, plan.fractional) == (Decimal(1000), True)


def test_a_stated_weight_is_the_position_s() -> None:
    """5 % of equity less what is held and pending."""
    weight = stated(BUY, SizeKind.WEIGHT, "0.05")
    assert sized(weight, holdings("20", pending="5", buys="5")) == ("buy", "25")
    assert refusal(weight, holdings("50")) == Reason.AT_TARGET
    assert refusal(stated(BUY, SizeKind.WEIGHT, "0.0005")) == Reason.SIZE_TOO_SMALL


@pytest.mark.parametrize(
    ("kind", "value", "shares"),
    [
        (SizeKind.QTY, "4", "4"),
        (SizeKind.QTY, "400", "10"),
        (SizeKind.NOTIONAL, "495", "5.000000000"),
        (SizeKind.NOTIONAL, "100000", "10"),
        (SizeKind.WEIGHT, "0.005", "5"),
        (SizeKind.WEIGHT, "1", "10"),
    ],
)
def test_a_sale_never_exceeds_what_is_free(kind: SizeKind, value: str, shares: str) -> None:
    """Less if asked for, never more; the plan reduces and no cap concerns it."""
    plan = size(request(stated(SELL, kind, value), holdings("15", available="10")))
    assert (format(plan.qty, "f"), plan.opens, plan.stated) == (shares, False, True)
    assert (plan.note == "limited to what is held") == (shares == "10")


@pytest.mark.parametrize(
    ("kind", "value"), [(SizeKind.NOTIONAL, "0.00000001"), (SizeKind.WEIGHT, "0.0001")]
)
def test_a_reduction_may_round_down_to_nothing(kind: SizeKind, value: str) -> None:
    """And is then refused."""
    assert refusal(stated(SELL, kind, value), holdings("10")) == Reason.SIZE_TOO_SMALL


def test_a_size_without_its_value_is_refused() -> None:
    """The parser sets both; whoever builds a signal otherwise gets no order."""
    assert refusal(BUY._replace(size_kind=SizeKind.QTY)) == Reason.SIZING_FAILED


@settings(deadline=None, derandomize=True)
@given(
    st.integers(1, 10**20).map(Decimal),
    st.decimals("0.0001", "100000", places=4),
    st.sampled_from([SizeKind.NOTIONAL, SizeKind.QTY, SizeKind.WEIGHT, SizeKind.TARGET_QTY]),
)
def test_absurd_sizes_do_not_break_the_arithmetic(
    value: Decimal, price: Decimal, kind: SizeKind
) -> None:
    """Numbers as long as the contract allows give a plan for the gates, or a refusal."""
    signal = BUY._replace(size_kind=kind, size=value, side=None if "target" in kind else Side.BUY)
    plan = size(request(signal, market=quote(price, price)))
    assert plan.qty > 0


# --- selling and covering -------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "free"), [("0", "0"), ("-10", "0"), ("10", "0")])
def test_nothing_free_is_nothing_to_sell(held: str, free: str) -> None:
    """Flat, short, or all promised: a bare sale never opens a short."""
    assert refusal(SELL, holdings(held, available=free)) == Reason.NOTHING_TO_SELL
    assert refusal(qty(SELL, "5"), holdings(held, available=free)) == Reason.NOTHING_TO_SELL


@pytest.mark.parametrize("action", [None, Action.BUY_LONG, Action.BUY_TO_COVER, Action.COVER_SHORT])
def test_a_buy_while_short_covers(action: Action | None) -> None:
    """Whatever it is called: up to zero, never through it."""
    signal = BUY._replace(action=action)
    assert sized(signal, holdings("-10")) == ("buy", "10")
    plan = size(request(qty(signal, "15"), holdings("-10")))
    assert (plan.qty, plan.opens, plan.note) == (Decimal(10), False, "limited to what is held")


def test_what_is_being_covered_is_not_covered_again() -> None:
    """A resting cover of six leaves four, one of ten leaves nothing."""
    assert sized(BUY, holdings("-10", pending="6", buys="6")) == ("buy", "4")
    assert refusal(BUY, holdings("-10", pending="10", buys="10")) == Reason.NOTHING_TO_COVER


@pytest.mark.parametrize("action", [Action.BUY_TO_COVER, Action.COVER_SHORT])
@pytest.mark.parametrize("held", ["0", "10"])
def test_a_cover_never_opens_a_long(action: Action, held: str) -> None:
    """No short, nothing to cover."""
    assert refusal(BUY._replace(action=action), holdings(held)) == Reason.NOTHING_TO_COVER


def test_a_short_sale_never_sells_what_is_held() -> None:
    """Crossing zero in one order is refused by the broker, and by us with better words."""
    assert refusal(SHORT, holdings("1")) == Reason.SHORT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("side", "held", "expected"),
    [
        (None, "10", ("sell", "10")),
        (None, "-10", ("buy", "10")),
        (Side.SELL, "10", ("sell", "10")),
        (Side.BUY, "-10", ("buy", "10")),
    ],
)
def test_liquidate_closes_what_is_open(
    side: Side | None, held: str, expected: tuple[str, str]
) -> None:
    """Long or short; a direction that fits changes nothing."""
    assert sized(LIQUIDATE._replace(side=side), holdings(held)) == expected


@pytest.mark.parametrize(
    ("side", "held", "reason"),
    [
        (None, "0", Reason.NOTHING_TO_SELL),
        (Side.SELL, "-10", Reason.NOTHING_TO_SELL),
        (Side.SELL, "0", Reason.NOTHING_TO_SELL),
        (Side.BUY, "10", Reason.NOTHING_TO_COVER),
        (Side.BUY, "0", Reason.NOTHING_TO_COVER),
    ],
)
def test_a_direction_restricts_liquidate(side: Side | None, held: str, reason: Reason) -> None:
    """``s`` closes longs only, ``b`` shorts only; it never opens anything."""
    assert refusal(LIQUIDATE._replace(side=side), holdings(held)) == reason


def test_liquidate_takes_a_quantity() -> None:
    """A part of the position, either way."""
    assert sized(qty(LIQUIDATE, "4"), holdings("10")) == ("sell", "4")
    assert sized(qty(LIQUIDATE, "4"), holdings("-10")) == ("buy", "4")


PATIENT: dict[str, Any] = {"policy": "all_in", "sell_only_above_entry": True}


@pytest.mark.parametrize(("entry", "sells"), [("98.99", True), ("99", False), ("120", False)])
def test_sell_only_above_entry(entry: str, sells: bool) -> None:
    """A bare sale waits for a bid above the average entry."""
    held = holdings("10", entry=entry)
    outcome = size(request(SELL, held, **PATIENT)).qty if sells else refusal(SELL, held, **PATIENT)
    assert outcome == (10 if sells else Reason.NOT_ABOVE_ENTRY)


@pytest.mark.parametrize(
    ("signal", "shares"),
    [
        (qty(SELL, "3"), "3"),
        (stated(SELL, SizeKind.WEIGHT, "0.001"), "1"),
        (SELL._replace(action=Action.SELL_LONG), "10"),
        (LIQUIDATE, "10"),
        (LIQUIDATE._replace(side=Side.SELL), "10"),
        (target("0"), "10"),
        (target("0.001", SizeKind.TARGET_WEIGHT), "9"),
    ],
)
def test_whoever_says_more_than_s_exits_below_entry_too(signal: Signal, shares: str) -> None:
    """An exit must always be possible."""
    assert sized(signal, holdings("10", entry="120"), **PATIENT) == ("sell", shares)


@pytest.mark.parametrize("policy", ["weight", "position_pct", "fixed_qty", "fixed_notional"])
def test_other_policies_do_not_wait_for_the_entry(policy: str) -> None:
    """The option belongs to all_in; elsewhere it has no effect, as the start warns."""
    below = holdings("10", entry="120")
    assert sized(SELL, below, **PATIENT | {"policy": policy}) == ("sell", "10")


LEGS: list[dict[str, Any]] = [{"take_profit": Decimal(120)}, {"stop_loss": Decimal(80)}]


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("held", ["-10", "-5"])
def test_a_bracket_on_a_cover_is_a_conflict(legs: dict[str, Any], held: str) -> None:
    """The producer thought it was flat; legs on a closing order would open a position."""
    with pytest.raises(SignalError) as caught:
        size(request(qty(BUY, "5")._replace(**legs), holdings(held)))
    assert caught.value.reason == Reason.CONFLICTING_FIELDS
    assert "take_profit/stop_loss" in caught.value.message


@pytest.mark.parametrize("legs", LEGS)
def test_a_bracket_on_an_entry_is_sized(legs: dict[str, Any]) -> None:
    """Long or short."""
    assert size(request(qty(BUY, "5")._replace(**legs))).opens
    assert size(request(qty(SHORT, "5")._replace(**legs))).opens


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "price"),
    [
        (BUY, "100"),
        (BUY._replace(limit_price=Decimal(90)), "90"),
        (BUY._replace(limit_price=Decimal(120)), "120"),
        (BUY._replace(stop_price=Decimal(150)), "150"),
        (BUY._replace(stop_price=Decimal(50)), "100"),
        (BUY._replace(stop_price=Decimal(150), limit_price=Decimal(155)), "155"),
        (BUY._replace(trail_price=Decimal(7)), "107"),
        (BUY._replace(trail_percent=Decimal(10)), "110"),
        (SHORT, "99"),
        (SHORT._replace(limit_price=Decimal(120)), "120"),
        (SHORT._replace(limit_price=Decimal(50)), "99"),
        (SHORT._replace(stop_price=Decimal(50)), "99"),
    ],
)
def test_exposure_is_valued_at_the_worst_price(signal: Signal, price: str) -> None:
    """A stop above the market buys there; a short limit below the bid sells at the bid."""
    assert size(request(qty(signal, "1"))).price == Decimal(price)


def test_a_sale_is_valued_at_its_limit_or_the_bid() -> None:
    """For amounts and weights of a reduction: whichever is more, as it fills there."""
    limit = SELL._replace(limit_price=Decimal(110))
    assert size(request(limit, holdings("10"))).price == 110
    assert size(request(SELL, holdings("10"))).price == 99
    any_price = SELL._replace(limit_price=Decimal("0.01"))
    assert size(request(any_price, holdings("10"))).price == 99
    assert size(request(any_price, holdings("10"), market=quote(None, None))).price > 0


def test_a_sale_at_any_price_sells_no_more_than_its_weight() -> None:
    """1 % of equity at the bid of 99 are 10 shares; at the limit of 0.01 they would be all."""
    signal = stated(SELL, SizeKind.WEIGHT, "0.01")._replace(limit_price=Decimal("0.01"))
    assert sized(signal, holdings("500")) == ("sell", "10")


def test_the_last_trade_stands_in_for_a_side_nobody_quotes() -> None:
    """A bid or ask of zero is no price."""
    market = Quote("NVDA", ZERO, None, Decimal(101), None, None, 0.0)
    assert size(request(qty(BUY, "1"), market=market)).price == 101
    assert size(request(SELL, holdings("1"), market=market)).price == 101


@pytest.mark.parametrize("signal", [BUY, qty(BUY, "1"), SELL, SHORT, LIQUIDATE, target("5")])
def test_no_price_no_order(signal: Signal) -> None:
    """Nothing is sized on a guess."""
    held = holdings("0" if signal.action is Action.SHORT_SELL else "1")
    assert refusal(signal, held, market=quote(None, None)) == Reason.NO_PRICE


# --- nothing computed ever exceeds a limit --------------------------------------------------------

MONEY = st.integers(0, 10_000_000).map(lambda n: Decimal(n) / 100)
SIGNED = st.integers(-500, 500).map(lambda n: Decimal(n) / 4)
PART = st.integers(0, 100).map(lambda n: Decimal(n) / 100)
POLICIES = st.sampled_from(
    ["weight", "position_pct", "fixed_qty", "fixed_notional", "all_in", "custom"]
)


@st.composite
def accounts(draw: st.DrawFn) -> Holdings:
    """Any position, any orders of ours pending."""
    held, buys, sells = draw(SIGNED), abs(draw(SIGNED)), abs(draw(SIGNED))
    return Holdings(
        equity=draw(MONEY) - 1000,
        cash=draw(MONEY) - 1000,
        buying_power=draw(MONEY) - 1000,
        qty=held,
        available_qty=max(ZERO, max(ZERO, held) - sells),
        pending_qty=buys - sells,
        pending_buy_qty=buys,
        avg_entry=Decimal(100),
    )


@st.composite
def policies(draw: st.DrawFn) -> SizingRules:
    wanted = abs(draw(SIGNED))
    return SizingRules(
        policy=draw(POLICIES),
        weights=draw(st.sampled_from([{}, {"NVDA": Decimal("0.5")}])),
        symbols=("NVDA", "AAPL"),
        qty=wanted,
        lot=draw(MONEY),
        max_position_pct=draw(PART),
        max_order_notional=draw(st.sampled_from([ZERO, Decimal(500)])),
        max_order_notional_pct=draw(PART),
        max_order_qty=draw(st.sampled_from([ZERO, Decimal(5), Decimal("2.5")])),
        custom=lambda *_: wanted * 10,
    )


PRICES = st.integers(1, 100_000).map(lambda n: Decimal(n) / 100)


def attempt(tried: Request) -> Plan | None:
    try:
        return size(tried)
    except Refused:
        return None


@settings(deadline=None, derandomize=True)
@given(
    accounts(), policies(), PRICES, st.sampled_from([BUY, SHORT, LIQUIDATE, SELL]), st.booleans()
)
def test_a_computed_size_respects_every_limit(
    held: Holdings, rules: SizingRules, price: Decimal, signal: Signal, fractionable: bool
) -> None:
    """Caps, buying power, what is free to sell or left to cover, whole shares."""
    asset = replace(NVDA, fractionable=fractionable)
    plan = attempt(Request(signal, held, quote(price, price), asset, rules))
    assume(plan is not None)
    assert plan is not None
    assert plan.qty > 0
    assert fractionable or not plan.fractional
    check = _entry_limits if plan.opens else _exit_limits
    assert all(check(plan, held, rules))


def _entry_limits(plan: Plan, held: Holdings, rules: SizingRules) -> list[bool]:
    after = (held.most_long if plan.side is Side.BUY else held.most_short) + plan.qty
    return [
        not rules.max_order_qty or plan.qty <= rules.max_order_qty,
        plan.value <= rules.notional_cap(held.equity),
        after * plan.price <= rules.position_cap(held.equity),
        plan.cost <= held.buying_power,
    ]


def _exit_limits(plan: Plan, held: Holdings, rules: SizingRules) -> list[bool]:
    if plan.side is Side.SELL:
        return [plan.qty <= held.available_qty]
    return [plan.qty <= -held.qty - held.pending_buy_qty]
