"""Books kept from what the exchange tells, independently of how it keeps its own.

Each event is judged as it arrives: may it follow what the order was before, does it say what it
should, is an execution within the order's limits. ``NEXT`` and ``STATUS`` are the documented life
of an order; a new event needs a line in both.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from paper_exchange.engine.admission import CRYPTO_FEE
from paper_exchange.orders import TERMINAL

ZERO = Decimal(0)
_ENDS = frozenset({"fill", "canceled", "expired", "replaced"})
_WORKING = _ENDS | {"partial_fill", "pending_cancel", "pending_replace"}
#: What may be told of an order after what; None is before the first.
NEXT: dict[str | None, frozenset[str]] = {
    # Legs that were held and successors that waited are not told of before.
    None: frozenset({"accepted", "new", "canceled", "expired", "replaced", "rejected"}),
    "accepted": frozenset({"new", "rejected", "canceled", "expired", "pending_cancel"}),
    "new": _WORKING | {"rejected"},
    "partial_fill": _WORKING,
    # A fill can overtake the cancel.
    "pending_cancel": frozenset({"partial_fill", "fill", "canceled", "expired"}),
    # So can it the replacement, which may also come to nothing.
    "pending_replace": _WORKING,
    **dict.fromkeys(("fill", "canceled", "expired", "replaced", "rejected"), frozenset[str]()),
}
#: The status an order has in the event that tells of it.
STATUS = {
    "accepted": "accepted",
    "new": "new",
    "partial_fill": "partially_filled",
    "pending_cancel": "pending_cancel",
    "pending_replace": "pending_replace",
    "fill": "filled",
    "canceled": "canceled",
    "expired": "expired",
    "replaced": "replaced",
    "rejected": "rejected",
}
#: A buy stop works with a limit that far above its stop (under $50, and from there on).
_COLLARS = (Decimal("1.04"), Decimal("1.025"))


class Books:
    """Cash, positions and the state of every order, from events alone."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.positions: dict[str, Decimal] = defaultdict(Decimal)
        self.last: dict[str, str] = {}
        self.filled: dict[str, Decimal] = defaultdict(Decimal)
        self.submitted: dict[str, str] = {}
        self._newest = ""
        self._executions: set[str] = set()

    def take(self, told: dict[str, Any]) -> None:
        """Book one event."""
        order, event = told["order"], told["event"]
        before = self.last.get(order["id"])
        assert event in NEXT[before], f"{event} after {before}"
        # A change that was asked for stays visible while parts are filled.
        pending = event == "partial_fill" and order["status"] in {
            "pending_cancel",
            "pending_replace",
        }
        assert order["status"] == STATUS[event] or pending
        assert told["event_id"] > self._newest, "events are told in the order of their ids"
        assert told["execution_id"] not in self._executions
        assert told["timestamp"] >= order["submitted_at"]
        assert (
            self.submitted.setdefault(order["id"], order["submitted_at"]) == order["submitted_at"]
        )
        self._newest = told["event_id"]
        self._executions.add(told["execution_id"])
        self.last[order["id"]] = event
        if event in {"fill", "partial_fill"}:
            self._book(told, order)
        else:
            assert Decimal(order["filled_qty"]) == self.filled[order["id"]]

    def _book(self, told: dict[str, Any], order: dict[str, Any]) -> None:
        qty, price = Decimal(told["qty"]), Decimal(told["price"])
        assert qty > 0
        _check_limit(order, price)
        self.filled[order["id"]] += qty
        assert Decimal(order["filled_qty"]) == self.filled[order["id"]]
        if order["qty"] is not None:
            left = Decimal(order["qty"]) - self.filled[order["id"]]
            assert left >= 0, "filled beyond its quantity"
            assert (left == 0) == (told["event"] == "fill")
        held = self.positions[order["symbol"]]
        fee = CRYPTO_FEE if order["asset_class"] == "crypto" else ZERO
        if order["side"] == "buy":
            self.cash -= qty * price
            self.positions[order["symbol"]] += qty * (1 - fee)
        else:
            self.cash += qty * price * (1 - fee)
            self.positions[order["symbol"]] -= qty
        now = self.positions[order["symbol"]]
        assert Decimal(told["position_qty"]) == now
        if order["position_intent"].endswith("_close"):
            assert abs(now) < abs(held), "closing makes a position smaller"
            assert held * now >= 0, "and never turns it round"
        else:
            assert abs(now) > abs(held), "opening makes a position larger"

    def open_orders(self) -> set[str]:
        """The ids of orders that have not ended."""
        return {one for one, event in self.last.items() if STATUS[event] not in TERMINAL}


def _check_limit(order: dict[str, Any], price: Decimal) -> None:
    """No execution beyond what the order allows."""
    limit = order["limit_price"]
    if limit is not None:
        better = price <= Decimal(limit) if order["side"] == "buy" else price >= Decimal(limit)
        assert better, f"{order['side']} with limit {limit} executed at {price}"
    elif order["type"] == "stop" and order["side"] == "buy":
        stop = Decimal(order["stop_price"])
        assert price <= stop * _COLLARS[stop >= 50]
    if order["notional"] is not None:
        assert Decimal(order["filled_qty"]) * price <= Decimal(order["notional"])
