"""Between the values of the domain and the rows of the database; no I/O.

Text that is no valid Unicode (a lone surrogate from a broken producer) is kept with backslash
escapes: one odd character must not make a whole batch impossible to store.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from typing import Any

import orjson

from solution.domain.events import ExecutionEvent
from solution.domain.records import (
    TERMINAL,
    DeadLetter,
    EntryRef,
    Intent,
    Note,
    State,
    Trade,
)

INTENT_COLUMNS = tuple(column.name for column in fields(Intent))
"""The columns of ``order_intents`` that hold an :class:`Intent`, in its own order."""

_DECIMALS = frozenset(
    {
        "qty",
        "notional",
        "limit_price",
        "reserved_cash",
        "reserved_qty",
        "cancel_after",
        "filled_qty",
        "filled_avg_price",
    }
)
# What names the row never changes.
_FIXED = frozenset({"identity", "client_order_id", "created_ms"})

_SELECT = f"SELECT {', '.join(INTENT_COLUMNS)} FROM order_intents"  # noqa: S608  # constant names
_TERMINAL_LIST = ", ".join(f"'{state.value}'" for state in sorted(TERMINAL))

INSERT_INTENT = (
    f"INSERT INTO order_intents ({', '.join(INTENT_COLUMNS)})"  # noqa: S608  # constant names
    f" VALUES ({', '.join('?' * len(INTENT_COLUMNS))})"
)
# One statement, so that no takeover fits between the question and the write.
INSERT_INTENT_LEASED = (
    f"INSERT INTO order_intents ({', '.join(INTENT_COLUMNS)})"  # noqa: S608  # constant names
    f" SELECT {', '.join('?' * len(INTENT_COLUMNS))} FROM lease WHERE id = 1 AND epoch = ?"
)
# The expression is explained in _update_text.
BEGIN_AGAIN = (
    f"UPDATE order_intents SET state = '{State.SUBMITTING}', updated_ms = ?"  # noqa: S608  # constant
    f" WHERE client_order_id = ? AND state || '' IN ('{State.SUBMITTING}', '{State.UNKNOWN}')"
)
SELECT_INTENTS = _SELECT
SELECT_OPEN = f"{_SELECT} WHERE state NOT IN ({_TERMINAL_LIST}) ORDER BY id"
INSERT_TRADE = (
    "INSERT INTO trades (execution_id, timestamp, symbol, side, qty, price, cum_qty, order_id,"
    " client_order_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
SELECT_TRADES = (
    "SELECT execution_id, timestamp, symbol, side, qty, price, cum_qty, order_id, client_order_id"
    " FROM trades"
)
INSERT_DEAD_LETTER = (
    "INSERT INTO dead_letters (stream, entry_id, reason, message, at, fields)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
SELECT_DEAD_LETTERS = "SELECT stream, entry_id, reason, message, at, fields FROM dead_letters"
INSERT_REPEAT = "INSERT INTO repeats (stream, entry_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
INSERT_NOTE = "INSERT INTO history (client_order_id, at_ms, kind, detail) VALUES (?, ?, ?, ?)"
SELECT_NOTES = "SELECT client_order_id, at_ms, kind, detail FROM history"
SELECT_LEASE = "SELECT epoch FROM lease WHERE id = 1 AND epoch = ?"
SELECT_STARTS = "SELECT starts FROM entry_starts WHERE stream = ? AND entry_id = ?"
COUNT_START = (
    "INSERT INTO entry_starts (stream, entry_id, starts) VALUES (?, ?, 1)"
    " ON CONFLICT (stream, entry_id) DO UPDATE SET starts = entry_starts.starts + 1"
)
COUNT_START_LEASED = (
    "INSERT INTO entry_starts (stream, entry_id, starts) SELECT ?, ?, 1 FROM lease WHERE id = 1"
    " AND epoch = ? ON CONFLICT (stream, entry_id) DO UPDATE SET starts = entry_starts.starts + 1"
)
DELETE_START = "DELETE FROM entry_starts WHERE stream = ? AND entry_id = ?"
KEEP_STATE = (
    "INSERT INTO bot_state (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (key)"
    " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)
FORGET_STATE = "DELETE FROM bot_state WHERE key = ?"
INSERT_EVENT = "INSERT INTO outbox (event_id, fields) VALUES (?, ?)"


def text(value: object) -> str:
    """An exact ``str`` that a database can store; enum members become their values."""
    out = value if type(value) is str else str(value)
    if "\0" in out:  # PostgreSQL has no place for it
        out = out.replace("\0", "\\x00")
    if out.isascii():
        return out
    return out.encode("utf-8", "backslashreplace").decode()


def decimal_text(value: object) -> str | None:
    """Plain digits without exponent, None for None.

    Raises:
        TypeError: neither a Decimal nor an int (a float has lost its digits already).
    """
    if value is None:
        return None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"a quantity or amount must be a Decimal, was {type(value).__name__}")


def pairs_json(pairs: Any) -> str:
    """The producer's own fields as a JSON list of pairs; nothing for none."""
    if not pairs:
        return ""
    return orjson.dumps([[text(name), text(value)] for name, value in pairs]).decode()


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else text(value).encode()


def _int(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"a time must be whole milliseconds, was {type(value).__name__}")


def _encoder(column: str) -> Callable[[object], str | bytes | int | None]:
    if column in _DECIMALS:
        return decimal_text
    if column.endswith("_ms"):
        return _int
    if column == "body":
        return _bytes
    return pairs_json if column == "extra" else text


_ENCODERS = {column: _encoder(column) for column in INTENT_COLUMNS}
_ENCODER_LIST = tuple(_ENCODERS.values())
_VALUES = attrgetter(*INTENT_COLUMNS)
_CREATED = INTENT_COLUMNS.index("created_ms")
_UPDATED = INTENT_COLUMNS.index("updated_ms")


