"""The SQLite file behind an exchange: opened, checked, locked."""

import contextlib
import os
import sqlite3
from pathlib import Path

FORMAT = 1
#: Marks a SQLite file as a state file of this exchange ("PXst").
_APPLICATION_ID = 0x50587374
#: Bytes. A commit writes a dozen pages; at half of SQLite's usual size they cost a fifth less.
_PAGE = 2_048
#: Pages in the log before SQLite copies them into the file, which costs two fsyncs.
_CHECKPOINT_PAGES = 16_000
_CACHE_KIB = 4_096

# `progress` has one row: how far events and time have come. `traded` has every symbol there has
# been an order in. Orders and executions are searched by their columns; `body` is all of one.
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE progress (one INTEGER PRIMARY KEY, sequence INTEGER, clock_ns INTEGER);
CREATE TABLE accounts (number INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB);
CREATE TABLE positions (number INTEGER PRIMARY KEY, account INTEGER, symbol TEXT,
    qty TEXT, avg_entry_price TEXT, UNIQUE (account, symbol));
CREATE TABLE prices (
    symbol TEXT, number INTEGER, since_ns INTEGER NOT NULL, held REAL, factor REAL NOT NULL,
    PRIMARY KEY (symbol, number)
) WITHOUT ROWID;
CREATE TABLE traded (symbol TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE orders (number INTEGER PRIMARY KEY, account INTEGER, id TEXT UNIQUE,
    client_order_id TEXT, submitted_ns INTEGER, is_open INTEGER, symbol TEXT, side TEXT,
    asset_class TEXT, body BLOB, UNIQUE (account, client_order_id));
CREATE INDEX orders_by_time ON orders (account, submitted_ns, number, symbol, side, asset_class);
CREATE INDEX orders_open ON orders (number) WHERE is_open;
CREATE TABLE executions (number INTEGER PRIMARY KEY, account INTEGER, id TEXT,
    at_ns INTEGER, order_id TEXT, symbol TEXT, side TEXT, price TEXT, qty TEXT, body BLOB,
    UNIQUE (account, id));
CREATE INDEX executions_by_time ON executions (account, at_ns, number);
"""


class StateError(Exception):
    """A file to write to cannot be used; the message is one sentence for the user."""


def open_temporary() -> sqlite3.Connection:
    """A database on disk without a name: it is gone with the process, however that ends."""
    connection = _connect("")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA journal_mode=MEMORY")
    connection.execute("PRAGMA synchronous=OFF")
    _create(connection)
    return connection


def _connect(path: Path | str) -> sqlite3.Connection:
    # One thread at a time uses it, but not always the one that made it.
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def _create(connection: sqlite3.Connection) -> None:
    # Not executescript(), which would end the transaction around it.
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)


def open_state(path: Path, *, seed: int, now_ns: int) -> sqlite3.Connection:
    """The database of a state file, made if there is none, and locked until it is closed.

    Raises:
        StateError: it is in use, is something else, or belongs to another seed or format.
    """
    # A new one is its owner's alone, and so is what SQLite puts beside it. One that is there is not
    # opened: closing it again would drop the locks that this process may hold on it.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        connection = _connect(path)
    except sqlite3.Error as error:
        raise StateError(f"cannot open the state file {path}: {error}") from None
    try:
        _prepare(connection, path, seed, now_ns)
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise StateError(f"the state file {path} is in use by another exchange") from None
        raise StateError(f"cannot open the state file {path}: {error}") from None
    except sqlite3.DatabaseError:
        connection.close()
        raise StateError(f"{path} is not a state file of paper_exchange") from None
    except StateError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, seed: int, now_ns: int) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    # Nothing is changed before the file is known to be ours, or empty.
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark != _APPLICATION_ID and (mark or tables):
        raise StateError(f"{path} is not a state file of paper_exchange")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA page_size={_PAGE}")
    connection.execute("PRAGMA journal_mode=WAL")
    # A killed process loses nothing; a power cut may cost the last moments, never the file.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={_CHECKPOINT_PAGES * _PAGE}")
    connection.execute("BEGIN EXCLUSIVE")
    if not tables:
        _create(connection)
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("format", FORMAT), ("seed", str(seed)), ("origin_ns", now_ns)],
        )
    connection.execute("COMMIT")
    _check(connection, path, seed)


def _check(connection: sqlite3.Connection, path: Path, seed: int) -> None:
    written = dict(connection.execute("SELECT name, value FROM meta"))
    if written["format"] != FORMAT:
        raise StateError(
            f"the state file {path} has format {written['format']}, this exchange reads {FORMAT}"
        )
    if written["seed"] != str(seed):
        raise StateError(
            f"the state file {path} was written with seed {written['seed']}, not {seed}: "
            "start with that seed, or with another file"
        )


def origin_ns(connection: sqlite3.Connection) -> int:
    """The instant at which the random walk of the prices began."""
    (origin,) = connection.execute("SELECT value FROM meta WHERE name='origin_ns'").fetchone()
    return int(origin)


def clock_ns(connection: sqlite3.Connection) -> int:
    """The last moment that anybody may have been shown; 0 before the first."""
    query = (
        "SELECT max(coalesce((SELECT clock_ns FROM progress), 0), "
        "coalesce((SELECT value FROM meta WHERE name='clock_ns'), 0))"
    )
    (last,) = connection.execute(query).fetchone()
    return int(last)


def id_seed(connection: sqlite3.Connection, seed: int) -> str | None:
    """A seed that no start before this one had if it left an id behind; None before the first."""
    row = connection.execute(
        "SELECT sequence, (SELECT max(number) FROM orders) FROM progress"
    ).fetchone()
    return None if row is None else f"{seed}/{row[0]}/{row[1]}"
