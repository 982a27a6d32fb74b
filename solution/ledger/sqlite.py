"""The ledger in SQLite: a file that outlives the process, or memory for tests and trials.

One connection under one lock serves all writers: two connections would meet in SQLite's busy
handler, which sleeps for milliseconds where the lock hands over in microseconds.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from solution.clock import Clock, SystemClock
from solution.domain.records import Change, EntryRef, Intent
from solution.errors import IdentityExists, LedgerError
from solution.ledger import file_check, files, rows
from solution.ledger.batch import Batch, prepare
from solution.ledger.failures import is_taken, translated
from solution.ledger.patience import Patience
from solution.ledger.reader import LedgerReader
from solution.ledger.schema import SCHEMA_VERSION, ensure_schema
from solution.ledger.sqlite_source import SqliteSource
from solution.ledger.store import Executor, Store
from solution.ledger.wal import CHECKPOINT_AFTER, WriteAheadLog

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds of another process's lock that a service survives."""

# A backstop for a process without an OutcomeWriter, in pages; tidy() comes long before.
_AUTOCHECKPOINT = 32_768
_LOG_KEPT = 32 * 1_048_576  # bytes


class SqliteLedger(Store):
    """:class:`solution.domain.ports.Ledger` and :class:`~solution.domain.ports.Outbox`.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``sqlite://`` for memory.
        fsync_before_post: let :meth:`begin` return only when the row survives a power loss too.
        busy_timeout: seconds to wait where another process has the database locked;
            ``BUSY_TIMEOUT`` by default.
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
        busy_timeout: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(clock or SystemClock())
        if busy_timeout is None:
            busy_timeout = BUSY_TIMEOUT
        self._fsync_before_post = fsync_before_post
        self._write_lock = threading.Lock()
        self._rows_at_checkpoint = 0
        self._instance: files.InstanceLock | None = None
        self._opened: dict[str, files.Mark] = {}
        self._wal: WriteAheadLog | None = None
        self.path = files.database_path(url)
        if self.path is None:
            self._connection = _connect(":memory:", busy_timeout)
            ensure_schema(self._connection, ":memory:", self._clock.epoch_ms())
        else:
            self._open_file(self.path, busy_timeout)
        self._patience = Patience(self._connection, busy_timeout)
        self._last_event_id = self._stored_event_id()

    def open_reader(self) -> LedgerReader:
        """A read-only view beside this object; to be closed by the caller."""
        return LedgerReader(_Own(self._read) if self.path is None else SqliteSource(self.path))

    # --- the life of a signal -----------------------------------------------------------------

    def begin(self, intent: Intent) -> None:
        """Commit a SUBMITTING row, inline, before its POST; survives ``kill -9``.

        Raises:
            IdentityExists: the identity (or its client_order_id) has a row.
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing is durable; the order must not be sent.
        """
        row = rows.intent_row(intent, self._clock.epoch_ms())
        try:
            number = self._statement(rows.INSERT_INTENT, rows.INSERT_INTENT_LEASED, row)
        except sqlite3.Error as error:
            if is_taken(error):
                raise IdentityExists(f"the signal {intent.identity} has a row already") from error
            raise self._translated(error) from error
        if self._fsync_before_post:
            self._sync(number)

    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]:
        """Commit many changes in one transaction and make them durable (fsync).

        Returns:
            per event, in order: its ``event_id`` and its fields as they are published; without
            the events that were reported before.

        Raises:
            LedgerError: nothing of the batch is durable.
            ValueError, TypeError: a change that cannot be stored; nothing of the batch is.
        """
        self._check_files()
        now_ms = self._clock.epoch_ms()
        prepared = prepare(changes, now_ms)

        def run(connection: Executor) -> Batch:
            batch = Batch(connection, self._last_event_id + 1)
            batch.run(prepared)
            return batch

        batch, number = self._transaction(run, then=self._advance)
        self._sync(number)
        return batch.committed

    def mark_start(self, ref: EntryRef) -> int:
        """Count that work on an entry begins; survives ``kill -9``.

        Returns:
            how often it began and did not end, this time included.

        Raises:
            LedgerError: it was not counted.
        """
        self._settle(ref)
        row = rows.ref_row(ref)
        try:
            self._statement(rows.COUNT_START, rows.COUNT_START_LEASED, row)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return int(self._read(rows.SELECT_STARTS, row)[0][0])

    def last_event_id(self) -> int:
        """The highest ``event_id`` committed so far; for none, the one below the first."""
        return self._last_event_id

    # --- the lease ----------------------------------------------------------------------------

    def acquire_lease(self, holder: str, ttl: float) -> int | None:
        """Count the epoch up: whoever has the file's lock has the lease.

        A holder that died a moment ago must not make the next one wait, so what is left of its
        time does not matter here.
        """
        until = self._clock.epoch_ms() + round(ttl * 1000)

        def run(connection: Executor) -> int:
            connection.execute(
                "UPDATE lease SET epoch = epoch + 1, holder = ?, expires_ms = ? WHERE id = 1",
                (rows.text(holder), until),
            )
            return int(connection.execute("SELECT epoch FROM lease WHERE id = 1").fetchone()[0])

        def take(epoch: int) -> None:
            self._epoch = epoch

        # The old epoch, if there is one, is nobody's: the file's lock is ours.
        epoch, number = self._transaction(run, then=take, leased=False)
        self._sync(number)
        return epoch

    def renew_lease(self, ttl: float) -> None:
        """Hold it ``ttl`` seconds from now.

        Raises:
            LeaseLost: another instance has taken it.
            LedgerError: nobody knows; try again before it expires.
        """
        self._set_expiry(self._clock.epoch_ms() + round(ttl * 1000))

    def release_lease(self) -> None:
        """Let another instance have it at once; to be called when the last write is done."""
        if self._epoch:
            self._set_expiry(0)

    def _set_expiry(self, at_ms: int) -> None:
        self._write(
            lambda connection: connection.execute(
                "UPDATE lease SET expires_ms = ? WHERE id = 1", (at_ms,)
            ),
            sync=False,
        )

    # --- upkeep -------------------------------------------------------------------------------

    def tidy(self, *, idle: bool = False) -> None:
        """Delete published events when idle, and copy a grown log into the database.

        Called by the thread that calls :meth:`apply`, so that no worker pays for it. A failure is
        logged: nothing is lost, and the next commit will tell if it is serious.
        """
        try:
            if idle:
                self._forget()
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
            self._forget()
        # The write-ahead log's own connection first: the last one to close copies the log.
        if self._wal is not None:
            self._wal.close()
            self._wal = None
        with self._write_lock:
            self._connection.close()
        if self.path is not None and self._instance is not None:
            files.seal_if_emptied(self.path)
            self._instance.release()
            self._instance = None

    def _check_files(self) -> None:
        """The open files must still be those that their paths name (four ``stat``, about 7 µs).

        SQLite writes on into a file that was deleted or replaced, and nobody would ever read those
        rows; without the lock file a second service could start beside this one.

        Raises:
            LedgerError: one is not.
        """
        for path, mark in self._opened.items():
            mark.check(path)

    # --- inside -------------------------------------------------------------------------------

    def _open_file(self, path: Path, busy_timeout: float) -> None:
        if path.is_dir():
            raise LedgerError(f"the ledger {path} cannot be opened: it is a directory")
        with ExitStack() as undo:
            try:
                if path.exists():
                    files.refuse_foreign(path)
                    files.refuse_open_to_all(path)
                else:
                    files.prepare(path)  # first of all, for it makes the directory of the lock
                self._instance = files.InstanceLock(path)
                undo.callback(self._instance.release)
                files.refuse_emptied(path)
                self._connection = _connect(os.fspath(path), busy_timeout)
                undo.callback(self._connection.close)
                now_ms = self._clock.epoch_ms()
                ensure_schema(self._connection, str(path), now_ms, path, busy_timeout)
                files.close_to_others(path)
                self._wal = WriteAheadLog(path, busy_timeout)
                undo.callback(self._wal.close)
                file_check.check(path)
                files.sync_directory(path)
                self._opened = files.marks(path)
                if exposed := files.exposure(path):
                    log.warning("ledger_open_to_others", extra={"detail": exposed})
            except OSError as error:
                raise files.unusable(path, error) from error
            except sqlite3.Error as error:
                raise self._translated(error) from error
            undo.pop_all()

    def _stored_event_id(self) -> int:
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
        return int(found[0][0]) if found else 0

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._write_lock:
                return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> LedgerError:
        return translated(error, self.path or ":memory:")

    def _advance(self, batch: Batch) -> None:
        """Requires holding ``_write_lock``."""
        self._last_event_id = batch.next_event_id - 1

    def _write(self, run: Callable[[Executor], T], *, sync: bool = True) -> T:
        result, number = self._transaction(run)
        if sync:
            self._sync(number)
        return result

    def _statement(self, plain: str, leased: str, row: Sequence[Any]) -> int:
        """Run one statement that is its own commit, the second form once there is a lease.

        Three round trips into SQLite (BEGIN, INSERT, COMMIT) would cost three releases of the GIL.

        Returns:
            the number of the commit for :meth:`_sync`.

        Raises:
            sqlite3.Error, LedgerError: nothing was written.
        """
        self._check_usable()
        with self._write_lock, self._patience:
            epoch = self._epoch
            if not epoch:
                self._connection.execute(plain, row)
            elif not self._connection.execute(leased, (*row, epoch)).rowcount:
                raise self._lost()
            return self._wal.committed() if self._wal else 0

    def _transaction(
        self,
        run: Callable[[Executor], T],
        then: Callable[[T], None] | None = None,
        *,
        leased: bool = True,
    ) -> tuple[T, int]:
        """Run statements in one transaction, with the deletion of the leftovers in it.

        Args:
            then: runs under the lock once the commit is made.
            leased: compare the epoch first.

        Returns:
            what ``run`` returned, and the number of the commit for :meth:`_sync`.
        """
        self._check_usable()
        try:
            with self._write_lock, self._patience:
                leftovers = self._take_leftovers()
                try:
                    self._connection.execute("BEGIN IMMEDIATE")
                    if leased and self._epoch and not self._holds_lease():
                        raise self._lost()
                    result = run(self._connection)
                    leftovers.delete(self._connection)
                    self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._connection.rollback()
                    self._keep(leftovers)
                    raise
                if then is not None:
                    then(result)
                return result, self._wal.committed() if self._wal else 0
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _holds_lease(self) -> bool:
        """Requires an open transaction."""
        found = self._connection.execute(rows.SELECT_LEASE, (self._epoch,))
        return found.fetchone() is not None

    def _check_usable(self) -> None:
        self._check_files()
        if self._wal is not None:
            self._wal.check()

    def _sync(self, number: int) -> None:
        if self._wal is not None:
            self._wal.sync(number)


class _Own:
    """The rows of a ledger in memory, which no second connection can see."""

    version = SCHEMA_VERSION

    def __init__(self, read: Callable[..., list[Any]]) -> None:
        self.read = read

    def close(self) -> None:
        """Nothing to let go of."""


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
