"""Unmodified alpaca-py streams against a running exchange."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
import requests
from alpaca.data.enums import DataFeed
from alpaca.data.live import CryptoDataStream, StockDataStream
from alpaca.data.models import Bar, Orderbook, Quote, Trade
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import MarketOrderRequest
from alpaca.trading.stream import TradingStream

from paper_exchange.app import App
from paper_exchange.asset_table import EQUITIES
from paper_exchange.clock import ManualClock
from paper_exchange.prices.series import IDS_PER_MINUTE
from paper_exchange.server import listen, make_server
from paper_exchange.settings import Settings
from paper_exchange.testing import Running, running

#: A Friday, 12:00 in New York.
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
SECRET = "s"
KEYS = [f"K{number}" for number in range(12)]
WITHIN = 20.0


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An exchange as a free account sees Alpaca: one connection per feed, and no SIP."""
    options = [
        "--keys", ",".join(f"{key}:{SECRET}" for key in KEYS),
        "--data-feeds", "iex,crypto",
        "--data-connections", "1",
        "--stream-connections", "1",
        "--tls-port", "0",
        "--tls-dir", str(tmp_path_factory.mktemp("tls")),
    ]  # fmt: skip
    with running(*options) as started:
        yield started


@pytest.fixture
def key(request: pytest.FixtureRequest, exchange: Running) -> str:
    """A key that no other test of this file uses."""
    taken: list[str] = request.node.session.stash.setdefault(_TAKEN, [])
    taken.append(KEYS[len(taken)])
    return taken[-1]


_TAKEN = pytest.StashKey[list[str]]()


class Watcher:
    """One of alpaca-py's streams on a thread, what it delivers in a queue."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.told: Queue[Any] = Queue()
        self.subscriptions: Queue[dict[str, Any]] = Queue()
        original = stream._dispatch

        async def dispatch(message: dict[str, Any]) -> None:
            if message.get("T") == "subscription" or message.get("stream") == "listening":
                self.subscriptions.put(message)
            await original(message)

        stream._dispatch = dispatch
        self._thread = threading.Thread(target=stream.run)

    async def take(self, one: Any) -> None:
        """The handler to subscribe with."""
        self.told.put(one)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        self.subscriptions.get(timeout=WITHIN)
        return self

    def __exit__(self, *_: object) -> None:
        loop = self.stream._loop
        if loop.is_running():
            # stop() alone would wait for the next message.
            asyncio.run_coroutine_threadsafe(self.stream.stop_ws(), loop).result(WITHIN)
            asyncio.run_coroutine_threadsafe(self.stream.close(), loop).result(WITHIN)
        self.ended(WITHIN)

    def ended(self, within: float) -> bool:
        """Whether the stream ends by itself in time."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def until(self, seen: Callable[[list[Any]], bool]) -> list[Any]:
        """All that is told until ``seen`` says that it is enough."""
        told: list[Any] = []
        while not seen(told):
            try:
                told.append(self.told.get(timeout=WITHIN))
            except Empty:
                pytest.fail(f"nothing more was told after {told}")
        return told


def stock_stream(exchange: Running, key: str, feed: str = "iex") -> Any:
    """alpaca-py's stock stream."""
    return StockDataStream(
        key, SECRET, feed=DataFeed.IEX, url_override=exchange.data_stream_url(feed)
    )


def kinds(told: list[Any]) -> set[tuple[type, str]]:
    """What was told about whom."""
    return {(type(one), one.symbol) for one in told}


def test_stocks(exchange: Running, key: str) -> None:
    """Trades and quotes arrive; what is subscribed to can be changed while the stream runs."""
    watcher = Watcher(stock_stream(exchange, key))
    stream = watcher.stream
    stream.subscribe_trades(watcher.take, "AAPL")
    stream.subscribe_quotes(watcher.take, "AAPL")
    with watcher:
        both = {(Trade, "AAPL"), (Quote, "AAPL")}
        told = watcher.until(lambda told: kinds(told) >= both)
        assert kinds(told) == both
        assert abs(datetime.now(UTC) - told[-1].timestamp) < timedelta(seconds=WITHIN)
        stream.subscribe_quotes(watcher.take, "MSFT")
        assert watcher.subscriptions.get(timeout=WITHIN)["quotes"] == ["AAPL", "MSFT"]
        watcher.until(lambda told: (Quote, "MSFT") in kinds(told))
        stream.unsubscribe_quotes("AAPL")
        stream.unsubscribe_trades("AAPL")
        assert watcher.subscriptions.get(timeout=WITHIN)["quotes"] == ["MSFT"]
        assert watcher.subscriptions.get(timeout=WITHIN)["trades"] == []
        # What was sent before the answer has been dispatched before it.
        while not watcher.told.empty():
            watcher.told.get()
        assert kinds(watcher.until(lambda told: len(told) == 2)) == {(Quote, "MSFT")}


