"""Puts an exchange back to where its state file says it was."""

import sqlite3
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from paper_exchange.books.accounts import Account, Position
from paper_exchange.books.fills import Fill
from paper_exchange.books.records import Unknown
from paper_exchange.prices.hand_set import Rule
from paper_exchange.storage.database import StateError
from paper_exchange.storage.store import Parts, Store


def recover(parts: Parts, store: Store, path: Path) -> None:
    """Read accounts, orders, executions, prices and the event sequence.

    Raises:
        StateError: the file speaks of what this exchange does not have.
    """
    try:
        _Recovery(parts, store).run()
    except Unknown as unknown:
        raise StateError(
            f"the state file {path} holds {unknown}, which is not listed here: "
            f"start with --symbols {unknown}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"the state file {path} cannot be read: {error}") from None


class _Recovery:
    """One pass over the tables, in the order in which they depend on each other."""

    def __init__(self, parts: Parts, store: Store) -> None:
        self._parts = parts
        self._store = store
        self._accounts: dict[int, Account] = {}

    def run(self) -> None:
        connection = self._store.connection()
        self._check_symbols(connection)
        self._progress(connection)
        self._read_accounts(connection)
        self._positions(connection)
        self._orders(connection)
        self._executions(connection)
        self._prices(connection)

    def _prices(self, connection: sqlite3.Connection) -> None:
        by_symbol: dict[str, list[Rule]] = defaultdict(list)
        query = "SELECT symbol, since_ns, held, factor FROM prices ORDER BY symbol, number"
        for symbol, *rule in connection.execute(query):
            by_symbol[symbol].append((rule[0], rule[1], rule[2]))
        for symbol, rules in by_symbol.items():
            self._parts.market.series(symbol).restore_by_hand(rules)

    def _check_symbols(self, connection: sqlite3.Connection) -> None:
        """Every symbol is looked up now: an archived order must not fail when it is asked for."""
        query = "SELECT symbol FROM traded UNION SELECT symbol FROM prices"
        for (symbol,) in connection.execute(query):
            if self._parts.assets.find(symbol) is None:
                raise Unknown(symbol)

    def _progress(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT sequence, clock_ns FROM progress").fetchone()
        if row is not None:
            sequence, clock_ns = row
            self._parts.engine.resume(sequence)
            # Whatever the machine's clock says: nothing happens before what has happened.
            self._parts.clock.not_before(clock_ns)

    def _read_accounts(self, connection: sqlite3.Connection) -> None:
        for number, account_id, body in connection.execute("SELECT * FROM accounts"):
            self._store.rows[account_id] = number
            values = self._store.accounts.values(body)
            self._accounts[number] = self._parts.accounts.restore(values)

    def _positions(self, connection: sqlite3.Connection) -> None:
        query = "SELECT account, symbol, qty, avg_entry_price FROM positions ORDER BY number"
        for number, symbol, qty, price in connection.execute(query):
            asset = self._parts.assets.find(symbol)
            if asset is None:
                raise Unknown(symbol)
            position = Position(asset, Decimal(qty), Decimal(price))
            self._accounts[number].positions[asset.id] = position

    def _orders(self, connection: sqlite3.Connection) -> None:
        """Open orders and the newest closed ones; the others stay where they are."""
        store, journal = self._store, self._store.journal
        newest = connection.execute(
            "SELECT number FROM orders WHERE NOT is_open ORDER BY number DESC LIMIT ?",
            (store.keep,),
        ).fetchall()
        (last,) = connection.execute("SELECT max(number) FROM orders").fetchone()
        journal.last_order = last or 0
        oldest_kept = newest[-1][0] if newest else journal.last_order + 1
        query = (
            "SELECT account, body FROM orders WHERE is_open "
            "UNION ALL SELECT account, body FROM orders WHERE NOT is_open AND number>=?"
        )
        rows = connection.execute(query, (oldest_kept,))
        found = [(number, store.orders.decode(body)) for number, body in rows]
        for number, order in sorted(found, key=lambda pair: pair[1].number):
            account = self._accounts[number]
            account.restore(order)
            if order.is_open:
                self._parts.engine.take_back(account, order)
            else:
                journal.closed.append(order)
        query = "SELECT account, max(submitted_ns) FROM orders WHERE number<? GROUP BY account"
        for number, submitted_ns in connection.execute(query, (oldest_kept,)):
            self._accounts[number].orders.note_archived(submitted_ns)

    def _executions(self, connection: sqlite3.Connection) -> None:
        store, journal = self._store, self._store.journal
        rows = connection.execute(
            "SELECT number, account, body FROM executions ORDER BY number DESC LIMIT ?",
            (store.keep,),
        ).fetchall()
        recent: dict[int, list[tuple[int, Fill]]] = defaultdict(list)
        for number, account, body in reversed(rows):
            fill = store.fills.decode(body)
            recent[account].append((number, fill))
            journal.executed.append((number, self._accounts[account].id, fill))
        (last,) = connection.execute("SELECT max(number) FROM executions").fetchone()
        journal.last_execution = last or 0
        first = rows[-1][0] if rows else journal.last_execution + 1
        query = "SELECT account, count(*) FROM executions WHERE number<? GROUP BY account"
        archived = dict(connection.execute(query, (first,)).fetchall())
        for number, account in self._accounts.items():
            account.fills.restore(recent[number], archived.get(number, 0))
