"""Numbers and times as the page writes them."""

from decimal import Decimal

import pytest

from paper_exchange.clock import MILLISECOND, SECOND
from paper_exchange.page import words
from paper_exchange.prices.market import DAY_NS

NOON_NS = 1_795_194_000 * SECOND  # 2026-11-20 17:00:00 UTC


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0.00"), ("-0.001", "0.00"), ("1234.5", "1,234.50"), ("-9876543.214", "-9,876,543.21")],
)
def test_money(value: str, text: str) -> None:
    """Two decimals, thousands apart, no negative zero."""
    assert words.money(Decimal(value)) == text


def test_gains_have_a_plus() -> None:
    """So that they differ from losses without colour."""
    assert words.signed_money(Decimal("12.5")) == "+12.50"
    assert words.signed_money(Decimal("-12.5")) == "-12.50"
    assert words.signed_money(Decimal("0.001")) == "0.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("70", "70.00"),
        ("690123.4", "690,123.40"),
        ("145.1234", "145.1234"),
        ("0.1234567", "0.1234567"),
        ("33.333333333", "33.3333"),
    ],
)
def test_price(value: str, text: str) -> None:
    """At least cents, at most what prices have."""
    assert words.price(Decimal(value)) == text


def test_no_price_is_a_dash() -> None:
    """Nothing has been filled yet."""
    assert words.price(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10", "10"),
        ("1E+3", "1,000"),
        ("0.012345678", "0.012345678"),
        ("2.500", "2.5"),
        ("-3", "-3"),
    ],
)
def test_quantity(value: str, text: str) -> None:
    """No trailing zeros, nine decimals at most."""
    assert words.quantity(Decimal(value)) == text


def test_moment() -> None:
    """To the millisecond today, with the date on other days."""
    assert words.moment(NOON_NS + 5 * MILLISECOND, NOON_NS) == "17:00:00.005"
    assert words.moment(NOON_NS - DAY_NS, NOON_NS) == "19 Nov 17:00:00"


def test_coming() -> None:
    """New York's time, with the day unless it is today's."""
    assert words.coming(NOON_NS + 4 * 3600 * SECOND, NOON_NS) == "16:00"
    assert words.coming(NOON_NS + 3 * DAY_NS, NOON_NS) == "Mon 23 Nov, 12:00"


def test_counts_and_rates() -> None:
    """One is one, and large rates need no decimal."""
    assert words.count(1, "price") == "1 price"
    assert words.count(1200, "price") == "1,200 prices"
    assert words.rate(0.25) == "0.2"
    assert words.rate(1234.6) == "1,235"
