"""What every ledger does alike, in SQL that SQLite and PostgreSQL both understand."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import orjson

from solution.clock import Clock
from solution.domain.records import Change, DeadLetter, EntryRef, Intent
from solution.errors import LeaseLost
from solution.ledger import rows

if TYPE_CHECKING:
    from solution.ledger.reader import LedgerReader

T = TypeVar("T")

# An order is sent again, under the same row, for minutes at most.
_RESEND_WINDOW_MS = 3_600_000

_SENT = (
    # Rows are in order of creation: the scan from the newest ends an hour before.
    "FROM order_intents WHERE submitted_ms >= ? AND id > coalesce("
    "(SELECT id FROM order_intents WHERE created_ms < ? ORDER BY id DESC LIMIT 1), 0)"
)


class Executor(Protocol):
    """A connection inside a transaction; parameters are ``?``."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run one statement; returns a cursor with ``rowcount`` and ``fetchone()``."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for each row of parameters."""
        ...


@dataclass(slots=True)
class Leftovers:
    """What may go with the next commit; a crash before that costs a repetition, nothing else."""

    published: list[int] = field(default_factory=list)
    ended: set[EntryRef] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.published or self.ended)

    def delete(self, executor: Executor) -> None:
        """Delete their rows, in the caller's transaction."""
        if self.published:
            executor.executemany(
                "DELETE FROM outbox WHERE event_id = ?", [(one,) for one in self.published]
            )
        if self.ended:
            executor.executemany(rows.DELETE_START, [rows.ref_row(ref) for ref in self.ended])


