"""Snapshots read with care."""

from typing import Any

import pytest

from solution.ui import reading
from tests.helpers.snapshots import snapshot


@pytest.mark.parametrize(
    ("text", "shown"),
    [("100000.5", "100,000.50"), ("-0.1", "-0.10"), (None, "–"), ("", "–"), ("x", "–")],
)
def test_money(text: object, shown: str) -> None:
    """Thousands and cents; a dash for what is no number."""
    assert reading.money(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("12", "+12.00"), ("-1234.5", "-1,234.50"), (0, "+0.00"), ("NaN", "–"), ("1e999999", "–")],
)
def test_gains_have_a_sign(text: object, shown: str) -> None:
    """So that they are told apart without colours."""
    assert reading.signed(text) == shown


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"x": "NVDA"}, "NVDA"),
        ({"x": 0}, "0"),
        ({"x": ""}, "–"),
        ({}, "–"),
        ({"x": "a\nb\x1b"}, "a\\nb\\x1b"),
        ({"x": "y" * 999}, "y" * reading.LONGEST_WORD),
    ],
)
def test_a_word_is_one_line(row: dict[str, Any], shown: str) -> None:
    """Whatever somebody wrote."""
    assert reading.word(row, "x") == shown


@pytest.mark.parametrize("odd", [5, "x", None, ["a", 1]])
def test_what_is_of_another_kind_is_empty(odd: object) -> None:
    """An object, a list of objects, a count."""
    assert reading.part({"x": odd}, "x") == {}
    assert reading.listed({"x": odd}, "x") == []
    assert reading.whole(odd) == (5 if odd == 5 else 0)


def test_objects_of_a_list() -> None:
    """Other members are left out."""
    assert reading.listed({"x": [{"a": 1}, 2]}, "x") == [{"a": 1}]


def test_the_title() -> None:
    """Who, whose money, when; real money is not overlooked."""
    assert reading.title(snapshot()) == "host-1 · paper · 15:00:07"
    assert reading.title(snapshot(mode="live")) == "host-1 · LIVE, REAL MONEY · 15:00:07"
    assert reading.title({}) == "– · – · "


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "ACTIVE"),
        ({"trading_state": "REDUCING"}, "REDUCING"),
        ({"kill_switch": "the file exists"}, "HALTED"),
        ({"trading_state": None}, "–"),
    ],
)
def test_the_trading_state(changed: dict[str, Any], state: str) -> None:
    """ACTIVE beside a kill switch would deceive: nothing is sent."""
    assert reading.trading_state(snapshot(**changed)) == state
