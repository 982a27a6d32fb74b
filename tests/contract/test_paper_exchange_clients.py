"""Unmodified alpaca-py against a running exchange."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from queue import Queue
from typing import Any, cast
from uuid import uuid4

import pytest
import requests
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoLatestQuoteRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetClass,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from paper_exchange.testing import Running, running

SECRET = "secret"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One exchange for the file; every test trades on an account of its own."""
    with running("--rate-limit", "0", "--seed", "7") as started:
        yield started


@pytest.fixture
def key() -> str:
    """A key nobody has used yet."""
    return f"K{uuid4().hex}"


@pytest.fixture
def client(exchange: Running, key: str) -> TradingClient:
    """alpaca-py's trading client on a fresh account."""
    return TradingClient(key, SECRET, url_override=exchange.url)


def market_order(
    symbol: str = "NVDA", qty: float = 1, side: OrderSide = OrderSide.BUY, **more: Any
) -> MarketOrderRequest:
    """A market order with an immediate time in force unless told otherwise."""
    more.setdefault("time_in_force", TimeInForce.IOC)
    return MarketOrderRequest(symbol=symbol, qty=qty, side=side, **more)


def far_limit_order(**more: Any) -> LimitOrderRequest:
    """A buy so far below the market that it rests."""
    more = {"qty": 2, "limit_price": 1.5, "time_in_force": TimeInForce.GTC} | more
    return LimitOrderRequest(symbol="AAPL", side=OrderSide.BUY, **more)


def test_account(client: Any) -> None:
    """A new account has its cash and four times that to spend."""
    account = client.get_account()
    assert (account.cash, account.equity, account.multiplier) == ("100000", "100000", "4")
    assert account.buying_power == "400000"
    assert account.shorting_enabled is True
    assert account.account_number.startswith("PA")


def test_account_configurations(client: Any) -> None:
    """Configurations survive alpaca-py's round trip, which sends every key back."""
    configuration = client.get_account_configurations()
    configuration.no_shorting = True
    assert client.set_account_configurations(configuration).no_shorting is True
    assert client.get_account().shorting_enabled is False


def test_clock_and_calendar(client: Any) -> None:
    """The exchange is always open, and every day is a session."""
    clock = client.get_clock()
    assert clock.is_open
    assert clock.next_close > clock.timestamp
    days = client.get_calendar(GetCalendarRequest(start=date(2026, 11, 20), end=date(2026, 11, 22)))
    assert [day.date for day in days] == [date(2026, 11, n) for n in (20, 21, 22)]


def test_assets(client: Any) -> None:
    """Assets are found by class, symbol and id."""
    equities = client.get_all_assets(GetAssetsRequest(asset_class=AssetClass.US_EQUITY))
    assert len(equities) >= 50
    nvda = client.get_asset("NVDA")
    assert client.get_asset(nvda.id) == nvda
    assert client.get_asset("BTC/USD").asset_class is AssetClass.CRYPTO
    with pytest.raises(APIError) as caught:
        client.get_asset("NOPE")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_market_order_fills(client: Any) -> None:
    """A market IOC is answered as pending and filled at the first look."""
    answer = client.submit_order(market_order(qty=3, client_order_id="one"))
    assert answer.status is OrderStatus.PENDING_NEW
    order = client.get_order_by_id(answer.id, GetOrderByIdRequest(nested=True))
    assert (order.status, order.filled_qty) == (OrderStatus.FILLED, "3")
    assert client.get_order_by_client_id("one") == order
    position = client.get_open_position("NVDA")
    assert (position.qty, position.avg_entry_price) == ("3", order.filled_avg_price)
    spent = Decimal(100000) - Decimal(client.get_account().cash)
    assert abs(spent - 3 * Decimal(order.filled_avg_price)) < Decimal("0.01")


