"""``/v2/stocks/…`` and ``/v1beta3/crypto/…``: pages of bars, trades and quotes of the past."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.api.data_query import (
    Query,
    Token,
    check_location,
    query,
    stock,
    symbols,
    timeframe,
)
from paper_exchange.assets import Asset
from paper_exchange.prices import history
from paper_exchange.prices.history import Place, Window
from paper_exchange.prices.rows import Row, bar_json, offer_json, trade_json
from paper_exchange.prices.series import Series

#: Work that one page may cost, in bars of a minute. A page that would cost more ends early, with
#: a token, as Alpaca's may: the engine waits while a page is made.
BUDGET = 30_000

#: A row (None: nothing to show), its place and its cost.
Found = Iterator[tuple[Row | None, Place, int]]
Find = Callable[[Series, Window], Found]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of history: what its envelope is called, its letter in tokens, and its rows."""

    plural: str
    letter: str
    finder: Callable[[Call], Find]


def _bars(call: Call) -> Find:
    frame = timeframe(call)

    def find(series: Series, window: Window) -> Found:
        for row, place, cost in history.bars(series, frame, window):
            yield None if row is None else bar_json(row), place, cost

    return find


def _trades(_: Call) -> Find:
    def find(series: Series, window: Window) -> Found:
        for row, place in history.trades(series, window):
            yield trade_json(series.asset, row), place, 1

    return find


def _quotes(_: Call) -> Find:
    def find(series: Series, window: Window) -> Found:
        for row, place in history.quotes(series, window):
            yield offer_json(series.asset, series.grid, row), place, 1

    return find


_KINDS = (
    _Kind("bars", "B", _bars),
    _Kind("trades", "T", _trades),
    _Kind("quotes", "Q", _quotes),
)

Page = tuple[dict[str, list[Row]], str | None]


def _page(call: Call, kind: _Kind, find: Find, asked: Query) -> Page:
    """Rows by symbol, then by time, up to the limit or the budget."""
    rows: dict[str, list[Row]] = {}
    token, left, spent = asked.token, asked.limit, 0
    for asset in asked.assets:
        if token is not None and asset.symbol < token.symbol:
            continue
        resume = token.place if token is not None and asset.symbol == token.symbol else None
        window = replace(asked.window, resume=resume)
        for row, place, cost in find(call.exchange.market.series(asset.symbol), window):
            if not left or spent >= BUDGET:
                return rows, Token(asset.symbol, kind.letter, place).text()
            spent += cost
            if row is not None:
                rows.setdefault(asset.symbol, []).append(row)
                left -= 1
    return rows, None


def _several(kind: _Kind, call: Call, *, crypto: bool) -> Reply:
    if crypto:
        check_location(call)
    find = kind.finder(call)
    asked = query(call, kind.letter, symbols(call, crypto=crypto), crypto=crypto)
    rows, token = _page(call, kind, find, asked)
    body: Row = {kind.plural: rows, "next_page_token": token}
    return Reply(body | _currency(call))


def _single(kind: _Kind, call: Call) -> Reply:
    asset: Asset = stock(call)
    find = kind.finder(call)
    asked = query(call, kind.letter, [asset], crypto=False)
    rows, token = _page(call, kind, find, asked)
    body: Row = {
        kind.plural: rows.get(asset.symbol, []),
        "symbol": asset.symbol,
        "next_page_token": token,
    }
    return Reply(body | _currency(call))


def _currency(call: Call) -> Row:
    """Told back when asked for."""
    return {"currency": "USD"} if "currency" in call.query else {}


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    for kind in _KINDS:
        several = partial(_several, kind, crypto=False)
        router.add("GET", f"/v2/stocks/{kind.plural}", several)
        router.add("GET", f"/v2/stocks/{{symbol}}/{kind.plural}", partial(_single, kind))
        crypto = partial(_several, kind, crypto=True)
        router.add("GET", f"/v1beta3/crypto/{{loc}}/{kind.plural}", crypto)
