"""Writes what has changed, and moves what has grown old from memory to disk.

The engine changes objects in memory and never waits; after each request and
each tick the owner of the event loop calls ``settle``. With a state file that
is one commit. Without one, nothing is written until more orders have ended, or
more was executed, than memory may hold; then the oldest go to a database
without a name.
"""

import logging
import sqlite3
import weakref
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from paper_exchange.assets import AssetBook
from paper_exchange.books.accounts import Account, Accounts
from paper_exchange.books.archive import Archive
from paper_exchange.books.fills import Fill
from paper_exchange.books.journal import Journal
from paper_exchange.books.records import Codec
from paper_exchange.clock import Clock
from paper_exchange.engine.matching import Engine
from paper_exchange.orders import Order
from paper_exchange.prices.market import Market
from paper_exchange.storage import database

log = logging.getLogger(__name__)

#: What of an account has tables of its own, or follows from them.
ELSEWHERE = frozenset(
    {
        "journal", "archive", "positions", "orders", "by_client_id", "fills", "open_orders",
        "reserved", "_open_by_symbol",
    }
)  # fmt: skip
#: How many more than allowed may stay in memory, so that they leave in batches.
_SLACK = 64
_ORDER = (
    "INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (number) "
    "DO UPDATE SET is_open=excluded.is_open, body=excluded.body"
)
_EXECUTION = "INSERT INTO executions VALUES (?,?,?,?,?,?,?,?,?,?)"
_ACCOUNT = (
    "INSERT INTO accounts VALUES (?,?,?) ON CONFLICT (number) DO UPDATE SET body=excluded.body"
)
_POSITION = (
    "INSERT INTO positions (account, symbol, qty, avg_entry_price) VALUES (?,?,?,?) "
    "ON CONFLICT (account, symbol) "
    "DO UPDATE SET qty=excluded.qty, avg_entry_price=excluded.avg_entry_price"
)
_PRICE = "REPLACE INTO prices VALUES (?,?,?,?,?)"
_CLOCK = "REPLACE INTO meta VALUES ('clock_ns', ?)"
_NO_POSITION = "DELETE FROM positions WHERE account=? AND symbol=?"


@dataclass(frozen=True, slots=True)
class Parts:
    """What of an exchange is kept."""

    accounts: Accounts
    assets: AssetBook
    market: Market
    engine: Engine
    clock: Clock


