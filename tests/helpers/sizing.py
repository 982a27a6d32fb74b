"""A request for a size, in short words, and what becomes of it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from solution.book.assets import Asset
from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.domain.orders import Side
from solution.domain.signal import Action, Signal, SizeKind
from solution.errors import Refused
from solution.trading.plan import Request, SizingRules
from solution.trading.sizing import size

ZERO = Decimal(0)
NVDA = Asset("id", "NVDA", "us_equity", True, True, True)
WHOLE_ONLY = replace(NVDA, fractionable=False)
BUY = Signal(stream="nvda", entry_id="1-0", ticker="NVDA", digest="d", side=Side.BUY)
SELL = BUY._replace(side=Side.SELL)
SHORT = SELL._replace(action=Action.SHORT_SELL)
LIQUIDATE = BUY._replace(side=None, action=Action.LIQUIDATE)
BID, ASK = Decimal(99), Decimal(100)
ONE = Decimal(1)
OPEN_RULES = SizingRules(
    weights={}, policy="weight", max_position_pct=ZERO, max_order_notional_pct=ZERO
)
"""Nothing is capped; a bare buy then wants all of equity."""


def holdings(
    qty: str = "0",
    *,
    available: str | None = None,
    pending: str = "0",
    buys: str = "0",
    equity: str = "100000",
    cash: str = "100000",
    power: str = "200000",
    entry: str = "90",
    uncertain: bool = False,
) -> Holdings:
    held = Decimal(qty)
    return Holdings(
        equity=Decimal(equity),
        cash=Decimal(cash),
        buying_power=Decimal(power),
        qty=held,
        available_qty=max(ZERO, held) if available is None else Decimal(available),
        pending_qty=Decimal(pending),
        pending_buy_qty=Decimal(buys),
        avg_entry=Decimal(entry),
        uncertain=uncertain,
    )


def quote(bid: Decimal | None = BID, ask: Decimal | None = ASK) -> Quote:
    return Quote("NVDA", bid, ask, None, None, None, 0.0)


def request(
    signal: Signal = BUY,
    held: Holdings | None = None,
    *,
    asset: Asset = NVDA,
    market: Quote | None = None,
    rules: SizingRules = OPEN_RULES,
    **changed: Any,
) -> Request:
    return Request(signal, held or holdings(), market or quote(), asset, replace(rules, **changed))


def sized(*args: Any, **changed: Any) -> tuple[str, str]:
    """Side and shares of the plan."""
    plan = size(request(*args, **changed))
    return plan.side.value, format(plan.qty, "f")


def refusal(*args: Any, **changed: Any) -> str:
    with pytest.raises(Refused) as caught:
        size(request(*args, **changed))
    assert len(caught.value.message) > 10
    return caught.value.reason


def stated(signal: Signal, kind: SizeKind, value: str) -> Signal:
    return signal._replace(size_kind=kind, size=Decimal(value))


def qty(signal: Signal, value: str) -> Signal:
    return stated(signal, SizeKind.QTY, value)


def target(value: str, kind: SizeKind = SizeKind.TARGET_QTY) -> Signal:
    return stated(BUY._replace(side=None), kind, value)
