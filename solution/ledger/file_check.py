"""Whether the SQLite file still is what was written to it.

SQLite keeps pages in memory, so what a stray program, a restored copy or a dying disk did to the
file shows only when a page is read again: perhaps at the next start, when nothing helps any more.
"""

from pathlib import Path

from solution.clock import Clock
from solution.errors import LedgerBusy, LedgerError
from solution.ledger.failures import DAMAGED
from solution.ledger.sqlite_source import SqliteSource
from solution.runtime.service import Fatal, Service

EVERY = 300.0
"""Seconds between two checks."""
SOON = 10.0
"""Seconds after one that found the file locked."""
MOST_BYTES = 100 * 1_048_576
"""A larger file is not checked: 100 MB, a quarter of a million signals, cost 0.7 s of a CPU."""


def check(path: Path) -> None:
    """Read every page that is in use, over a connection that has none in memory.

    Writers do not wait for it; only the log is not overwritten meanwhile.

    Raises:
        LedgerBusy: locked by another process.
        LedgerError: damaged, gone, or no ledger any more.
    """
    source = SqliteSource(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            return
        [(found,)] = source.read("PRAGMA quick_check(1)")
    finally:
        source.close()
    if found != "ok":
        raise LedgerError(f"the ledger {path} {DAMAGED} ({' '.join(found.split())})")


class FileCheck(Service):
    """Checks now and then, off the way of orders; ends the process when the file is damaged.

    Args:
        path: the ledger, checked when it was opened.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__("ledger-check", clock=clock)
        self._path = path
        self._due_at = clock.monotonic() + EVERY

    def step(self) -> float:
        left = self._due_at - self._clock.monotonic()
        if left > 0:
            return left
        pause = EVERY
        try:
            check(self._path)
        except LedgerBusy:
            pause = SOON
        except LedgerError as error:
            raise Fatal(str(error)) from error
        self._due_at = self._clock.monotonic() + pause
        return pause
