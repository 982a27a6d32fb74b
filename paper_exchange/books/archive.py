"""What has left memory, read back from SQLite."""

import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator
from decimal import Decimal
from typing import Any

from paper_exchange.assets import AssetBook
from paper_exchange.books.fills import Fill, Traded
from paper_exchange.books.records import Codec
from paper_exchange.books.selection import ExecutionSelection, OrderSelection
from paper_exchange.orders import Order


class _Conditions:
    """A WHERE clause in the making; values never become part of the text."""

    def __init__(self, text: str, *values: object) -> None:
        self._texts = [text]
        self.values: list[object] = list(values)

    def add(self, text: str, value: object) -> None:
        """One more condition, unless its value is None."""
        if value is not None:
            self._texts.append(text)
            self.values.append(value)

    def among(self, column: str, values: Iterable[str] | None) -> None:
        """A column must have one of the values, unless there is no such list."""
        if values is not None:
            names = sorted(values)
            self._texts.append(f"{column} IN ({','.join('?' * len(names))})")
            self.values.extend(names)

    def __str__(self) -> str:
        return " AND ".join(self._texts)


class Archive:
    """Old orders and executions by account, from the tables that the store writes.

    Newer ones are in memory and are not asked for here.

    Args:
        connect: gives the database; asked late, since most exchanges never need one.
        rows: the number under which each account is filed.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        rows: dict[str, int],
        assets: AssetBook,
    ) -> None:
        self._connect = connect
        self._rows = rows
        self._orders = Codec(Order, assets)
        self._fills = Codec(Fill, assets)

    def _find(self, query: str, account_id: str, key: str) -> Any:
        return self._connect().execute(query, (self._rows.get(account_id), key)).fetchone()

    def order(self, account_id: str, order_id: str) -> Order | None:
        """A closed order by its id."""
        row = self._find("SELECT body FROM orders WHERE account=? AND id=?", account_id, order_id)
        return self._orders.decode(row[0]) if row else None

    def order_by_client_id(self, account_id: str, client_order_id: str) -> Order | None:
        """A closed order by the client's id."""
        query = "SELECT body FROM orders WHERE account=? AND client_order_id=?"
        row = self._find(query, account_id, client_order_id)
        return self._orders.decode(row[0]) if row else None

    def has_client_id(self, account_id: str, client_order_id: str) -> bool:
        """Whether an order ever had this client id."""
        query = "SELECT 1 FROM orders WHERE account=? AND client_order_id=?"
        return self._find(query, account_id, client_order_id) is not None

    def orders(
        self, account_id: str, wanted: OrderSelection, until_ns: int, known: Container[str]
    ) -> Iterator[Order]:
        """Orders submitted up to ``until_ns`` whose ids are not in ``known``.

        Submission times and numbers grow together, so the index on both serves every bound.
        """
        where = _Conditions("account=? AND submitted_ns<=?", self._rows.get(account_id), until_ns)
        where.add("submitted_ns>?", wanted.after_ns)
        where.add("submitted_ns<?", wanted.until_ns)
        if wanted.before is not None:
            where.add("submitted_ns<=?", wanted.before.submitted_ns)
            where.add("number<?", wanted.before.number)
        if wanted.after is not None:
            where.add("submitted_ns>=?", wanted.after.submitted_ns)
            where.add("number>?", wanted.after.number)
        where.among("symbol", wanted.symbols)
        where.among("asset_class", wanted.asset_classes)
        where.add("side=?", wanted.side)
        way = "DESC" if wanted.descending else "ASC"
        query = (
            f"SELECT id, body FROM orders WHERE {where} "  # noqa: S608  -- texts of this module
            f"ORDER BY submitted_ns {way}, number {way}"
        )
        for order_id, body in self._connect().execute(query, where.values):
            if order_id not in known:
                yield self._orders.decode(body)

    def executions(
        self, account_id: str, wanted: ExecutionSelection, before: int | None
    ) -> Iterator[Fill]:
        """Executions with numbers less than ``before``."""
        where = _Conditions("account=?", self._rows.get(account_id))
        where.add("number<?", before)
        where.add("at_ns>?", wanted.after_ns)
        where.add("at_ns<?", wanted.until_ns)
        where.add("order_id=?", wanted.order_id)
        if wanted.past is not None:
            number, at_ns = wanted.past
            where.add("number<?" if wanted.descending else "number>?", number)
            where.add("at_ns<=?" if wanted.descending else "at_ns>=?", at_ns)
        way = "DESC" if wanted.descending else "ASC"
        query = (
            f"SELECT body FROM executions WHERE {where} "  # noqa: S608  -- texts of this module
            f"ORDER BY at_ns {way}, number {way}"
        )
        for (body,) in self._connect().execute(query, where.values):
            yield self._fills.decode(body)

    def execution(self, account_id: str, execution_id: str) -> tuple[int, int] | None:
        """Number and time of an execution."""
        query = "SELECT number, at_ns FROM executions WHERE account=? AND id=?"
        row = self._find(query, account_id, execution_id)
        return (row[0], row[1]) if row else None

    def traded(
        self, account_id: str, after_ns: int, until_ns: int, before: int | None
    ) -> Iterator[Traded]:
        """What was executed in ``(after_ns, until_ns]``, equal executions added up by SQLite."""
        where = _Conditions("account=? AND at_ns>?", self._rows.get(account_id), after_ns)
        where.add("at_ns<=?", until_ns)
        where.add("number<?", before)
        query = (
            f"SELECT symbol, side, price, qty, count(*) FROM executions WHERE {where} "  # noqa: S608  -- texts of this module
            "GROUP BY symbol, side, price, qty"
        )
        for symbol, side, price, qty, count in self._connect().execute(query, where.values):
            yield Traded(symbol, side, Decimal(price), count * Decimal(qty))

    def last_execution_ns(self, account_id: str, until_ns: int, before: int | None) -> int | None:
        """The time of the newest execution at or before ``until_ns``."""
        where = _Conditions("account=? AND at_ns<=?", self._rows.get(account_id), until_ns)
        where.add("number<?", before)
        query = (
            f"SELECT at_ns FROM executions WHERE {where} "  # noqa: S608  -- texts of this module
            "ORDER BY at_ns DESC, number DESC LIMIT 1"
        )
        row = self._connect().execute(query, where.values).fetchone()
        return int(row[0]) if row else None
