"""Market data of now: latest trades, quotes, bars and order books, and snapshots."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.api.data_query import (
    check_currency,
    check_feed,
    check_location,
    stock,
    symbols,
)
from paper_exchange.assets import Asset
from paper_exchange.prices.history import latest_bars
from paper_exchange.prices.rows import (
    Row,
    bar_json,
    last_trade,
    orderbook_json,
    quote_json,
    trade_json,
)
from paper_exchange.prices.timeframes import Timeframe

#: A row, or None when there is nothing yet.
Render = Callable[[Call, Asset], Row | None]

_MINUTE = Timeframe(1, "Min")
_DAY = Timeframe(1, "Day")


def trade(call: Call, asset: Asset) -> Row:
    """The last trade; prices and sizes are JSON numbers in market data."""
    return trade_json(asset, last_trade(call.exchange.market.quote(asset.symbol, call.now_ns)))


def quote(call: Call, asset: Asset) -> Row:
    """The top of the book."""
    return quote_json(asset, call.exchange.market.quote(asset.symbol, call.now_ns))


def orderbook(call: Call, asset: Asset) -> Row:
    """The whole book."""
    return orderbook_json(asset, call.exchange.market.quote(asset.symbol, call.now_ns))


def bar(call: Call, asset: Asset) -> Row | None:
    """The newest finished minute."""
    return _bars(call, asset, _MINUTE, 1)[0]


def _bars(call: Call, asset: Asset, frame: Timeframe, count: int) -> list[Row | None]:
    """The newest bars of a length, the newest first; what is missing is None."""
    series = call.exchange.market.series(asset.symbol)
    found = [bar_json(one) for one in latest_bars(series, frame, call.now_ns, count)]
    return [*found, *[None] * (count - len(found))]


def snapshot(call: Call, asset: Asset) -> Row:
    """Trade, quote, and three bars: the last ones that history tells of."""
    today, yesterday = _bars(call, asset, _DAY, 2)
    return {
        "latestTrade": trade(call, asset),
        "latestQuote": quote(call, asset),
        "minuteBar": bar(call, asset),
        "dailyBar": today,
        "prevDailyBar": yesterday,
    }


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of data and how its routes and envelopes are called."""

    render: Render
    plural: str
    singular: str


_LATEST = (
    _Kind(trade, "trades", "trade"),
    _Kind(quote, "quotes", "quote"),
    _Kind(bar, "bars", "bar"),
)
_ORDERBOOKS = _Kind(orderbook, "orderbooks", "orderbook")


def _rows(call: Call, render: Render, *, crypto: bool) -> Row:
    """By symbol; unknown symbols are left out (choice; observed for crypto)."""
    if crypto:
        check_location(call)
    else:
        _check(call)
    rows = {asset.symbol: render(call, asset) for asset in symbols(call, crypto=crypto)}
    return {symbol: row for symbol, row in rows.items() if row is not None}


def _check(call: Call) -> None:
    check_feed(call, latest=True)
    check_currency(call)


def _multi(kind: _Kind, call: Call, *, crypto: bool) -> Reply:
    return Reply({kind.plural: _rows(call, kind.render, crypto=crypto)})


def _single(kind: _Kind, call: Call) -> Reply:
    _check(call)
    asset = stock(call)
    return Reply({"symbol": asset.symbol, kind.singular: kind.render(call, asset)})


def stock_snapshots(call: Call) -> Reply:
    """``GET /v2/stocks/snapshots``: unwrapped, by symbol."""
    return Reply(_rows(call, snapshot, crypto=False))


def stock_snapshot(call: Call) -> Reply:
    """``GET /v2/stocks/{symbol}/snapshot``: flat, with the symbol."""
    _check(call)
    asset = stock(call)
    return Reply({"symbol": asset.symbol, **snapshot(call, asset)})


def crypto_snapshots(call: Call) -> Reply:
    """``GET /v1beta3/crypto/{loc}/snapshots``: wrapped."""
    return Reply({"snapshots": _rows(call, snapshot, crypto=True)})


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    for kind in _LATEST:
        several = f"/v2/stocks/{kind.plural}/latest"
        router.add("GET", several, partial(_multi, kind, crypto=False))
        router.add("GET", f"/v2/stocks/{{symbol}}/{kind.plural}/latest", partial(_single, kind))
    for kind in (*_LATEST, _ORDERBOOKS):
        crypto = f"/v1beta3/crypto/{{loc}}/latest/{kind.plural}"
        router.add("GET", crypto, partial(_multi, kind, crypto=True))
    router.add("GET", "/v2/stocks/snapshots", stock_snapshots)
    router.add("GET", "/v2/stocks/{symbol}/snapshot", stock_snapshot)
    router.add("GET", "/v1beta3/crypto/{loc}/snapshots", crypto_snapshots)
