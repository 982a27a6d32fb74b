"""SQLite's errors in our words, at one place."""

import sqlite3

from solution.errors import LedgerBusy, LedgerError

DAMAGED = "the ledger file is damaged; restore a backup"

_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk (or the size limit) of the ledger is full",
    sqlite3.SQLITE_READONLY: "the ledger is read-only",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: "the ledger file is no SQLite database",
    sqlite3.SQLITE_CANTOPEN: "the ledger file cannot be opened",
    sqlite3.SQLITE_IOERR: "reading or writing the ledger failed",
    sqlite3.SQLITE_PERM: "no permission for the ledger file",
}


def translated(error: sqlite3.Error) -> LedgerError:
    """The :class:`LedgerError` with one sentence for any error of the driver."""
    # An extended code (such as SQLITE_IOERR_FSYNC) keeps its kind in the lowest byte; errors that
    # the driver raises itself (a closed connection) have no code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return LedgerBusy("another process has kept the ledger locked for too long")
    sentence = _SENTENCES.get(code, "the ledger refused a statement")
    return LedgerError(f"{sentence} ({error})")
