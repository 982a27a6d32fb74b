"""Reading a ledger from another process, for the listing commands."""

import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self

from solution.domain import legs
from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.domain.records import DeadLetter, EquityPoint, Intent, Note, State, Trade
from solution.ledger import rows
from solution.ledger.store import matching

_KEYS = ("client_order_id", "identity", "alpaca_order_id", "signal_id", "entry_id")
_HISTORY_SINCE = 2


class Source(Protocol):
    """A database that is only read."""

    @property
    def version(self) -> int:
        """The version of the ledger in it; an older one is read as far as it goes."""
        ...

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Every row of a query; raises LedgerError."""
        ...

    def close(self) -> None: ...


class LedgerReader:
    """A read-only view, also while a service is writing. Not for many threads.

    Args:
        source: where the rows are; closed with the reader. See :func:`solution.ledger.open_reader`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._read = source.read

    def list_intents(
        self, limit: int = 50, states: Iterable[State] | None = None, symbol: str = ""
    ) -> list[Intent]:
        """Signals, newest first; only those in ``states`` and of ``symbol`` where given."""
        conditions: list[str] = []
        parameters: list[object] = []
        if states is not None:
            wanted = [State(state).value for state in states]
            if not wanted:
                return []
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
        where = " OR ".join(f"{name} = ?" for name in _KEYS)
        found = self._read(
            f"{rows.SELECT_INTENTS} WHERE {where} ORDER BY id LIMIT ?",
            [*[rows.text(key)] * len(_KEYS), limit],
        )
        return [rows.to_intent(row) for row in found]

    def list_legs(self, client_order_id: str) -> list[Intent]:
        """The legs of a bracket, by the client_order_id of its entry order."""
        pattern = legs.identity_of(rows.text(client_order_id), "%")
        found = self._read(f"{rows.SELECT_INTENTS} WHERE identity LIKE ? ORDER BY id", (pattern,))
        return [rows.to_intent(row) for row in found]

    def list_trades(self, client_order_id: str = "", limit: int = 500) -> list[Trade]:
        """Executions, oldest first, of one order or of all."""
        of_one = " WHERE client_order_id = ?" if client_order_id else ""
        parameters = [rows.text(client_order_id), limit] if client_order_id else [limit]
        found = self._read(f"{rows.SELECT_TRADES}{of_one} ORDER BY id LIMIT ?", parameters)
        return [rows.to_trade(row) for row in found]

    def trades_since(self, at: str, page: int = 1_000) -> list[Trade]:
        """Executions since then, oldest first; read from the newest backwards.

        Args:
            at: RFC 3339 in UTC. Times are compared as text, so to the second.
        """
        found: list[Trade] = []
        query = f"{rows.SELECT_TRADES} ORDER BY id DESC LIMIT ? OFFSET ?"
        for offset in itertools.count(0, page):
            trades = [rows.to_trade(row) for row in self._read(query, (page, offset))]
            young = [trade for trade in trades if trade.at >= at]
            found += young
            # They are not strictly in the order of their times: a whole page of old ones is enough.
            if not young or len(trades) < page:
                break
        return found[::-1]

    def list_dead_letters(self, limit: int = 50) -> list[DeadLetter]:
        """Entries that were no valid signals, newest first."""
        found = self._read(f"{rows.SELECT_DEAD_LETTERS} ORDER BY id DESC LIMIT ?", (limit,))
        return [rows.to_dead_letter(row) for row in found]

    def list_repeats(self) -> list[tuple[str, str]]:
        """Stream and entry id of those that repeated a signal and were told its outcome."""
        found = self._read("SELECT stream, entry_id FROM repeats")
        return [(str(stream), str(entry_id)) for stream, entry_id in found]

    def find_dead_letters(self, entry_id: str) -> list[DeadLetter]:
        """The dead letters of one entry id, one per stream at most."""
        found = self._read(
            f"{rows.SELECT_DEAD_LETTERS} WHERE entry_id = ? ORDER BY id", (rows.text(entry_id),)
        )
        return [rows.to_dead_letter(row) for row in found]

    def counts_by_state(self) -> dict[State, int]:
        """How many signals stand in each state that occurs; legs are no signals."""
        found = self._read(
            "SELECT state, count(*) FROM order_intents WHERE identity NOT LIKE ? GROUP BY state",
            (f"{legs.PREFIX}%",),
        )
        return {State(state): count for state, count in found}

    def count_dead_letters(self) -> int:
        """How many dead letters there are."""
        return int(self._read("SELECT count(*) FROM dead_letters")[0][0])

    def opened_since(self, since_ms: int) -> list[tuple[str, str, int]]:
        """Orders sent since then (epoch ms) that open: id, symbol, when; oldest first."""
        unsent = (State.NOT_SENT.value, State.REFUSED.value)
        found = self._read(
            "SELECT client_order_id, symbol, submitted_ms FROM order_intents"
            " WHERE submitted_ms >= ? AND CAST(reserved_cash AS REAL) > 0"
            " AND state NOT IN (?, ?) ORDER BY submitted_ms",
            (max(since_ms, 1), *unsent),
        )
        return [(str(coid), str(symbol), int(at)) for coid, symbol, at in found]

    def contents_since(self, since_ms: int) -> list[tuple[str, str, str]]:
        """Stream, digest and entry id of signals without a ``signal_id`` decided since.

        Those refused as duplicates began no window of their own.
        """
        found = self._read(
            "SELECT stream, digest, entry_id FROM order_intents"
            " WHERE created_ms >= ? AND signal_id = '' AND reason <> ? ORDER BY id",
            (max(since_ms, 1), Reason.DUPLICATE_SIGNAL.value),
        )
        return [(str(stream), str(digest), str(entry)) for stream, digest, entry in found]

    def executions(self) -> list[tuple[str, str, Decimal]]:
        """Strategy, symbol and signed shares of every execution, oldest first."""
        found = self._read(
            "SELECT i.strategy, t.symbol, t.side, t.qty FROM trades t"
            " JOIN order_intents i ON i.client_order_id = t.client_order_id ORDER BY t.id"
        )
        return [
            (str(strategy), str(symbol), Decimal(qty) if side == Side.BUY else -Decimal(qty))
            for strategy, symbol, side, qty in found
        ]

    def get_state(self, key: str) -> str | None:
        """A value the service keeps, or None."""
        found = self._read("SELECT value FROM bot_state WHERE key = ?", (rows.text(key),))
        return str(found[0][0]) if found else None

    def written_at(self, key: str) -> str | None:
        """When the service wrote such a value, RFC 3339 UTC; None where there is none."""
        found = self._read("SELECT updated_at FROM bot_state WHERE key = ?", (rows.text(key),))
        return str(found[0][0]) if found else None

    def states(self, prefix: str) -> dict[str, str]:
        """Every value the service keeps under a key that begins so."""
        return matching(self._read("SELECT key, value FROM bot_state ORDER BY key"), prefix)

    def notes(self, client_order_id: str) -> list[Note]:
        """The history of one order, in the order it was written."""
        if self._source.version < _HISTORY_SINCE:
            return []
        found = self._read(
            f"{rows.SELECT_NOTES} WHERE client_order_id = ? ORDER BY id",
            (rows.text(client_order_id),),
        )
        return [rows.to_note(row) for row in found]

    def list_equity(self, limit: int = 500) -> list[EquityPoint]:
        """The equity curve, newest first."""
        if self._source.version < _HISTORY_SINCE:
            return []
        found = self._read(
            "SELECT timestamp, equity, daily_pnl FROM equity_curve ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [EquityPoint(at, Decimal(equity), Decimal(pnl)) for at, equity, pnl in found]

    def close(self) -> None:
        """Let go of the database; may be called twice."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
