"""Which tickers are halted, as another process reads it."""

from pathlib import Path

import pytest

from solution.errors import ConfigError, LedgerError
from solution.ledger import halts
from solution.ledger.sqlite import SqliteLedger


def test_halts_and_nothing_else(tmp_path: Path) -> None:
    """By symbol, while the service has the ledger open."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    service = SqliteLedger(url)
    service.set_state("halted:NVDA", "an orphan")
    service.set_state("reducing:AMD", "by hand")
    assert halts.listing(url) == {"NVDA": "an orphan"}
    service.close()


def test_no_ledger(tmp_path: Path) -> None:
    """Nothing is made."""
    missing = tmp_path / "missing.db"
    with pytest.raises(LedgerError, match="there is no ledger"):
        halts.listing(f"sqlite:///{missing}")
    assert not missing.exists()
    with pytest.raises(ConfigError):
        halts.listing("sqlite://")