def test_everything(exchange: Running, key: str) -> None:
    """A star brings every stock that is traded, and no crypto."""
    stocks = {symbol for symbol, _, _, _, flags in EQUITIES if "inactive" not in flags}
    watcher = Watcher(stock_stream(exchange, key))
    watcher.stream.subscribe_quotes(watcher.take, "*")
    with watcher:
        told = watcher.until(lambda told: {one.symbol for one in told} >= stocks)
    assert all(one.bid_price < one.ask_price for one in told)
    assert {one.symbol for one in told} == stocks


def test_a_large_subscription_in_fragments(exchange: Running, key: str) -> None:
    """alpaca-py cuts its message at 32 KiB; the answer names all that was asked for."""
    symbols = [f"SYMBOL{number:05d}" for number in range(6000)]
    watcher = Watcher(stock_stream(exchange, key))
    watcher.stream.subscribe_quotes(watcher.take, "KO")
    with watcher:
        watcher.stream.subscribe_quotes(watcher.take, *symbols)
        answer = watcher.subscriptions.get(timeout=WITHIN)
        assert answer["quotes"] == ["KO", *symbols]
        assert watcher.until(bool)[0].symbol == "KO"


def test_the_test_stream(exchange: Running, key: str) -> None:
    """FAKEPACA is there for everybody."""
    watcher = Watcher(stock_stream(exchange, key, "test"))
    watcher.stream.subscribe_trades(watcher.take, "FAKEPACA")
    with watcher:
        first, second = watcher.until(lambda told: len(told) == 2)
    assert first.symbol == "FAKEPACA"
    # One after the other; with each minute they begin anew at a round number.
    assert second.id in {first.id + 1, -(-first.id // IDS_PER_MINUTE) * IDS_PER_MINUTE}


def test_crypto(exchange: Running, key: str) -> None:
    """Trades, quotes and order books of a pair."""
    watcher = Watcher(
        CryptoDataStream(key, SECRET, url_override=exchange.data_stream_url("crypto"))
    )
    for subscribe in ("subscribe_trades", "subscribe_quotes", "subscribe_orderbooks"):
        getattr(watcher.stream, subscribe)(watcher.take, "BTC/USD")
    with watcher:
        told = watcher.until(lambda told: len(kinds(told)) == 3)
    assert kinds(told) == {(kind, "BTC/USD") for kind in (Trade, Quote, Orderbook)}
    (book, *_) = (one for one in told if isinstance(one, Orderbook))
    assert book.reset
    assert book.bids[0].price < book.asks[0].price


def test_wss(exchange: Running, key: str) -> None:
    """The data stream and REST through TLS, with the certificate as the only one trusted."""
    assert exchange.secure_url is not None
    assert exchange.certificate is not None
    trusted = ssl.create_default_context(cafile=exchange.certificate)
    url = exchange.secure_url.replace("https://", "wss://") + "/v2/iex"
    watcher = Watcher(
        StockDataStream(key, SECRET, url_override=url, websocket_params={"ssl": trusted})
    )
    watcher.stream.subscribe_trades(watcher.take, "KO")
    with watcher:
        told = watcher.until(bool)
    assert kinds(told) == {(Trade, "KO")}
    headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": SECRET}
    numbers = {
        requests.get(
            f"{base}/v2/account", headers=headers, verify=exchange.certificate, timeout=WITHIN
        ).json()["account_number"]
        for base in (exchange.url, exchange.secure_url)
    }
    assert len(numbers) == 1
    assert (Path(exchange.certificate).parent / "key.pem").stat().st_mode & 0o77 == 0


def refusal(stream: Any) -> str:
    """The error in which alpaca-py's attempt to connect ends."""

    async def connect() -> None:
        try:
            await stream._start_ws()
        finally:
            await stream.close()

    with pytest.raises(ValueError, match=r".") as caught:
        asyncio.run(asyncio.wait_for(connect(), WITHIN))
    return str(caught.value)


def test_wrong_secret(exchange: Running, key: str) -> None:
    """Both streams are told that they are not let in."""
    data = StockDataStream(key, "wrong", url_override=exchange.data_stream_url())
    assert refusal(data) == "auth failed"
    trading = TradingStream(key, "wrong", url_override=exchange.stream_url)
    assert refusal(trading) == "failed to authenticate"


def test_the_second_connection_is_refused(exchange: Running, key: str) -> None:
    """The first goes on, and its place is free once it has left."""
    watcher = Watcher(stock_stream(exchange, key))
    watcher.stream.subscribe_trades(watcher.take, "KO")
    with watcher:
        assert refusal(stock_stream(exchange, key)) == "connection limit exceeded"
        while not watcher.told.empty():
            watcher.told.get()
        watcher.until(lambda told: len(told) == 2)
    again = Watcher(stock_stream(exchange, key))
    again.stream.subscribe_trades(again.take, "KO")
    with again:
        again.until(bool)


def test_the_second_trading_stream_is_refused(exchange: Running, key: str) -> None:
    """The first still tells of the account's orders."""
    watcher = Watcher(TradingStream(key, SECRET, url_override=exchange.stream_url))
    watcher.stream.subscribe_trade_updates(watcher.take)
    with watcher:
        second = TradingStream(key, SECRET, url_override=exchange.stream_url)
        assert refusal(second) == "failed to authenticate"
        order = MarketOrderRequest(symbol="KO", qty=1, side="buy", time_in_force="ioc")
        TradingClient(key, SECRET, url_override=exchange.url).submit_order(order)
        told = watcher.until(lambda told: len(told) == 2)
    assert [update.event for update in told] == ["new", "fill"]


def test_a_feed_that_was_not_paid_for(exchange: Running, key: str) -> None:
    """alpaca-py gives up by itself when its subscription does not include the feed."""
    watcher = Watcher(stock_stream(exchange, key, "sip"))
    watcher.stream.subscribe_trades(watcher.take, "KO")
    watcher._thread.start()
    assert watcher.ended(WITHIN)
    assert watcher.told.empty()


class InProcess:
    """An exchange in a thread of its own, on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self._ready = threading.Event()
        self._app = App(Settings(seed=1), clock=self.clock)
        self._server = make_server(self._app, self._ready.set)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve(sockets=[self._listener]))

    def __enter__(self) -> "InProcess":
        self._thread.start()
        assert self._ready.wait(WITHIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(WITHIN)

    def step(self, seconds: float) -> None:
        """Move the clock, and let the feeds tell what is due."""

        def move() -> None:
            self.clock.advance(seconds)
            self._app.live.look()

        self._loop.call_soon_threadsafe(move)


def test_bars() -> None:
    """A minute ends, and its bar and the day so far are told; both feeds keep their own days."""
    with ExitStack() as stack:
        exchange = stack.enter_context(InProcess())
        base = f"ws://127.0.0.1:{exchange.port}"
        stocks = Watcher(StockDataStream("k", SECRET, url_override=f"{base}/v2/sip"))
        coins = Watcher(CryptoDataStream("k", SECRET, url_override=f"{base}/v1beta3/crypto/us"))
        for watcher, symbol in ((stocks, "KO"), (coins, "BTC/USD")):
            watcher.stream.subscribe_bars(watcher.take, symbol)
            watcher.stream.subscribe_daily_bars(watcher.take, symbol)
            watcher.stream.subscribe_updated_bars(watcher.take, symbol)
            stack.enter_context(watcher)
        exchange.step(60)
        minute, day = stocks.until(lambda told: len(told) == 2)
        crypto_minute, crypto_day = coins.until(lambda told: len(told) == 2)
        assert {type(one) for one in (minute, day, crypto_minute, crypto_day)} == {Bar}
        assert minute.timestamp == crypto_minute.timestamp == NOON
        assert day.timestamp == NOON.replace(hour=5)
        assert crypto_day.timestamp == NOON.replace(hour=0)
        assert minute.low <= minute.vwap <= minute.high
        exchange.step(60)
        following, _ = stocks.until(lambda told: len(told) == 2)
        assert following.timestamp == NOON + timedelta(minutes=1)


def test_bars_on_a_fast_clock() -> None:
    """A minute in half a second: bars of following minutes, as the exchange's clock has them."""
    with running("--speed", "120", "--start", "2026-03-02T15:00:00Z") as exchange:
        watcher = Watcher(
            StockDataStream("k", SECRET, url_override=exchange.data_stream_url("iex"))
        )
        watcher.stream.subscribe_bars(watcher.take, "KO")
        with watcher:
            first, second = watcher.until(lambda told: len(told) == 2)
    assert second.timestamp - first.timestamp == timedelta(minutes=1)
    assert first.timestamp >= datetime(2026, 3, 2, 15, tzinfo=UTC)
