"""Market data: latest trades, quotes and bars, and snapshots, of stocks and crypto."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.assets import Asset
from paper_exchange.clock import new_york, new_york_midnight, stamp
from paper_exchange.errors import ApiError, not_found
from paper_exchange.market import DAY_NS, MINUTE_NS, Bar

#: Where latest data may be asked from; all of them tell the same here.
_LATEST_FEEDS = frozenset({"iex", "sip", "otc", "boats", "delayed_sip", "overnight"})

Row = dict[str, object]
Render = Callable[[Call, Asset], Row]


def trade(call: Call, asset: Asset) -> Row:
    """The last trade; prices and sizes are JSON numbers in market data."""
    quote = call.exchange.market.quote(asset.symbol, call.now_ns)
    row: Row = {
        "t": stamp(quote.at_ns),
        "p": float(quote.last),
        "s": quote.last_size,
        "i": quote.tick,
    }
    if asset.crypto:
        return row | {"tks": "B" if quote.tick % 2 else "S"}
    return row | {"x": "V", "c": ["@"], "z": "C"}


def quote(call: Call, asset: Asset) -> Row:
    """The top of the book."""
    top = call.exchange.market.quote(asset.symbol, call.now_ns)
    row: Row = {
        "t": stamp(top.at_ns),
        "bp": float(top.bid),
        "bs": top.bid_size,
        "ap": float(top.ask),
        "as": top.ask_size,
    }
    return row if asset.crypto else row | {"bx": "V", "ax": "V", "c": ["R"], "z": "C"}


def _bar_row(one: Bar) -> Row:
    return {
        "t": stamp(one.start_ns),
        "o": float(one.open),
        "h": float(one.high),
        "l": float(one.low),
        "c": float(one.close),
        "v": one.volume,
        "n": one.trades,
        "vw": round(float(one.high + one.low + one.close) / 3, 6),
    }


def bar(call: Call, asset: Asset) -> Row:
    """The newest finished minute."""
    return _bar_row(call.exchange.market.minute_bar(asset.symbol, call.now_ns - MINUTE_NS))


def _daily(call: Call, asset: Asset, *, days_ago: int) -> Row:
    """A day's bar: New York days for stocks, UTC days for crypto."""
    now = call.now_ns
    utc_day = now // DAY_NS * DAY_NS
    today = utc_day if asset.crypto else new_york_midnight(new_york(now).date())
    start, end = (today, now) if not days_ago else (today - DAY_NS, today)
    return _bar_row(call.exchange.market.span_bar(asset.symbol, start, end))


def snapshot(call: Call, asset: Asset) -> Row:
    """Trade, quote, and three bars."""
    return {
        "latestTrade": trade(call, asset),
        "latestQuote": quote(call, asset),
        "minuteBar": bar(call, asset),
        "dailyBar": _daily(call, asset, days_ago=0),
        "prevDailyBar": _daily(call, asset, days_ago=1),
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


def _check_feed(call: Call) -> None:
    if call.query.get("feed", "iex") not in _LATEST_FEEDS:
        raise ApiError(400, 40010000, "invalid feed")


def _rows(call: Call, render: Render, *, crypto: bool) -> Row:
    """By symbol as asked for; unknown symbols are left out (choice; observed for crypto)."""
    if not crypto:
        _check_feed(call)
    symbols = call.names("symbols")
    if not symbols:
        raise ApiError(400, 40010000, "symbols is required")
    rows: Row = {}
    for symbol in symbols:
        asset = call.exchange.assets.find(symbol)
        if asset is not None and asset.crypto is crypto:
            rows[asset.symbol] = render(call, asset)
    return rows


def _multi(kind: _Kind, call: Call, *, crypto: bool) -> Reply:
    return Reply({kind.plural: _rows(call, kind.render, crypto=crypto)})


def _stock(call: Call) -> Asset:
    _check_feed(call)
    asset = call.exchange.assets.find(call.params["symbol"])
    if asset is None or asset.crypto:
        raise not_found(f"asset not found for {call.params['symbol']}")
    return asset


def _single(kind: _Kind, call: Call) -> Reply:
    asset = _stock(call)
    return Reply({"symbol": asset.symbol, kind.singular: kind.render(call, asset)})


def stock_snapshots(call: Call) -> Reply:
    """``GET /v2/stocks/snapshots``: unwrapped, by symbol."""
    return Reply(_rows(call, snapshot, crypto=False))


def stock_snapshot(call: Call) -> Reply:
    """``GET /v2/stocks/{symbol}/snapshot``: flat, with the symbol."""
    asset = _stock(call)
    return Reply({"symbol": asset.symbol, **snapshot(call, asset)})


def crypto_snapshots(call: Call) -> Reply:
    """``GET /v1beta3/crypto/us/snapshots``: wrapped."""
    return Reply({"snapshots": _rows(call, snapshot, crypto=True)})


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    for kind in _LATEST:
        several = f"/v2/stocks/{kind.plural}/latest"
        router.add("GET", several, partial(_multi, kind, crypto=False))
        router.add("GET", f"/v2/stocks/{{symbol}}/{kind.plural}/latest", partial(_single, kind))
        crypto = f"/v1beta3/crypto/us/latest/{kind.plural}"
        router.add("GET", crypto, partial(_multi, kind, crypto=True))
    router.add("GET", "/v2/stocks/snapshots", stock_snapshots)
    router.add("GET", "/v2/stocks/{symbol}/snapshot", stock_snapshot)
    router.add("GET", "/v1beta3/crypto/us/snapshots", crypto_snapshots)
