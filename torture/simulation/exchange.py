"""A broker with an account, orders and a log of its own, answering in Alpaca's HTTP words.

It believes nothing the service says: its log of POSTs and its orders are the oracle's evidence.
Every order costs 100.00 a share at most, whatever its limit; the limit price only names the signal.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from solution.http_common import Response
from torture.simulation import NotSimulated
from torture.simulation.clock import SimClock

ACCOUNT = "11111111-2222-3333-4444-555555555555"
SYMBOLS = ("NVDA", "AAPL", "MSFT", "AMD")
PRICE = Decimal(100)
ZERO = Decimal(0)
ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
CLOSE = (21, 0)
OPEN = (14, 30)


@dataclass
class Order:
    """One order in the exchange's book; ``raw`` is what the API shows."""

    raw: dict[str, Any]
    visible_at: float
    tag: str = ""

    @property
    def coid(self) -> str:
        return str(self.raw["client_order_id"])

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def ended(self) -> bool:
        return self.raw["status"] in ENDED

    @property
    def qty(self) -> Decimal:
        return _shares(self.raw)

    @property
    def filled(self) -> Decimal:
        return Decimal(self.raw["filled_qty"])

    @property
    def sign(self) -> int:
        return 1 if self.raw["side"] == "buy" else -1


@dataclass(frozen=True)
class Post:
    """One POST as it arrived; ``effect`` is ``order``, ``taken``, ``refused`` or ``none``."""

    at: float
    wall: datetime
    body: bytes
    coid: str
    tag: str
    effect: str
    killed: bool
    fault: str = "ok"
    by_active: bool = True


