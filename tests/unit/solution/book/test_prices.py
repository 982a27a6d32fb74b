"""The price book."""

import threading
from decimal import Decimal

import pytest

from solution.book.prices import PriceBook, Quote


def quote(
    symbol: str = "NVDA",
    *,
    bid: str | None = "99",
    ask: str | None = "101",
    last: str | None = "100",
    received: float = 1.0,
) -> Quote:
    return Quote(
        symbol=symbol,
        bid=number(bid),
        ask=number(ask),
        last=number(last),
        quote_at=None,
        trade_at=None,
        received=received,
    )


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@pytest.mark.parametrize(
    ("ask", "last", "price"),
    [
        ("101", "100", "101"),
        (None, "100", "100"),
        ("0", "100", "100"),
        ("-1", "100", "100"),
        ("0", None, None),
        (None, "0", None),
    ],
)
def test_a_buyer_pays_the_ask_else_the_last_trade(
    ask: str | None, last: str | None, price: str | None
) -> None:
    """A side of zero means that nobody stands there."""
    assert quote(ask=ask, last=last).buy_price == number(price)


@pytest.mark.parametrize(
    ("bid", "last", "price"),
    [("99", "100", "99"), (None, "100", "100"), ("0", "100", "100"), ("0", "-2", None)],
)
def test_a_seller_gets_the_bid_else_the_last_trade(
    bid: str | None, last: str | None, price: str | None
) -> None:
    """The same for the other side."""
    assert quote(bid=bid, last=last).sell_price == number(price)


def test_replace_merges() -> None:
    """Symbols that an answer lacks keep their quote."""
    book = PriceBook()
    first, second = quote("NVDA"), quote("AAPL", received=2.0)
    book.replace({"NVDA": first})
    book.replace({"AAPL": second})
    assert (book.get("NVDA"), book.get("AAPL"), book.get("MSFT")) == (first, second, None)


def test_an_older_answer_does_not_undo_a_newer_one() -> None:
    """Of two quotes the one received later stays, whatever the order of the writes."""
    book = PriceBook()
    newer = quote(received=5.0)
    book.replace({"NVDA": newer})
    book.replace({"NVDA": quote(received=4.0)})
    assert book.get("NVDA") is newer


def test_a_reader_keeps_what_it_has_read() -> None:
    """The published dict is never changed, so an iteration over it is safe."""
    book = PriceBook()
    book.replace({"NVDA": quote()})
    published = book._quotes
    book.replace({"AAPL": quote("AAPL")})
    assert set(published) == {"NVDA"}


def test_a_write_that_lost_the_race_is_built_again() -> None:
    """Two writers that started from the same dict both get their quotes in."""
    book = PriceBook()
    base = book._quotes
    book.replace({"NVDA": quote()})
    assert not book._swap(base, {"AAPL": quote("AAPL")})
    assert book.get("NVDA") is not None


def test_concurrent_writers_lose_nothing() -> None:
    """Eight threads write eight symbols, and every last quote is there."""
    book = PriceBook()
    start = threading.Barrier(8)

    def write(symbol: str) -> None:
        start.wait(10)
        for received in range(200):
            book.replace({symbol: quote(symbol, received=float(received))})

    threads = [threading.Thread(target=write, args=(f"S{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [book.age(f"S{number}", 199.0) for number in range(8)] == [0.0] * 8


def test_age_counts_from_the_receipt() -> None:
    """Seconds since the answer was here, None without a quote."""
    book = PriceBook()
    book.replace({"NVDA": quote(received=10.0)})
    assert book.age("NVDA", 12.5) == 2.5
    assert book.age("AAPL", 12.5) is None


def test_watching_is_told_once_per_symbol() -> None:
    """Only a new symbol is new, and only then are the listeners told, without the lock."""
    book = PriceBook()
    told: list[tuple[str, bool]] = []
    book.on_watch(lambda symbol: told.append((symbol, book._mutex.locked())))
    assert [book.watch(symbol) for symbol in ("NVDA", "AAPL", "NVDA")] == [True, True, False]
    assert book.symbols() == ("NVDA", "AAPL")
    assert told == [("NVDA", False), ("AAPL", False)]
