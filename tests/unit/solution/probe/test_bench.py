"""The price that caps a probe's orders."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.probe.bench import half_of

PRICES = st.decimals("0.01", "100000", places=4)


@pytest.mark.parametrize(
    ("prices", "half"),
    [
        (("135.37", "135.41", "135.40"), "67.68"),
        ((None, "10.01", None), "5.00"),
        (("0", "10", "12"), "5.00"),
        (("1.50", None, "1.6"), "0.7500"),
        (("0.01",), "0.0050"),
    ],
)
def test_half_of_the_lowest_price(prices: tuple[str | None, ...], half: str) -> None:
    """In cents, below a dollar in hundredths of a cent; what is no price does not count."""
    given_ = [None if price is None else Decimal(price) for price in prices]
    assert half_of(*given_) == Decimal(half)


@pytest.mark.parametrize("prices", [(), (None, None), (Decimal(0),), (Decimal("0.0001"),)])
def test_without_a_price_there_is_no_order(prices: tuple[Decimal | None, ...]) -> None:
    """A guess would be no cap."""
    assert half_of(*prices) is None


@given(prices=st.lists(PRICES, min_size=1, max_size=3))
def test_it_is_never_above_half(prices: list[Decimal]) -> None:
    """Rounded down, onto a grid that every exchange takes."""
    half = half_of(*prices)
    assert half is not None
    assert 0 < half <= min(prices) / 2
    assert half == half.quantize(Decimal("0.01") if half >= 1 else Decimal("0.0001"))
