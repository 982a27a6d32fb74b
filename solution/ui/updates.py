"""What became of orders lately: rows of a snapshot, their marks and their lines."""

from collections.abc import Mapping
from typing import Any

from solution.ui.reading import Snapshot, listed, number, time_of, word

FILLED, ON_ITS_WAY, NOT_FILLED = "✓", "◌", "✗"

_FILLED = frozenset({"fill", "FILLED"})
_ON_THEIR_WAY = frozenset({"SUBMITTING", "UNKNOWN", "OPEN", "EXPIRED_UNCONFIRMED"})
_WAITING = frozenset({"pending_new", "accepted", "held", "pending_review"})
"""Statuses of an order just taken that no event of the same name tells."""
_OUR_NO = frozenset({"refused", "dead_letter", "REFUSED", "DEAD_LETTER"})
_ENDED_OTHERWISE = frozenset(
    {"canceled", "expired", "rejected", "replaced", "refused", "dead_letter", "dry_run"}
)


def updates_of(snapshot: Snapshot, most: int) -> list[Mapping[str, Any]]:
    """The last updates, newest first.

    An instance of an earlier version tells only ends; before them stand its orders on their way.
    """
    rows = [*reversed(told_by(snapshot))]
    if "updates" not in snapshot:
        rows = [*listed(snapshot, "open_orders"), *rows]
    return rows[: max(0, most)]


def told_by(snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """Every update, or end, that the snapshot holds; oldest first."""
    return listed(snapshot, "updates" if "updates" in snapshot else "recent")


def state_of(row: Mapping[str, Any]) -> str:
    """``pending_new``, ``new``, ``partial_fill``, ``fill``…: the broker's word for it, or ours.

    An earlier version's row has the state of the ledger instead.
    """
    event, status = word(row, "event", ""), word(row, "status", "")
    if event == "submitted" and status in _WAITING:
        return status
    return event or word(row, "state", "")


def mark_of(row: Mapping[str, Any]) -> str:
    """✓ filled, ◌ on its way, ✗ ended otherwise."""
    state = state_of(row)
    if state in _FILLED or (row.get("final") is True and row.get("status") == "filled"):
        return FILLED
    if row.get("event"):
        ended = row.get("final") is True or state in _ENDED_OTHERWISE
        return NOT_FILLED if ended else ON_ITS_WAY
    return ON_ITS_WAY if state in _ON_THEIR_WAY else NOT_FILLED


def price_of(row: Mapping[str, Any]) -> str:
    """What was paid, with the digits that it has; empty where nothing was."""
    found = number(row.get("price"))
    return "" if found is None else f"{found:,.2f}" if found >= 1 else f"{found:f}"


def outcome_of(row: Mapping[str, Any]) -> str:
    """State and reason: ``refused · NOTHING_TO_SELL``."""
    return " · ".join(text for text in (state_of(row), word(row, "reason", "")) if text)


def briefly(row: Mapping[str, Any]) -> str:
    """The same in a narrow column: that it is our refusal is told by mark and reason."""
    reason = word(row, "reason", "")
    return reason if reason and state_of(row) in _OUR_NO else outcome_of(row)


def update_line(row: Mapping[str, Any]) -> str:
    """``12:00:01 ✓ buy 10 NVDA at 135.20 fill``."""
    price = price_of(row)
    words = [time_of(row), mark_of(row), *(word(row, name, "") for name in ("side", "qty"))]
    words += [word(row, "symbol", ""), f"at {price}" if price else "", outcome_of(row)]
    return " ".join(text for text in words if text)
