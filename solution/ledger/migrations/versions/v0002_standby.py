"""Histories, counted starts, the equity curve, the lease."""

from alembic import op

from solution.ledger.scripts import statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    for statement in statements(revision, op.get_bind().dialect.name):
        op.execute(statement)