def test_limit_order_rests_and_is_canceled(client: Any) -> None:
    """A limit below the market rests until it is canceled."""
    order = client.submit_order(far_limit_order())
    assert client.get_order_by_id(order.id).status is OrderStatus.NEW
    assert client.cancel_order_by_id(order.id) is None
    assert client.get_order_by_id(order.id).status is OrderStatus.CANCELED


def test_unmarketable_ioc_is_canceled(client: Any) -> None:
    """What an IOC cannot buy at once it does not buy."""
    order = client.submit_order(far_limit_order(time_in_force=TimeInForce.IOC))
    assert client.get_order_by_id(order.id).status is OrderStatus.CANCELED


def test_duplicate_client_order_id(client: Any) -> None:
    """An id is taken for ever, cancel or not."""
    order = client.submit_order(far_limit_order(client_order_id="twice"))
    client.cancel_order_by_id(order.id)
    with pytest.raises(APIError) as caught:
        client.submit_order(far_limit_order(client_order_id="twice"))
    assert (caught.value.status_code, caught.value.code) == (422, 40010001)
    assert caught.value.message == "client_order_id must be unique"


def test_replace_chain(client: Any) -> None:
    """A replacement is a new order that names the old one."""
    first = client.submit_order(far_limit_order())
    second = client.replace_order_by_id(first.id, ReplaceOrderRequest(qty=5, limit_price=1.75))
    assert (second.replaces, second.qty, second.limit_price) == (first.id, "5", "1.75")
    old = client.get_order_by_id(first.id)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, second.id)


@pytest.mark.parametrize(
    "request_",
    [
        StopOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="gtc", stop_price=9000),
        StopLimitOrderRequest(
            symbol="AAPL", qty=1, side="buy", time_in_force="day", stop_price=9000, limit_price=9001
        ),
        TrailingStopOrderRequest(
            symbol="AAPL", qty=1, side="buy", time_in_force="day", trail_percent=50
        ),
    ],
    ids=["stop", "stop_limit", "trailing_stop"],
)
def test_stop_orders_rest(client: Any, request_: OrderRequest) -> None:
    """All stop types are accepted and wait."""
    order = client.submit_order(request_)
    assert client.get_order_by_id(order.id).status is OrderStatus.NEW


def test_order_list_filters(client: Any) -> None:
    """Lists follow status, limit, direction, symbols and side."""
    filled = client.submit_order(market_order())
    resting = client.submit_order(far_limit_order())
    assert [order.id for order in client.get_orders()] == [resting.id]
    everything = client.get_orders(
        GetOrdersRequest(status=QueryOrderStatus.ALL, direction=Sort.ASC, nested=True)
    )
    assert [order.id for order in everything] == [filled.id, resting.id]
    closed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED, limit=5))
    assert [order.id for order in closed] == [filled.id]
    apple = GetOrdersRequest(status=QueryOrderStatus.ALL, symbols=["AAPL"], side=OrderSide.BUY)
    assert [order.id for order in client.get_orders(apple)] == [resting.id]
    later = GetOrdersRequest(status=QueryOrderStatus.ALL, after=filled.submitted_at)
    assert resting.id in {order.id for order in client.get_orders(later)}


def test_cancel_all(client: Any) -> None:
    """Cancel-all reports each order, and nothing stays open."""
    wanted = {client.submit_order(far_limit_order()).id for _ in range(3)}
    rows = client.cancel_orders()
    assert {row.id for row in rows} == wanted
    assert {row.status for row in rows} == {200}
    assert client.get_orders() == []


def test_close_position_in_parts(client: Any) -> None:
    """A position closes by quantity, by percentage, and at last for good."""
    client.submit_order(market_order(qty=10))
    client.close_position("NVDA", ClosePositionRequest(qty="4"))
    assert client.get_open_position("NVDA").qty == "6"
    client.close_position("NVDA", ClosePositionRequest(percentage="50"))
    assert client.get_open_position("NVDA").qty == "3"
    client.close_position("NVDA")
    assert client.get_all_positions() == []


