"""Intents, changes and events as tests of the ledger need them."""

from decimal import Decimal
from typing import Any

from solution.domain.events import ExecutionEvent
from solution.domain.records import Change, DeadLetter, EntryRef, Intent, State, Trade

AT = "2026-11-20T15:04:05.678Z"


def make_intent(number: int = 1, **changed: Any) -> Intent:
    """A SUBMITTING row; equal numbers make equal identities."""
    values: dict[str, Any] = {
        "identity": f"nvda|{number}-0|abcdef",
        "digest": "abcdef",
        "stream": "nvda",
        "entry_id": f"{number}-0",
        "client_order_id": f"sp-test-{number}",
        "state": State.SUBMITTING,
        "symbol": "NVDA",
        "side": "buy",
        "qty": Decimal("12.50"),
        "body": b'{"symbol":"NVDA"}',
    }
    return Intent(**(values | changed))


def make_event(number: int = 1, event: str = "fill", **changed: Any) -> ExecutionEvent:
    """An event of the row with the same number."""
    values: dict[str, Any] = {
        "event": event,
        "stream": "nvda",
        "entry_id": f"{number}-0",
        "at": AT,
        "client_order_id": f"sp-test-{number}",
    }
    return ExecutionEvent(**(values | changed))


def make_trade(number: int = 1, **changed: Any) -> Trade:
    """One execution of the row with the same number."""
    values: dict[str, Any] = {
        "execution_id": f"execution-{number}",
        "at": AT,
        "symbol": "NVDA",
        "side": "buy",
        "qty": Decimal("12.50"),
        "price": Decimal("101.25"),
        "cum_qty": Decimal("12.50"),
        "order_id": f"order-{number}",
        "client_order_id": f"sp-test-{number}",
    }
    return Trade(**(values | changed))


def make_dead_letter(number: int = 1, **changed: Any) -> DeadLetter:
    """A dead letter with one readable and one unreadable field."""
    values: dict[str, Any] = {
        "stream": "nvda",
        "entry_id": f"{number}-0",
        "reason": "NOT_UTF8",
        "message": "field 2 is not UTF-8",
        "at": AT,
        "fields": ((b"ticker", b"NVDA"), (b"\xff", b"\xfe\x00")),
    }
    return DeadLetter(**(values | changed))


def make_end(number: int = 1, **changed: Any) -> Change:
    """The row with this number ends FILLED, with one trade, one final event and one ack."""
    values: dict[str, Any] = {
        "client_order_id": f"sp-test-{number}",
        "update": {"state": State.FILLED, "status": "filled", "filled_qty": Decimal("12.50")},
        "trades": (make_trade(number),),
        "events": (make_event(number, final=True),),
        "ack": (EntryRef("nvda", f"{number}-0"),),
    }
    return Change(**(values | changed))
