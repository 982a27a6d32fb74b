"""Gates over the order, each on both sides of its boundary."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.assets import Asset
from solution.book.positions import Holdings
from solution.domain.caps import NO_LIMIT
from solution.domain.market import Market
from solution.domain.orders import Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Signal
from solution.trading.gates import ORDER_GATES, first_denial, order_gates
from solution.trading.gates.view import Gate, GateRules, View
from solution.trading.plan import Plan

ZERO = Decimal(0)
NEW_YORK = ZoneInfo("America/New_York")
SIGNAL = Signal(stream="nvda", entry_id="1-0", ticker="NVDA", digest="d", side=Side.BUY)
HELD = Holdings(
    equity=Decimal(100_000),
    cash=Decimal(100_000),
    buying_power=Decimal(1_000),
    qty=Decimal(10),
    available_qty=Decimal(10),
    pending_qty=ZERO,
    pending_buy_qty=ZERO,
    avg_entry=Decimal(90),
)
BUY = Plan(side=Side.BUY, qty=Decimal(10), price=Decimal(100), opens=True)
SHORT = BUY._replace(side=Side.SELL)
SALE = BUY._replace(side=Side.SELL, opens=False)
COVER = BUY._replace(opens=False)
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=NEW_YORK).astimezone(UTC)
VIEW = View(
    signal=SIGNAL,
    asset=Asset("id", "NVDA", "us_equity", True, True, True),
    rules=GateRules(),
    market=Market(is_open=True, at=NOON),
    age=0.0,
    starved=0.0,
    waited=0.0,
    plan=BUY,
    time_in_force=TimeInForce.IOC,
    holdings=HELD,
)


def verdict(gate: Gate, **changed: Any) -> str | None:
    """The reason, or None where it passes; a denial always explains itself."""
    denial = gate(replace(VIEW, **changed))
    assert denial is None or len(denial.message) > 10
    return None if denial is None else denial.reason


def test_the_order_of_the_gates_is_fixed() -> None:
    """Reasons are part of the contract: which of two denials is told must not change by chance."""
    assert [gate.__name__ for gate in ORDER_GATES] == [
        "reducing",
        "breaker",
        "daily_loss",
        "drawdown",
        "market_open",
        "exposure_confirmed",
        "fractionable",
        "order_qty",
        "order_notional",
        "key_limit",
        "spread",
        "collar",
        "position_cap",
        "ticker_cap",
        "strategy_cap",
        "gross_exposure",
        "trades_per_day",
        "orders_per_minute",
        "wash_trade",
        "buying_power",
    ]


def test_a_sound_order_passes_all() -> None:
    """No gate says no without a cause."""
    assert first_denial(ORDER_GATES, VIEW) is None


def test_the_first_denial_counts() -> None:
    """Several causes, one reason: the first gate's; later ones are not even asked."""
    asked: list[str] = []

    def never(_: View) -> None:
        asked.append("never")

    closed = replace(VIEW, market=Market(is_open=False, at=NOON), notional_cap=ZERO)
    denial = first_denial((*ORDER_GATES, never), closed)
    assert denial is not None
    assert denial.reason is Reason.MARKET_CLOSED
    assert asked == []


@pytest.mark.parametrize("gate", ORDER_GATES[1:])
@pytest.mark.parametrize("plan", [SALE, COVER])
def test_an_exit_passes_every_limit(gate: Gate, plan: Plan) -> None:
    """Reductions are never blocked by what keeps exposure small, or by unconfirmed exposure."""
    broke = HELD._replace(buying_power=Decimal(-5), uncertain=True)
    strict = {
        "plan": plan._replace(qty=Decimal(10_000)),
        "unconfirmed": True,
        "rules": GateRules(max_order_qty=Decimal(1)),
        "position_cap": ZERO,
        "notional_cap": ZERO,
        "holdings": broke,
    }
    assert verdict(gate, **strict) is None


@pytest.mark.parametrize("gate", ORDER_GATES[1:])
def test_without_a_plan_there_is_nothing_to_judge(gate: Gate) -> None:
    """Asked too early they let pass; the pipeline asks again with the plan."""
    assert verdict(gate, plan=None, holdings=None, unconfirmed=True) is None


# --- market_open ----------------------------------------------------------------------------------


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 4) -> datetime:
    """A moment in New York; the fourth is a Wednesday, the seventh a Saturday."""
    local = datetime(2026, 3, day, hour, minute, second, tzinfo=NEW_YORK)
    return local.astimezone(UTC)


def session(
    *,
    is_open: bool | None,
    moment: datetime = NOON,
    tif: TimeInForce = TimeInForce.IOC,
    queue: bool = False,
    extended: bool = False,
) -> str | None:
    return verdict(
        order_gates.market_open,
        market=Market(is_open=is_open, at=moment),
        time_in_force=tif,
        rules=GateRules(queue_when_closed=queue),
        signal=SIGNAL._replace(extended_hours=extended),
    )


IN_SESSION = [TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]


