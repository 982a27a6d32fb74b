"""The ledger in PostgreSQL: for a standby on another machine.

Three connections: one for the row before each POST, which must not wait behind a batch; one for the
batches; one for reading and for the lease. No answer to a statement means that nobody
knows whether it had effect, so each write finds that out before it is made again.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from solution.clock import Clock, SystemClock
from solution.domain.records import Change, EntryRef, Intent
from solution.errors import IdentityExists, LedgerError
from solution.ledger import rows
from solution.ledger.batch import Batch, Prepared, prepare
from solution.ledger.postgres_schema import UPGRADE_TIMEOUT, require_version, upgrade_postgres
from solution.ledger.postgres_session import (
    PATIENCE,
    STATEMENT_TIMEOUT,
    PostgresExecutor,
    PostgresSource,
    Session,
    address_of,
)
from solution.ledger.reader import LedgerReader
from solution.ledger.schema import SCHEMA_VERSION
from solution.ledger.store import Executor, Leftovers, Store

log = logging.getLogger(__name__)

T = TypeVar("T")

_COLUMNS = f"INSERT INTO order_intents ({', '.join(rows.INTENT_COLUMNS)}, begun_by)"
_MARKS = ", ".join("?" * (len(rows.INTENT_COLUMNS) + 1))
# KEY SHARE waits for a takeover, which changes the epoch's key, and lets a renewal pass.
_HELD = "FROM lease WHERE id = 1 AND epoch = ? FOR KEY SHARE"
_BEGIN = f"{_COLUMNS} VALUES ({_MARKS}) ON CONFLICT DO NOTHING"
_BEGIN_LEASED = f"{_COLUMNS} SELECT {_MARKS} {_HELD} ON CONFLICT DO NOTHING"
_BEGUN_BY = "SELECT begun_by FROM order_intents WHERE identity = ? OR client_order_id = ?"
_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_TAKE = (
    f"UPDATE lease SET epoch = epoch + 1, holder = ?, expires_ms = {_NOW_MS} + ?"  # noqa: S608  # constant
    f" WHERE id = 1 AND (holder = ? OR expires_ms <= {_NOW_MS}) RETURNING epoch"
)
_RENEW = f"UPDATE lease SET expires_ms = {_NOW_MS} + ? WHERE id = 1 AND epoch = ?"  # noqa: S608  # constant
_COUNT = " ON CONFLICT (stream, entry_id) DO UPDATE SET starts = entry_starts.starts + 1"
_START = "INSERT INTO entry_starts (stream, entry_id, starts)"
_RETURNED = " RETURNING starts"


@dataclass(slots=True)
class _Unclear:
    """A batch whose COMMIT got no answer."""

    token: str
    changes: list[Change]
    committed: list[tuple[int, Mapping[str, str]]]


class PostgresLedger(Store):
    """:class:`solution.domain.ports.Ledger` and :class:`~solution.domain.ports.Outbox`.

    Args:
        url: ``postgresql://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE[?schema=NAME&sslmode=…]``.
        fsync_before_post: let :meth:`begin` wait for the synchronous replicas as well, if the
            server has any; the server's own disk it waits for anyway.
        timeout: seconds for one statement.
        patience: seconds of trying to reach a server that was lost.
        clock: where ``created_ms`` and ``updated_ms`` come from when a change does not set them.

    Raises:
        ConfigError: the url is none.
        LedgerError: not a ledger, one of a newer version, or not to be reached or written.
    """

    path = None

    def __init__(
        self,
        url: str,
        *,
        fsync_before_post: bool = False,
        timeout: float = STATEMENT_TIMEOUT,
        patience: float = PATIENCE,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(clock or SystemClock())
        self._url = url
        self._address = address_of(url)

        def session(*, replicated: bool = True) -> Session:
            return Session(self._address, replicated=replicated, timeout=timeout, patience=patience)

        self._reads = session()
        self._intents = session(replicated=fsync_before_post)
        self._batches = session()
        self._apply_mutex = threading.Lock()
        self._unclear: _Unclear | None = None
        try:
            self._ensure_schema()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"PostgresLedger({self._address.name})"

    # --- the life of a signal -----------------------------------------------------------------

    def begin(self, intent: Intent) -> None:
        """Commit a SUBMITTING row, inline, before its POST; survives ``kill -9``.

        Raises:
            IdentityExists: the identity (or its client_order_id) has a row.
            LeaseLost: another instance holds the lease; nothing may be sent.
            LedgerError: nothing may be sent; a row may be there, which the next attempt finds.
        """
        token = _token()
        row = [*rows.intent_row(intent, self._clock.epoch_ms()), token]

        def insert(executor: Executor, again: bool) -> None:
            if self._inserted(executor, row):
                return
            # Where the answer to an earlier attempt was lost, the row that is in the way may be
            # that attempt's. (The INSERT has waited for it, if it was still on its way.)
            keys = (row[_IDENTITY], row[_CLIENT_ORDER_ID])
            found = [str(one[0]) for one in executor.execute(_BEGUN_BY, keys).fetchall()]
            ours = again and found == [token]
            if not found or (ours and not self._holds_lease(executor)):
                raise self._lost()
            if not ours:
                raise IdentityExists(f"the signal {intent.identity} has a row already")

        self._intents.run(insert)

    def _inserted(self, executor: Executor, row: Sequence[Any]) -> bool:
        if self._epoch:
            cursor = executor.execute(_BEGIN_LEASED, [*row, self._epoch])
        else:
            cursor = executor.execute(_BEGIN, row)
        return bool(cursor.rowcount)

    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]:
        """Commit many changes in one transaction and make them durable (fsync).

        Returns:
            per event, in order: its ``event_id`` and its fields as they are published; without
            the events that were reported before.

        Raises:
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing is durable as far as we know. When the same changes are given
                again, and nothing else in between, they count once.
            ValueError, TypeError: a change that cannot be stored; nothing of the batch is.
        """
        now_ms = self._clock.epoch_ms()
        prepared = prepare(changes, now_ms)
        token = _token()
        with self._apply_mutex:
            leftovers = self._take_leftovers()
            try:
                return self._batches.run(
                    lambda executor, _again: self._commit(
                        executor, list(changes), prepared, leftovers, token
                    )
                )
            except BaseException:
                self._keep(leftovers)
                raise

    def _commit(
        self,
        executor: Executor,
        changes: list[Change],
        prepared: Sequence[Prepared],
        leftovers: Leftovers,
        token: str,
    ) -> list[tuple[int, Mapping[str, str]]]:
        """One attempt; requires holding ``_apply_mutex``."""
        executor.execute("BEGIN")
        # Waits for an earlier attempt that is still being committed, and for other processes.
        head, last_batch = executor.execute(
            "SELECT last_event_id, batch FROM outbox_head WHERE id = 1 FOR UPDATE"
        ).fetchone()
        unclear, self._unclear = self._unclear, None
        if unclear is not None and last_batch == unclear.token and _same(unclear.changes, changes):
            executor.execute("ROLLBACK")
            log.warning("commit_was_made", extra={"changes": len(changes)})
            return unclear.committed
        if not self._holds_lease(executor):
            raise self._lost()
        batch = Batch(executor, head + 1)
        batch.run(prepared)
        leftovers.delete(executor)
        executor.execute(
            "UPDATE outbox_head SET last_event_id = ?, batch = ? WHERE id = 1",
            (batch.next_event_id - 1, token),
        )
        self._unclear = _Unclear(token, changes, batch.committed)
        executor.execute("COMMIT")
        self._unclear = None
        return batch.committed

    def mark_start(self, ref: EntryRef) -> int:
        """Count that work on an entry begins; survives ``kill -9``.

        Returns:
            how often it began and did not end, this time included. Where the answer was lost, one
            too few rather than one too many: an entry must not look like poison for that.

        Raises:
            LeaseLost, LedgerError: it was not counted.
        """
        self._settle(ref)
        row = rows.ref_row(ref)

        def count(executor: Executor, again: bool) -> int:
            values = f" SELECT ?, ?, 1 {_HELD}" if self._epoch else " VALUES (?, ?, 1)"
            conflict = " ON CONFLICT DO NOTHING" if again else _COUNT
            parameters = (*row, self._epoch) if self._epoch else row
            found = executor.execute(_START + values + conflict + _RETURNED, parameters).fetchone()
            if found is None and again and self._holds_lease(executor):
                found = executor.execute(rows.SELECT_STARTS, row).fetchone()
            if found is None:
                raise self._lost()
            return int(found[0])

        return self._intents.run(count)

    def last_event_id(self) -> int:
        """The highest ``event_id`` committed so far, by whichever instance."""
        return int(self._read("SELECT last_event_id FROM outbox_head WHERE id = 1")[0][0])

    # --- the lease ----------------------------------------------------------------------------

    def acquire_lease(self, holder: str, ttl: float) -> int | None:
        """Take the lease for ``ttl`` seconds of the database's clock.

        Args:
            holder: a name no other process has; a process that asks again gets it at once.

        Returns:
            the new epoch, or None while another holder's lease is valid.
        """
        name = rows.text(holder)

        def take(executor: Executor, _again: bool) -> int | None:
            found = executor.execute(
                _TAKE,
                (name, round(ttl * 1000), name),
            ).fetchone()
            return None if found is None else int(found[0])

        epoch = self._reads.run(take)
        if epoch is not None:
            self._epoch = epoch
        return epoch

    def renew_lease(self, ttl: float) -> None:
        """Hold it ``ttl`` seconds from now.

        Raises:
            LeaseLost: another instance has taken it.
            LedgerError: nobody knows; try again before it expires.
        """

        def renew(executor: Executor, _again: bool) -> bool:
            cursor = executor.execute(_RENEW, (round(ttl * 1000), self._epoch))
            return bool(cursor.rowcount)

        if not self._reads.run(renew):
            raise self._lost()

    def release_lease(self) -> None:
        """Let another instance have it at once; to be called when the last write is done."""
        if self._epoch:
            self._reads.run(
                lambda executor, _again: executor.execute(
                    "UPDATE lease SET expires_ms = 0, holder = '' WHERE id = 1 AND epoch = ?",
                    (self._epoch,),
                )
            )

    def _holds_lease(self, executor: Executor) -> bool:
        """Whether the epoch is ours still; inside a transaction it stays so until the end."""
        if not self._epoch:
            return True
        return executor.execute(f"SELECT epoch {_HELD}", (self._epoch,)).fetchone() is not None

    # --- upkeep -------------------------------------------------------------------------------

    def tidy(self, *, idle: bool = False) -> None:
        """Delete published events when idle; the server does the rest itself."""
        try:
            if idle:
                self._forget()
        except LedgerError:
            log.warning("ledger_tidy_failed", exc_info=True)

    def open_reader(self) -> LedgerReader:
        """A read-only view beside this object; to be closed by the caller."""
        return LedgerReader(PostgresSource(self._url))

    def close(self) -> None:
        """Let go of the connections; may be called twice."""
        for session in (self._intents, self._batches, self._reads):
            session.close()

    # --- inside -------------------------------------------------------------------------------

    def _ensure_schema(self) -> None:
        name = self._address.name
        version = self._reads.run(lambda executor, _again: require_version(executor, name))
        if version < SCHEMA_VERSION:

            def connect() -> "psycopg.Connection[Any]":
                return self._reads.connect(UPGRADE_TIMEOUT)

            schema, now_ms = self._address.schema, self._clock.epoch_ms()
            self._reads.run(
                lambda _executor, _again: upgrade_postgres(connect, name, schema, now_ms)
            )

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._reads.read(sql, parameters)

    def _write(self, run: Callable[[Executor], T], *, sync: bool = True) -> T:
        leftovers = self._take_leftovers()

        # All that comes here may be done twice: values that are set, rows that are deleted.
        def inside(executor: PostgresExecutor, _again: bool) -> T:
            if not self._holds_lease(executor):
                raise self._lost()
            result = run(executor)
            leftovers.delete(executor)
            return result

        try:
            return (self._batches if sync else self._intents).transaction(inside)
        except BaseException:
            self._keep(leftovers)
            raise


_IDENTITY = rows.INTENT_COLUMNS.index("identity")
_CLIENT_ORDER_ID = rows.INTENT_COLUMNS.index("client_order_id")


def _token() -> str:
    return os.urandom(16).hex()


def _same(before: Sequence[Change], now: Sequence[Change]) -> bool:
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))
