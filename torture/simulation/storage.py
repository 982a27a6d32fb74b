"""SQLite in memory that outlives the service, and says when a statement becomes durable."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NAMES = itertools.count()


class Storage:
    """One database; every connection the service opens to ``:memory:`` is one to it.

    Args:
        seam: called with ``ledger:before`` and ``ledger:after`` around each durable step, that is
            each commit and each writing statement outside a transaction.
    """

    def __init__(self, seam: Callable[[str], None]) -> None:
        self._seam = seam
        self._uri = f"file:simulation-{next(_NAMES)}?mode=memory&cache=shared"
        self._made: list[tuple[int, sqlite3.Connection]] = []
        self._connect = sqlite3.connect
        self.anchor = sqlite3.connect(self._uri, uri=True, isolation_level=None)
        self._kept: bytes = b""
        self.commits = 0
        """Durable steps so far; nothing in the tables changes without one."""

    @contextmanager
    def opening(self, life: int) -> Iterator[None]:
        """While a ledger is being opened by that life: ``:memory:`` is this database."""
        uri, made = self._uri, self._made
        connect: Callable[..., sqlite3.Connection] = self._connect
        seam, storage = self._seam, self

        class Durable(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                word = sql.lstrip()[:6].upper()
                if word != "COMMIT" and (self.in_transaction or word not in _WRITES):
                    return super().execute(sql, *parameters)
                seam(f"ledger:before {word}")
                cursor = super().execute(sql, *parameters)
                storage.commits += 1
                seam(f"ledger:after {word}")
                return cursor

        def instead(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
            if database != ":memory:":
                return connect(database, *arguments, **options)
            connection = connect(uri, *arguments, uri=True, factory=Durable, **options)
            made.append((life, connection))
            return connection

        sqlite3.connect = instead  # type: ignore[assignment]  # given back below
        try:
            yield
        finally:
            sqlite3.connect = connect  # type: ignore[assignment]

    def drop_connections(self, life: int | None = None) -> None:
        """The process is gone: what was not committed is not there.

        Args:
            life: its number; None closes those of every process.
        """
        for number, connection in list(self._made):
            if life in {None, number}:
                with suppress(sqlite3.Error):
                    connection.close()
                self._made.remove((number, connection))

    def rows(self, sql: str, *parameters: object) -> list[Any]:
        return self.anchor.execute(sql, parameters).fetchall()

    def epoch(self) -> int:
        """How often the ledger was taken."""
        found = self.rows("SELECT epoch FROM lease WHERE id = 1")
        return int(found[0][0]) if found else 0

    def keep(self) -> None:
        """What an fsync would have put on the disk by now."""
        self._kept = self.anchor.serialize()

    def lose_power(self) -> None:
        """Back to what was kept; no connection of the service is open."""
        if not self._kept:
            return
        before = self._connect(":memory:")
        before.deserialize(self._kept)
        before.backup(self.anchor)
        self.commits += 1
        before.close()

    def close(self) -> None:
        self.drop_connections()
        self.anchor.close()


_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLAC"})
