"""Reading a ledger from another process, for the listing commands."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from solution.domain.records import DeadLetter, Intent, State, Trade
from solution.errors import LedgerError
from solution.ledger import rows
from solution.ledger.failures import translated
from solution.ledger.schema import check_ours

_KEYS = ("client_order_id", "identity", "alpaca_order_id", "signal_id", "entry_id")


class LedgerReader:
    """A read-only view, also while a service is writing; makes no file. Not for many threads.

    Args:
        path: the database file.
        busy_timeout: seconds to wait where the database is locked.

    Raises:
        LedgerError: no file there, not a ledger, or one of a newer version.
    """

    def __init__(self, path: Path, busy_timeout: float = 5.0) -> None:
        if not path.is_file():
            raise LedgerError(f"there is no ledger at {path}")
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
                known = check_ours(self._connection, str(path))
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise translated(error) from error
        if not known:
            self._connection.close()
            raise LedgerError(f"{path} holds no ledger yet")

    def list_intents(
        self, limit: int = 50, states: Iterable[State] | None = None, symbol: str = ""
    ) -> list[Intent]:
        """Signals, newest first; only those in ``states`` and of ``symbol`` where given."""
        conditions: list[str] = []
        parameters: list[object] = []
        if states is not None:
            wanted = [State(state).value for state in states]
            conditions.append(f"state IN ({', '.join('?' * len(wanted))})")
            parameters += wanted
        if symbol:
            conditions.append("symbol = ?")
            parameters.append(symbol)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        found = self._read(
            f"{rows.SELECT_INTENTS}{where} ORDER BY id DESC LIMIT ?", [*parameters, limit]
        )
        return [rows.to_intent(row) for row in found]

    def find_intents(self, key: str, limit: int = 20) -> list[Intent]:
        """Rows with this client order id, identity, broker order id, signal id or entry id."""
        where = " OR ".join(f"{name} = ?1" for name in _KEYS)
        found = self._read(
            f"{rows.SELECT_INTENTS} WHERE {where} ORDER BY id LIMIT ?2", (key, limit)
        )
        return [rows.to_intent(row) for row in found]

    def list_trades(self, client_order_id: str = "", limit: int = 500) -> list[Trade]:
        """Executions, oldest first, of one order or of all."""
        found = self._read(
            f"{rows.SELECT_TRADES} WHERE ?1 IN ('', client_order_id) ORDER BY id LIMIT ?2",
            (client_order_id, limit),
        )
        return [rows.to_trade(row) for row in found]

    def list_dead_letters(self, limit: int = 50) -> list[DeadLetter]:
        """Entries that were no valid signals, newest first."""
        found = self._read(f"{rows.SELECT_DEAD_LETTERS} ORDER BY id DESC LIMIT ?", (limit,))
        return [rows.to_dead_letter(row) for row in found]

    def find_dead_letters(self, entry_id: str) -> list[DeadLetter]:
        """The dead letters of one entry id, one per stream at most."""
        found = self._read(f"{rows.SELECT_DEAD_LETTERS} WHERE entry_id = ?", (entry_id,))
        return [rows.to_dead_letter(row) for row in found]

    def counts_by_state(self) -> dict[State, int]:
        """How many signals stand in each state that occurs."""
        found = self._read("SELECT state, count(*) FROM order_intents GROUP BY state")
        return {State(state): count for state, count in found}

    def count_dead_letters(self) -> int:
        """How many dead letters there are."""
        return int(self._read("SELECT count(*) FROM dead_letters")[0][0])

    def get_state(self, key: str) -> str | None:
        """A value the service keeps, or None."""
        found = self._read("SELECT value FROM bot_state WHERE key = ?", (key,))
        return str(found[0][0]) if found else None

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error) from error