@pytest.mark.parametrize("tif", IN_SESSION)
def test_in_session_all_may_trade_and_closed_none(tif: TimeInForce) -> None:
    """By default nothing queues for the next session."""
    assert session(is_open=True, tif=tif) is None
    assert session(is_open=False, tif=tif) == Reason.MARKET_CLOSED


@pytest.mark.parametrize("tif", IN_SESSION)
@pytest.mark.parametrize(("queue", "extended"), [(False, False), (True, True)])
def test_an_unknown_session_refuses(tif: TimeInForce, queue: bool, extended: bool) -> None:
    """A clock that could not be read is not guessed, whatever else is allowed."""
    found = session(is_open=None, tif=tif, queue=queue, extended=extended)
    assert found == Reason.SESSION_UNKNOWN


@pytest.mark.parametrize(
    ("tif", "reason"),
    [
        (TimeInForce.DAY, None),
        (TimeInForce.GTC, None),
        (TimeInForce.IOC, Reason.MARKET_CLOSED),
        (TimeInForce.FOK, Reason.MARKET_CLOSED),
    ],
)
def test_only_resting_orders_may_queue(tif: TimeInForce, reason: Reason | None) -> None:
    """QUEUE_WHEN_CLOSED; what ioc does while closed is documented nowhere."""
    assert session(is_open=False, tif=tif, queue=True) == reason


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (at(3, 59), None),
        (at(4, 0), None),
        (at(9, 29), None),
        (at(16, 0), None),
        (at(19, 59, 59), None),
        (at(20, 0), None),
        (at(20, 0, day=6), Reason.MARKET_CLOSED),
        (at(12, 0, day=7), Reason.MARKET_CLOSED),
        (at(19, 59, day=8), Reason.MARKET_CLOSED),
        (at(20, 0, day=8), None),
    ],
)
def test_extended_hours_trade_in_their_sessions(moment: datetime, reason: Reason | None) -> None:
    """Overnight, pre and post; from Friday 20:00 to Sunday 20:00 nothing."""
    tif = TimeInForce.DAY
    assert session(is_open=False, moment=moment, tif=tif, extended=True) == reason
    assert session(is_open=False, moment=moment, tif=tif) == Reason.MARKET_CLOSED


@pytest.mark.parametrize(
    ("tif", "moment", "reason"),
    [
        (TimeInForce.OPG, at(9, 27, 59), None),
        (TimeInForce.OPG, at(9, 28), Reason.MARKET_CLOSED),
        (TimeInForce.OPG, at(18, 59, 59), Reason.MARKET_CLOSED),
        (TimeInForce.OPG, at(19, 0), None),
        (TimeInForce.CLS, at(15, 49, 59), None),
        (TimeInForce.CLS, at(15, 50), Reason.MARKET_CLOSED),
        (TimeInForce.CLS, at(18, 59, 59), Reason.MARKET_CLOSED),
        (TimeInForce.CLS, at(19, 0), None),
    ],
)
@pytest.mark.parametrize("is_open", [True, False, None])
def test_auctions_have_windows_of_their_own(
    tif: TimeInForce, moment: datetime, reason: Reason | None, is_open: bool | None
) -> None:
    """By New York time alone, whatever the broker's clock says of the session."""
    assert session(is_open=is_open, moment=moment, tif=tif) == reason


# --- exposure -------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [BUY, SHORT])
def test_no_new_exposure_beside_an_unconfirmed_order(plan: Plan) -> None:
    """An earlier order may still be live."""
    gate = order_gates.exposure_confirmed
    assert verdict(gate, plan=plan, unconfirmed=True) == Reason.EXPOSURE_UNCONFIRMED
    assert verdict(gate, plan=plan) is None


@pytest.mark.parametrize("plan", [BUY, SHORT])
def test_no_new_exposure_on_an_uncertain_position(plan: Plan) -> None:
    """The broker could not be asked: what we hold may be more than we think."""
    doubtful = HELD._replace(uncertain=True)
    gate = order_gates.exposure_confirmed
    assert verdict(gate, plan=plan, holdings=doubtful) == Reason.EXPOSURE_UNCONFIRMED


# --- fractions ------------------------------------------------------------------------------------

WHOLE_ONLY = Asset("id", "NVDA", "us_equity", True, True, False)
HALF = Decimal("10.5")


@pytest.mark.parametrize(
    ("plan", "fractionable", "reason"),
    [
        (BUY._replace(qty=HALF), True, None),
        (BUY._replace(qty=HALF), False, Reason.NOT_FRACTIONABLE),
        (BUY._replace(qty=Decimal("10.0")), False, None),
        (BUY._replace(notional=Decimal(100)), False, Reason.NOT_FRACTIONABLE),
        (BUY._replace(notional=Decimal(100)), True, None),
        (SALE._replace(qty=HALF), True, None),
        (SALE._replace(qty=HALF), False, Reason.NOT_FRACTIONABLE),
        (SHORT._replace(qty=HALF), True, Reason.NOT_SHORTABLE),
        (SHORT._replace(qty=HALF), False, Reason.NOT_FRACTIONABLE),
    ],
)
def test_fractions_only_where_the_broker_takes_them(
    plan: Plan, fractionable: bool, reason: Reason | None
) -> None:
    """Never short, and amounts of money count as fractions."""
    asset = VIEW.asset if fractionable else WHOLE_ONLY
    assert verdict(order_gates.fractionable, plan=plan, asset=asset) == reason


