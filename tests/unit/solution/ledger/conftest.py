"""The ledger in each of its forms."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from solution.ledger import schema
from solution.ledger.postgres import PostgresLedger
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store


@pytest.fixture(autouse=True)
def _counted_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event ids that a reader can count with; where they begin has tests of its own."""
    monkeypatch.setattr(schema, "EVENTS_PER_MS", 0)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the file of a test's ledger is, or will be."""
    return tmp_path / "ledger.db"


@pytest.fixture
def file_ledger(database: Path) -> Iterator[SqliteLedger]:
    """A ledger in a new file."""
    ledger = SqliteLedger(f"sqlite:///{database}")
    yield ledger
    ledger.close()


@pytest.fixture
def memory_ledger() -> Iterator[SqliteLedger]:
    """A ledger in memory."""
    ledger = SqliteLedger("sqlite://")
    yield ledger
    ledger.close()


@pytest.fixture
def postgres_ledger(postgres_url: str) -> Iterator[PostgresLedger]:
    """A ledger in a database of its own."""
    ledger = PostgresLedger(postgres_url)
    yield ledger
    ledger.close()


@pytest.fixture(params=["memory", "file", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Store:
    """Each form in turn: whatever holds for one holds for the others."""
    found: Store = request.getfixturevalue(f"{request.param}_ledger")
    return found


@pytest.fixture(params=["memory", "file"])
def sqlite_ledger(request: pytest.FixtureRequest) -> SqliteLedger:
    """Both forms that SQLite has."""
    found: SqliteLedger = request.getfixturevalue(f"{request.param}_ledger")
    return found
