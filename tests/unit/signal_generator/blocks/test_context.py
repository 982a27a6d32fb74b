"""Tests of signal_generator.blocks.context."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from signal_generator.bars import Quote
from signal_generator.blocks.book import PositionBook
from signal_generator.blocks.context import Trading
from signal_generator.blocks.desk import OrderDesk
from signal_generator.blocks.quotes import QuoteBoard
from signal_generator.blocks.register import OrderRegister
from signal_generator.hosting import Position

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
ORDER = {"ticker": "AAPL", "quantity": 5, "side": "buy", "order_type": "market"}


@pytest.fixture
def blocks() -> list[Any]:
    """What was published."""
    return []


@pytest.fixture
def context(blocks: list[Any]) -> dict[str, Any]:
    """With five shares and one quote."""
    quotes, register = QuoteBoard(["AAPL"], lambda: NOW), OrderRegister()
    book = PositionBook(["AAPL"], lambda: 0.0)
    book.adopt([Position("AAPL", Decimal(5), Decimal(10))], 0)
    quotes.put(Quote("AAPL", NOW, 11.0, 12.0))
    desk = OrderDesk(
        register,
        blocks.append,
        lambda _: None,
        label="mine",
        now=lambda: NOW,
        max_age=lambda: 60,
    )
    return Trading(quotes, book, register, desk).context()


def test_the_keys_that_strategies_know(context: dict[str, Any]) -> None:
    """All of them, and two more."""
    assert set(context) == {
        *("get_current_data", "submit_order", "shm_meta", "result_queue", "command_queue"),
        *("quote_age", "orders"),
    }


def test_current_data(context: dict[str, Any]) -> None:
    """Quotes with exactly bid and ask, and the positions."""
    quotes, positions = context["get_current_data"]()
    assert quotes == {"AAPL": {"bid": 11.0, "ask": 12.0}}
    assert [(p["ticker"], p["quantity"], p["bid"]) for p in positions] == [("AAPL", 5.0, 11.0)]
    assert context["quote_age"]("AAPL") == 0.0


def test_submit_order_returns_nothing(context: dict[str, Any], blocks: list[Any]) -> None:
    """A strategy that returns what it returned must not order twice."""
    assert context["submit_order"](ORDER) is None
    assert context["submit_order"]([ORDER, ORDER]) is None
    assert [len(block) for block in blocks] == [1, 2]
    assert [order["status"] for order in context["orders"]()] == ["waiting"] * 3


def test_a_test_mode_is_not_pretended(
    context: dict[str, Any], blocks: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """There is none, there either; who asks for it is told."""
    context["submit_order"](ORDER, test_mode=True)
    assert len(blocks) == 1
    assert "test_mode has no effect" in caplog.text


def test_the_inert_keys_can_be_used(context: dict[str, Any]) -> None:
    """Nobody reads what is put in, and nothing comes out."""
    context["command_queue"].put({"type": "get_positions"})
    assert context["result_queue"].empty()
    assert context["shm_meta"] == {}
