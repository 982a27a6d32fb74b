"""How long SQLite waits for another process's lock: once in full, then hardly at all."""

import sqlite3
from types import TracebackType

from solution.ledger.failures import is_busy

SHORT = 0.05
"""Seconds, while the lock that was waited for in full has not been had since."""


class Patience:
    """Around each write on one connection, under the lock that guards the connection.

    All writers stand behind that one lock. Were each of them to wait the whole time again, a dozen
    would take a minute to say what the first one knew after five seconds, and a stop as long.

    Args:
        seconds: how long the connection waits until now.
    """

    def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._used_up = False

    def __enter__(self) -> None:
        """Nothing: the time is the connection's own setting."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            if self._used_up:
                self._set(used_up=False)
        elif is_busy(error) and not self._used_up:
            self._set(used_up=True)

    def _set(self, *, used_up: bool) -> None:
        self._used_up = used_up
        seconds = min(SHORT, self._seconds) if used_up else self._seconds
        self._connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