def test_close_all_positions(client: Any) -> None:
    """Close-all cancels what holds shares and reports an order per position."""
    client.submit_order(market_order(qty=2))
    client.submit_order(market_order("MSFT", qty=1))
    client.submit_order(
        LimitOrderRequest(symbol="MSFT", qty=1, side="sell", time_in_force="gtc", limit_price=99999)
    )
    rows = client.close_all_positions(cancel_orders=True)
    assert {row.symbol for row in rows} == {"NVDA", "MSFT"}
    assert {row.status for row in rows} == {200}
    assert client.get_all_positions() == []


def test_short_sale(client: Any) -> None:
    """Selling when flat is a short sale; covering ends it."""
    client.submit_order(market_order(qty=5, side=OrderSide.SELL))
    position = client.get_open_position("NVDA")
    assert (position.qty, position.side.value) == ("-5", "short")
    assert Decimal(position.market_value) < 0
    client.submit_order(market_order(qty=5))
    assert client.get_all_positions() == []


def test_notional_order(client: Any) -> None:
    """Dollars buy a fraction; the order keeps showing dollars."""
    order = client.submit_order(
        MarketOrderRequest(symbol="NVDA", notional=100, side="buy", time_in_force="day")
    )
    done = client.get_order_by_id(order.id)
    assert (done.qty, done.notional, done.status) == (None, "100", OrderStatus.FILLED)
    assert Decimal("0.1") < Decimal(done.filled_qty) < Decimal(10)


def test_crypto_order(client: Any) -> None:
    """Crypto orders say BTC/USD, positions BTCUSD, and the fee is taken from the coins."""
    client.submit_order(market_order("BTC/USD", qty=0.1))
    position = client.get_open_position("BTCUSD")
    assert position.qty == "0.09975"
    client.close_position("BTCUSD")
    assert client.get_all_positions() == []


def test_activities(client: Any) -> None:
    """Executions are listed newest first and page by id."""
    for _ in range(3):
        client.submit_order(market_order())
    rows = client.get("/account/activities/FILL", {"page_size": 2})
    rest = client.get("/account/activities/FILL", {"page_token": rows[-1]["id"]})
    assert len({row["id"] for row in rows + rest}) == 3
    assert [row["type"] for row in rows] == ["fill", "fill"]
    assert rows[0]["transaction_time"] > rest[0]["transaction_time"]


def test_stock_data(exchange: Running, key: str) -> None:
    """Trades, quotes, bars and snapshots parse, and the spread is positive."""
    data: Any = StockHistoricalDataClient(key, SECRET, url_override=exchange.url)
    symbols = ["NVDA", "SPY"]
    trades = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbols))
    quotes = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbols))
    bars = data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=symbols))
    snapshots = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbols))
    for found in (trades, quotes, bars, snapshots):
        assert set(found) == set(symbols)
    assert quotes["NVDA"].bid_price < quotes["NVDA"].ask_price
    assert bars["SPY"].low <= bars["SPY"].close <= bars["SPY"].high
    assert snapshots["SPY"].previous_daily_bar.timestamp < snapshots["SPY"].daily_bar.timestamp


def test_crypto_data_without_keys(exchange: Running) -> None:
    """Crypto quotes need no keys."""
    data: Any = CryptoHistoricalDataClient(url_override=exchange.url)
    found = data.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))
    assert found["BTC/USD"].bid_price < found["BTC/USD"].ask_price


class Watcher:
    """alpaca-py's trading stream on a thread, its updates in a queue."""

    def __init__(self, exchange: Running, key: str) -> None:
        self.updates: Queue[TradeUpdate] = Queue()
        self.listening = threading.Event()
        # Any: the test reaches into alpaca-py to learn when it is listening.
        stream = TradingStream(key, SECRET, url_override=exchange.stream_url)
        self._stream = cast("Any", stream)
        self._stream.subscribe_trade_updates(self._take)
        original: Any = self._stream._dispatch

        async def dispatch(message: dict[str, Any]) -> None:
            if message["stream"] == "listening":
                self.listening.set()
            await original(message)

        self._stream._dispatch = dispatch
        self._thread = threading.Thread(target=self._stream.run)

    async def _take(self, update: TradeUpdate) -> None:
        self.updates.put(update)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        assert self.listening.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stream.close(), self._stream._loop)
        self._stream.stop()
        self._thread.join(8)

    def take(self, count: int) -> list[TradeUpdate]:
        """The next updates, each within a second."""
        return [self.updates.get(timeout=15) for _ in range(count)]


