"""What the benchmark's broker says, built from bytes that were formatted once.

The shapes are those of the Trading API v2 and the Market Data API v2: decimals as text in trading
answers, as numbers in market data. Every order is for whole shares at one fixed price.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from string import ascii_uppercase
from typing import Any

import orjson

PRICE = 100
WARM_UP = "NVDA"
"""The symbol of signals that are not measured."""

_ORDER = (
    b'{"id":"%b","client_order_id":"%b","created_at":"%b","updated_at":"%b","submitted_at":"%b",'
    b'"filled_at":%b,"expired_at":null,"expires_at":null,"canceled_at":null,"failed_at":null,'
    b'"replaced_at":null,"replaced_by":null,"replaces":null,"asset_id":"%b","symbol":"%b",'
    b'"asset_class":"us_equity","notional":null,"qty":"%b","filled_qty":"%b",'
    b'"filled_avg_price":%b,"order_class":"","order_type":"%b","type":"%b","side":"%b",'
    b'"position_intent":"buy_to_open","time_in_force":"%b","limit_price":null,"stop_price":null,'
    b'"status":"%b","extended_hours":false,"legs":null,"trail_percent":null,"trail_price":null,'
    b'"hwm":null,"subtag":null,"source":"access_key"}'
)
_EVENT = (
    b'{"stream":"trade_updates","data":{"event":"%b","timestamp":"%b","order":%b,"event_id":"%b",'
    b'"execution_id":"%b"%b}}'
)
_RICH = (
    "cash",
    "equity",
    "last_equity",
    "buying_power",
    "regt_buying_power",
    "non_marginable_buying_power",
    "options_buying_power",
    "portfolio_value",
)
_NOTHING = (
    "position_market_value",
    "long_market_value",
    "short_market_value",
    "initial_margin",
    "maintenance_margin",
    "last_maintenance_margin",
    "sma",
    "accrued_fees",
)
_BLOCKS = ("trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user")


def tickers(count: int) -> list[str]:
    """``AAA``, ``AAB`` … without the warm-up symbol."""
    words = ("".join(letters) for letters in product(ascii_uppercase, repeat=3))
    return [word for word, _ in zip(words, range(count), strict=False)]


class Instant:
    """The present as RFC 3339 text with microseconds."""

    def __init__(self) -> None:
        self._second = 0
        self._text = b""

    def text(self) -> bytes:
        micros = time.time_ns() // 1000
        second, rest = divmod(micros, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return b"%b.%06dZ" % (self._text, rest)


@dataclass(slots=True)
class Order:
    """One accepted order; every field as the bytes that stand in the answers."""

    id: bytes
    client_order_id: bytes
    at: bytes
    asset_id: bytes
    symbol: bytes
    qty: bytes
    order_type: bytes
    side: bytes
    time_in_force: bytes

    def body(self, status: bytes) -> bytes:
        """The Order object in this status."""
        filled = status == b"filled"
        return _ORDER % (
            self.id,
            self.client_order_id,
            self.at,
            self.at,
            self.at,
            b'"%b"' % self.at if filled else b"null",
            self.asset_id,
            self.symbol,
            self.qty,
            self.qty if filled else b"0",
            b'"%d"' % PRICE if filled else b"null",
            self.order_type,
            self.order_type,
            self.side,
            self.time_in_force,
            status,
        )

    def accepted_event(self, number: int) -> bytes:
        """The ``trade_updates`` message of event ``new``."""
        body = self.body(b"new")
        return _EVENT % (b"new", self.at, body, b"01J%023d" % (2 * number), self.id, b"")

    def filled_event(self, number: int, position: int) -> bytes:
        """The ``trade_updates`` message of event ``fill``, of the whole quantity."""
        execution = b',"price":"%d","qty":"%b","position_qty":"%d"' % (PRICE, self.qty, position)
        return _EVENT % (
            b"fill",
            self.at,
            self.body(b"filled"),
            b"01J%023d" % (2 * number + 1),
            b"00000000-0000-4000-9000-%012x" % number,
            execution,
        )


def order_of(body: bytes, number: int, at: bytes, asset_ids: dict[str, bytes]) -> Order:
    """Read a POST's body.

    Raises:
        ValueError, KeyError: it is no order for whole shares.
    """
    asked = orjson.loads(body)
    qty = str(asked["qty"])
    int(qty)
    return Order(
        id=b"00000000-0000-4000-8000-%012x" % number,
        client_order_id=asked["client_order_id"].encode(),
        at=at,
        asset_id=asset_ids[asked["symbol"]],
        symbol=asked["symbol"].encode(),
        qty=qty.encode(),
        order_type=asked["type"].encode(),
        side=asked["side"].encode(),
        time_in_force=asked["time_in_force"].encode(),
    )


def asset_ids(symbols: list[str]) -> dict[str, bytes]:
    """Asset id by symbol."""
    return {s: b"00000000-0000-4000-a000-%012x" % n for n, s in enumerate(symbols)}


def assets(ids: dict[str, bytes]) -> bytes:
    """``GET /v2/assets``."""
    return orjson.dumps([_asset(symbol, asset_id.decode()) for symbol, asset_id in ids.items()])


def _asset(symbol: str, asset_id: str) -> dict[str, Any]:
    return {
        "id": asset_id,
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": symbol,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "borrow_status": "easy_to_borrow",
        "fractionable": True,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "maintenance_margin_requirement": 30,
        "attributes": [],
    }


def account() -> bytes:
    """``GET /v2/account``: so rich that no limit is ever met."""
    money = "1000000000000"
    return orjson.dumps(
        {
            "id": "00000000-0000-4000-b000-000000000001",
            "account_number": "PA0000000001",
            "status": "ACTIVE",
            "crypto_status": "ACTIVE",
            "currency": "USD",
            "multiplier": "4",
            "shorting_enabled": True,
            "created_at": "2026-01-01T00:00:00Z",
            **dict.fromkeys(_RICH, money),
            **dict.fromkeys(_NOTHING, "0"),
            **dict.fromkeys(_BLOCKS, False),
        }
    )


def market_clock() -> bytes:
    """``GET /v2/clock``: open, and not about to close."""
    now = datetime.now(UTC)
    return orjson.dumps(
        {
            "timestamp": now.isoformat(),
            "is_open": True,
            "next_open": (now + timedelta(hours=24)).isoformat(),
            "next_close": (now + timedelta(hours=6)).isoformat(),
        }
    )


def positions(held: dict[bytes, int], ids: dict[str, bytes]) -> bytes:
    """``GET /v2/positions``."""
    rows = []
    for symbol, qty in held.items():
        name = symbol.decode()
        rows.append(
            {
                "asset_id": ids[name].decode(),
                "symbol": name,
                "exchange": "NASDAQ",
                "asset_class": "us_equity",
                "asset_marginable": True,
                "avg_entry_price": str(PRICE),
                "qty": str(qty),
                "qty_available": str(qty),
                "side": "long" if qty >= 0 else "short",
                "market_value": str(qty * PRICE),
                "cost_basis": str(qty * PRICE),
                "unrealized_pl": "0",
                "unrealized_plpc": "0",
                "unrealized_intraday_pl": "0",
                "unrealized_intraday_plpc": "0",
                "current_price": str(PRICE),
                "lastday_price": str(PRICE),
                "change_today": "0",
            }
        )
    return orjson.dumps(rows)


def prices(symbols: list[str], kind: str) -> bytes:
    """Latest prices: ``kind`` is ``snapshots``, ``trades`` or ``quotes``."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    trade = {"t": at, "x": "V", "p": PRICE, "s": 100, "c": ["@"], "i": 1, "z": "C"}
    quote = {"t": at, "ax": "V", "ap": PRICE, "as": 100, "bx": "V", "bp": PRICE, "bs": 100}
    quote |= {"c": ["R"], "z": "C"}
    bar = {"t": at, "o": PRICE, "h": PRICE, "l": PRICE, "c": PRICE, "v": 1000, "n": 10, "vw": PRICE}
    shapes: dict[str, Any] = {
        "snapshots": {
            "latestTrade": trade,
            "latestQuote": quote,
            "minuteBar": bar,
            "dailyBar": bar,
            "prevDailyBar": bar,
        },
        "trades": trade,
        "quotes": quote,
    }
    rows = dict.fromkeys(symbols, shapes[kind])
    return orjson.dumps(rows if kind == "snapshots" else {kind: rows})
