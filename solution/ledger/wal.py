"""The write-ahead log on disk: one fsync for many commits, and checkpoints off the hot path.

Why touching the ``-wal`` file ourselves is safe. POSIX drops *all* locks a process holds on a file
when the process closes *any* descriptor of it. SQLite holds its locks on the database file and on
``-shm``, never on ``-wal``; so a descriptor of ``-wal`` may be opened and closed, and the database
file itself is never opened here. The ``-wal`` file keeps its inode while any connection is open
(checkpoints overwrite or truncate it in place), so one descriptor serves for life.

Why a checkpoint between a commit and our fsync is harmless. With ``synchronous=NORMAL`` SQLite
syncs the log before it copies pages into the database, and syncs the database before the log may
be overwritten. A row that is no longer in the log therefore is durable in the database already.
"""

import os
import sqlite3
import threading
from pathlib import Path

from solution.errors import LedgerError

CHECKPOINT_AFTER = 500
"""Changed rows between two checkpoints, about 5 MB of log."""
LARGE_LOG = 8_192
"""Pages of 2 kB in the log above which a checkpoint may hold up writers to finish."""

# macOS has no fdatasync.
_sync_data = getattr(os, "fdatasync", os.fsync)


class WriteAheadLog:
    """Syncs and checkpoints the log of one database; used from any thread.

    Args:
        database: its file; the ``-wal`` beside it must exist by now.
        busy_timeout: seconds to wait for a lock of another process.
    """

    def __init__(self, database: Path, busy_timeout: float) -> None:
        wal = database.with_name(database.name + "-wal")
        self._descriptor = os.open(wal, os.O_RDWR | os.O_CLOEXEC)
        # A connection of its own: a passive checkpoint on it makes no writer wait.
        self._connection = sqlite3.connect(
            database, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._sync_mutex = threading.Lock()
        self._committed = 0
        self._synced = 0
        self._broken = ""

    def committed(self) -> int:
        """Number the commit that was just made; requires holding the ledger's write lock."""
        self._committed += 1
        return self._committed

    def sync(self, number: int) -> None:
        """Return once the commit of this number, and all before it, survive a power loss.

        Threads that come while another syncs find their commit covered by the next sync.

        Raises:
            LedgerError: the sync failed. The kernel may have dropped the pages and would call a
                second attempt a success, so every later one fails as well.
        """
        with self._sync_mutex:
            if self._broken:
                raise LedgerError(self._broken)
            if self._synced >= number:
                return
            target = self._committed
            try:
                _sync_data(self._descriptor)
            except OSError as error:
                self._broken = f"the ledger could not be synced to disk ({error.strerror})"
                raise LedgerError(self._broken) from error
            self._synced = target

    def check(self) -> None:
        """Raise LedgerError when a sync has failed before."""
        if self._broken:
            raise LedgerError(self._broken)

    def checkpoint(self, write_lock: threading.Lock) -> None:
        """Copy the log into the database so that it can be overwritten from its beginning.

        Under constant writing a passive checkpoint never catches up with the writers; a log grown
        large is finished under ``write_lock``, when little is left to copy.

        Raises:
            sqlite3.Error: the disk is full, or another process is in the way. Nothing is lost.
        """
        if self._run() > LARGE_LOG:
            with write_lock:
                self._run()

    def _run(self) -> int:
        """One passive checkpoint; returns the pages in a log that is not copied completely."""
        row = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        _busy, pages, copied = row
        return int(pages) if copied < pages else 0

    def close(self) -> None:
        """Close the connection and the descriptor."""
        self._connection.close()
        os.close(self._descriptor)
