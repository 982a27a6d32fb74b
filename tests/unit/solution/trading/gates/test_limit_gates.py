"""Limits over more than one order, each on both sides of its boundary and as a property."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.assets import Asset
from solution.book.positions import Holdings
from solution.book.tallies import Tally
from solution.domain.market import Market
from solution.domain.orders import Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Signal
from solution.trading.gates import limit_gates
from solution.trading.gates.view import Gate, GateRules, View
from solution.trading.plan import Plan

ZERO = Decimal(0)
SIGNAL = Signal(
    stream="nvda", entry_id="1-0", ticker="NVDA", digest="d", side=Side.BUY, strategy="sma"
)
HELD = Holdings(
    equity=Decimal(100_000),
    cash=Decimal(100_000),
    buying_power=Decimal(100_000),
    qty=Decimal(10),
    available_qty=Decimal(10),
    pending_qty=Decimal(5),
    pending_buy_qty=Decimal(5),
    avg_entry=Decimal(100),
    gross=Decimal(4_000),
    strategy_value=Decimal(1_500),
    tally=Tally(today=7, minute=5, ticker_minute=3),
)
BUY = Plan(side=Side.BUY, qty=Decimal(10), price=Decimal(100), opens=True)
SHORT = BUY._replace(side=Side.SELL)
SALE = SHORT._replace(opens=False)
VIEW = View(
    signal=SIGNAL,
    asset=Asset("id", "NVDA", "us_equity", True, True, True),
    rules=GateRules(),
    market=Market(is_open=True, at=datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
    age=0.0,
    starved=0.0,
    waited=0.0,
    plan=BUY,
    time_in_force=TimeInForce.IOC,
    holdings=HELD,
)
CAPS = (
    (limit_gates.ticker_cap, "ticker_cap", Reason.TICKER_CAP, Decimal(2_500)),
    (limit_gates.strategy_cap, "strategy_cap", Reason.STRATEGY_CAP, Decimal(2_500)),
    (limit_gates.gross_exposure, "gross_cap", Reason.GROSS_EXPOSURE_CAP, Decimal(5_000)),
)
AMOUNTS = st.decimals("0", "100000", places=2)


def verdict(gate: Gate, **changed: Any) -> str | None:
    """The reason, or None where it passes; a denial always explains itself."""
    denial = gate(replace(VIEW, **changed))
    assert denial is None or len(denial.message) > 10
    return None if denial is None else denial.reason


@pytest.mark.parametrize(("gate", "name", "reason", "exactly"), CAPS)
def test_a_cap_may_be_reached_and_not_passed(
    gate: Gate, name: str, reason: Reason, exactly: Decimal
) -> None:
    """To the cent, with what is pending counted as filled."""
    assert verdict(gate, **{name: exactly}) is None
    assert verdict(gate, **{name: exactly - Decimal("0.01")}) == reason


@pytest.mark.parametrize(("gate", "name", "reason", "exactly"), CAPS)
def test_a_reduction_passes_every_cap(
    gate: Gate, name: str, reason: Reason, exactly: Decimal
) -> None:
    """An exit must never be blocked by what keeps exposure small."""
    assert verdict(gate, plan=SALE, **{name: ZERO}) is None


@pytest.mark.parametrize(("gate", "name", "reason", "exactly"), CAPS)
@given(cap=AMOUNTS, before=AMOUNTS, qty=st.integers(1, 1000), price=AMOUNTS)
def test_what_passes_is_within_the_cap(
    gate: Gate,
    name: str,
    reason: Reason,
    exactly: Decimal,
    cap: Decimal,
    before: Decimal,
    qty: int,
    price: Decimal,
) -> None:
    """Whatever was there before and is asked for now."""
    held = HELD._replace(gross=before, strategy_value=before)
    plan = BUY._replace(qty=Decimal(qty), price=price)
    after = {
        "ticker_cap": (15 + qty) * price,
        "strategy_cap": before + qty * price,
        "gross_cap": before + qty * price,
    }[name]
    passed = verdict(gate, plan=plan, holdings=held, **{name: cap}) is None
    assert passed == (after <= cap)


def test_a_short_is_measured_by_the_short_that_it_makes() -> None:
    """Ten held and five bought besides are no room for selling short beyond the cap."""
    held = HELD._replace(qty=Decimal(-20), pending_qty=ZERO, pending_buy_qty=ZERO)
    assert verdict(limit_gates.ticker_cap, plan=SHORT, holdings=held, ticker_cap=3_000) is None
    denied = verdict(limit_gates.ticker_cap, plan=SHORT, holdings=held, ticker_cap=2_999)
    assert denied == Reason.TICKER_CAP


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, None),
        ({"max_trades_per_day": 8}, None),
        ({"max_trades_per_day": 7}, Reason.TRADES_PER_DAY),
    ],
)
def test_trades_per_day(rules: dict[str, int], expected: str | None) -> None:
    """The eighth of eight passes, the eighth of seven does not; 0 is no limit."""
    assert verdict(limit_gates.trades_per_day, rules=GateRules(**rules)) == expected  # type: ignore[arg-type]
    assert verdict(limit_gates.trades_per_day, rules=GateRules(**rules), plan=SALE) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, None),
        ({"max_orders_per_minute": 6, "max_orders_per_minute_per_ticker": 4}, None),
        ({"max_orders_per_minute": 5}, Reason.ORDERS_PER_MINUTE),
        ({"max_orders_per_minute_per_ticker": 3}, Reason.ORDERS_PER_MINUTE),
    ],
)
def test_orders_per_minute(rules: dict[str, int], expected: str | None) -> None:
    """In all and per ticker; 0 is no limit, and exits pass."""
    assert verdict(limit_gates.orders_per_minute, rules=GateRules(**rules)) == expected  # type: ignore[arg-type]
    assert verdict(limit_gates.orders_per_minute, rules=GateRules(**rules), plan=SALE) is None  # type: ignore[arg-type]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_no_order_is_one_too_many(today: int, minute: int, ticker: int, most: int) -> None:
    """What passes leaves each count at or under its limit with the order itself."""
    held = HELD._replace(tally=Tally(today, minute, ticker))
    rules = GateRules(
        max_trades_per_day=most, max_orders_per_minute=most, max_orders_per_minute_per_ticker=most
    )
    a_day = verdict(limit_gates.trades_per_day, holdings=held, rules=rules) is None
    a_minute = verdict(limit_gates.orders_per_minute, holdings=held, rules=rules) is None
    assert a_day == (not most or today + 1 <= most)
    assert a_minute == (not most or max(minute, ticker) + 1 <= most)
