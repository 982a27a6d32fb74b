"""The account as a table for the terminal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS = (
    *("Asset", "Qty", "Cost Basis", "Last Px", "Market Value", "Unrealized P&L"),
    "% Change (All Time)",
)


def rows(positions: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """One row a position and one for all of them; none while nothing is held."""
    found = [_row(position) for position in positions]
    if not found:
        return []
    quantity, cost, value, gain = (sum(row[i] for row in found) for i in (1, 2, 4, 5))
    invested = sum(abs(row[2]) for row in found)
    return [*found, ("TOTAL", quantity, cost, None, value, gain, _percent(gain, invested))]


def text(
    positions: Iterable[Mapping[str, Any]],
    statuses: Iterable[str],
    realized: float,
    failures: int,
) -> str:
    """What is printed now and then, and at the end."""
    table = rows(positions)
    lines = _aligned([COLUMNS, *map(_shown, table)]) if table else ["no positions"]
    counted = Counter(statuses)
    orders = ", ".join(f"{count} {status}" for status, count in counted.most_common())
    lines.append(f"Realized P&L: {realized:.2f}")
    lines.append(f"orders: {orders or 'none'}")
    if failures:
        lines.append(f"the strategy failed {failures} times")
    return "\n".join(lines)


def _row(position: Mapping[str, Any]) -> tuple[Any, ...]:
    quantity, cost = position["quantity"], position["cost_basis"]
    value = position["pos_val"]
    last = value / quantity if quantity else 0.0
    gain = value - cost
    return position["ticker"], quantity, cost, last, value, gain, _percent(gain, abs(cost))


def _percent(gain: float, invested: float) -> float:
    return gain / invested * 100 if invested else 0.0


def _shown(row: Sequence[Any]) -> tuple[str, ...]:
    name, quantity, *money = row
    shown = ("" if value is None else f"{value:,.2f}" for value in money)
    return (name, f"{quantity:g}", *shown)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    return [
        "  ".join(
            (
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            )
        )
        for row in table
    ]
