"""The tables of the ledger as SQLAlchemy sees them: what every path of versions must lead to.

A test compares them, column by column, with what the migrations make in SQLite and in PostgreSQL.
The service itself never imports this: its statements are SQL text, run by the driver.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

from solution.domain.records import TERMINAL

_CREATED_AT = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')",
    "postgresql": "to_timestamp({} / 1000.0)",
}
_TEXTS = (
    *("identity", "digest", "stream", "entry_id", "client_order_id", "state", "signal_id"),
    *("symbol", "asset_id", "side", "order_type", "time_in_force", "reason", "message", "status"),
    *("alpaca_order_id", "strategy", "extra"),
)
_AMOUNTS = ("reserved_cash", "reserved_qty", "filled_qty")
_MAYBE_AMOUNTS = ("qty", "notional", "limit_price", "cancel_after", "filled_avg_price")
_TIMES = ("published", "received", "submitted", "answered", "ended", "created", "updated")


def metadata(dialect: str) -> MetaData:
    """The newest version's tables.

    Args:
        dialect: ``sqlite`` or ``postgresql``; they differ in types, not in names.
    """
    return _Tables(dialect).made


class _Tables:
    """Builds the tables for one dialect."""

    def __init__(self, dialect: str) -> None:
        self.made = MetaData()
        self._dialect = dialect
        self._postgres = dialect == "postgresql"
        # SQLite has no exact decimal: digits are kept as text there.
        self._decimal: TypeEngine[object] = Numeric() if self._postgres else Text()  # type: ignore[assignment]
        self._big: TypeEngine[int] = BigInteger() if self._postgres else Integer()
        self._order_intents()
        self._trades()
        self._entries()
        self._outbox()
        self._history()
        self._lease()

    def _id(self) -> "Column[int]":
        if self._postgres:
            return Column("id", BigInteger, Identity(always=True), primary_key=True)
        return Column("id", Integer, primary_key=True, nullable=True)

    def _texts(self, *names: str) -> "list[Column[str]]":
        return [Column(name, Text, nullable=False) for name in names]

    def _at(self, name: str) -> "Column[object]":
        """Milliseconds of a time column, readable."""
        expression = _CREATED_AT[self._dialect].format(f"{name}_ms")
        if self._postgres:
            return Column(f"{name}_at", DateTime(timezone=True), Computed(expression, True))  # noqa: FBT003
        return Column(f"{name}_at", Text, Computed(expression, False))  # noqa: FBT003

    def _order_intents(self) -> None:
        ends = ", ".join(f"'{state.value}'" for state in sorted(TERMINAL))
        is_open = text(f"state NOT IN ({ends})")
        table = Table(
            "order_intents",
            self.made,
            self._id(),
            *self._texts(*_TEXTS),
            *(Column(name, self._decimal, nullable=False) for name in _AMOUNTS),
            *(Column(name, self._decimal) for name in _MAYBE_AMOUNTS),
            Column("body", LargeBinary, nullable=False),
            *(Column(f"{name}_ms", self._big, nullable=False) for name in _TIMES),
            self._at("created"),
            self._at("updated"),
        )
        if self._postgres:
            table.append_column(Column("begun_by", Text))
        Index("order_intents_identity", table.c.identity, unique=True)
        Index("order_intents_client_order_id", table.c.client_order_id, unique=True)
        Index("order_intents_open", table.c.id, sqlite_where=is_open, postgresql_where=is_open)

    def _trades(self) -> None:
        Table(
            "trades",
            self.made,
            self._id(),
            *self._texts("timestamp", "symbol", "side", "order_id", "client_order_id"),
            Column("execution_id", Text, nullable=False, unique=True),
            *(Column(name, self._decimal, nullable=False) for name in ("qty", "price", "cum_qty")),
            UniqueConstraint("order_id", "cum_qty"),
        )

    def _entries(self) -> None:
        """Tables about stream entries and small state."""
        entry = ("stream", "entry_id")
        Table(
            "dead_letters",
            self.made,
            self._id(),
            *self._texts(*entry, "reason", "message", "at", "fields"),
            UniqueConstraint(*entry),
        )
        Table("repeats", self.made, *(Column(name, Text, primary_key=True) for name in entry))
        Table(
            "entry_starts",
            self.made,
            *(Column(name, Text, primary_key=True) for name in entry),
            Column("starts", Integer, nullable=False),
        )
        Table(
            "bot_state",
            self.made,
            Column("key", Text, primary_key=True, nullable=not self._postgres),
            *self._texts("value", "updated_at"),
        )

    def _outbox(self) -> None:
        Table(
            "outbox",
            self.made,
            Column("event_id", self._big, primary_key=True, nullable=not self._postgres),
            *self._texts("fields"),
        )
        if self._postgres:
            Table(
                "outbox_head",
                self.made,
                Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
                Column("last_event_id", BigInteger, nullable=False),
                *self._texts("batch"),
            )

    def _history(self) -> None:
        table = Table(
            "history",
            self.made,
            self._id(),
            Column("at_ms", self._big, nullable=False),
            *self._texts("client_order_id", "kind", "detail"),
        )
        Index("history_client_order_id", table.c.client_order_id)
        Table(
            "equity_curve",
            self.made,
            self._id(),
            Column("timestamp", Text, nullable=False, unique=True),
            *(Column(name, self._decimal, nullable=False) for name in ("equity", "daily_pnl")),
        )

    def _lease(self) -> None:
        Table(
            "lease",
            self.made,
            Column(
                "id",
                Integer,
                CheckConstraint("id = 1"),
                primary_key=True,
                nullable=not self._postgres,
            ),
            Column("epoch", self._big, nullable=False, unique=self._postgres),
            *self._texts("holder"),
            Column("expires_ms", self._big, nullable=False),
        )
