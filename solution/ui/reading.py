"""Snapshots read with care: they are anybody's to write, and may come from another version.

What is absent or of another kind is a dash, an empty object or 0, and never raises.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from solution.printable import visible
from solution.ui.snapshot import LIVE

Snapshot = Mapping[str, Any]

DASH = "–"
LONGEST_NUMBER = 20
"""Digits before the point: `1e999999` written out would fill the screen, and the memory."""
LONGEST_WORD = 200
"""Characters of one value; what is longer is nobody's symbol, quantity or state."""


def part(snapshot: Snapshot, name: str) -> Mapping[str, Any]:
    """A member that is an object; empty when it is absent."""
    found = snapshot.get(name)
    return found if isinstance(found, Mapping) else {}


def listed(snapshot: Snapshot, name: str) -> list[Mapping[str, Any]]:
    """The objects of a member that is a list."""
    found = snapshot.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def word(row: Mapping[str, Any], name: str, absent: str = DASH) -> str:
    """A value as one word on one line."""
    found = row.get(name)
    return absent if found is None or found == "" else visible(str(found)[:LONGEST_WORD])


def number(text: object) -> Decimal | None:
    """What may be one, of a length that fits on a line; else None."""
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) < LONGEST_NUMBER else None


def whole(value: object) -> int:
    """A count; 0 for what is none."""
    return int(number(value) or 0)


def money(text: object) -> str:
    """``100000.5`` → ``100,000.50``; a dash for what is no number."""
    found = number(text)
    return DASH if found is None else f"{found:,.2f}"


def signed(text: object) -> str:
    """``12`` → ``+12.00``: a gain or a loss also where there is no colour."""
    found = number(text)
    return DASH if found is None else f"{found:+,.2f}"


def time_of(row: Mapping[str, Any]) -> str:
    """The time of day of its ``at``."""
    return visible(str(row.get("at") or "")[11:19])


def is_live(snapshot: Snapshot) -> bool:
    """Whether its orders are paid with money."""
    return snapshot.get("mode") == LIVE


def title(snapshot: Snapshot) -> str:
    """Who it is, whose money it moves, and of when the picture is."""
    mode = "LIVE, REAL MONEY" if is_live(snapshot) else word(snapshot, "mode")
    return f"{word(snapshot, 'instance')} · {mode} · {time_of(snapshot)}"


def trading_state(snapshot: Snapshot) -> str:
    """``ACTIVE``, ``REDUCING`` or ``HALTED``; the kill switch halts whatever the state is."""
    return "HALTED" if snapshot.get("kill_switch") else word(snapshot, "trading_state")
