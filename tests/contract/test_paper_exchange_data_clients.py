"""Unmodified alpaca-py reads history, snapshots and replayed files from a running exchange."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from paper_exchange.testing import Running, running

#: 20 minutes of AAPL, a Tuesday's first; the file's own times are kept.
OPENING = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as ``bars.df.to_csv()`` writes it."""
    path = tmp_path_factory.mktemp("replay") / "bars.csv"
    lines = ["symbol,timestamp,open,high,low,close,volume,trade_count,vwap"]
    for n in range(20):
        at = (OPENING + timedelta(minutes=n)).isoformat(sep=" ")
        lines.append(
            f"TSLA,{at},{250 + n}.0,{252 + n}.0,{249 + n}.0,{251 + n}.0,1000.0,40.0,{250 + n}.5"
        )
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def exchange(recorded: Path) -> Iterator[Running]:
    """One exchange for the file."""
    options = ("--rate-limit", "0", "--seed", "7", "--session", "nyse")
    with running(*options, "--replay", str(recorded), "--replay-times", "recorded") as started:
        yield started


@pytest.fixture
def stocks(exchange: Running) -> Any:
    """alpaca-py's client of stock data."""
    return StockHistoricalDataClient("k", "s", url_override=exchange.url)


@pytest.fixture
def coins(exchange: Running) -> Any:
    """alpaca-py's client of crypto data, without keys."""
    return CryptoHistoricalDataClient(url_override=exchange.url)


def test_stock_bars(stocks: Any) -> None:
    """Bars of several symbols, as objects and as a DataFrame, and the days of their minutes."""
    request = StockBarsRequest(
        symbol_or_symbols=["NVDA", "KO"],
        timeframe=TimeFrame(1, TimeFrameUnit.Minute),
        start=datetime(2025, 11, 24, 5, tzinfo=UTC),
        end=datetime(2025, 11, 26, 4, tzinfo=UTC),
        feed=DataFeed.SIP,
        adjustment=Adjustment.ALL,
    )
    minutes = stocks.get_stock_bars(request)
    assert {symbol: len(rows) for symbol, rows in minutes.data.items()} == {
        "KO": 1920,
        "NVDA": 1920,
    }
    frame = minutes.df
    assert list(frame.index.names) == ["symbol", "timestamp"]
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "trade_count", "vwap"]
    day = stocks.get_stock_bars(request.model_copy(update={"timeframe": TimeFrame.Day})).df
    local = frame.loc["NVDA"].tz_convert("America/New_York")
    core = local.loc["2025-11-24"].between_time("09:30", "15:59")
    one = day.loc["NVDA"].iloc[0]
    assert (len(core), one["open"], one["close"]) == (
        390,
        core["open"].iloc[0],
        core["close"].iloc[-1],
    )
    assert (one["high"], one["low"]) == (core["high"].max(), core["low"].min())
    assert (one["volume"], one["trade_count"]) == (core["volume"].sum(), core["trade_count"].sum())


def test_paging_through_a_long_request(stocks: Any) -> None:
    """More rows than a page holds arrive complete and in order; a limit is kept."""
    request = StockBarsRequest(
        symbol_or_symbols=["F", "KO"],
        timeframe=TimeFrame.Minute,
        start=datetime(2025, 11, 3, 5, tzinfo=UTC),
        end=datetime(2025, 11, 11, 4, tzinfo=UTC),
    )
    frame = stocks.get_stock_bars(request).df
    assert len(frame) == 2 * 6 * 960
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique
    few = stocks.get_stock_bars(request.model_copy(update={"limit": 7, "sort": Sort.DESC}))
    assert [bar.timestamp for bar in few["F"]] == list(
        frame.loc["F"].index[::-1][:7].to_pydatetime()
    )


