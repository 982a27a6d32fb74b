"""Small state written beside a running service: halts lifted, trading stopped and resumed.

Such a row of ``bot_state`` is read again by the service several times a second. Writing or deleting
it is one short transaction of its own, and needs neither the lock file nor the lease, which say who
may *trade*: SQLite lets another process write between two commits of the service (WAL, one writer
at a time, each waits for the other).
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from solution.clock import Clock, SystemClock
from solution.config_ledger import is_postgres
from solution.errors import ConfigError, LedgerError
from solution.ledger import require_driver, rows
from solution.ledger.failures import translated
from solution.ledger.files import database_path
from solution.ledger.schema import version_of
from solution.ledger.store import Executor, timestamp

T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for the service's own commits, of a few milliseconds each."""
_KEEP_NEW = (
    "INSERT INTO bot_state (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_ALL = "SELECT key, value FROM bot_state ORDER BY key"


def keep(
    url: str,
    state: Mapping[str, str],
    *,
    new: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> None:
    """Write these rows, all or none; durable on return.

    Args:
        url: a ``LEDGER_URL``.
        new: rows that are left as they are where they exist: the service may be at work on them.

    Raises:
        ConfigError: the url names no database that outlives a process.
        LedgerError: no ledger there, or it cannot be written.
    """
    now = timestamp((clock or SystemClock()).epoch_ms())

    def run(executor: Executor) -> None:
        for key, value in state.items():
            executor.execute(rows.KEEP_STATE, (rows.text(key), rows.text(value), now))
        for key, value in (new or {}).items():
            executor.execute(_KEEP_NEW, (rows.text(key), rows.text(value), now))

    _transaction(url, run)


def forget(
    url: str, wanted: Callable[[str], bool], *, spare: Callable[[str, str], bool] | None = None
) -> dict[str, str]:
    """Delete every row whose key is wanted, all or none; durable on return.

    Args:
        spare: rows that stay all the same, by key and value.

    Returns:
        what was deleted.

    Raises:
        ConfigError, LedgerError: as :func:`keep`.
    """
    gone: dict[str, str] = {}

    def run(executor: Executor) -> None:
        # Added to, never begun anew: where an answer was lost this runs again, and finds less.
        found = {str(key): str(value) for key, value in executor.execute(_ALL).fetchall()}
        due = {key: value for key, value in found.items() if wanted(key)}
        if spare is not None:
            due = {key: value for key, value in due.items() if not spare(key, value)}
        gone.update(due)
        for key in due:
            executor.execute(rows.FORGET_STATE, (key,))

    _transaction(url, run)
    return gone


def _transaction(url: str, run: Callable[[Executor], T]) -> T:
    return _in_postgres(url, run) if is_postgres(url) else _in_sqlite(url, run)


def _in_sqlite(url: str, run: Callable[[Executor], T]) -> T:
    path = database_path(url)
    if path is None:
        raise ConfigError("a ledger in memory belongs to its own process")
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path}")
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(Path(path).absolute()))}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
        )
        try:
            if not version_of(connection, str(path)):
                raise LedgerError(f"{path} holds no ledger yet")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            result = run(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return result


def _in_postgres(url: str, run: Callable[[Executor], T]) -> T:
    require_driver()
    from solution.ledger.postgres_schema import require_version
    from solution.ledger.postgres_session import PostgresExecutor, Session, address_of

    address = address_of(url)
    session = Session(address)

    def inside(executor: PostgresExecutor, _again: bool) -> T:
        if not require_version(executor, address.name):
            raise LedgerError(f"{address.name} holds no ledger yet")
        return run(executor)

    try:
        return session.transaction(inside)
    finally:
        session.close()
