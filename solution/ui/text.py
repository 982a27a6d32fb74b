"""Snapshots as lines, for a terminal of any kind or for a file."""

from collections.abc import Mapping
from typing import Any

from solution.ui.facts import counts, facts
from solution.ui.reading import (
    DASH,
    Snapshot,
    is_live,
    listed,
    money,
    part,
    time_of,
    title,
    trading_state,
    word,
)
from solution.ui.troubles import troubles
from solution.ui.updates import update_line, updates_of

ACTIVE = "ACTIVE"


def text_lines(snapshot: Snapshot, *, orders: int = 5) -> list[str]:
    """Everything of one instance."""
    lines = [title(snapshot)]
    lines += [f"  ! {trouble}" for trouble in troubles(snapshot)]
    lines += [f"  {name:<10} {shown}" for name, shown in facts(snapshot)]
    positions = listed(snapshot, "positions")
    for i, row in enumerate(positions):
        lines.append(f"  {'positions' if i == 0 else '':<10} {_position_line(row)}")
    if not positions:
        lines.append(f"  {'positions':<10} none")
    for i, row in enumerate(updates_of(snapshot, orders)):
        lines.append(f"  {'orders' if i == 0 else '':<10} {update_line(row)}")
    return lines


def _position_line(row: Mapping[str, Any]) -> str:
    return (
        f"{word(row, 'symbol'):<6} {word(row, 'qty'):>8}"
        f" at {money(row.get('avg_entry'))} · now {money(row.get('price'))}"
        f" · unrealised {money(row.get('unrealized_pl'))}"
    )


def short_line(snapshot: Snapshot) -> str:
    """The whole state in one line, for output that is not a terminal."""
    signals, rate = part(snapshot, "signals"), part(snapshot, "rate")
    latency = part(snapshot, "latency_ms")
    held = ", ".join(
        f"{word(row, 'symbol')} {word(row, 'qty')}" for row in listed(snapshot, "positions")
    )
    state = trading_state(snapshot)
    shown = [
        time_of(snapshot),
        *(
            ["LIVE"]
            if is_live(snapshot)
            else [word(snapshot, "mode")]
            if "mode" in snapshot
            else []
        ),
        *([state] if state not in (ACTIVE, DASH) else []),
        f"{signals.get('read', DASH)} signals, {signals.get('waiting', DASH)} waiting",
        counts(snapshot),
        f"rate {rate.get('used', DASH)}/{rate.get('limit', DASH)}",
        f"p50 {_ms(latency.get('p50'))} p99 {_ms(latency.get('p99'))}",
        held or "flat",
        *troubles(snapshot),
    ]
    return " · ".join(shown)


def _ms(value: object) -> str:
    return DASH if value is None else f"{value} ms"
