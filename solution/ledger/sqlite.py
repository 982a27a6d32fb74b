"""The ledger in SQLite: a file that outlives the process, or memory for tests and trials.

One connection under one lock serves all writers: two connections would meet in SQLite's busy
handler, which sleeps for milliseconds where the lock hands over in microseconds.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from solution.clock import Clock, SystemClock
from solution.domain.records import Change, DeadLetter, EntryRef, Intent
from solution.errors import IdentityExists, LedgerError
from solution.ledger import files, rows
from solution.ledger.batch import Batch, prepare
from solution.ledger.failures import translated
from solution.ledger.reader import LedgerReader
from solution.ledger.schema import ensure_schema
from solution.ledger.wal import CHECKPOINT_AFTER, WriteAheadLog

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# A backstop for a process without an OutcomeWriter, in pages; tidy() comes long before.
_AUTOCHECKPOINT = 32_768
_LOG_KEPT = 32 * 1_048_576  # bytes
# An order is sent again, under the same row, for minutes at most.
_RESEND_WINDOW_MS = 3_600_000


class SqliteLedger:
    """:class:`solution.domain.ports.Ledger` and :class:`~solution.domain.ports.Outbox`.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``sqlite://`` for memory.
        fsync_before_post: let :meth:`begin` return only when the row survives a power loss too.
        busy_timeout: seconds to wait where another process has the database locked.
        clock: where ``created_ms`` and ``updated_ms`` come from when a change does not set them.

    Raises:
        ConfigError: the url names no SQLite database.
        LedgerBusy: another process holds the ledger; the message names its pid.
        LedgerError: not a ledger, one of a newer version, or not writable.
    """

    def __init__(
        self,
        url: str,
        *,
        fsync_before_post: bool = False,
        busy_timeout: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._fsync_before_post = fsync_before_post
        self._write_lock = threading.Lock()
        self._published: list[int] = []
        self._rows_at_checkpoint = 0
        self._instance: files.InstanceLock | None = None
        self._opened: dict[str, tuple[int, int]] = {}
        self._wal: WriteAheadLog | None = None
        self.path = files.database_path(url)
        if self.path is None:
            self._connection = _connect(":memory:", busy_timeout)
            ensure_schema(self._connection, ":memory:")
        else:
            self._open_file(self.path, busy_timeout)
        self._last_event_id = self._stored_event_id()

    @staticmethod
    def open_reader(path: Path) -> LedgerReader:
        """Read the ledger at ``path`` while a service may be writing it; see LedgerReader."""
        return LedgerReader(path)

    # --- the life of a signal -----------------------------------------------------------------

    def find(self, identity: str) -> Intent | None:
        """The row of a signal identity, or None."""
        return self._one_intent("identity = ?", identity)

    def find_by_client_order_id(self, client_order_id: str) -> Intent | None:
        """The row of an order, or None."""
        return self._one_intent("client_order_id = ?", client_order_id)

    def open_intents(self) -> list[Intent]:
        """Every row that is not in a terminal state, oldest first."""
        return [rows.to_intent(row) for row in self._read(rows.SELECT_OPEN)]

    def begin(self, intent: Intent) -> None:
        """Commit a SUBMITTING row, inline, before its POST; survives ``kill -9``.

        Raises:
            IdentityExists: the identity (or its client_order_id) has a row.
            LedgerError: nothing is durable; the order must not be sent.
        """
        row = rows.intent_row(intent, self._clock.epoch_ms())
        self._check_files()
        if self._wal is not None:
            self._wal.check()
        try:
            with self._write_lock:
                # One statement outside a transaction is its own commit: three round trips into
                # SQLite (BEGIN, INSERT, COMMIT) would cost three releases of the GIL.
                self._connection.execute(rows.INSERT_INTENT, row)
                number = self._wal.committed() if self._wal else 0
        except sqlite3.IntegrityError as error:
            raise IdentityExists(f"the signal {intent.identity} has a row already") from error
        except sqlite3.Error as error:
            raise translated(error) from error
        if self._fsync_before_post and self._wal is not None:
            self._wal.sync(number)

    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Change]]:
        """Commit many changes in one transaction and make them durable (fsync).

        Returns:
            per event, in order: its ``event_id`` and the change it belongs to. A change whose
            events were reported before comes back as a copy with those events left out.

        Raises:
            LedgerError: nothing of the batch is durable.
            ValueError, TypeError: a change that cannot be stored; nothing of the batch is.
        """
        self._check_files()
        now_ms = self._clock.epoch_ms()
        prepared = [prepare(change, now_ms) for change in changes]

        def run() -> Batch:
            batch = Batch(self._connection, self._last_event_id + 1)
            batch.run(prepared)
            return batch

        batch, number = self._transaction(run, then=self._advance)
        self._sync(number)
        return batch.committed

    def find_dead_letter(self, ref: EntryRef) -> DeadLetter | None:
        """The dead letter made of a stream entry, or None."""
        found = self._read(
            f"{rows.SELECT_DEAD_LETTERS} WHERE stream = ? AND entry_id = ?",
            (rows.text(ref.stream), rows.text(ref.entry_id)),
        )
        return rows.to_dead_letter(found[0]) if found else None

    def send_times(self, since_ms: int) -> list[int]:
        """When orders were sent (epoch ms, ascending) at or after ``since_ms``."""
        found = self._read(
            # Rows are in order of creation: the scan from the newest ends an hour before.
            "SELECT submitted_ms FROM order_intents WHERE submitted_ms >= ?1 AND id > coalesce("
            "(SELECT id FROM order_intents WHERE created_ms < ?2 ORDER BY id DESC LIMIT 1), 0)",
            (max(since_ms, 1), since_ms - _RESEND_WINDOW_MS),
        )
        return sorted(row[0] for row in found)

    def sent_since(self, since_ms: int) -> list[tuple[str, str, str]]:
        """(stream, asset id, entry id) of every signal sent at or after ``since_ms``."""
        found = self._read(
            "SELECT stream, asset_id, entry_id FROM order_intents "
            "WHERE submitted_ms >= ?1 AND id > coalesce((SELECT id FROM order_intents "
            "WHERE created_ms < ?2 ORDER BY id DESC LIMIT 1), 0)",
            (max(since_ms, 1), since_ms - _RESEND_WINDOW_MS),
        )
        return [(str(row[0]), str(row[1]), str(row[2])) for row in found]

    def last_sent_ms(self) -> int:
        """When the newest order was sent (epoch ms); 0 when none was."""
        found = self._read(
            "SELECT submitted_ms FROM order_intents WHERE submitted_ms > 0 ORDER BY id DESC LIMIT 1"
        )
        return int(found[0][0]) if found else 0

    # --- small state --------------------------------------------------------------------------

    def get_state(self, key: str) -> str | None:
        """A value kept by :meth:`set_state`, or None."""
        found = self._read("SELECT value FROM bot_state WHERE key = ?", (key,))
        return str(found[0][0]) if found else None

    def set_state(self, key: str, value: str) -> None:
        """Keep a value; durable on return.

        Raises:
            LedgerError: it is not kept.
        """
        at = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        parameters = (rows.text(key), rows.text(value), at)
        _, number = self._transaction(
            lambda: self._connection.execute(
                "INSERT INTO bot_state (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (key)"
                " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                parameters,
            )
        )
        self._sync(number)

    # --- the outbox ---------------------------------------------------------------------------

    def last_event_id(self) -> int:
        """The highest ``event_id`` committed so far, 0 for none."""
        return self._last_event_id

    def unpublished(self, limit: int, after: int = 0) -> list[tuple[int, Mapping[str, str]]]:
        """Events not marked as published, ascending, with an id above ``after``."""
        self._forget_published()
        found = self._read(
            "SELECT event_id, fields FROM outbox WHERE event_id > ? ORDER BY event_id LIMIT ?",
            (after, limit),
        )
        return [(event_id, orjson.loads(stored)) for event_id, stored in found]

    def mark_published(self, event_ids: Iterable[int]) -> None:
        """Their rows go with the next commit; a crash before that publishes them again."""
        with self._write_lock:
            self._published += event_ids

    # --- upkeep -------------------------------------------------------------------------------

    def tidy(self, *, idle: bool = False) -> None:
        """Delete published events when idle, and copy a grown log into the database.

        Called by the thread that calls :meth:`apply`, so that no worker pays for it. A failure is
        logged: nothing is lost, and the next commit will tell if it is serious.
        """
        try:
            if idle:
                self._forget_published()
            if self._wal is None:
                return
            changed = self._connection.total_changes - self._rows_at_checkpoint
            if changed >= (1 if idle else CHECKPOINT_AFTER):
                self._rows_at_checkpoint += changed
                self._wal.checkpoint(self._write_lock)
        except (LedgerError, sqlite3.Error):
            log.warning("ledger_tidy_failed", exc_info=True)

    def close(self) -> None:
        """Delete what is published, finish the log, let go of the file. May be called twice."""
        with suppress(LedgerError):
            self._forget_published()
        # The write-ahead log's own connection first: the last one to close copies the log.
        if self._wal is not None:
            self._wal.close()
            self._wal = None
        with self._write_lock:
            self._connection.close()
        if self._instance is not None:
            self._instance.release()

    def _check_files(self) -> None:
        """The open file must still be the one that its path names (two ``stat``, about 3 µs).

        SQLite writes on into a file that was deleted or replaced, and nobody would ever read those
        rows; without the lock file a second service could start beside this one.

        Raises:
            LedgerError: it is not.
        """
        for path, known in self._opened.items():
            try:
                now = os.stat(path)  # noqa: PTH116 - a Path's stat costs twice as much, at each order
            except OSError as error:
                raise LedgerError(f"the ledger's file {path} is gone: {error.strerror}") from error
            if (now.st_dev, now.st_ino) != known:
                raise LedgerError(f"the ledger's file {path} was replaced while in use")

    # --- inside -------------------------------------------------------------------------------

    def _open_file(self, path: Path, busy_timeout: float) -> None:
        if path.is_dir():
            raise LedgerError(f"the ledger {path} cannot be opened: it is a directory")
        with ExitStack() as undo:
            try:
                if not path.exists():
                    files.prepare(path)  # first of all, for it makes the directory of the lock
                self._instance = files.InstanceLock(path)
                undo.callback(self._instance.release)
                path.chmod(0o600)
                self._connection = _connect(os.fspath(path), busy_timeout)
                undo.callback(self._connection.close)
                ensure_schema(self._connection, str(path))
                self._wal = WriteAheadLog(path, busy_timeout)
                undo.callback(self._wal.close)
                files.sync_directory(path)
                for name in (os.fspath(path), f"{os.fspath(path)}.lock"):
                    about = os.stat(name)  # noqa: PTH116 - as in _check_files
                    self._opened[name] = about.st_dev, about.st_ino
            except OSError as error:
                raise files.unusable(path, error) from error
            except sqlite3.Error as error:
                raise translated(error) from error
            undo.pop_all()

    def _stored_event_id(self) -> int:
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
        return int(found[0][0]) if found else 0

    def _one_intent(self, condition: str, value: str) -> Intent | None:
        found = self._read(f"{rows.SELECT_INTENTS} WHERE {condition}", (rows.text(value),))
        return rows.to_intent(found[0]) if found else None

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._write_lock:
                return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error) from error

    def _advance(self, batch: Batch) -> None:
        """Requires holding ``_write_lock``."""
        self._last_event_id = batch.next_event_id - 1

    def _transaction(
        self, run: Callable[[], _T], then: Callable[[_T], None] | None = None
    ) -> tuple[_T, int]:
        """Run statements in one transaction, with the published events' deletion in it.

        Returns:
            what ``run`` returned, and the number of the commit for :meth:`_sync`.
        """
        if self._wal is not None:
            self._wal.check()
        try:
            with self._write_lock:
                published = self._published
                try:
                    self._connection.execute("BEGIN IMMEDIATE")
                    result = run()
                    if published:
                        self._connection.executemany(
                            "DELETE FROM outbox WHERE event_id = ?", [(one,) for one in published]
                        )
                    self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._connection.rollback()
                    raise
                self._published = []
                if then is not None:
                    then(result)
                return result, self._wal.committed() if self._wal else 0
        except sqlite3.Error as error:
            raise translated(error) from error

    def _forget_published(self) -> None:
        if self._published:
            self._transaction(lambda: None)

    def _sync(self, number: int) -> None:
        if self._wal is not None:
            self._wal.sync(number)


def _connect(database: str, busy_timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute(f"PRAGMA wal_autocheckpoint = {_AUTOCHECKPOINT}")
    # Whatever a storm made of the log, its file shrinks to this when it starts anew.
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT}")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection
