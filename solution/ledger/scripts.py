"""The SQL of each version of the ledger; read without alembic and SQLAlchemy."""

import re
from pathlib import Path

VERSIONS = ("0001", "0002")
"""Every version this program knows, oldest first."""
NEWEST = VERSIONS[-1]

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def statements(version: str, dialect: str) -> list[str]:
    """What leads from the version before to this one.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
    """
    path = MIGRATIONS / "versions" / f"v{version}_{dialect}.sql"
    text = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
    # No literal of ours holds a semicolon.
    return [one for part in text.split(";") if (one := part.strip())]
