"""Upgrades a ledger to the newest version; imported only when one is not there yet.

Everything happens in one transaction of the caller's making: after a crash in the middle the
ledger has its old version, complete.
"""

import logging
import sqlite3
from pathlib import Path
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from solution import failpoints
from solution.errors import LedgerError
from solution.ledger.failures import translated
from solution.ledger.scripts import MIGRATIONS, NEWEST, VERSIONS

log = logging.getLogger(__name__)


def upgrade_sqlite(path: Path, busy_timeout: float) -> None:
    """Upgrade the file; requires that no other process writes it.

    Raises:
        LedgerError: it has its old version still.
    """
    engine = create_engine(
        f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": busy_timeout}
    )
    event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.begin() as connection:
            upgrade(connection)
    except DBAPIError as error:
        raise translated(cast("sqlite3.Error", error.orig), path) from error
    except CommandError as error:
        raise LedgerError(f"the ledger {path} could not be upgraded: {error}") from error


def upgrade(connection: Connection) -> None:
    """Run every step that is missing, inside the transaction that is open on ``connection``."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    tables = inspect(connection).get_table_names()
    if "order_intents" in tables and "alembic_version" not in tables:
        # Made before there were migrations: its layout is that of the first version.
        command.stamp(config, VERSIONS[0])
    command.upgrade(config, NEWEST)
    failpoints.hit("migration.before_commit")
    log.info("ledger_upgraded", extra={"version": NEWEST})


def _begin_immediate(connection: Connection) -> None:
    # Python's driver begins none before DDL, and each statement would be its own commit.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