class Store:
    """Keeps an exchange's state on disk.

    Args:
        path: of the state file; None for nothing that outlives the process.
        keep: how many closed orders, and how many executions, stay in memory.

    Raises:
        StateError: the state file cannot be used.
    """

    def __init__(
        self, path: Path | None, *, keep: int, seed: int, assets: AssetBook, now_ns: int
    ) -> None:
        self.durable = path is not None
        self.keep = keep
        self.journal = Journal(everything=self.durable)
        self.rows: dict[str, int] = {}
        self.archive = Archive(self.connection, self.rows, assets)
        self.accounts = Codec(Account, assets, leave_out=ELSEWHERE)
        self.orders = Codec(Order, assets)
        self.fills = Codec(Fill, assets)
        self._assets = assets
        self._slack = min(_SLACK, 1 + keep // 8)
        #: More in memory than this, and the oldest leave it.
        self._most = keep + self._slack
        #: Symbols that the table of that name has already.
        self._traded: set[str] = set()
        #: How much of what was set by hand the table of prices has.
        self._rules_written: dict[str, int] = {}
        self._parts: Parts | None = None
        self._connection: sqlite3.Connection | None = None
        if path is not None:
            self._connection = database.open_state(path, seed=seed, now_ns=now_ns)
            self._close = weakref.finalize(self, self._connection.close)
        self.origin_ns = database.origin_ns(self.connection()) if self.durable else now_ns
        #: Time must not be before it.
        self.clock_ns = database.clock_ns(self.connection()) if self.durable else 0
        #: What ids follow from on a stepped clock. After a restart it is another one: those of
        #: the first start are taken.
        self.id_seed = (self.durable and database.id_seed(self.connection(), seed)) or seed

    def connection(self) -> sqlite3.Connection:
        """The database; one without a name is made when it is first needed."""
        if self._connection is None:
            self._connection = database.open_temporary()
            self._close = weakref.finalize(self, self._connection.close)
        return self._connection

    def attach(self, parts: Parts) -> None:
        """Say whose state this is."""
        self._parts = parts

    def row(self, account_id: str) -> int:
        """The number under which an account is filed."""
        return self.rows.setdefault(account_id, len(self.rows) + 1)

    def settle(self) -> None:
        """Write what has changed, then let go of what is too old for memory.

        Raises:
            sqlite3.Error: it could not be written; it is tried again at the next call.
        """
        journal = self.journal
        if self.durable and journal.pending:
            # Before the transaction: a clock that keeps its time writes by itself.
            now_ns = self._kept.clock.now_ns()
            with self._transaction() as connection:
                self._write_changes(connection, now_ns)
            journal.written()
        if max(len(journal.closed), len(journal.executed)) > self._most:
            self._try_to_archive()

    def keep_clock(self, ns: int) -> None:
        """Note a moment that no start may begin before."""
        try:
            self.connection().execute(_CLOCK, (ns,))
        except sqlite3.Error:  # it goes on, and the next moment is tried again
            log.exception("time_not_written")

    def close(self) -> None:
        """Write what is left and close the database.

        Raises:
            sqlite3.Error: it could not be written, and now is lost.
        """
        if self._connection is not None:
            try:
                self.settle()
            finally:
                self._close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._traded.clear()
            self._rules_written.clear()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @property
    def _kept(self) -> Parts:
        if self._parts is None:
            raise LookupError("the store was not told whose state it keeps")
        return self._parts

    def _write_changes(self, connection: sqlite3.Connection, now_ns: int) -> None:
        journal, parts = self.journal, self._kept
        for account_id in journal.accounts:
            body = self.accounts.encode(parts.accounts[account_id])
            connection.execute(_ACCOUNT, (self.row(account_id), account_id, body))
        for account_id, asset_id in journal.positions:
            self._write_position(connection, parts.accounts[account_id], asset_id)
        self._write_orders(connection, journal.orders.values())
        self._write_executions(connection, journal.unwritten)
        for symbol in journal.prices:
            rules = parts.market.series(symbol).by_hand()
            # The last one that was written may have been replaced since; none before it.
            for number in range(max(0, self._rules_written.get(symbol, 0) - 1), len(rules)):
                connection.execute(_PRICE, (symbol, number, *rules[number]))
            self._rules_written[symbol] = len(rules)
        progress = (parts.engine.sequence, now_ns)
        connection.execute("REPLACE INTO progress VALUES (1,?,?)", progress)

    def _write_position(
        self, connection: sqlite3.Connection, account: Account, asset_id: str
    ) -> None:
        row, position = self.row(account.id), account.positions.get(asset_id)
        if position is not None:
            symbol = position.asset.symbol
            values = (row, symbol, str(position.qty), str(position.avg_entry_price))
            connection.execute(_POSITION, values)
            return
        asset = self._assets.find(asset_id)
        if asset is not None:
            connection.execute(_NO_POSITION, (row, asset.symbol))

    def _write_orders(self, connection: sqlite3.Connection, orders: Collection[Order]) -> None:
        fresh = {order.asset.symbol for order in orders} - self._traded
        connection.executemany("INSERT OR IGNORE INTO traded VALUES (?)", zip(fresh, strict=True))
        self._traded |= fresh
        connection.executemany(_ORDER, map(self._order_row, orders))

    def _order_row(self, order: Order) -> tuple[object, ...]:
        return (
            order.number,
            self.row(order.account_id),
            order.id,
            order.client_order_id,
            order.submitted_ns,
            order.is_open,
            order.asset.symbol,
            order.side,
            order.asset.asset_class,
            self.orders.encode(order),
        )

    def _write_executions(
        self, connection: sqlite3.Connection, executions: Iterable[tuple[int, str, Fill]]
    ) -> None:
        connection.executemany(_EXECUTION, map(self._execution_row, executions))

    def _execution_row(self, entry: tuple[int, str, Fill]) -> tuple[object, ...]:
        number, account_id, fill = entry
        return (
            number,
            self.row(account_id),
            fill.id,
            fill.at_ns,
            fill.order_id,
            fill.symbol,
            fill.side,
            str(fill.price),
            str(fill.qty),
            self.fills.encode(fill),
        )

    def _try_to_archive(self) -> None:
        """Without room on the disk the oldest stay in memory; that must not cost an answer."""
        try:
            self._archive_oldest()
        except sqlite3.Error:
            log.exception("closed_orders_stay_in_memory")
            self._most *= 2
        else:
            self._most = self.keep + self._slack

    def _archive_oldest(self) -> None:
        """Memory keeps the newest ``keep`` of each kind; a state file has the others already."""
        journal, parts = self.journal, self._kept
        orders = list(islice(journal.closed, max(0, len(journal.closed) - self.keep)))
        executions = list(islice(journal.executed, max(0, len(journal.executed) - self.keep)))
        if not self.durable:
            with self._transaction() as connection:
                self._write_orders(connection, orders)
                self._write_executions(connection, executions)
        for order in orders:
            journal.closed.popleft()
            parts.accounts[order.account_id].orders.forget(order)
        for _, account_id, _ in executions:
            journal.executed.popleft()
            parts.accounts[account_id].fills.forget_oldest()
