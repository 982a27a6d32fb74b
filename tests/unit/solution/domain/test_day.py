"""The day's figures against its limits, on both sides of the boundary."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from solution.domain.day import Day

MONEY = st.decimals("0", "1000000", places=2)
FRACTION = st.decimals("0.0001", "1", places=4)
DAY = Day(Decimal(100_000), Decimal(104_000))
FIVE = Decimal("0.05")


def test_a_loss_of_exactly_the_limit_is_too_much() -> None:
    """A cent less is not."""
    assert DAY.loss_reaches(FIVE, Decimal("95000.01")) is None
    told = DAY.loss_reaches(FIVE, Decimal(95_000))
    assert told is not None
    assert "5000.00 below the day's opening 100000.00" in told


def test_a_drawdown_is_counted_from_the_peak_and_measured_by_the_opening() -> None:
    """Five percent of 100,000, below 104,000."""
    assert DAY.drawdown_reaches(FIVE, Decimal("99000.01")) is None
    told = DAY.drawdown_reaches(FIVE, Decimal(99_000))
    assert told is not None
    assert "5000.00 below the day's highest 104000.00" in told


@given(MONEY, MONEY, FRACTION, MONEY)
def test_what_was_not_lost_reaches_nothing(
    opening: Decimal, above: Decimal, fraction: Decimal, gain: Decimal
) -> None:
    """An account at or above its figure is within its limits, one of nothing as well."""
    day = Day(opening, opening + above)
    assert day.loss_reaches(fraction, opening + gain) is None
    assert day.drawdown_reaches(fraction, day.peak + gain) is None


@given(MONEY, FRACTION, MONEY, MONEY)
def test_whoever_lost_more_is_not_better_off(
    opening: Decimal, fraction: Decimal, equity: Decimal, more: Decimal
) -> None:
    """Monotone in equity."""
    day = Day(opening, opening)
    reached = day.loss_reaches(fraction, equity) is not None
    assert not reached or day.loss_reaches(fraction, equity - more) is not None
