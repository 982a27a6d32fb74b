"""SQLite's errors in our words, at one place."""

import sqlite3

from solution.errors import LedgerBusy, LedgerError

DAMAGED = "is damaged; restore a backup"

_WHAT = {
    sqlite3.SQLITE_FULL: "cannot grow: its disk (or its size limit) is full",
    sqlite3.SQLITE_READONLY: "is read-only",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: "is no SQLite database, or is damaged; restore a backup",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_PERM: "may not be used: no permission",
}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_TAKEN = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}


def is_busy(error: BaseException | None) -> bool:
    """Whether another process was in the way until the time to wait was over."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


def is_taken(error: sqlite3.Error) -> bool:
    """Whether a row with that key is there; no other refusal (a trigger's) may look like it."""
    return getattr(error, "sqlite_errorcode", 0) in _TAKEN


def translated(error: sqlite3.Error, name: object) -> LedgerError:
    """The :class:`LedgerError` with one sentence for any error of the driver.

    Args:
        name: of the database, as an operator finds it.
    """
    if is_busy(error):
        return LedgerBusy(f"another process has kept the ledger {name} locked for too long")
    # An extended code (such as SQLITE_IOERR_FSYNC) keeps its kind in the lowest byte; errors that
    # the driver raises itself (a closed connection) have no code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return LedgerError(f"the ledger {name} {_WHAT.get(code, 'refused a statement')} ({error})")
