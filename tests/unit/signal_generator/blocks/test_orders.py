"""Tests of signal_generator.blocks.orders."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from signal_generator.blocks.orders import ACTIONS, WrongOrder, read_order
from signal_generator.signals import Signal
from solution.domain.signal import parse

MARKET = {"ticker": "AAPL", "quantity": 5, "side": "buy", "order_type": "market"}
COMMON = {"strategy": "mine", "ts": "2026-03-04T15:00:00.000Z", "max_age": "600"}
ALL_ACTIONS = (
    *("buy_long", "buy_to_cover", "cover_short", "short_sell", "sell_long", "liquidate"),
    *("none", "whatever I like", "BUY_TO_COVER", ""),
)


def fields(**changes: Any) -> dict[str, str]:
    """The signal of a market order with some changes."""
    return read_order({**MARKET, **changes}).fields("id-1", COMMON)


@pytest.mark.parametrize(
    ("side", "action", "meaning"),
    [
        ("buy", None, None),
        ("buy", "buy_long", "buy_long"),
        ("buy", "buy_to_cover", "buy_to_cover"),
        ("buy", "cover_short", "cover_short"),
        ("buy", "liquidate", "liquidate"),
        ("buy", "short_sell", None),
        ("buy", "sell_long", None),
        ("sell", None, None),
        ("sell", "sell_long", "sell_long"),
        ("sell", "short_sell", "short_sell"),
        ("sell", "liquidate", "liquidate"),
        ("sell", "buy_to_cover", None),
        ("sell", "cover_short", None),
        ("sell", "buy_long", None),
        ("sell", "momentum", None),
    ],
)
def test_side_and_action(side: str, action: str | None, meaning: str | None) -> None:
    """The table, complete: the side decides, and the action where it says more."""
    found = fields(side=side, action=action)
    assert found["direction"] == side[0]
    assert found.get("action") == meaning
    assert found.get("x_action") == action


@given(
    side=st.sampled_from(["buy", "sell", "Buy", " SELL "]),
    action=st.sampled_from(ALL_ACTIONS),
    quantity=st.one_of(
        st.integers(1, 10**9),
        st.floats(1e-6, 1e9),
        st.decimals(Decimal("0.001"), 10**9, places=4),
    ),
    limit=st.one_of(st.none(), st.floats(0.01, 1e6)),
)
def test_the_service_takes_every_order(
    side: str, action: str, quantity: Any, limit: float | None
) -> None:
    """Whatever is well-formed here is a valid signal there, with the same content as a Signal's."""
    kind = "market" if limit is None else "limit"
    order = {**MARKET, "side": side, "action": action, "quantity": quantity}
    read = read_order({**order, "order_type": kind, "limit_price": limit})
    # Parts of a share cannot be sold short, and the service says so.
    assume(read.quantity == int(read.quantity or 0) or action != "short_sell")
    found = read.fields("id-1", COMMON)
    meant = Signal(
        symbol="AAPL",
        side=read.side,
        action=ACTIONS.get((read.side, read.action.lower()), ""),
        qty=read.quantity,
        order_type=kind,
        limit_price=read.limit_price,
        time_in_force="day",
        signal_id="id-1",
        strategy="mine",
        max_age=600,
        metadata={"action": read.action} if read.action else {},
    )
    assert found == meant.fields() | COMMON
    raw = [(name.encode(), value.encode()) for name, value in found.items()]
    taken = parse("nvda", "1-0", raw)
    assert taken.signal_id == "id-1"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        *((5.0, "5"), (5, "5"), ("5.50", "5.5"), (0.1 + 0.2, "0.3"), (Decimal("2.0"), "2")),
        *((100.0, "100"), ("1e2", "100"), (1e-7, "0.0000001")),
    ],
)
def test_quantities_by_their_shortest_text(quantity: Any, text: str) -> None:
    """Whole floats are whole shares, and no digit is invented."""
    assert fields(quantity=quantity)["qty"] == text


def test_numbers_of_numpy() -> None:
    """What pandas and numpy compute with is taken like Python's own."""
    numpy = pytest.importorskip("numpy")
    found = fields(quantity=numpy.int64(3), order_type="limit", limit_price=numpy.float32(1.5))
    assert (found["qty"], found["limit_price"]) == ("3", "1.5")


def test_orders_are_good_for_the_day() -> None:
    """As there; a pair cannot be, so it is good until cancelled."""
    assert fields()["time_in_force"] == "day"
    assert fields(ticker="BTC/USD")["time_in_force"] == "gtc"
    assert fields(ticker="ETHUSDT")["time_in_force"] == "gtc"


@pytest.mark.parametrize("kind", ["limit", "Limit", "stop", "whatever"])
def test_what_is_not_market_is_a_limit_order(kind: str) -> None:
    """As there."""
    found = fields(order_type=kind, limit_price=181.5)
    assert (found["order_type"], found["limit_price"]) == ("limit", "181.5")


def test_the_price_of_a_market_order_is_not_sent() -> None:
    """Scripts leave the key there, often with None."""
    assert "limit_price" not in fields(limit_price=5)


def test_liquidate_needs_no_quantity() -> None:
    """It closes what is held."""
    assert "qty" not in fields(side="sell", action="liquidate", quantity=None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ticker": None}, "ticker: None is not a symbol"),
        ({"ticker": "A\ud800"}, "ticker: .* is not a symbol"),
        ({"side": "short"}, "side: 'short' is neither buy nor sell"),
        ({"side": None}, "side: None is neither"),
        ({"quantity": None}, "quantity: None is not a number"),
        ({"quantity": 0}, "quantity: 0 is not greater than 0"),
        ({"quantity": -1.5}, "quantity: -1.5 is not greater"),
        ({"quantity": 1e-12}, "quantity: 1e-12 is not greater"),
        ({"quantity": True}, "quantity: True is not a number"),
        ({"quantity": float("nan")}, "quantity: nan is not a finite number"),
        ({"quantity": "many"}, "quantity: 'many' is not a number"),
        ({"quantity": "inf"}, "quantity: 'inf' is not a finite number"),
        ({"quantity": 10**40}, "quantity: 1000.* is not greater than 0 and less than"),
        ({"quantity": "1e999999"}, "quantity: '1e999999' is not greater than 0 and less than"),
        ({"order_type": None}, "order_type: it is missing"),
        ({"order_type": "limit"}, "limit_price: None is not a number"),
        ({"action": 7}, "action: 7 is not a short text"),
        ({"action": "x" * 65}, "action: .* is not a short text"),
    ],
)
def test_a_malformed_order_is_named(changes: dict[str, Any], sentence: str) -> None:
    """One sentence with field and value."""
    with pytest.raises(WrongOrder, match=f"^{sentence}"):
        fields(**changes)


@pytest.mark.parametrize("written", [None, "AAPL", 5, ["AAPL"]])
def test_an_order_is_a_dict(written: Any) -> None:
    """Anything else is named."""
    with pytest.raises(WrongOrder, match="an order is a dict"):
        read_order(written)
