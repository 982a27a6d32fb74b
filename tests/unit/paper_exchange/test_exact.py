"""Arithmetic that does not depend on the machine."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.prices import exact


@given(st.floats(-600, 600))
def test_exp_is_the_exponential(x: float) -> None:
    """To within the last places, whatever the C library says."""
    assert math.isclose(exact.exp(x), math.exp(x), rel_tol=4e-16)


@given(st.floats(1e-300, 1e300))
def test_ln_is_the_logarithm(x: float) -> None:
    """As above, and back again."""
    assert math.isclose(exact.ln(x), math.log(x), rel_tol=4e-16, abs_tol=1e-15)


def test_extremes_are_cut_off() -> None:
    """No overflow, whatever a wild volatility asks for."""
    assert 0 < exact.exp(-1e9) < 1e-290
    assert 1e290 < exact.exp(1e9) < math.inf


def test_the_bits_are_these() -> None:
    """Another machine or release of Python must give the same ones."""
    made = [
        exact.exp(4.605170185988092).hex(),
        exact.ln(230.0).hex(),
        exact.gaussians(exact.noise("0:NVDA", 1, 2, size=16), 2)[1].hex(),
        hex(exact.scramble(42)),
        math.fsum(exact.EXPONENTIAL).hex(),
    ]
    assert made == [
        "0x1.9000000000003p+6",
        "0x1.5c097dcc38483p+2",
        "0x1.fff27fc49549bp-1",
        "0xbdd732262feb6e95",
        "0x1.ff4ea33d5c44fp+7",
    ]


def test_gaussians_have_the_right_spread() -> None:
    """Mean 0, deviation 1."""
    numbers = exact.gaussians(exact.noise("spread", size=80_000), 10_000)
    mean = sum(numbers) / len(numbers)
    variance = sum(z * z for z in numbers) / len(numbers)
    assert mean == pytest.approx(0, abs=0.03)
    assert variance == pytest.approx(1, abs=0.03)
