"""Tests of signal_generator.blocks.summary."""

from typing import Any

import pytest

from signal_generator.blocks.summary import rows, text


def position(ticker: str, quantity: float, cost: float, value: float) -> dict[str, Any]:
    """As the book gives them."""
    return {"ticker": ticker, "quantity": quantity, "cost_basis": cost, "pos_val": value}


def test_one_row_each_and_a_total() -> None:
    """A short position gains when it is worth more than it cost: -90 is more than -100."""
    table = rows([position("AAPL", 2, 20, 24), position("MSFT", -1, -100, -90)])
    assert table[0] == ("AAPL", 2, 20, 12.0, 24, 4, 20.0)
    assert table[1] == ("MSFT", -1, -100, 90.0, -90, 10, 10.0)
    assert table[2] == ("TOTAL", 1, -80, None, -66, 14, pytest.approx(14 / 120 * 100))


def test_what_is_printed() -> None:
    """A table, the profit, and how many orders are where."""
    shown = text([position("AAPL", 2, 20, 24)], ["filled", "filled", "canceled"], 1.5, 2)
    lines = shown.splitlines()
    assert lines[0].split()[0] == "Asset"
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[3:] == [
        "Realized P&L: 1.50",
        "orders: 2 filled, 1 canceled",
        "the strategy failed 2 times",
    ]


def test_nothing_held() -> None:
    """No empty table."""
    assert text([], [], 0.0, 0) == "no positions\nRealized P&L: 0.00\norders: none"