class Store(ABC):
    """The part of :class:`solution.domain.ports.Ledger` that needs no more than SQL.

    Args:
        clock: where ``created_ms`` and ``updated_ms`` come from when a change does not set them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch = 0
        self._leftovers = Leftovers()
        self._leftovers_mutex = threading.Lock()

    path: Path | None
    """The database's file; None for one in memory or on a server."""

    @abstractmethod
    def begin(self, intent: Intent) -> None:
        """Commit a SUBMITTING row, inline, before its POST; survives ``kill -9``.

        Raises:
            IdentityExists: the identity (or its client_order_id) has a row.
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing may be sent.
        """

    def begin_again(self, client_order_id: str) -> bool:
        """Commit inline that a row's body is about to be sent once more; survives ``kill -9``.

        Returns:
            False when the row is at the broker or at its end, or there is none: nothing is written.

        Raises:
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing may be sent.
        """
        row = (self._clock.epoch_ms(), rows.text(client_order_id))
        # After a power loss the row says UNKNOWN, which is looked up like SUBMITTING.
        return self._write(
            lambda executor: bool(executor.execute(rows.BEGIN_AGAIN, row).rowcount), sync=False
        )

    @abstractmethod
    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]:
        """Commit many changes in one transaction and make them durable (fsync).

        Returns:
            per event, in order: its ``event_id`` and its fields as they are published; without
            the events that were reported before.

        Raises:
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing of the batch is durable as far as we know; try the same again.
            ValueError, TypeError: a change that cannot be stored; nothing of the batch is.
        """

    @abstractmethod
    def mark_start(self, ref: EntryRef) -> int:
        """Count that work on an entry begins; survives ``kill -9``.

        Returns:
            how often it began and did not end, this time included.

        Raises:
            LedgerError: it was not counted.
        """

    @abstractmethod
    def last_event_id(self) -> int:
        """The highest ``event_id`` committed so far; for none, the one below the first."""

    @abstractmethod
    def acquire_lease(self, holder: str, ttl: float) -> int | None:
        """Take the lease; see :class:`solution.domain.ports.Lease`."""

    @abstractmethod
    def renew_lease(self, ttl: float) -> None:
        """Hold it ``ttl`` seconds from now.

        Raises:
            LeaseLost: another instance has taken it.
            LedgerError: nobody knows; try again before it expires.
        """

    @abstractmethod
    def release_lease(self) -> None:
        """Let another instance have it at once; to be called when the last write is done."""

    @abstractmethod
    def tidy(self, *, idle: bool = False) -> None:
        """Upkeep, by the thread that calls :meth:`apply`; failures are logged."""

    @abstractmethod
    def open_reader(self) -> "LedgerReader":
        """A read-only view beside this object; to be closed by the caller."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database; may be called twice."""

    @abstractmethod
    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Every row of a query; raises LedgerError."""

    @abstractmethod
    def _write(self, run: Callable[[Executor], T], *, sync: bool = True) -> T:
        """Run statements in one transaction, with the leftovers in it.

        Args:
            sync: return only when it survives a power loss.

        Raises:
            LeaseLost, LedgerError: nothing happened.
        """

    # --- the life of a signal -----------------------------------------------------------------

    def find(self, identity: str, client_order_id: str = "") -> Intent | None:
        """The row of a signal: the one of its identity, else the one that has its id, or None."""
        found = self._read(
            f"{rows.SELECT_INTENTS} WHERE identity = ? OR client_order_id = ?",
            (rows.text(identity), rows.text(client_order_id)),
        )
        intents = (rows.to_intent(row) for row in found)
        return min(intents, key=lambda intent: intent.identity != identity, default=None)

    def find_by_client_order_id(self, client_order_id: str) -> Intent | None:
        """The row of an order, or None."""
        return self._one_intent("client_order_id = ?", client_order_id)

    def open_intents(self) -> list[Intent]:
        """Every row that is not in a terminal state, oldest first."""
        return [rows.to_intent(row) for row in self._read(rows.SELECT_OPEN)]

    def find_dead_letter(self, ref: EntryRef) -> DeadLetter | None:
        """The dead letter made of a stream entry, or None."""
        found = self._read(
            f"{rows.SELECT_DEAD_LETTERS} WHERE stream = ? AND entry_id = ?", rows.ref_row(ref)
        )
        return rows.to_dead_letter(found[0]) if found else None

    def send_times(self, since_ms: int) -> list[int]:
        """When orders were sent (epoch ms, ascending) at or after ``since_ms``."""
        found = self._read(f"SELECT submitted_ms {_SENT}", _sent_since(since_ms))
        return sorted(row[0] for row in found)

    def sent_since(self, since_ms: int) -> list[tuple[str, str, str]]:
        """(stream, asset id, entry id) of every signal sent at or after ``since_ms``."""
        found = self._read(f"SELECT stream, asset_id, entry_id {_SENT}", _sent_since(since_ms))
        return [(str(row[0]), str(row[1]), str(row[2])) for row in found]

    def last_sent_ms(self) -> int:
        """When the newest order was sent (epoch ms); 0 when none was."""
        found = self._read(
            "SELECT submitted_ms FROM order_intents WHERE submitted_ms > 0 ORDER BY id DESC LIMIT 1"
        )
        return int(found[0][0]) if found else 0

    # --- entries whose work began -------------------------------------------------------------

    def clear_start(self, ref: EntryRef) -> None:
        """The entry ended cleanly; its row of starts goes with the next commit."""
        with self._leftovers_mutex:
            self._leftovers.ended.add(ref)

    def _settle(self, ref: EntryRef) -> None:
        """An entry that begins again must not be forgotten with its last end."""
        if ref in self._leftovers.ended:
            self._forget()

    def open_starts(self) -> dict[EntryRef, int]:
        """Every entry that began and did not end, and how often."""
        self._forget()
        found = self._read("SELECT stream, entry_id, starts FROM entry_starts")
        return {EntryRef(str(row[0]), str(row[1])): int(row[2]) for row in found}

    # --- small state --------------------------------------------------------------------------

    def get_state(self, key: str) -> str | None:
        """A value kept by :meth:`set_state`, or None."""
        found = self._read("SELECT value FROM bot_state WHERE key = ?", (rows.text(key),))
        return str(found[0][0]) if found else None

    def states(self, prefix: str) -> dict[str, str]:
        """Every kept value whose key begins so."""
        return matching(self._read("SELECT key, value FROM bot_state ORDER BY key"), prefix)

    def set_state(self, key: str, value: str, *, sync: bool = True) -> None:
        """Keep a value; durable on return.

        Args:
            sync: against a power loss, too; it survives ``kill -9`` in any case.

        Raises:
            LedgerError: it is not kept.
        """
        row = (rows.text(key), rows.text(value), timestamp(self._clock.epoch_ms()))
        self._write(
            lambda executor: executor.execute(rows.KEEP_STATE, row),
            sync=sync,
        )

    def delete_state(self, key: str, *, sync: bool = True) -> None:
        """Forget a value; durable on return, as in :meth:`set_state`.

        Raises:
            LedgerError: it is still kept.
        """
        row = (rows.text(key),)
        self._write(lambda executor: executor.execute(rows.FORGET_STATE, row), sync=sync)

    def add_equity(self, at_ms: int, equity: Decimal, daily_pnl: Decimal) -> None:
        """Add one point (epoch ms, account currency) to the equity curve."""
        row = (timestamp(at_ms), rows.decimal_text(equity), rows.decimal_text(daily_pnl))
        self._write(
            lambda executor: executor.execute(
                "INSERT INTO equity_curve (timestamp, equity, daily_pnl) VALUES (?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                row,
            )
        )

    # --- the outbox ---------------------------------------------------------------------------

    def unpublished(self, limit: int, after: int = 0) -> list[tuple[int, Mapping[str, str]]]:
        """Events not marked as published, ascending, with an id above ``after``."""
        self._forget()
        found = self._read(
            "SELECT event_id, fields FROM outbox WHERE event_id > ? ORDER BY event_id LIMIT ?",
            (after, limit),
        )
        return [(event_id, orjson.loads(stored)) for event_id, stored in found]

    def mark_published(self, event_ids: Iterable[int]) -> None:
        """Their rows go with the next commit; a crash before that publishes them again."""
        with self._leftovers_mutex:
            self._leftovers.published += event_ids

    # --- the lease ----------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The epoch we write under; 0 before :meth:`acquire_lease` (then nothing is checked)."""
        return self._epoch

    def _lost(self) -> LeaseLost:
        return LeaseLost(f"another instance holds the ledger now (our epoch was {self._epoch})")

    # --- inside -------------------------------------------------------------------------------

    def _one_intent(self, condition: str, value: str) -> Intent | None:
        found = self._read(f"{rows.SELECT_INTENTS} WHERE {condition}", (rows.text(value),))
        return rows.to_intent(found[0]) if found else None

    def _take_leftovers(self) -> Leftovers:
        """What the next commit deletes; given back by :meth:`_keep` when it fails."""
        with self._leftovers_mutex:
            taken, self._leftovers = self._leftovers, Leftovers()
            return taken

    def _keep(self, taken: Leftovers) -> None:
        if taken:
            with self._leftovers_mutex:
                self._leftovers.published += taken.published
                self._leftovers.ended |= taken.ended

    def _forget(self) -> None:
        """Delete the leftovers now."""
        if self._leftovers:
            self._write(lambda _executor: None, sync=False)


def matching(found: Iterable[Sequence[Any]], prefix: str) -> dict[str, str]:
    """Of rows (key, value), those whose key begins so: a few dozen rows, filtered here because
    the databases differ in what a prefix is (collations, LIKE)."""
    return {str(key): str(value) for key, value in found if str(key).startswith(prefix)}


def timestamp(epoch_ms: int) -> str:
    """RFC 3339 UTC text with milliseconds."""
    whole = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


def _sent_since(since_ms: int) -> tuple[int, int]:
    return max(since_ms, 1), since_ms - _RESEND_WINDOW_MS
