"""The row of a request to flatten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain.flattening import (
    Cancelled,
    Closing,
    Flattening,
    Left,
    belongs_to,
    flattening_of,
    identity_of,
    is_closing,
    words_of,
)
from tests.helpers.ledger_rows import make_intent

FULL = Flattening(
    id="x",
    symbols=("NVDA",),
    why="a test",
    at_ms=1,
    stocks_only=True,
    until_ms=2,
    restricted=True,
    cancelled={"o-1": Cancelled("NVDA", "sell", "3", "canceled")},
    orders={"c-1": Closing("NVDA", "sell", "10", "FILLED", "10")},
    left={"NVDA": Left("10", "why")},
    flat=True,
    done_ms=3,
)


def test_what_is_kept_is_read_again() -> None:
    """Every field."""
    assert flattening_of("x", FULL.to_json()) == FULL


def test_whoever_asks_writes_three_fields() -> None:
    """The rest is the service's."""
    found = flattening_of("x", '{"symbols": [], "why": "stop", "at_ms": 7}')
    assert found == Flattening("x", (), "stop", 7)
    assert found.key == "flatten:x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"symbols": "NVDA"}',
        '{"symbols": [""]}',
        '{"symbols": [1]}',
        '{"symbols": null}',
        '{"symbols": [], "at_ms": "soon"}',
        '{"symbols": [], "orders": {"c": {"qty": "1"}}}',
    ],
)
def test_what_is_no_request_closes_nothing(text: str) -> None:
    """A text in the place of the list must not become every position of the account."""
    with pytest.raises(ValueError, match="the row flatten:x is no request"):
        flattening_of("x", text)


@given(st.text())
def test_any_text_is_a_request_or_a_value_error(text: str) -> None:
    """Nothing else is raised."""
    try:
        assert flattening_of("x", text).id == "x"
    except ValueError as e:
        assert "flatten:x" in str(e)


def test_the_identity_names_request_symbol_and_attempt() -> None:
    """And is no signal's, nor another request's."""
    row = make_intent(1)
    row.identity, row.symbol = identity_of("one", "BTC/USD", 12), "BTC/USD"
    assert row.identity == "|flatten:one:BTC/USD:12"
    assert is_closing(row)
    assert belongs_to(row, "one")
    assert not belongs_to(row, "on")
    assert not is_closing(make_intent(2))
    assert not belongs_to(make_intent(2), "one")


def test_the_end_of_a_session_is_nobodys_request() -> None:
    """Told by its id."""
    assert Flattening("eos-2026-03-04", (), "", 0).automatic
    assert not Flattening("20260304", (), "", 0).automatic


def test_what_is_left_in_words() -> None:
    """One a ticker, in order."""
    left = {"NVDA": Left("10", "why"), "AAPL": Left("-2", "because")}
    assert list(words_of(left)) == ["AAPL -2: because", "NVDA 10: why"]
