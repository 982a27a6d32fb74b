"""Runs the steps on the connection that :mod:`solution.ledger.migrate` hands over."""

from alembic import context

from solution.ledger.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata(connection.dialect.name),
    # SQLite's DDL is transactional as well, once somebody says BEGIN.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