# --- caps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "reason"), [("10", None), ("9.999999999", Reason.ORDER_QTY_CAP), ("0", None)]
)
@pytest.mark.parametrize("plan", [BUY, SHORT])
def test_the_largest_quantity(plan: Plan, cap: str, reason: Reason | None) -> None:
    """Exactly the cap passes; 0 is no limit."""
    rules = GateRules(max_order_qty=Decimal(cap))
    assert verdict(order_gates.order_qty, plan=plan, rules=rules) == reason


@pytest.mark.parametrize(
    ("cap", "reason"),
    [
        (Decimal(1_000), None),
        (Decimal("999.99"), Reason.ORDER_NOTIONAL_CAP),
        (ZERO, Reason.ORDER_NOTIONAL_CAP),
        (Decimal(-1), Reason.ORDER_NOTIONAL_CAP),
        (NO_LIMIT, None),
    ],
)
@pytest.mark.parametrize("plan", [BUY, SHORT, BUY._replace(qty=HALF, notional=Decimal(1_000))])
def test_the_largest_value(plan: Plan, cap: Decimal, reason: Reason | None) -> None:
    """Ten at 100, or 1,000 in money; a cap of nothing lets nothing pass."""
    assert verdict(order_gates.order_notional, plan=plan, notional_cap=cap) == reason


@pytest.mark.parametrize(
    ("plan", "held", "pending", "buys", "worth"),
    [
        (BUY, "10", "0", "0", "2000"),
        (BUY, "10", "5", "5", "2500"),
        (BUY, "10", "-10", "0", "2000"),
        (BUY, "10", "-5", "5", "2500"),
        (SHORT, "0", "0", "0", "1000"),
        (SHORT, "-10", "0", "0", "2000"),
        (SHORT, "-10", "-5", "0", "2500"),
        (SHORT, "-10", "10", "10", "2000"),
    ],
)
def test_the_largest_position(plan: Plan, held: str, pending: str, buys: str, worth: str) -> None:
    """Held and still coming, at this order's price; a pending reduction makes no room."""
    holdings = HELD._replace(
        qty=Decimal(held), pending_qty=Decimal(pending), pending_buy_qty=Decimal(buys)
    )
    gate, cap = order_gates.position_cap, Decimal(worth)
    assert verdict(gate, plan=plan, holdings=holdings, position_cap=cap) is None
    over = verdict(gate, plan=plan, holdings=holdings, position_cap=cap - Decimal("0.01"))
    assert over == Reason.POSITION_CAP


def test_no_equity_is_no_room() -> None:
    """A cap of 0 is not the absence of one."""
    assert verdict(order_gates.position_cap, position_cap=ZERO) == Reason.POSITION_CAP
    assert verdict(order_gates.position_cap, position_cap=NO_LIMIT) is None


@pytest.mark.parametrize(
    ("plan", "power", "reason"),
    [
        (BUY, "1000", None),
        (BUY, "999.99", Reason.INSUFFICIENT_BUYING_POWER),
        (BUY, "-5", Reason.INSUFFICIENT_BUYING_POWER),
        (SHORT, "1030", None),
        (SHORT, "1029.99", Reason.INSUFFICIENT_BUYING_POWER),
        (BUY._replace(notional=Decimal(500)), "500", None),
        (BUY._replace(notional=Decimal(500)), "499.99", Reason.INSUFFICIENT_BUYING_POWER),
    ],
)
def test_buying_power_must_cover_the_order(plan: Plan, power: str, reason: Reason | None) -> None:
    """To the cent; a short sale is charged 1.03 times its value."""
    held = HELD._replace(buying_power=Decimal(power))
    assert verdict(order_gates.buying_power, plan=plan, holdings=held) == reason


# --- crypto ---------------------------------------------------------------------------------------

BTC = Asset("btc", "BTC/USD", "crypto", True, False, False)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([True, False, None]),
    st.sampled_from([TimeInForce.GTC, TimeInForce.IOC]),
)
def test_coins_trade_at_any_time(at: datetime, is_open: bool | None, tif: TimeInForce) -> None:
    """Nights, weekends, holidays, and when nobody knows the hour."""
    market = Market(is_open=is_open, at=at)
    assert verdict(order_gates.market_open, asset=BTC, market=market, time_in_force=tif) is None
    assert replace(VIEW, asset=BTC, market=market, time_in_force=tif).trades_now


def test_parts_of_a_coin_are_no_parts_of_a_share() -> None:
    """The rules for fractions of shares do not concern them."""
    part = BUY._replace(qty=Decimal("0.5"))
    assert verdict(order_gates.fractionable, asset=BTC, plan=part) is None
    assert verdict(order_gates.fractionable, asset=replace(BTC, asset_class="us_equity"), plan=part)