def test_trading_stream(exchange: Running, key: str, client: Any) -> None:
    """The stream tells of one account's orders, in order, with the figures of each fill."""
    other = TradingClient("OTHER", SECRET, url_override=exchange.url)
    with Watcher(exchange, key) as watcher:
        other.submit_order(market_order())
        client.submit_order(market_order(qty=2, client_order_id="watched"))
        resting = client.submit_order(far_limit_order())
        newer = client.replace_order_by_id(resting.id, ReplaceOrderRequest(qty=3))
        client.cancel_order_by_id(newer.id)
        updates = watcher.take(6)
    assert [update.event for update in updates] == [
        "new", "fill", "new", "replaced", "new", "canceled",
    ]  # fmt: skip
    fill = updates[1]
    assert (fill.order.client_order_id, fill.qty, fill.position_qty) == ("watched", 2, 2)
    assert str(fill.price) == fill.order.filled_avg_price
    assert fill.execution_id is not None
    assert updates[3].order.replaced_by == updates[4].order.id == newer.id


def test_resting_order_fills_when_the_price_comes(exchange: Running, key: str, client: Any) -> None:
    """A limit order is filled once the market reaches it, and the stream says so."""
    prices = f"{exchange.url}/admin/prices"
    requests.post(prices, json={"PEP": "170"}, timeout=5).raise_for_status()
    with Watcher(exchange, key) as watcher:
        client.submit_order(
            LimitOrderRequest(symbol="PEP", qty=1, side="buy", time_in_force="day", limit_price=165)
        )
        requests.post(prices, json={"PEP": "164.5"}, timeout=5).raise_for_status()
        updates = watcher.take(2)
    assert [update.event for update in updates] == ["new", "fill"]
    assert updates[1].price == 164.51


def set_price(exchange: Running, symbol: str, price: str) -> None:
    """Hold a price by hand; orders that it reaches are dealt with before this returns."""
    answer = requests.post(f"{exchange.url}/admin/prices", json={symbol: price}, timeout=5)
    answer.raise_for_status()


def exits(**more: Any) -> dict[str, Any]:
    """A take-profit at 110 and a stop-loss at 90."""
    return {
        "time_in_force": TimeInForce.GTC,
        "take_profit": TakeProfitRequest(limit_price=110),
        "stop_loss": StopLossRequest(stop_price=90),
    } | more


def bracket(symbol: str, **more: Any) -> LimitOrderRequest:
    """A purchase of ten at 95 with its exits."""
    order = exits(order_class=OrderClass.BRACKET, limit_price=95) | more
    return LimitOrderRequest(symbol=symbol, qty=10, side=OrderSide.BUY, **order)


def nested_orders(client: Any, symbol: str) -> list[Any]:
    """All orders of a symbol, oldest first, legs under their parents."""
    return client.get_orders(  # type: ignore[no-any-return]
        GetOrdersRequest(
            status=QueryOrderStatus.ALL, symbols=[symbol], nested=True, direction=Sort.ASC
        )
    )


def heard(updates: list[TradeUpdate], names: dict[Any, str]) -> list[tuple[str, str]]:
    """Whose order each event was about."""
    return [(names[update.order.id], str(update.event)) for update in updates]