@dataclass
class Exchange:
    """The account.

    Args:
        outcome: how an order that ends at once ends: shares to fill out of its quantity.
        killed: whether the operator's switch is on now.
        active: whether who sends is the instance that trades now.
        lag: seconds until an accepted order can be found.
    """

    clock: SimClock
    cash: Decimal = Decimal(3000)
    outcome: Callable[[Order], Decimal] = field(default=lambda order: order.qty)
    killed: Callable[[], bool] = field(default=lambda: False)
    active: Callable[[], bool] = field(default=lambda: True)
    lag: Callable[[], float] = field(default=lambda: 0.0)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self.orders: dict[str, Order] = {}
        self.by_coid: dict[str, Order] = {}
        self.posts: list[Post] = []
        self.holdings: dict[str, Decimal] = dict.fromkeys(SYMBOLS, Decimal(12))
        self.delisted: set[str] = set()
        """Symbols that are no longer in the list of assets."""
        self.events: list[bytes] = []
        self.lookups: list[tuple[float, str]] = []
        """When which client_order_id was asked for and not found; "" for a complete list."""
        self.refusals: list[tuple[str, str]] = []
        """What the broker's own limits had to stop: (POSTs beyond cash or shares)."""

    # --- orders -------------------------------------------------------------------------------

    def place(self, body: dict[str, Any], *, at: datetime | None = None, lag: float = 0.0) -> Order:
        """An order stands in the book, as if its POST had been accepted now."""
        now = (at or self.clock.now()).isoformat().replace("+00:00", "Z")
        raw = {
            "id": f"order-{next(self._numbers)}",
            "client_order_id": body["client_order_id"],
            "created_at": now, "submitted_at": now, "updated_at": now,
            "symbol": body["symbol"], "side": body["side"], "type": body["type"],
            "time_in_force": body["time_in_force"], "qty": body.get("qty"),
            "notional": body.get("notional"),
            "limit_price": body.get("limit_price"), "status": "new", "filled_qty": "0",
            "filled_avg_price": None, "replaced_by": None, "asset_class": "us_equity",
        }  # fmt: skip
        order = Order(raw, self.clock.monotonic() + lag, str(body.get("limit_price", "")))
        self.orders[order.id] = self.by_coid[order.coid] = order
        return order

    def accept(self, body: dict[str, Any]) -> Order:
        """A POST takes effect; the order ends by itself if it must end at once."""
        order = self.place(body, lag=self.lag())
        self.say("new", order)
        if body["time_in_force"] in {"ioc", "fok"}:
            self.clock.after(0.15, lambda: self._end_at_once(order))
        return order

    def _end_at_once(self, order: Order) -> None:
        if order.ended:
            return
        qty = min(order.qty, self.outcome(order))
        if qty > order.filled:
            self.fill(order, qty - order.filled)
        if not order.ended:
            self.end(order, "canceled")

    def fill(self, order: Order, qty: Decimal) -> None:
        """So many shares trade at 100.00."""
        done = order.filled + qty
        order.raw["filled_qty"] = format(done, "f")
        order.raw["filled_avg_price"] = format(PRICE, "f")
        order.raw["status"] = "filled" if done == order.qty else "partially_filled"
        self.holdings[order.raw["symbol"]] += order.sign * qty
        self.cash -= order.sign * qty * PRICE
        self._touch(order)
        name = "fill" if order.ended else "partial_fill"
        self.say(name, order, qty=qty)

    def end(self, order: Order, status: str) -> None:
        order.raw["status"] = status
        self._touch(order)
        self.say(status, order)

    def _touch(self, order: Order) -> None:
        order.raw["updated_at"] = self.clock.now().isoformat().replace("+00:00", "Z")

    def say(self, event: str, order: Order, qty: Decimal | None = None) -> None:
        """Queue a message of the order stream; the world decides when it comes, and how often."""
        data: dict[str, Any] = {
            "event": event,
            "order": dict(order.raw),
            "timestamp": self.clock.now().isoformat().replace("+00:00", "Z"),
            "event_id": f"event-{next(self._numbers)}",
        }
        if qty is not None:
            data |= {
                "execution_id": f"execution-{next(self._numbers)}",
                "qty": format(qty, "f"),
                "price": format(PRICE, "f"),
                "position_qty": format(self.holdings[order.raw["symbol"]], "f"),
            }
        self.events.append(orjson.dumps({"stream": "trade_updates", "data": data}))

    def open_list(self) -> list[Order]:
        return [o for o in self.orders.values() if not o.ended]

    def close_session(self) -> None:
        """Day orders expire at the close."""
        for order in self.open_list():
            self.end(order, "expired")

    # --- limits -------------------------------------------------------------------------------

    def buying_power(self) -> Decimal:
        held = sum(((o.qty - o.filled) * PRICE for o in self.open_list() if o.sign > 0), ZERO)
        return self.cash - held

    def available(self, symbol: str) -> Decimal:
        selling = (o for o in self.open_list() if o.sign < 0 and o.raw["symbol"] == symbol)
        return self.holdings[symbol] - sum((o.qty - o.filled for o in selling), ZERO)

    def _too_much(self, body: dict[str, Any]) -> str:
        qty = _shares(body)
        if body["side"] == "buy" and qty * PRICE > self.buying_power():
            return f"insufficient buying power: {qty * PRICE} > {self.buying_power()}"
        if body["side"] == "sell" and qty > self.available(body["symbol"]):
            return f"insufficient qty available: {qty} > {self.available(body['symbol'])}"
        return ""

    # --- HTTP ---------------------------------------------------------------------------------

    def post(self, body: bytes, *, effective: bool, fault: str = "ok") -> Response:
        """What ``POST /v2/orders`` does; not effective = lost on its way."""
        fields = orjson.loads(body)
        coid, tag = str(fields["client_order_id"]), str(fields.get("limit_price", ""))
        effect, answer = "none", problem(500, 0, "lost")
        if effective:
            effect, answer = self._decide(fields)
        now = self.clock.now()
        at = self.clock.monotonic()
        self.posts.append(
            Post(at, now, body, coid, tag, effect, self.killed(), fault, self.active())
        )
        return answer

    def _decide(self, fields: dict[str, Any]) -> tuple[str, Response]:
        if fields["client_order_id"] in self.by_coid:
            return "taken", problem(422, 40010001, "client_order_id must be unique")
        why = self._too_much(fields)
        if why:
            self.refusals.append((fields["client_order_id"], why))
            return "refused", problem(403, 40310000, why)
        return "order", Response(200, {}, orjson.dumps(self.accept(fields).raw))

    def get(self, method: str, target: str) -> Response:
        """Everything that is no POST."""
        parts = urlsplit(target)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path
        if path == "/v2/orders:by_client_order_id":
            return self._lookup(asked["client_order_id"])
        if path.startswith("/v2/orders/"):
            order = self.orders.get(path.rsplit("/", 1)[1])
            return self._cancel(order) if method == "DELETE" else self._one(order)
        table: dict[str, Callable[[], Any]] = {
            "/v2/orders": lambda: self._list(asked),
            "/v2/account": self._account,
            "/v2/positions": self._positions,
            "/v2/clock": self._clock_now,
            "/v2/assets": lambda: [a for a in _assets() if a["symbol"] not in self.delisted],
            "/v2/stocks/snapshots": lambda: self._snapshots(asked["symbols"].split(",")),
            "/v2/account/activities/FILL": list,
        }
        if path not in table:
            raise NotSimulated(f"the simulated exchange knows no {method} {target}")
        return Response(200, {}, orjson.dumps(table[path]()))

    def _visible(self, order: Order | None) -> bool:
        return order is not None and order.visible_at <= self.clock.monotonic()

    def _one(self, order: Order | None) -> Response:
        if order is None or not self._visible(order):
            return problem(404, 40410000, "order not found")
        return Response(200, {}, orjson.dumps(order.raw))

    def _lookup(self, coid: str) -> Response:
        answer = self._one(self.by_coid.get(coid))
        if answer.status == 404:
            self.lookups.append((self.clock.monotonic(), coid))
        return answer

    def _cancel(self, order: Order | None) -> Response:
        if order is None or not self._visible(order):
            return problem(404, 40410000, "order not found")
        if order.ended:
            return problem(422, 42210000, "order is not cancelable")
        self.clock.after(0.05, lambda: None if order.ended else self.end(order, "canceled"))
        return Response(204, {}, b"")

    def _list(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        after = datetime.fromisoformat(asked["after"]) if "after" in asked else None
        until = datetime.fromisoformat(asked["until"]) if "until" in asked else None
        if asked.get("status") == "all":
            self.lookups.append((self.clock.monotonic(), ""))
        rows = []
        for order in self.orders.values():
            at = datetime.fromisoformat(order.raw["submitted_at"])
            status = asked.get("status", "open")
            fits = status == "all" or (status == "open") != order.ended
            inside = (after is None or at > after) and (until is None or at < until)
            if fits and inside and self._visible(order):
                rows.append((at, order.raw))
        rows.sort(key=lambda row: row[0], reverse=asked.get("direction", "desc") == "desc")
        return [raw for _, raw in rows][: int(asked.get("limit", "50"))]

    def _account(self) -> dict[str, Any]:
        worth = sum((qty * PRICE for qty in self.holdings.values()), ZERO)
        return {
            "id": ACCOUNT, "status": "ACTIVE", "currency": "USD", "multiplier": "1",
            "equity": format(self.cash + worth, "f"), "last_equity": format(self.cash + worth, "f"),
            "cash": format(self.cash, "f"), "buying_power": format(self.buying_power(), "f"),
            "shorting_enabled": False,
        }  # fmt: skip

    def _positions(self) -> list[dict[str, Any]]:
        return [
            {
                "symbol": symbol, "qty": format(qty, "f"),
                "qty_available": format(self.available(symbol), "f"),
                "avg_entry_price": "100", "market_value": format(qty * PRICE, "f"),
            }
            for symbol, qty in self.holdings.items()
            if qty
        ]  # fmt: skip

    def _clock_now(self) -> dict[str, Any]:
        now = self.clock.now()
        return {
            "timestamp": now.isoformat(),
            "is_open": session_open(now),
            "next_open": _next(now, OPEN).isoformat(),
            "next_close": _next(now, CLOSE).isoformat(),
        }

    def _snapshots(self, symbols: list[str]) -> dict[str, Any]:
        at = self.clock.now().isoformat()
        trade, quote = {"t": at, "p": 100}, {"t": at, "bp": 100, "ap": 100}
        return {s: {"latestTrade": trade, "latestQuote": quote} for s in symbols if s in SYMBOLS}


def _shares(fields: dict[str, Any]) -> Decimal:
    """The size of an order, which may be stated as an amount of money."""
    qty = fields.get("qty")
    return Decimal(fields["notional"]) / PRICE if qty is None else Decimal(qty)


def session_open(now: datetime) -> bool:
    """Regular session in winter, Monday to Friday; no holidays in the simulated week."""
    return now.weekday() < 5 and OPEN <= (now.hour, now.minute) < CLOSE


def _next(now: datetime, at: tuple[int, int]) -> datetime:
    day = datetime(now.year, now.month, now.day, *at, tzinfo=UTC)
    while day <= now or day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def problem(status: int, code: int, message: str) -> Response:
    """Alpaca's error object."""
    return Response(status, {}, orjson.dumps({"code": code, "message": message}))


def _assets() -> list[dict[str, Any]]:
    return [
        {
            "id": f"asset-{symbol}", "symbol": symbol, "class": "us_equity", "status": "active",
            "tradable": True, "shortable": True, "easy_to_borrow": True, "fractionable": True,
        }
        for symbol in SYMBOLS
    ]  # fmt: skip
