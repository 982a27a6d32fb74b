"""Signals and their orders, executions, dead letters, state and the outbox."""

from alembic import op

from solution.ledger.scripts import statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    for statement in statements(revision, op.get_bind().dialect.name):
        op.execute(statement)
