"""Prices on the exchange's grid, always on the safe side."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.orders import Side
from solution.errors import SignalError
from solution.trading.pricing import CENT, SUB_CENT, collared, rounded

PRICES = st.decimals("0.0001", "1000000", places=9)


@pytest.mark.parametrize(
    ("price", "bought", "sold"),
    [
        ("100", "100.00", "100.00"),
        ("100.009", "100.00", "100.01"),
        ("100.0000001", "100.00", "100.01"),
        ("1.00", "1.00", "1.00"),
        ("1.005", "1.00", "1.01"),
        ("0.99991", "0.9999", "1.0000"),
        ("0.12345", "0.1234", "0.1235"),
        ("0.0001", "0.0001", "0.0001"),
    ],
)
def test_two_decimals_from_a_dollar_on_four_below(price: str, bought: str, sold: str) -> None:
    """A buy rounds down, a sale up."""
    assert rounded(Decimal(price), Side.BUY) == Decimal(bought)
    assert rounded(Decimal(price), Side.SELL) == Decimal(sold)


@pytest.mark.parametrize("price", ["0.00009999", "0.000000001"])
def test_a_price_of_which_nothing_is_left_is_refused(price: str) -> None:
    """An order at 0 is not what was asked for; a sale still asks for the smallest price."""
    with pytest.raises(SignalError, match="finest step") as error:
        rounded(Decimal(price), Side.BUY)
    assert error.value.reason == "INVALID_VALUE"
    assert rounded(Decimal(price), Side.SELL) == SUB_CENT


def test_no_price_stays_none() -> None:
    """A market order has none."""
    assert rounded(None, Side.BUY) is None


@settings(deadline=None, derandomize=True)
@given(PRICES, st.sampled_from(Side))
def test_rounding_is_safe_near_and_settled(price: Decimal, side: Side) -> None:
    """Never worse than asked for, less than a step away, and rounding again changes nothing."""
    on_grid = rounded(price, side)
    assert on_grid is not None
    worse = on_grid - price if side is Side.BUY else price - on_grid
    step = CENT if price >= 1 else SUB_CENT
    assert -step < worse <= 0
    assert rounded(on_grid, side) == on_grid


def test_a_price_of_any_length_is_rounded() -> None:
    """The contract allows thirty characters; the default context of decimals holds 28 digits."""
    long = Decimal(123456789012345678901234567890)
    assert rounded(long, Side.BUY) == rounded(long, Side.SELL) == long


@pytest.mark.parametrize(
    ("side", "bps", "worst"),
    [
        (Side.BUY, "0", "100"),
        (Side.BUY, "50", "100.5"),
        (Side.SELL, "50", "99.5"),
        (Side.SELL, "10000", "0.0001"),
        (Side.SELL, "20000", "0.0001"),
    ],
)
def test_a_collar_is_the_worst_price_accepted(side: Side, bps: str, worst: str) -> None:
    """Basis points beyond the far side, a sale never below the smallest price."""
    assert collared(Decimal(100), side, Decimal(bps)) == Decimal(worst)


@settings(deadline=None, derandomize=True)
@given(PRICES, st.integers(0, 5_000).map(Decimal), st.sampled_from(Side))
def test_a_collar_on_the_grid_stays_inside(price: Decimal, bps: Decimal, side: Side) -> None:
    """Rounding after the collar never widens it."""
    worst = collared(price, side, bps)
    limit = rounded(worst, side)
    assert limit is not None
    assert (limit <= worst) if side is Side.BUY else (limit >= worst)


TICKS = st.sampled_from(["0.01", "0.001", "0.0000001", "0.000000001", "0.5", "1", "0.0025"])


@settings(deadline=None, derandomize=True)
@given(st.decimals("1", "1000000", places=9), TICKS.map(Decimal), st.sampled_from(Side))
def test_a_pair_is_priced_on_its_own_step(price: Decimal, step: Decimal, side: Side) -> None:
    """A multiple of it, never worse than asked for, less than a step away, and settled."""
    on_grid = rounded(price, side, step)
    assert on_grid is not None
    worse = on_grid - price if side is Side.BUY else price - on_grid
    assert -step < worse <= 0
    assert on_grid % step == 0
    assert rounded(on_grid, side, step) == on_grid


def test_a_price_below_a_pair_s_step_is_refused() -> None:
    """The message names the step."""
    with pytest.raises(SignalError, match=r"finest step, 0\.01"):
        rounded(Decimal("0.009"), Side.BUY, Decimal("0.01"))


def test_a_collar_below_a_cheap_pair_stays_below_its_price() -> None:
    """A share's smallest price is ten times what such a coin costs."""
    price, step = Decimal("0.00001"), Decimal("0.000000001")
    assert collared(price, Side.SELL, Decimal(100), step) == Decimal("0.0000099")
    assert collared(price, Side.SELL, Decimal(10_000), step) == step
