"""The ledger in both forms."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from solution.ledger.sqlite import SqliteLedger


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


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest) -> SqliteLedger:
    """Each form in turn: whatever holds for one holds for the other."""
    found: SqliteLedger = request.getfixturevalue(f"{request.param}_ledger")
    return found
