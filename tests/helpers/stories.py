"""Facts of signals as `why` gathers them."""

from decimal import Decimal
from typing import Any

from solution.domain.records import Intent, Note, State, Trade
from solution.feeds.entry_trace import Place, Told

T0 = 1_795_206_918_000
"""2026-11-20T20:35:18Z."""
ENTRY = f"{T0}-0"
COID = "sp-7b8311af-1f0a63c9c1d94e0f8b52ad6e3f7c9d10"


def sent(**changed: Any) -> Intent:
    """A buy of ten that was filled 40 ms after its publication."""
    values: dict[str, Any] = {
        "identity": "nvda|id:mine",
        "digest": "d",
        "stream": "nvda",
        "entry_id": ENTRY,
        "client_order_id": COID,
        "state": State.FILLED,
        "signal_id": "mine",
        "symbol": "NVDA",
        "side": "buy",
        "qty": Decimal(10),
        "order_type": "market",
        "time_in_force": "ioc",
        "body": b'{"symbol":"NVDA","qty":"10"}',
        "filled_qty": Decimal(10),
        "filled_avg_price": Decimal("135.34"),
        "alpaca_order_id": "order-1",
        "status": "filled",
        "published_ms": T0,
        "received_ms": T0 + 1,
        "created_ms": T0 + 3,
        "submitted_ms": T0 + 3,
        "answered_ms": T0 + 12,
        "ended_ms": T0 + 40,
    }
    return Intent(**(values | changed))


def refused(**changed: Any) -> Intent:
    """A buy that the position cap forbade."""
    values: dict[str, Any] = {
        "state": State.REFUSED,
        "reason": "POSITION_CAP",
        "message": "the cap is 10000.00",
        "body": b"",
        "filled_qty": Decimal(0),
        "filled_avg_price": None,
        "alpaca_order_id": "",
        "status": "",
        "submitted_ms": 0,
        "answered_ms": 0,
        "ended_ms": T0 + 3,
    }
    return sent(**(values | changed))


def unresolved(state: State = State.UNKNOWN, **changed: Any) -> Intent:
    """A buy whose answer was lost."""
    values: dict[str, Any] = {
        "state": state,
        "reason": "OUTCOME_UNKNOWN",
        "message": "connection reset",
        "filled_qty": Decimal(0),
        "filled_avg_price": None,
        "alpaca_order_id": "",
        "status": "",
        "ended_ms": 0,
        "reserved_cash": Decimal("1353.4"),
    }
    return sent(**(values | changed))


def leg(role: str = "take profit", **changed: Any) -> Intent:
    """A leg of the buy: its take profit, sold 50 ms after the publication."""
    values: dict[str, Any] = {
        "identity": f"|leg:{COID}:order-{role}",
        "digest": "",
        "stream": "",
        "entry_id": "",
        "client_order_id": f"leg-{role}",
        "state": State.FILLED,
        "side": "sell",
        "order_type": "limit",
        "message": role,
        "body": b"",
        "filled_avg_price": Decimal(150),
        "alpaca_order_id": f"order-{role}",
        "received_ms": 0,
        "submitted_ms": 0,
        "answered_ms": 0,
        "ended_ms": T0 + 50,
    }
    return sent(**(values | changed))


def note(ms: int, kind: str, detail: str = "") -> Note:
    """A line of history, so many milliseconds after the publication."""
    return Note(COID, T0 + ms, kind, detail)


def trade(qty: str = "10", **changed: Any) -> Trade:
    """An execution 20 ms after the publication, by the broker's clock."""
    values: dict[str, Any] = {
        "execution_id": f"e{qty}",
        "at": "2026-11-20T20:35:18.020Z",
        "symbol": "NVDA",
        "side": "buy",
        "qty": Decimal(qty),
        "price": Decimal("135.34"),
        "cum_qty": Decimal(qty),
        "order_id": "order-1",
        "client_order_id": COID,
    }
    return Trade(**(values | changed))


def place(**changed: Any) -> Place:
    """The entry, acknowledged."""
    values: dict[str, Any] = {
        "stream": "nvda",
        "entry_id": ENTRY,
        "group": "solution",
        "fields": ((b"ticker", b"NVDA"),),
        "is_read": True,
    }
    return Place(**(values | changed))


def told(ms: int, event: str, **changed: Any) -> Told:
    """An event on the stream `executions`."""
    values: dict[str, Any] = {
        "at_ms": T0 + ms,
        "event_id": ms,
        "event": event,
        "stream": "nvda",
        "entry_id": ENTRY,
        "client_order_id": COID,
        "reason": "",
        "final": False,
    }
    return Told(**(values | changed))