@pytest.mark.parametrize(
    ("symbol", "price", "winner", "proceeds"),
    [("INTC", "111", "target", 110.99), ("CSCO", "89", "stop", 88.99)],
)
def test_bracket(
    exchange: Running, key: str, client: Any, symbol: str, price: str, winner: str, proceeds: float
) -> None:
    """Entry filled, legs new, and the exit that is reached cancels the other one."""
    set_price(exchange, symbol, "100")
    with Watcher(exchange, key) as watcher:
        entry = client.submit_order(bracket(symbol))
        assert entry.order_class is OrderClass.BRACKET
        target, stop = entry.legs
        assert (target.type, target.limit_price) == (OrderType.LIMIT, "110")
        assert (stop.type, stop.stop_price) == (OrderType.STOP, "90")
        assert {leg.status for leg in entry.legs} == {OrderStatus.HELD}
        assert {leg.side for leg in entry.legs} == {OrderSide.SELL}
        names = {entry.id: "entry", target.id: "target", stop.id: "stop"}
        set_price(exchange, symbol, "94")
        started = watcher.take(4)
        assert heard(started[:2], names) == [("entry", "new"), ("entry", "fill")]
        assert sorted(heard(started[2:], names)) == [("stop", "new"), ("target", "new")]
        assert (started[1].qty, started[1].position_qty) == (10, 10)
        [seen] = nested_orders(client, symbol)
        assert [leg.status for leg in seen.legs] == [OrderStatus.NEW, OrderStatus.NEW]
        # Both exits close the same ten shares.
        position = client.get_open_position(symbol)
        assert (position.qty, position.qty_available) == ("10", "0")
        set_price(exchange, symbol, price)
        ended = watcher.take(2)
    loser = "stop" if winner == "target" else "target"
    assert sorted(heard(ended, names)) == sorted([(winner, "fill"), (loser, "canceled")])
    [fill] = [update for update in ended if str(update.event) == "fill"]
    assert (fill.qty, fill.position_qty, fill.price) == (10, 0, proceeds)
    assert client.get_all_positions() == []
    [seen] = nested_orders(client, symbol)
    assert {names[leg.id]: leg.status for leg in seen.legs} == {
        winner: OrderStatus.FILLED,
        loser: OrderStatus.CANCELED,
    }


def test_nested_orders(exchange: Running, client: Any) -> None:
    """With ``nested`` legs stand under their parent, without by themselves."""
    set_price(exchange, "ORCL", "100")
    entry = client.submit_order(bracket("ORCL"))
    [seen] = nested_orders(client, "ORCL")
    legs = [leg.id for leg in entry.legs]
    assert (seen.id, [leg.id for leg in seen.legs]) == (entry.id, legs)
    flat = client.get_orders(GetOrdersRequest(symbols=["ORCL"]))
    assert {order.id for order in flat} == {entry.id, *legs}
    assert all(not order.legs for order in flat)
    alone = client.get_order_by_id(entry.id, GetOrderByIdRequest(nested=True))
    assert [leg.id for leg in alone.legs] == legs
    assert not client.get_order_by_id(entry.id).legs
    client.cancel_order_by_id(entry.id)
    [seen] = nested_orders(client, "ORCL")
    assert {order.status for order in (seen, *seen.legs)} == {OrderStatus.CANCELED}


def test_replacing_a_leg(exchange: Running, key: str, client: Any) -> None:
    """A stop-loss is moved; its successor takes its place in the family and still ends it."""
    set_price(exchange, "CRM", "100")
    with Watcher(exchange, key) as watcher:
        entry = client.submit_order(bracket("CRM", limit_price=101))
        assert len(watcher.take(4)) == 4
        target, stop = entry.legs
        moved = client.replace_order_by_id(stop.id, ReplaceOrderRequest(stop_price=95))
        assert (moved.replaces, moved.stop_price, moved.qty) == (stop.id, "95", "10")
        [seen] = nested_orders(client, "CRM")
        assert {leg.id for leg in seen.legs} >= {target.id, moved.id}
        with pytest.raises(APIError) as caught:
            client.replace_order_by_id(moved.id, ReplaceOrderRequest(qty=5))
        assert (caught.value.status_code, caught.value.code) == (422, 42210000)
        set_price(exchange, "CRM", "94.5")
        updates = watcher.take(4)
    names = {target.id: "target", stop.id: "stop", moved.id: "moved"}
    told = heard(updates, names)
    assert sorted(told[:2]) == [("moved", "new"), ("stop", "replaced")]
    assert sorted(told[2:]) == [("moved", "fill"), ("target", "canceled")]
    assert client.get_all_positions() == []


