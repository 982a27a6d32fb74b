"""Tests of signal_generator.executions."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.executions import Execution

ENTRY = {
    "event_id": "7",
    "event": "partial_fill",
    "status": "partially_filled",
    "final": "0",
    "ticker": "NVDA",
    "side": "buy",
    "qty": "3",
    "price": "120.50",
    "filled_qty": "1",
    "position_qty": "-2.5",
    "signal_id": "s-1",
    "at": "2026-03-06T15:00:00.123Z",
    "x_note": "hello",
}


def test_an_entry() -> None:
    """Numbers, moments and the producer's own; what is absent is empty or None."""
    found = Execution.read(ENTRY)
    assert (found.event_id, found.event, found.final) == (7, "partial_fill", False)
    assert (found.qty, found.price, found.position_qty) == (
        Decimal(3),
        Decimal("120.50"),
        Decimal("-2.5"),
    )
    assert found.at == datetime(2026, 3, 6, 15, 0, 0, 123000, tzinfo=UTC)
    assert found.own == {"note": "hello"}
    assert (found.reason, found.filled_avg_price, found.order_id) == ("", None, "")


def test_a_final_one() -> None:
    """By the service's mark."""
    assert Execution.read({**ENTRY, "final": "1"}).final


@pytest.mark.parametrize("gone", ["event_id", "event"])
def test_what_is_no_execution(gone: str) -> None:
    """Without number or event."""
    fields = {name: value for name, value in ENTRY.items() if name != gone}
    with pytest.raises(ValueError, match="not an execution"):
        Execution.read(fields)


@given(st.dictionaries(st.sampled_from([*ENTRY, "other"]), st.text(max_size=12)))
def test_any_text_is_read_or_refused(changes: dict[str, str]) -> None:
    """A field that makes no sense never makes a fill be lost."""
    fields = {**ENTRY, **changes}
    try:
        found = Execution.read(fields)
    except ValueError as error:
        assert "not an execution" in str(error)
    else:
        assert found.event == fields["event"]
        assert found.at is None or found.at.tzinfo is not None
        numbers = (found.qty, found.price, found.filled_qty, found.position_qty)
        assert all(number is None or number.is_finite() for number in numbers)
