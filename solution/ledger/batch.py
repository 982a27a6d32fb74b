"""Many changes in one transaction."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from solution.domain.events import ExecutionEvent
from solution.domain.records import TERMINAL, Change, EntryRef
from solution.ledger import rows
from solution.ledger.store import Executor, timestamp

log = logging.getLogger(__name__)

_INSERT_NEW = f"{rows.INSERT_INTENT} ON CONFLICT DO NOTHING"
_IDENTITY = rows.INTENT_COLUMNS.index("identity")
_COID = rows.INTENT_COLUMNS.index("client_order_id")
_ENTRY_OF_KNOWN = (
    "SELECT entry_id FROM order_intents WHERE identity = ? OR client_order_id = ?"
    " ORDER BY CASE WHEN identity = ? THEN 0 ELSE 1 END LIMIT 1"
)


@dataclass(slots=True, eq=False)
class Update:
    """What one statement sets in one row: the updates of one change, or of several in a row.

    An order's answer, its acceptance and its fill mostly meet in one batch, and each statement
    costs 12 µs. Joined are only updates that set ``state`` and follow no end: then either all of
    them find their row, or none does.
    """

    columns: dict[str, object]
    is_open: bool
    sql: str = ""
    row: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, update: Mapping[str, object]) -> Self:
        return cls(dict(update), is_open=_may_join(update) and update["state"] not in TERMINAL)

    def takes(self, update: Mapping[str, object]) -> bool:
        """Add the next update of the same row; False when it needs a statement of its own."""
        if not self.is_open or not _may_join(update):
            return False
        self.columns |= update
        self.is_open = update["state"] not in TERMINAL
        return True


def _may_join(update: Mapping[str, object]) -> bool:
    return "state" in update and "updated_ms" in update


@dataclass(slots=True)
class Prepared:
    """One change as parameters, made before the write lock is taken."""

    change: Change
    insert: list[Any] | None
    update: Update | None
    trades: list[list[Any]]
    dead_letter: list[Any] | None
    notes: list[list[Any]]
    events: list[tuple[Mapping[str, str], str]]
    """Each as fields and as JSON: made once for the ledger and the publisher (10 µs an event)."""
    now_ms: int


def prepare(changes: Sequence[Change], now_ms: int) -> list[Prepared]:
    """Everything that costs time and may fail on wrong values.

    Raises:
        ValueError, TypeError: a change cannot be stored; a mistake in the program.
    """
    updates: dict[str, Update] = {}  # of each row, the last one
    prepared = [_prepare(change, updates, now_ms) for change in changes]
    for one in prepared:
        update = one.update
        if update is not None and not update.sql:
            update.sql, update.row = rows.update_statement(
                one.change.client_order_id, update.columns, now_ms
            )
    return prepared


def _prepare(change: Change, updates: dict[str, Update], now_ms: int) -> Prepared:
    update = None
    if change.insert:
        updates.pop(change.insert.client_order_id, None)  # what came before it found no row
    if change.update:
        update = updates.get(change.client_order_id)
        if update is None or not update.takes(change.update):
            update = updates[change.client_order_id] = Update.of(change.update)
    letter = change.dead_letter
    return Prepared(
        change=change,
        insert=rows.intent_row(change.insert, now_ms) if change.insert else None,
        update=update,
        trades=[rows.trade_row(trade) for trade in change.trades],
        dead_letter=rows.dead_letter_row(letter) if letter else None,
        notes=[rows.note_row(note) for note in change.notes],
        events=[rows.event_row(event) for event in change.events],
        now_ms=now_ms,
    )


class Batch:
    """Runs prepared changes inside a transaction that its owner begins and ends.

    A change that repeats what the ledger holds already (a redelivery that overtook its own first
    record, a second end of one order) writes nothing new, and the events it would report a second
    time are left out, so that ``final=1`` stands on one event per entry; its acknowledgements stay.

    Args:
        connection: in a transaction; used by nobody else meanwhile.
        first_event_id: the ``event_id`` of the first event.
    """

    def __init__(self, connection: Executor, first_event_id: int) -> None:
        self._connection = connection
        self.next_event_id = first_event_id
        self.committed: list[tuple[int, Mapping[str, str]]] = []
        self._found: dict[Update, bool] = {}
        self._trades: list[list[Any]] = []
        self._notes: list[list[Any]] = []
        self._events: list[tuple[int, str]] = []

    def run(self, prepared: Sequence[Prepared]) -> None:
        """Execute all of them.

        Raises:
            Exception: the driver's; the owner rolls back, nothing happened.
        """
        for one in prepared:
            for (fields, stored), is_news in zip(one.events, self._rows(one), strict=True):
                if is_news:
                    self._events.append((self.next_event_id, stored))
                    self.committed.append((self.next_event_id, fields))
                    self.next_event_id += 1
            self._small_state(one)
            self._trades += one.trades
            self._notes += one.notes
        # Order does not matter between trades, and events were numbered above: one call each
        # keeps the interpreter out of the loop while the write lock is held.
        if self._trades:
            self._connection.executemany(rows.INSERT_TRADE, self._trades)
        if self._notes:
            self._connection.executemany(rows.INSERT_NOTE, self._notes)
        if self._events:
            self._connection.executemany(rows.INSERT_EVENT, self._events)

    def _small_state(self, one: Prepared) -> None:
        for key, value in one.change.keep:
            row = (rows.text(key), rows.text(value), timestamp(one.now_ms))
            self._connection.execute(rows.KEEP_STATE, row)
        for key in one.change.forget:
            self._connection.execute(rows.FORGET_STATE, (rows.text(key),))

    def _rows(self, one: Prepared) -> list[bool]:
        """Write the rows of one change; returns for each of its events whether it is news."""
        events = one.change.events
        news = [True] * len(events)
        if one.insert is not None:
            known = self._insert(one.insert)
            # The same signal published again under another entry id is owed a report of its own,
            # and so is one whose order was taken in before anybody knew of it.
            if known is not None:
                news = [self._is_other(event, known) for event in events]
        if one.update is not None and self._ended_before(one, one.update):
            # The end was reported in the commit that wrote it.
            news = [ok and not event.final for ok, event in zip(news, events, strict=True)]
        if one.dead_letter is not None:
            cursor = self._connection.execute(rows.INSERT_DEAD_LETTER, one.dead_letter)
            news = news if cursor.rowcount else [False] * len(events)
        told = {ref for ref in one.change.repeats if not self._repeat(ref)}
        if told:
            news = [
                ok and EntryRef(event.stream, event.entry_id) not in told
                for ok, event in zip(news, events, strict=True)
            ]
        return news

    def _is_other(self, event: ExecutionEvent, known: str) -> bool:
        """Whether the event tells another entry's end, and for the first time."""
        return event.entry_id != known and self._repeat(EntryRef(event.stream, event.entry_id))

    def _repeat(self, ref: EntryRef) -> bool:
        """Note that an entry is told another one's end; returns whether for the first time."""
        return bool(self._connection.execute(rows.INSERT_REPEAT, rows.ref_row(ref)).rowcount)

    def _insert(self, row: list[Any]) -> str | None:
        """Insert an intent.

        Returns:
            None; or, where its identity or its id has a row already, the entry id of that ("" for
            an order that no signal explained).
        """
        if self._connection.execute(_INSERT_NEW, row).rowcount:
            return None
        identity = row[_IDENTITY]
        found = self._connection.execute(
            _ENTRY_OF_KNOWN, (identity, row[_COID], identity)
        ).fetchone()
        log.warning("intent_exists", extra={"identity": identity})
        return str(found[0])

    def _ended_before(self, one: Prepared, shared: Update) -> bool:
        """Update an intent; returns whether it was in a terminal state already."""
        found_row = self._found.get(shared)
        if found_row is None:
            cursor = self._connection.execute(shared.sql, shared.row)
            found_row = self._found[shared] = bool(cursor.rowcount)
        if found_row:
            return False
        name, update = shared.row[-1], one.change.update
        found = self._connection.execute(
            "SELECT state FROM order_intents WHERE client_order_id = ?", (name,)
        ).fetchone()
        if found is None:
            log.error("update_without_row", extra={"client_order_id": name})
            return False
        if found[0] == rows.text(update["state"]):
            # No move: a fill that came after the end, say. The facts beside the state are news.
            facts = {column: value for column, value in update.items() if column != "state"}
            self._connection.execute(*rows.update_statement(name, facts, one.now_ms))
        else:
            log.warning("update_after_end", extra={"client_order_id": name, "state": found[0]})
        return True
