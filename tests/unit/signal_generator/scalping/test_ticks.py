"""Tests of signal_generator.scalping.ticks."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.scalping.ticks import round_down, round_up


@pytest.mark.parametrize(
    ("price", "down", "up"),
    [
        ("181.505", "181.50", "181.51"),
        ("181.5", "181.50", "181.50"),
        ("0.12345", "0.1234", "0.1235"),
        ("0.99995", "0.9999", "1.0000"),
        ("1.001", "1.00", "1.01"),
    ],
)
def test_prices_on_the_grid(price: str, down: str, up: str) -> None:
    """Cents from a dollar on, hundredths of a cent below."""
    assert (str(round_down(Decimal(price))), str(round_up(Decimal(price)))) == (down, up)


@given(st.decimals("0.0001", "1000000", places=6))
def test_never_worse_than_asked_and_less_than_a_tick_away(price: Decimal) -> None:
    """The safe side is the other one for each direction."""
    down, up = round_down(price), round_up(price)
    assert down <= price <= up
    assert up - down <= (Decimal("0.01") if price >= 1 else Decimal("0.0001"))
