"""Accounts with something in them, and requests that know of it.

Generated data alone would meet empty lists, unknown orders and unknown symbols, and so never see
most of the answers that are to be judged.
"""

import zlib
from dataclasses import dataclass, field
from random import Random
from typing import Any

import requests
import schemathesis

SECRET = "s"
_SYMBOLS = ("NVDA", "F", "AAPL", "SNDL", "BRK.A")
_CRYPTO = ("BTC/USD", "ETH/USD")
#: What an account holds: a long, a short and a crypto position, and orders in several states.
_ORDERS: tuple[dict[str, Any], ...] = (
    {"symbol": "NVDA", "qty": "10", "side": "buy", "type": "market", "time_in_force": "ioc"},
    {"symbol": "F", "qty": 5, "side": "sell", "type": "market", "time_in_force": "day"},
    {"symbol": "BTC/USD", "qty": "0.1", "side": "buy", "type": "market", "time_in_force": "gtc"},
    {"symbol": "KO", "notional": "50", "side": "buy", "type": "market", "time_in_force": "day"},
    {
        "symbol": "AAPL", "qty": "2", "side": "buy", "type": "limit", "limit_price": "1.5",
        "time_in_force": "gtc",
    },
    {
        "symbol": "MSFT", "qty": "2", "side": "buy", "type": "trailing_stop", "trail_percent": "50",
        "time_in_force": "day",
    },
)  # fmt: skip
#: What each type of order needs, and no other price.
_PRICES = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("stop_price", "limit_price"),
    "trailing_stop": ("trail_price",),
}


@dataclass
class Stock:
    """One account's key and the ids of its orders."""

    key: str
    orders: list[str] = field(default_factory=list)
    #: How many cases it has served.
    sent: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """The credentials as a client sends them."""
        return {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": SECRET}


def stock_up(url: str, key: str) -> Stock:
    """Trade a little on an account."""
    stock = Stock(key)
    with requests.Session() as session:
        session.headers.update(stock.headers)
        for number, body in enumerate(_ORDERS):
            order = {**body, "client_order_id": f"stock-{number}"}
            answer = session.post(f"{url}/v2/orders", json=order, timeout=5)
            answer.raise_for_status()
            stock.orders.append(answer.json()["id"])
    return stock


def acquaint(case: schemathesis.Case, stock: Stock) -> None:
    """Let most well-formed requests name things that exist; the same request, the same names."""
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    seen = (case.path_parameters, case.query, case.body)
    draw = Random(zlib.crc32(repr(seen).encode()))
    if draw.random() < 0.25:
        return
    _acquaint_path(case.path_parameters or {}, case.path, stock, draw)
    _acquaint_query(case.query or {}, case.path, draw)
    if case.path == "/v2/orders" and isinstance(case.body, dict):
        _make_sensible(case.body, draw)


def _acquaint_path(parameters: dict[str, Any], path: str, stock: Stock, draw: Random) -> None:
    known: dict[str, tuple[str, ...]] = {
        "order_id": tuple(stock.orders),
        "symbol_or_asset_id": ("NVDA", "F", "BTCUSD", "KO", "AAPL"),
        "activity_type": ("FILL",),
        "symbol": _SYMBOLS,
        "loc": ("us",),
    }
    for name in parameters:
        if name in known:
            parameters[name] = draw.choice(known[name])


def _acquaint_query(query: dict[str, Any], path: str, draw: Random) -> None:
    if "symbols" in query:
        names = _CRYPTO if "/crypto/" in path else _SYMBOLS
        query["symbols"] = ",".join(draw.sample(names, draw.randint(1, 2)))
    if "client_order_id" in query:
        query["client_order_id"] = f"stock-{draw.randrange(len(_ORDERS))}"


def _make_sensible(body: dict[str, Any], draw: Random) -> None:
    """An order that has a chance: a known symbol, one size, and the prices its type needs."""
    body["symbol"] = draw.choice((*_SYMBOLS, *_CRYPTO))
    body["side"] = draw.choice(("buy", "sell"))
    needed = _PRICES.get(body.get("type", ""), ())
    for name in ("limit_price", "stop_price", "trail_price", "trail_percent"):
        body.pop(name, None)
    for name in needed:
        body[name] = f"{draw.randint(100, 90_000) / 100:.2f}"
    for name in ("take_profit", "stop_loss", "legs", "order_class", "advanced_instructions"):
        if draw.random() < 0.8:
            body.pop(name, None)
    body.pop("position_intent", None)
    body.pop("notional", None)
    body["qty"] = draw.choice((1, "2", "0.5", 3.0))
