"""What the signals of each strategy hold."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from solution.book.strategies import StrategyBook

HELD = {"NVDA": (Decimal(10), Decimal(100)), "TSLA": (Decimal(-5), Decimal(200))}


def standing(symbol: str) -> tuple[Decimal, Decimal]:
    """Ten long at 100, five short at 200, nothing else."""
    return HELD.get(symbol, (Decimal(0), Decimal(0)))


def test_fills_add_up_per_ticker() -> None:
    """Long and short count alike, by what they are worth now."""
    book = StrategyBook(["sma"])
    book.filled("sma", "NVDA", Decimal(7))
    book.filled("sma", "NVDA", Decimal(-3))
    book.filled("sma", "TSLA", Decimal(-2))
    assert book.value("sma", standing) == 4 * 100 + 2 * 200


def test_no_more_than_the_account_holds() -> None:
    """Somebody else may have closed it, or turned it round."""
    book = StrategyBook(["sma"])
    book.filled("sma", "NVDA", Decimal(50))
    book.filled("sma", "TSLA", Decimal(5))
    book.filled("sma", "AAPL", Decimal(5))
    assert book.value("sma", standing) == 10 * 100


def test_a_strategy_without_a_limit_is_not_kept() -> None:
    """Labels are the producer's own, and may be as many as signals."""
    book = StrategyBook(["sma"])
    book.filled("other", "NVDA", Decimal(5))
    assert book.value("other", standing) == 0


@given(st.lists(st.integers(-20, 20), max_size=10))
def test_the_value_lies_between_nothing_and_the_position(fills: list[int]) -> None:
    """Whatever its orders did."""
    book = StrategyBook(["sma"])
    for qty in fills:
        book.filled("sma", "NVDA", Decimal(qty))
    assert 0 <= book.value("sma", standing) <= 1_000
    assert book.value("sma", standing) == min(max(sum(fills), 0), 10) * 100