def test_one_cancels_the_other(exchange: Running, key: str, client: Any) -> None:
    """Two ends of a position that is held; they are live at once."""
    set_price(exchange, "IBM", "100")
    client.submit_order(market_order("IBM", qty=10))
    with Watcher(exchange, key) as watcher:
        target = client.submit_order(
            LimitOrderRequest(
                symbol="IBM", qty=10, side=OrderSide.SELL, order_class=OrderClass.OCO, **exits()
            )
        )
        assert (target.order_class, target.limit_price) == (OrderClass.OCO, "110")
        [stop] = target.legs
        names = {target.id: "target", stop.id: "stop"}
        assert sorted(heard(watcher.take(2), names)) == [("stop", "new"), ("target", "new")]
        set_price(exchange, "IBM", "112")
        updates = watcher.take(2)
    assert sorted(heard(updates, names)) == [("stop", "canceled"), ("target", "fill")]
    assert client.get_all_positions() == []


def test_one_triggers_the_other(exchange: Running, key: str, client: Any) -> None:
    """An entry with a stop-loss alone, which becomes a stop-limit by its limit."""
    set_price(exchange, "PFE", "100")
    loss = StopLossRequest(stop_price=90, limit_price=89)
    with Watcher(exchange, key) as watcher:
        entry = client.submit_order(
            market_order(
                "PFE", qty=3, time_in_force=TimeInForce.DAY, order_class=OrderClass.OTO,
                stop_loss=loss,
            )
        )  # fmt: skip
        [stop] = entry.legs
        assert (stop.type, stop.stop_price, stop.limit_price) == (OrderType.STOP_LIMIT, "90", "89")
        names = {entry.id: "entry", stop.id: "stop"}
        set_price(exchange, "PFE", "89.50")
        updates = watcher.take(4)
    told = heard(updates, names)
    assert told == [("entry", "new"), ("entry", "fill"), ("stop", "new"), ("stop", "fill")]
    assert updates[-1].price == 89.49
    assert client.get_all_positions() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"stop_loss": StopLossRequest(stop_price=110)},
            "take_profit.limit_price must be > stop_loss.stop_price",
        ),
        (
            {"stop_loss": StopLossRequest(stop_price=95)},
            "stop_loss.stop_price must be <= base_price - 0.01",
        ),
        ({"time_in_force": TimeInForce.IOC}, "bracket orders must be DAY or GTC orders"),
    ],
)
def test_bracket_refusals(
    exchange: Running, client: Any, changes: dict[str, Any], message: str
) -> None:
    """What is wrong with a bracket is told in the exception's message, and nothing is placed."""
    set_price(exchange, "WMT", "100")
    with pytest.raises(APIError) as caught:
        client.submit_order(bracket("WMT", **changes))
    assert (caught.value.status_code, caught.value.message) == (422, message)
    assert nested_orders(client, "WMT") == []


def test_portfolio_history(client: Any) -> None:
    """A new account has a history that alpaca-py can read, by days and by minutes."""
    by_days = client.get_portfolio_history()
    assert (by_days.timeframe, by_days.equity, by_days.base_value) == ("1D", [100000.0], 100000.0)
    wanted = GetPortfolioHistoryRequest(period="1D", timeframe="1Min", extended_hours=True)
    by_minutes = client.get_portfolio_history(wanted)
    assert set(by_minutes.equity) == {100000.0}
    assert set(by_minutes.profit_loss_pct) == {0.0}
