"""Whether a PostgreSQL schema holds a ledger, and which version; the upgrade when it is old."""

from collections.abc import Callable
from typing import Any, cast

import psycopg

from solution.errors import LedgerError
from solution.ledger.schema import SCHEMA_VERSION, events_from, newer
from solution.ledger.store import Executor

# An upgrade may rewrite tables and wait for other sessions to let go of them.
UPGRADE_TIMEOUT = 60.0
_LOCK = 0x53504C4C  # advisory; one instance upgrades, the others wait for it
_OLDEST_SERVER = 120_000


def require_version(executor: Executor, name: str) -> int:
    """The version of the ledger in the schema, 0 when there is none.

    Raises:
        LedgerError: the tables are another application's, or of a newer version.
        psycopg.Error: it cannot be read.
    """
    try:
        # Alone when everything is as it should be: one round trip.
        found = executor.execute(
            "SELECT version_num, to_regclass('order_intents') IS NOT NULL FROM alembic_version"
        ).fetchone()
    except psycopg.errors.UndefinedTable:
        tables = executor.execute("SELECT to_regclass('order_intents') IS NOT NULL").fetchone()
        if tables[0]:
            raise _foreign(name) from None
        return 0
    if found is None or not found[1] or not found[0].isdigit():
        raise _foreign(name)
    if int(found[0]) > SCHEMA_VERSION:
        raise newer(name, int(found[0]))
    return int(found[0])


def _foreign(name: str) -> LedgerError:
    return LedgerError(
        f"{name} holds another application's tables; they were not touched"
        " (give the ledger a schema of its own: ?schema=NAME)"
    )


def check_server(connection: "psycopg.Connection[Any]", name: str) -> None:
    """Refuse a server that cannot keep a ledger.

    Raises:
        LedgerError: its version or its encoding.
    """
    if connection.info.server_version < _OLDEST_SERVER:
        raise LedgerError(f"the ledger {name} needs PostgreSQL 12 or newer")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise LedgerError(f"the database {name} must have the encoding UTF8, it has {encoding}")


def upgrade_postgres(
    connect: Callable[[], "psycopg.Connection[Any]"], name: str, schema: str, now_ms: int
) -> None:
    """Make the tables, or bring them to the newest version, in one transaction.

    Args:
        connect: makes a connection for this alone.
        schema: made where it is missing; empty for the connection's own first one.
        now_ms: epoch milliseconds.

    Raises:
        LedgerError: the old version is there still.
        psycopg.Error: likewise.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    from solution.ledger import migrate

    def creator() -> Any:
        connection = connect()
        try:
            check_server(connection, name)
        except BaseException:
            connection.close()
            raise
        connection.autocommit = False
        return connection

    engine = create_engine("postgresql+psycopg://", creator=creator, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            if schema:
                connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            migrate.upgrade(connection)
            # Only a ledger that has told nothing begins here.
            connection.exec_driver_sql(
                "UPDATE outbox_head SET last_event_id = %s WHERE last_event_id = 0",
                (events_from(now_ms),),
            )
    except DBAPIError as error:
        raise cast("psycopg.Error", error.orig) from error
