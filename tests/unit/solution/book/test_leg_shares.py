"""Shares that the legs of brackets hold."""

from decimal import Decimal

from solution.book.leg_shares import LegShares


def test_legs_hold_shares_of_the_side_that_they_close() -> None:
    """Those of a bracket that bought hold nothing of a short."""
    legs = LegShares()
    legs.hold("NVDA", "one", Decimal(3))
    legs.hold("NVDA", "two", Decimal(4))
    legs.hold("NVDA", "short", Decimal(-2))
    assert legs.of("NVDA", Decimal(10)) == 7
    assert legs.of("NVDA", Decimal(-10)) == 2
    assert legs.of("AAPL", Decimal(10)) == 0


def test_legs_hold_no_more_than_there_is() -> None:
    """What was sold beside them is gone, though they still stand."""
    legs = LegShares()
    legs.hold("NVDA", "one", Decimal(3))
    assert legs.of("NVDA", Decimal(2)) == 2
    assert legs.of("NVDA", Decimal(0)) == 0


def test_a_bracket_that_ended_holds_nothing() -> None:
    """Its end may be told twice, and of one that was never known."""
    legs = LegShares()
    legs.hold("NVDA", "one", Decimal(3))
    legs.hold("NVDA", "two", Decimal(4))
    for bracket in ("one", "one", "other"):
        legs.hold("NVDA", bracket, Decimal(0))
    assert legs.of("NVDA", Decimal(10)) == 4
    legs.hold("NVDA", "two", Decimal(0))
    legs.hold("AAPL", "two", Decimal(0))
    assert legs.of("NVDA", Decimal(10)) == 0
