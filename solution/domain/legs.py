"""A bracket's legs: orders that the broker makes beside ours, under ids of its own.

In the ledger a leg is a row like any other order's. Its identity names the bracket's entry order
and cannot be a signal's, in which a ``|`` at the beginning is doubled. ``stream`` and ``entry_id``
of the row are empty, since the entry belongs to the entry order's row.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from solution.domain.order_state import STATE_OF_STATUS, Progress, decimal_or_none
from solution.domain.records import Intent, State

PREFIX = "|leg:"
"""What the identity of every leg begins with."""
TAKE_PROFIT, STOP_LOSS, OTHER = "take profit", "stop loss", "leg"
CLASSES = frozenset({"bracket", "oto", "oco"})
"""``order_class`` of orders that belong together."""
_IN_BODY = b'"order_class"'


def identity_of(parent: str, order_id: str) -> str:
    """The identity of a leg's row.

    Args:
        parent: the entry order's client_order_id.
        order_id: the broker's id of the leg.
    """
    return f"{PREFIX}{parent}:{order_id}"


def is_leg(intent: Intent) -> bool:
    """Whether the row is of a bracket's leg and not of a signal."""
    return intent.identity.startswith(PREFIX)


def parent_of(intent: Intent) -> str:
    """The client_order_id of a leg's entry order."""
    return intent.identity.removeprefix(PREFIX).partition(":")[0]


def has_legs(intent: Intent, order: Mapping[str, Any]) -> bool:
    """Whether the broker makes legs to this order: by what was sent, or by what the broker says."""
    return _IN_BODY in intent.body or order.get("order_class") in CLASSES


def role_of(order: Mapping[str, Any]) -> str:
    """``take profit`` or ``stop loss``; the one is a limit order, the other some kind of stop."""
    kind = str(order.get("type") or order.get("order_type") or "")
    if kind == "limit":
        return TAKE_PROFIT
    return STOP_LOSS if "stop" in kind else OTHER


def client_order_id_of(order: Mapping[str, Any]) -> str:
    """The one the broker gave the leg; its order id where there is none."""
    return str(order.get("client_order_id") or order.get("id") or "")


def row_of(parent: Intent, order: Mapping[str, Any], now_ms: int) -> Intent:
    """The row of a leg that was just heard of: open, with nothing filled yet.

    ``submitted_ms`` stays 0: we sent nothing, so it costs no rate budget. ``signal_id`` is what the
    entry order is listed under.
    """
    order_id, status = str(order.get("id")), str(order.get("status") or "")
    filled = decimal_or_none(order.get("filled_qty"))
    # What it has been through already is news to be merged.
    begun = filled or STATE_OF_STATUS.get(status, State.OPEN) is not State.OPEN
    return Intent(
        identity=identity_of(parent.client_order_id, order_id),
        digest="",
        stream="",
        entry_id="",
        client_order_id=client_order_id_of(order),
        state=State.OPEN,
        signal_id=parent.signal_id or parent.entry_id,
        symbol=parent.symbol,
        asset_id=parent.asset_id,
        side=str(order.get("side") or ("sell" if parent.side == "buy" else "buy")),
        qty=decimal_or_none(order.get("qty")) or parent.qty,
        order_type=str(order.get("type") or order.get("order_type") or ""),
        time_in_force=str(order.get("time_in_force") or parent.time_in_force),
        limit_price=decimal_or_none(order.get("limit_price")),
        message=role_of(order),
        status="" if begun else status,
        alpaca_order_id=order_id,
        strategy=parent.strategy,
        extra=parent.extra,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def named(leg: Intent, parent: Intent | None) -> Intent:
    """The leg with the names of the signal that its events are told under; for memory only."""
    if parent is None:
        return leg
    return replace(
        leg,
        stream=parent.stream,
        entry_id=parent.entry_id,
        signal_id=parent.signal_id,
        strategy=parent.strategy,
        extra=parent.extra,
    )


def standing_of(leg: Intent) -> Progress:
    """Where a leg that was just heard of stands."""
    return Progress(State.OPEN, leg.status, leg.alpaca_order_id, Decimal(0))