def intent_row(intent: Intent, now_ms: int) -> list[Any]:
    """The parameters of :data:`INSERT_INTENT`; times not set yet become ``now_ms``."""
    row: list[Any] = [
        encode(value) for encode, value in zip(_ENCODER_LIST, _VALUES(intent), strict=True)
    ]
    row[_CREATED] = row[_CREATED] or now_ms
    row[_UPDATED] = row[_UPDATED] or now_ms
    return row


def to_intent(row: Sequence[Any]) -> Intent:
    """The :class:`Intent` in one row of :data:`SELECT_INTENTS`."""
    values = dict(zip(INTENT_COLUMNS, row, strict=True))
    for name in _DECIMALS:
        if values[name] is not None:
            values[name] = Decimal(values[name])
    values["state"] = State(values["state"])
    stored = values["extra"]
    values["extra"] = tuple((k, v) for k, v in orjson.loads(stored)) if stored else ()
    return Intent(**values)


_UPDATE_TEXTS: dict[tuple[str, ...], str] = {}


def update_statement(
    client_order_id: str, update: Mapping[str, object], now_ms: int
) -> tuple[str, list[Any]]:
    """The UPDATE of one row and its parameters.

    One that sets ``state`` finds nothing when the row is in a terminal state.

    Raises:
        ValueError: a name that is no column, or one that names the row.
        TypeError: a value of the wrong type.
    """
    names = tuple(update)
    sql = _UPDATE_TEXTS.get(names)
    if sql is None:
        sql = _UPDATE_TEXTS[names] = _update_text(names)
    row: list[Any] = [_ENCODERS[name](value) for name, value in update.items()]
    if "updated_ms" not in update:
        row.append(now_ms)
    row.append(text(client_order_id))
    return sql, row


def _update_text(names: tuple[str, ...]) -> str:
    wrong = [name for name in names if name not in _ENCODERS or name in _FIXED]
    if wrong:
        raise ValueError(f"no column that may be set: {', '.join(wrong)}")
    sets = [f"{name} = ?" for name in names]
    if "updated_ms" not in names:
        sets.append("updated_ms = ?")
    # An expression keeps SQLite from answering through the index of open rows: it would scan them.
    guard = f" AND state || '' NOT IN ({_TERMINAL_LIST})" if "state" in names else ""
    return (
        f"UPDATE order_intents SET {', '.join(sets)}"  # noqa: S608  # names checked above
        f" WHERE client_order_id = ?{guard}"
    )


def trade_row(trade: Trade) -> list[Any]:
    """The parameters of :data:`INSERT_TRADE`.

    ``cum_qty`` is part of a key, so 10 and 10.00 must be stored alike.
    """
    return [
        text(trade.execution_id),
        text(trade.at),
        text(trade.symbol),
        text(trade.side),
        decimal_text(trade.qty),
        decimal_text(trade.price),
        decimal_text(trade.cum_qty.normalize()),
        text(trade.order_id),
        text(trade.client_order_id),
    ]


def to_trade(row: Sequence[Any]) -> Trade:
    """The :class:`Trade` in one row of :data:`SELECT_TRADES`."""
    execution_id, at, symbol, side, qty, price, cum_qty, order_id, client_order_id = row
    return Trade(
        execution_id=execution_id,
        at=at,
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        cum_qty=Decimal(cum_qty),
        order_id=order_id,
        client_order_id=client_order_id,
    )


def ref_row(ref: EntryRef) -> tuple[str, str]:
    """The parameters that name an entry."""
    return text(ref.stream), text(ref.entry_id)


def note_row(note: Note) -> list[Any]:
    """The parameters of :data:`INSERT_NOTE`."""
    return [text(note.client_order_id), _int(note.at_ms), text(note.kind), text(note.detail)]


def to_note(row: Sequence[Any]) -> Note:
    """The :class:`Note` in one row of :data:`SELECT_NOTES`."""
    return Note(*row)


def dead_letter_row(letter: DeadLetter) -> list[Any]:
    """The parameters of :data:`INSERT_DEAD_LETTER`."""
    raw = [[_raw_json(name), _raw_json(value)] for name, value in letter.fields]
    head = (letter.stream, letter.entry_id, letter.reason, letter.message, letter.at)
    return [*(text(value) for value in head), orjson.dumps(raw).decode()]


def to_dead_letter(row: Sequence[Any]) -> DeadLetter:
    """The :class:`DeadLetter` in one row of :data:`SELECT_DEAD_LETTERS`."""
    stream, entry_id, reason, message, at, stored = row
    return DeadLetter(
        stream=stream,
        entry_id=entry_id,
        reason=reason,
        message=message,
        at=at,
        fields=tuple((_raw_bytes(name), _raw_bytes(value)) for name, value in orjson.loads(stored)),
    )


def _raw_json(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _raw_bytes(stored: str | dict[str, str]) -> bytes:
    if isinstance(stored, str):
        return stored.encode()
    return base64.b64decode(stored["base64"])


def event_fields(event: ExecutionEvent) -> dict[str, str]:
    """Name and text of each field as the executions stream carries them, without event_id."""
    # Twenty fields, three events a signal: only what is not plain ASCII needs a closer look.
    return {
        name if name.isascii() else text(name): value if value.isascii() else text(value)
        for name, value in event.fields()
    }


def event_row(event: ExecutionEvent) -> tuple[dict[str, str], str]:
    """An event's fields, and the same as the ``fields`` column of the outbox keeps them."""
    fields = event_fields(event)
    return fields, orjson.dumps(fields).decode()
