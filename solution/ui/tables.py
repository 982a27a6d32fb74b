"""Positions and order updates as lines: as many as there is room for, the rest counted."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.text import Text

from solution.ui.grid import Column, Row, grid
from solution.ui.reading import Snapshot, listed, money, number, signed, time_of, word
from solution.ui.updates import (
    FILLED,
    NOT_FILLED,
    ON_ITS_WAY,
    briefly,
    mark_of,
    price_of,
    updates_of,
)

Position = Mapping[str, Any]

GAIN, LOSS = "green", "red"
STYLES = {FILLED: GAIN, ON_ITS_WAY: "yellow", NOT_FILLED: "dim"}
ZERO = Decimal(0)

_POSITIONS = (
    Column("position", widest=14),
    Column("qty", 2, right=True, widest=16),
    Column("entry", 5, right=True),
    Column("price", 3, right=True),
    Column("value", 4, right=True),
    Column("unrealised", 0, right=True),
    Column("%", 6, right=True, widest=9),
)
_UPDATES = (
    Column("update", 3, widest=8),
    Column("", 0, widest=1),
    Column("side", 0, widest=6),
    Column("qty", 0, right=True, widest=14),
    Column("symbol", 0, widest=14),
    Column("price", 4, right=True, widest=14),
    Column("", 0, widest=60, enough=16),
)


# --- positions ------------------------------------------------------------------------------------


def positions_height(snapshot: Snapshot) -> int:
    """Lines that all of them take: head, rows, total."""
    rows = len(listed(snapshot, "positions"))
    return rows + 2 if rows else 1


def positions(snapshot: Snapshot, width: int, height: int) -> list[Text]:
    """By symbol, with a total; where there is no room for all, those that are worth most."""
    rows = listed(snapshot, "positions")
    if height < 1:
        return []
    if not rows:
        return [Text("no position", style="dim")]
    shown, rest = _largest(rows, height - 2)  # the head and the total
    if rest and height > 3:
        shown, rest = _largest(rows, height - 3)
    cells = [_position(row) for row in shown]
    if rest and height > 3:
        cells.append(_sum_of(f"… {len(rest)} more", rest, "dim"))
    total = f"total of {len(rows)}" if rest or len(rows) > 1 else "total"
    cells.append(_sum_of(total, rows, "bold"))
    lines = grid(_POSITIONS, cells, width)
    return lines if len(lines) <= height else lines[-height:]


def _largest(rows: Sequence[Position], most: int) -> tuple[list[Position], list[Position]]:
    """Those to show, by symbol, and the others."""
    ordered = sorted(rows, key=lambda row: abs(_value(row) or ZERO), reverse=True)
    most = max(0, most)
    by_symbol = sorted(ordered[:most], key=lambda row: word(row, "symbol"))
    return by_symbol, ordered[most:]


def _value(row: Position) -> Decimal | None:
    """Its worth at the bid; by quantity and price where an earlier version does not tell it."""
    if (value := number(row.get("market_value"))) is not None:
        return value
    qty, price = number(row.get("qty")), number(row.get("price"))
    return None if qty is None or price is None else qty * price


def _position(row: Position) -> Row:
    value, gain = _value(row), number(row.get("unrealized_pl"))
    texts = (word(row, "symbol"), word(row, "qty"), _price(row, "avg_entry"), _price(row, "price"))
    cost = None if value is None or gain is None else abs(value - gain)
    return (*map(Text, texts), Text(money(value)), _gain(gain), _percent(gain, cost))


def _price(row: Position, name: str) -> str:
    """Cents, and below a unit of currency the digits that there are: a coin may cost 0.0000081."""
    found = number(row.get(name))
    return money(found) if found is None or abs(found) >= 1 else f"{found:f}"


def _sum_of(name: str, rows: Sequence[Position], style: str) -> Row:
    """What is known of them together; without a price a position counts for nothing."""
    known = [(_value(row), number(row.get("unrealized_pl"))) for row in rows]
    value = sum((value or ZERO for value, _ in known), ZERO)
    gain = sum((gain or ZERO for _, gain in known), ZERO)
    # A short position costs as well: without the sign, or half of a hedge would be no cost at all.
    cost = sum((abs((value or ZERO) - gain) for value, gain in known if gain is not None), ZERO)
    unpriced = sum(gain is None for _, gain in known)
    head = f"{name}, {unpriced} unpriced" if unpriced else name
    texts = (Text(head, style), Text(), Text(), Text(), Text(money(value), style))
    cells = (*texts, _gain(gain), _percent(gain, cost))
    for cell in cells[5:]:
        cell.stylize(style)
    return cells


def _gain(gain: Decimal | None) -> Text:
    return Text(signed(gain), style="" if not gain else GAIN if gain > 0 else LOSS)


def _percent(gain: Decimal | None, cost: Decimal | None) -> Text:
    """Of what it cost."""
    if gain is None or not cost:
        return Text()
    return Text(f"{gain / cost * 100:+,.2f}", style="" if not gain else GAIN if gain > 0 else LOSS)


# --- updates --------------------------------------------------------------------------------------


def updates_height(snapshot: Snapshot, most: int) -> int:
    """Lines that the last ``most`` of them take: head and rows."""
    rows = len(updates_of(snapshot, most))
    return rows + 1 if rows else 1


def updates(snapshot: Snapshot, most: int, width: int, height: int) -> list[Text]:
    """Newest first."""
    rows = updates_of(snapshot, most)
    if height < 1:
        return []
    if not rows:
        return [Text("no order yet" if most else "", style="dim")]
    room = max(0, height - 1)
    cut = len(rows) > room and height > 2
    shown = rows[: room - 1] if cut else rows[:room]
    lines = grid(_UPDATES, [_update(row) for row in shown], width)
    if cut:
        lines.append(Text(f"… {len(rows) - len(shown)} more", style="dim"))
    return lines


def _update(row: Mapping[str, Any]) -> Row:
    mark = mark_of(row)
    texts = (*(word(row, name, "") for name in ("side", "qty", "symbol")), price_of(row))
    cells = [Text(text, STYLES[mark]) for text in (time_of(row), *texts, briefly(row))]
    cells.insert(1, Text(mark, LOSS if mark == NOT_FILLED else STYLES[mark]))
    return cells
