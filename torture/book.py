"""The broker's own books: every POST that arrived, every order, and what became of it.

This is the witness against the service. It shares no code with it and never hears from it but by
requests. No I/O; time comes in by ``later``.
"""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

PRICE = Decimal(100)
MONEY = Decimal(1_000_000_000_000)
"""Cash at the beginning: few orders ask for a part of it that counts."""
ENDED = frozenset({"filled", "canceled", "rejected", "expired"})

Later = Callable[[float, Callable[[], None]], None]
Tell = Callable[[str, str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Post:
    """One ``POST /v2/orders`` as it arrived; ``at`` is monotonic seconds."""

    at: float
    client_order_id: str
    order: str
    body: bytes
    fault: str
    by: int = 0
    """Which life sent it."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question about orders, and whether its true answer arrived whole.

    ``about`` is a client_order_id, "" for a list of orders in any state.
    """

    at: float
    about: str
    by: int
    answered: bool


@dataclass(frozen=True, slots=True)
class Beyond:
    """A POST that asked for more than there was; ``holding`` are the orders that had the rest."""

    client_order_id: str
    order: str
    what: str
    holding: tuple[str, ...]


@dataclass(slots=True)
class Order:
    """One accepted order."""

    id: str
    client_order_id: str
    key: str
    asked: dict[str, Any]
    arrived: float
    created_at: str
    status: str = "new"
    filled: Decimal = Decimal(0)
    updated_at: str = ""
    hidden_until: float = 0.0
    moves: int = 0
    old: bool = False
    """Stands here since before its signal was published."""
    fills: list[tuple[str, Decimal, Decimal]] = field(default_factory=list)

    @property
    def qty(self) -> Decimal:
        return Decimal(self.asked["qty"])

    @property
    def left(self) -> Decimal:
        """Shares that may still trade."""
        return Decimal(0) if self.ended else self.qty - self.filled

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        done = self.updated_at if self.ended else None
        return {
            "id": self.id,
            "client_order_id": self.client_order_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "submitted_at": self.created_at,
            "filled_at": done if self.status == "filled" else None,
            "canceled_at": done if self.status == "canceled" else None,
            "expired_at": None,
            "failed_at": None,
            "replaced_at": None,
            "replaced_by": None,
            "replaces": None,
            "asset_id": asset_id(self.asked["symbol"]),
            "symbol": self.asked["symbol"],
            "asset_class": "us_equity",
            "notional": None,
            "qty": self.asked["qty"],
            "filled_qty": f"{self.filled:f}",
            "filled_avg_price": f"{PRICE:f}" if self.filled else None,
            "order_class": "",
            "order_type": self.asked["type"],
            "type": self.asked["type"],
            "side": self.asked["side"],
            "time_in_force": self.asked["time_in_force"],
            "limit_price": self.asked.get("limit_price"),
            "stop_price": None,
            "status": self.status,
            "extended_hours": False,
            "legs": None,
        }


class Book:
    """Takes orders, fills or rests them, and remembers everything.

    Args:
        seed: decides which orders rest, fill in parts, or are refused.
        held: shares at first, by symbol.
        later: runs something after so many seconds.
        tell: gets every event: order key, event name, content.
        far: symbols whose limits lie so far from the market that they never fill.
    """

    def __init__(
        self,
        seed: str,
        held: Mapping[str, Decimal],
        later: Later,
        tell: Tell,
        far: Collection[str] = (),
    ) -> None:
        self._seed = seed
        self._later = later
        self._tell = tell
        self._far = frozenset(far)
        self._numbers = itertools.count(1)
        self.posts: list[Post] = []
        self.orders: dict[str, Order] = {}
        self.refused: dict[str, str] = {}
        self.lookups: list[Lookup] = []
        self.beyond: list[Beyond] = []
        self.held: dict[str, Decimal] = defaultdict(Decimal, held)
        self.cash = MONEY
        self.attempts: Counter[str] = Counter()
        self._by_id: dict[str, Order] = {}

    def arrived(self, asked: dict[str, Any]) -> tuple[str, int]:
        """A POST came; returns the order's key and which attempt of it this is."""
        key = key_of(asked)
        self.attempts[key] += 1
        return key, self.attempts[key]

    def note(self, asked: dict[str, Any], body: bytes, fault: str, by: int = 0) -> None:
        """Into the log, whatever becomes of it."""
        coid = str(asked.get("client_order_id"))
        self.posts.append(Post(time.monotonic(), coid, key_of(asked), body, fault, by))

    def accept(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Act on a POST: status and body of the true answer."""
        coid = str(asked["client_order_id"])
        if coid in self.orders:
            return 422, {"code": 40010001, "message": "client_order_id must be unique"}
        if not self._covered(asked):
            self.refused[coid] = "insufficient buying power or qty available for order"
        draw = Random(f"{self._seed}/life/{key_of(asked)}")
        if coid in self.refused or draw.random() < 0.02:
            self.refused[coid] = "insufficient buying power"
            return 403, {"code": 40310000, "message": "insufficient buying power"}
        order = self._new(asked, draw)
        answer = order.shown()
        self._event(order, "new")
        self._live(order, draw)
        return 200, answer

    def place(self, asked: dict[str, Any], created_at: str) -> Order:
        """An order that stands here from before; nothing is told of it."""
        order = self._new(asked, Random(0))
        order.created_at = created_at
        order.old = True
        self._fill(order, order.qty, quiet=True)
        return order

    def find(self, client_order_id: str) -> Order | None:
        """By our client's id, unless it is still hidden from questions."""
        return self._visible(self.orders.get(client_order_id))

    def by_id(self, order_id: str) -> Order | None:
        return self._by_id.get(order_id)

    def listed(self, *, only_open: bool, after: str | None) -> list[Order]:
        """Oldest first."""
        bound = datetime.fromisoformat(after) if after else None
        return [
            order
            for order in self.orders.values()
            if self._visible(order)
            and not (only_open and order.ended)
            and (bound is None or datetime.fromisoformat(order.created_at) > bound)
        ]

    def cancel(self, order_id: str) -> bool | None:
        """False when it has ended already, None when there is no such order."""
        order = self._by_id.get(order_id)
        if order is None:
            return None
        if order.ended:
            return False
        self._later(0.002, lambda: self._end(order, "canceled"))
        return True

    # --- what is left ---------------------------------------------------------------------

    def buying_power(self) -> Decimal:
        """Cash that no open buy may still need."""
        return self.cash - sum((o.left * _worth(o.asked) for o in self._open("buy")), Decimal(0))

    def available(self, symbol: str) -> Decimal:
        """Shares that no open sale holds."""
        return self.held[symbol] - sum(o.left for o in self._open("sell", symbol))

    def _open(self, side: str, symbol: str = "") -> list[Order]:
        return [
            order
            for order in self.orders.values()
            if not order.ended
            and order.asked["side"] == side
            and symbol in {"", order.asked["symbol"]}
        ]

    def _covered(self, asked: dict[str, Any]) -> bool:
        """Whether there is enough for it; noted when there is not."""
        side, symbol, qty = asked["side"], asked["symbol"], Decimal(asked["qty"])
        if side == "buy":
            short = qty * _worth(asked) > self.buying_power()
            holding = self._open("buy")
        else:
            short = qty > self.available(symbol)
            holding = self._open("sell", symbol)
        if short:
            what = "cash" if side == "buy" else f"{symbol} shares"
            coids = tuple(order.client_order_id for order in holding)
            coid = str(asked["client_order_id"])
            self.beyond.append(Beyond(coid, key_of(asked), what, coids))
        return not short

    # --- inside ---------------------------------------------------------------------------

    def _visible(self, order: Order | None) -> Order | None:
        if order is None or order.hidden_until > time.monotonic():
            return None
        return order

    def _new(self, asked: dict[str, Any], draw: Random) -> Order:
        coid, now = str(asked["client_order_id"]), timestamp()
        number = next(self._numbers)
        order = Order(
            id=f"00000000-0000-4000-8000-{number:012x}",
            client_order_id=coid,
            key=key_of(asked),
            asked=asked,
            arrived=time.monotonic(),
            created_at=now,
            updated_at=now,
        )
        if draw.random() < 0.05:  # a replica that lags: questions do not find it yet
            order.hidden_until = time.monotonic() + draw.choice([0.3, 1.0, 3.0])
        self.orders[coid] = self._by_id[order.id] = order
        return order

    def _live(self, order: Order, draw: Random) -> None:
        at_once = order.asked["type"] == "market"
        if at_once and draw.random() < 0.8:
            self._later(0.001, lambda: self._fill(order, order.qty))
        elif at_once:
            half = (order.qty / 2).to_integral_value()
            self._later(0.001, lambda: self._fill(order, half))
            self._later(0.004, lambda: self._fill(order, order.qty))
        elif order.asked["time_in_force"] == "ioc":
            part = (order.qty * draw.choice([0, 1, 2]) / 4).to_integral_value()
            self._later(0.001, lambda: self._fill(order, part))
            self._later(0.003, lambda: self._end(order, "canceled"))
        elif order.asked["symbol"] not in self._far and draw.random() < 0.4:
            self._later(draw.uniform(0.01, 0.6), lambda: self._fill(order, order.qty))

    def _fill(self, order: Order, upto: Decimal, *, quiet: bool = False) -> None:
        """Up to so many shares in all."""
        step = upto - order.filled
        if order.ended or step <= 0:
            return
        order.filled = upto
        symbol, buys = order.asked["symbol"], order.asked["side"] == "buy"
        self.held[symbol] += step if buys else -step
        self.cash -= step * PRICE if buys else -step * PRICE
        done = upto == order.qty
        order.status = "filled" if done else "partially_filled"
        execution = f"{order.id}-{len(order.fills)}"
        order.fills.append((execution, step, PRICE))
        if quiet:
            return
        self._event(
            order,
            "fill" if done else "partial_fill",
            execution_id=execution,
            price=f"{PRICE:f}",
            qty=f"{step:f}",
            position_qty=f"{self.held[symbol]:f}",
        )

    def _end(self, order: Order, status: str) -> None:
        if not order.ended:
            order.status = status
            self._event(order, status)

    def _event(self, order: Order, event: str, **more: str) -> None:
        order.updated_at = timestamp()
        order.moves += 1
        about = {"event": event, "timestamp": order.updated_at, "order": order.shown(), **more}
        about["event_id"] = f"{order.id}{order.moves}"
        self._tell(order.key, f"{event}{order.moves}", about)


def key_of(asked: dict[str, Any]) -> str:
    """What tells orders apart whatever id they came under: signals are made so that it does."""
    price = asked.get("limit_price")
    # A computed size is not part of it: its signal is told by its limit price.
    size = f"at {price}" if price else str(asked.get("qty"))
    return f"{asked.get('symbol')} {asked.get('side')} {size}"


def _worth(asked: dict[str, Any]) -> Decimal:
    """What a share of it costs or brings."""
    return Decimal(asked.get("limit_price") or PRICE)


def asset_id(symbol: str) -> str:
    return f"00000000-0000-4000-a000-{symbol.encode().hex():0>12}"


def timestamp() -> str:
    """Now, RFC 3339, microseconds."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
