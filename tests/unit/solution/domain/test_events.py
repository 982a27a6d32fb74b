"""Entries of the executions stream."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.events import Event, ExecutionEvent

LEAST = ExecutionEvent(event="new", stream="nvda", entry_id="1-0", at="2026-03-04T15:00:00.000Z")
FULL = ExecutionEvent(
    event="partial_fill",
    stream="nvda",
    entry_id="1-0",
    at="2026-03-04T15:00:00.000Z",
    signal_id="id",
    client_order_id="sp-x",
    order_id="A",
    status="partially_filled",
    final=False,
    reason="R",
    message="words",
    ticker="NVDA",
    side="buy",
    qty=Decimal(4),
    price=Decimal("100.5"),
    filled_qty=Decimal(4),
    filled_avg_price=Decimal("100.5"),
    position_qty=Decimal(-4),
    strategy="sma",
    extra=(("x_a", "1"), ("X_b", "2")),
)
ORDER = [
    "signal_id", "stream", "entry_id", "client_order_id", "order_id", "event", "status", "final",
    "reason", "message", "ticker", "side", "qty", "price", "filled_qty", "filled_avg_price",
    "position_qty", "strategy", "at", "x_a", "X_b",
]  # fmt: skip


def test_the_fields_come_in_the_documented_order() -> None:
    """Section 2 of the contract; event_id is put in front by the ledger, x_ fields come last."""
    assert [name for name, _ in FULL.fields()] == ORDER


def test_what_has_no_value_is_left_out() -> None:
    """Neither empty texts nor missing numbers are published; final always is."""
    assert dict(LEAST.fields()) == {
        "stream": "nvda",
        "entry_id": "1-0",
        "event": "new",
        "final": "0",
        "at": "2026-03-04T15:00:00.000Z",
    }


@pytest.mark.parametrize(("final", "text"), [(True, "1"), (False, "0")])
def test_final_is_a_digit(final: bool, text: str) -> None:
    """One character that every language reads."""
    assert dict(LEAST._replace(final=final).fields())["final"] == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("1E+3", "1000"), ("1E-9", "0.000000001"), ("-4", "-4"), ("10.50", "10.50")],
)
def test_decimals_are_plain_text(value: str, text: str) -> None:
    """Never an exponent, never rounded; a zero is a value and is published."""
    fields = dict(LEAST._replace(qty=Decimal(value), position_qty=Decimal(value)).fields())
    assert (fields["qty"], fields["position_qty"]) == (text, text)


@settings(deadline=None, derandomize=True)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=9))
def test_every_decimal_survives_the_wire(value: Decimal) -> None:
    """Text and back is the same number, without an E in it."""
    text = dict(LEAST._replace(price=value).fields())["price"]
    assert Decimal(text) == value
    assert "E" not in text


def test_our_own_names_are_their_text() -> None:
    """An enumeration member is published as the contract's word."""
    names = {dict(LEAST._replace(event=event).fields())["event"] for event in Event}
    assert names == {
        "submitted", "refused", "dead_letter", "dry_run", "unknown", "expired_unconfirmed",
        "corrected", "control_refused",
    }  # fmt: skip
