"""Tests of signal_generator.blocks.live_quotes, against a real exchange and one that is rude."""

from collections.abc import Iterator
from typing import Any

import pytest

from paper_exchange.testing import Running, running
from signal_generator.bars import Quote
from signal_generator.blocks import live_quotes
from signal_generator.blocks.live_quotes import LiveQuotes
from signal_generator.connection import Connection
from signal_generator.hosting import BrokerUnavailable
from tests.helpers.clocks import eventually


class Heard:
    """Quotes by symbol, in the order they came."""

    def __init__(self) -> None:
        self.quotes: list[Quote] = []

    def __call__(self, quote: Quote) -> None:
        self.quotes.append(quote)

    def count(self, symbol: str) -> int:
        """How many of one."""
        return sum(quote.symbol == symbol for quote in self.quotes)


def connection(url: str) -> Connection:
    """As a stack gives it."""
    stream = url.replace("http", "ws", 1) + "/v2/iex"
    return Connection(key="k", secret="s", trading_url=url, data_url=url, data_stream_url=stream)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """Prices move ten times a second."""
    with running("--rate-limit", "0", "--symbols", "AAPL") as made:
        yield made


def test_quotes_of_shares_and_pairs_keep_coming(exchange: Running) -> None:
    """The latest at once, and then what the websockets tell; it ends when asked to."""
    heard = Heard()
    feed = LiveQuotes(connection(exchange.url))
    feed.start(["AAPL", "BTC/USD"], heard)
    assert eventually(lambda: heard.count("AAPL") > 3 and heard.count("BTC/USD") > 3)
    feed.stop()
    count = len(heard.quotes)
    assert all(quote.bid < quote.ask and quote.timestamp.tzinfo for quote in heard.quotes)
    assert not feed._asking.is_alive()
    assert len(heard.quotes) == count


def test_after_a_failure_the_latest_quotes_are_asked_for_again(
    exchange: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A quiet symbol has no other quote for minutes."""
    monkeypatch.setattr(live_quotes, "AGAIN_S", 0.01)
    answers: list[Any] = [BrokerUnavailable("no answer"), "nonsense", {"quotes": {"AAPL": {}}}]
    asked: list[str] = []
    real = live_quotes.BrokerHttp.get

    def get(self: Any, base: str, path: str, params: Any = None) -> Any:
        asked.append(path)
        if not answers:
            return real(self, base, path, params)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(live_quotes.BrokerHttp, "get", get)
    heard = Heard()
    feed = LiveQuotes(connection(exchange.url))
    feed.start(["AAPL"], heard)
    # Two failures, one answer with an unreadable row, and the one after the subscription.
    assert eventually(lambda: len(asked) >= 4)
    feed.stop()
    assert "latest quotes: no answer" in caplog.text
    assert "the answer holds no quotes" in caplog.text
    assert "latest quote of AAPL: " in caplog.text


def test_without_a_server_it_still_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing answers; nobody is told a quote."""
    heard = Heard()
    feed = LiveQuotes(connection("http://127.0.0.1:9"))
    feed.start(["AAPL"], heard)
    assert eventually(lambda: "latest quotes: " in caplog.text)
    feed.stop()
    assert not heard.quotes
    assert not feed._asking.is_alive()
