"""Tests of signal_generator.blocks.quotes."""

from datetime import UTC, datetime, timedelta

from signal_generator.bars import Quote
from signal_generator.blocks.quotes import QuoteBoard

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


def board() -> QuoteBoard:
    """Of two tickers, at a fixed time."""
    return QuoteBoard(["AAPL", "MSFT"], lambda: NOW)


def quote(bid: float, ask: float, *, age: float = 0.0, symbol: str = "AAPL") -> Quote:
    """A quote made `age` seconds ago."""
    return Quote(symbol, NOW - timedelta(seconds=age), bid, ask)


def test_nothing_is_known_at_first() -> None:
    """None, as strategies ask for it."""
    made = board()
    assert made.all() is None
    assert made.top("AAPL") == (0.0, 0.0)
    assert made.age("AAPL") is None


def test_every_ticker_is_there_as_soon_as_one_is_known() -> None:
    """With exactly bid and ask; zeros for the other."""
    made = board()
    made.put(quote(1.0, 2.0))
    assert made.all() == {"AAPL": {"bid": 1.0, "ask": 2.0}, "MSFT": {"bid": 0.0, "ask": 0.0}}
    assert made.top("AAPL") == (1.0, 2.0)


def test_a_quote_without_prices_is_none() -> None:
    """An empty book is no quote to trade on."""
    made = board()
    made.put(quote(0.0, 0.0))
    assert made.all() is None


def test_an_older_quote_does_not_replace_a_newer_one() -> None:
    """As the latest by REST may come after the stream's."""
    made = board()
    made.put(quote(1.0, 2.0, age=1))
    made.put(quote(5.0, 6.0, age=3))
    assert made.top("AAPL") == (1.0, 2.0)
    assert made.age("AAPL") == 1.0


def test_other_symbols_are_ignored() -> None:
    """Nobody asked for them."""
    made = board()
    made.put(quote(1.0, 2.0, symbol="TSLA"))
    assert made.all() is None


def test_what_is_given_away_is_a_copy() -> None:
    """A strategy may change it."""
    made = board()
    made.put(quote(1.0, 2.0))
    given = made.all() or {}
    given["AAPL"]["bid"] = 99.0
    assert made.top("AAPL") == (1.0, 2.0)
