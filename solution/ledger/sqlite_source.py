"""A ledger in a SQLite file, only read."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from solution.errors import LedgerError
from solution.ledger.failures import translated
from solution.ledger.schema import version_of


class SqliteSource:
    """Reads the file, also while a service is writing; makes no file.

    Args:
        path: the database file.
        busy_timeout: seconds to wait where the database is locked.

    Raises:
        LedgerError: no file there, not a ledger, or one of a newer version.
    """

    def __init__(self, path: Path, busy_timeout: float = 5.0) -> None:
        if not path.is_file():
            raise LedgerError(f"there is no ledger at {path}")
        self._path = path
        # Without a log nobody has the database open; reading it as immutable keeps SQLite from
        # leaving an empty -wal and -shm behind.
        wal = path.with_name(path.name + "-wal")
        mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
        address = f"file:{quote(str(path.absolute()))}?{mode}"
        try:
            self._connection = sqlite3.connect(
                address, uri=True, timeout=busy_timeout, isolation_level=None
            )
            try:
                self.version = version_of(self._connection, str(path))
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise translated(error, path) from error
        if not self.version:
            self._connection.close()
            raise LedgerError(f"{path} holds no ledger yet")

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Every row of a query.

        Raises:
            LedgerError: the file cannot be read.
        """
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._connection.close()
