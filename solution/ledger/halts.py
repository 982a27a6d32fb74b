"""Tickers that take no orders until a person says so; cleared beside a running service.

A halt is a row ``halted:{SYMBOL}`` of ``bot_state``: the service writes it and reads it again each
second. Clearing deletes that one row, in one short transaction of its own. It therefore needs
neither the lock file nor the lease, which say who may *trade*: SQLite lets another process write
between two commits of the service (WAL, one writer at a time, each waits for the other).
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from solution.errors import ConfigError
from solution.ledger import open_reader
from solution.ledger.failures import translated
from solution.ledger.files import database_path
from solution.ledger.reader import LedgerReader
from solution.ledger.schema import version_of

PREFIX = "halted:"
BUSY_TIMEOUT = 5.0
"""Seconds to wait for the service's own commits, of a few milliseconds each."""
_DELETE = "DELETE FROM bot_state WHERE key = ?"
_POSTGRES = ("postgresql://", "postgres://")


def listing(url: str) -> dict[str, str]:
    """Why each halted ticker is halted, by symbol.

    Raises:
        ConfigError: the url names no database that outlives a process.
        LedgerError: no ledger there, or it cannot be read.
    """
    with open_reader(url) as reader:
        return listed(reader)


def listed(reader: LedgerReader) -> dict[str, str]:
    """The same from a reader that is open already."""
    return {key.removeprefix(PREFIX): reason for key, reason in reader.states(PREFIX).items()}


def clear(url: str, symbol: str) -> str | None:
    """Let a ticker take orders again; durable on return.

    Args:
        url: a ``LEDGER_URL``.
        symbol: by any spelling, ``btcusd`` for ``BTC/USD``.

    Returns:
        the symbol as the ledger spells it, None when it was not halted.

    Raises:
        ConfigError, LedgerError: as :func:`listing`, or nothing was cleared.
    """
    wanted = _plain(symbol)
    halted = next((one for one in listing(url) if _plain(one) == wanted), None)
    if halted is None:
        return None
    return halted if delete(url, PREFIX + halted) else None


def delete(url: str, key: str) -> bool:
    """Delete one row of small state beside a running service; durable on return.

    Raises:
        ConfigError, LedgerError: as :func:`listing`, or nothing was deleted.
    """
    delete_row = _delete_postgres if url.startswith(_POSTGRES) else _delete_sqlite
    return delete_row(url, key)


def _plain(symbol: str) -> str:
    return symbol.upper().replace("/", "")


def _delete_sqlite(url: str, key: str) -> bool:
    path = database_path(url)
    if path is None:
        raise ConfigError("a ledger in memory belongs to its own process")
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(Path(path).absolute()))}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
        )
        try:
            version_of(connection, str(path))
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            deleted = connection.execute(_DELETE, (key,)).rowcount
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return bool(deleted)


def _delete_postgres(url: str, key: str) -> bool:
    # The driver is an extra.
    from solution.ledger.postgres_schema import require_version
    from solution.ledger.postgres_session import PostgresExecutor, Session, address_of

    address = address_of(url)
    session = Session(address)

    def delete(executor: PostgresExecutor, again: bool) -> bool:
        require_version(executor, address.name)
        # Whose answer was lost may have been the one that deleted it.
        return bool(executor.execute(_DELETE, (key,)).rowcount) or again

    try:
        return session.run(delete)
    finally:
        session.close()