def test_stock_trades_and_quotes(stocks: Any) -> None:
    """They lie in their minute's bar, and make it up."""
    start = datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
    window = {"symbol_or_symbols": "NVDA", "start": start, "end": start + timedelta(seconds=59.9)}
    trades = stocks.get_stock_trades(StockTradesRequest(**window))["NVDA"]
    quotes = stocks.get_stock_quotes(StockQuotesRequest(**window))["NVDA"]
    [bar] = stocks.get_stock_bars(StockBarsRequest(timeframe=TimeFrame.Minute, **window))["NVDA"]
    assert (trades[0].price, trades[-1].price) == (bar.open, bar.close)
    assert (len(trades), sum(trade.size for trade in trades)) == (bar.trade_count, bar.volume)
    assert len(quotes) == 240
    assert all(quote.bid_price < quote.ask_price for quote in quotes)
    assert stocks.get_stock_trades(StockTradesRequest(**window)).df["price"].max() == bar.high


def test_snapshots(stocks: Any, coins: Any) -> None:
    """Latest data of both kinds."""
    shot = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="KO"))["KO"]
    assert shot.daily_bar.timestamp > shot.previous_daily_bar.timestamp
    assert shot.minute_bar.low <= shot.minute_bar.high
    shot = coins.get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert shot.latest_quote.bid_price < shot.latest_quote.ask_price
    assert shot.daily_bar.timestamp.hour == shot.previous_daily_bar.timestamp.hour == 0


def test_crypto_history(coins: Any) -> None:
    """Bars, trades and quotes around the clock, in fractions of coins."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    pair = {"symbol_or_symbols": ["BTC/USD", "ETH/USD"], "start": start}
    days = coins.get_crypto_bars(
        CryptoBarsRequest(timeframe=TimeFrame.Day, end=start + timedelta(days=9), **pair)
    ).df
    assert len(days) == 20
    pair["end"] = start + timedelta(seconds=10)
    trades = coins.get_crypto_trades(CryptoTradesRequest(**pair)).df
    assert 0 < trades.loc["BTC/USD"]["size"].max() < 10
    assert len(coins.get_crypto_quotes(CryptoQuoteRequest(**pair))["ETH/USD"]) == 41


def test_crypto_latest(coins: Any) -> None:
    """Trade, bar and order book."""
    one = {"symbol_or_symbols": "BTC/USD"}
    assert coins.get_crypto_latest_trade(CryptoLatestTradeRequest(**one))["BTC/USD"].price > 0
    assert coins.get_crypto_latest_bar(CryptoLatestBarRequest(**one))["BTC/USD"].volume > 0
    book = coins.get_crypto_latest_orderbook(CryptoLatestOrderbookRequest(**one))["BTC/USD"]
    assert book.bids[0].price < book.asks[0].price
    assert len(book.bids) == len(book.asks) == 10


def test_replayed_bars(stocks: Any, recorded: Path) -> None:
    """A file that alpaca-py wrote comes back as the same DataFrame; its last price stands."""
    request = StockBarsRequest(
        symbol_or_symbols="TSLA", timeframe=TimeFrame.Minute, start=OPENING - timedelta(days=400)
    )
    assert stocks.get_stock_bars(request).df.to_csv() == recorded.read_text() + "\n"
    last = stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="TSLA"))["TSLA"]
    assert last.price == 270
    assert last.timestamp < OPENING + timedelta(minutes=20)
    quote = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="TSLA"))["TSLA"]
    assert quote.bid_price <= 270 <= quote.ask_price


def test_refusals_can_be_read(stocks: Any) -> None:
    """Code and message through alpaca-py's exception."""
    request = StockBarsRequest(
        symbol_or_symbols="KO",
        timeframe=TimeFrame.Day,
        start=datetime(2026, 1, 2, tzinfo=UTC),
        end=datetime(2026, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(APIError) as caught:
        stocks.get_stock_bars(request)
    assert (caught.value.status_code, caught.value.code) == (400, 40010000)
    assert "end should not be before start" in caught.value.message
