"""Whether a SQLite database is a ledger, whether we know its version, and making a new one."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from solution.errors import LedgerError
from solution.ledger import scripts

APPLICATION_ID = 0x53504C4C
"""``SPLL`` in the file's header: this is a ledger of ours."""
SCHEMA_VERSION = int(scripts.NEWEST)
"""Kept in the file's header (user_version) beside alembic's table, where asking costs nothing."""

EVENTS_PER_MS = 1_000
"""More than any ledger tells; and up to the year 2255 JavaScript's numbers hold the ids exactly."""

# A row has about 700 bytes and a commit touches five pages: with 2 kB instead of SQLite's 4 kB the
# log takes 40 % less (11 kB a row) at the same speed.
_PAGE_SIZE = 2_048


def events_from(created_ms: int) -> int:
    """The event id below those of a new ledger: consumers drop ids that they have seen.

    All that the ledger before it, which was lost, can have used lie below.

    Args:
        created_ms: now, epoch milliseconds.
    """
    return created_ms * EVENTS_PER_MS


def ensure_schema(
    connection: sqlite3.Connection,
    name: str,
    now_ms: int,
    path: Path | None = None,
    busy_timeout: float = 5.0,
) -> None:
    """Bring the database to the newest version; refuse what is not ours before changing anything.

    Args:
        connection: without an open transaction.
        name: what to call the database in the message.
        now_ms: epoch milliseconds.
        path: its file, None in memory.
        busy_timeout: seconds to wait for another process's lock.

    Raises:
        LedgerError: another application's file, or a version newer than this program.
        sqlite3.Error: locked, read-only, full, damaged.
    """
    version = version_of(connection, name)
    if version == 0:
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode = WAL")
    if version == 0:
        _create(connection, events_from(now_ms))
    elif version < SCHEMA_VERSION and path is not None:
        # Alembic and SQLAlchemy take half a second to import.
        from solution.ledger.migrate import upgrade_sqlite

        upgrade_sqlite(path, busy_timeout)
    # Tells now, not at the first order, that the database can be written.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def version_of(connection: sqlite3.Connection, name: str) -> int:
    """The version of the ledger in a database, 0 when the database is empty.

    Raises:
        LedgerError: it holds something else, or a version that this program does not know.
        sqlite3.Error: it cannot be read.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    objects = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == 0 and version == 0 and objects == 0:
        return 0
    if application != APPLICATION_ID:
        raise LedgerError(f"{name} is a database of another application; it was not touched")
    if version > SCHEMA_VERSION:
        raise newer(name, version)
    return version


def newer(name: str, version: int) -> LedgerError:
    """A ledger of a program to come."""
    return LedgerError(
        f"the ledger {name} has version {version}, this program knows up to"
        f" {SCHEMA_VERSION}; install the newer program"
    )


def _create(connection: sqlite3.Connection, last_event_id: int) -> None:
    """The steps of every version in one transaction, as alembic would run them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in scripts.VERSIONS:
            for statement in scripts.statements(version, "sqlite"):
                connection.execute(statement)
        sequence = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)"
        connection.execute(sequence, (last_event_id,))
        connection.execute(scripts.VERSION_TABLE)
        connection.execute("INSERT INTO alembic_version VALUES (?)", (scripts.NEWEST,))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise
