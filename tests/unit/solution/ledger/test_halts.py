"""Halts are cleared beside a service that has the ledger open."""

import sqlite3
import threading
from pathlib import Path

import pytest

from solution.errors import ConfigError, LedgerError
from solution.ledger import halts, open_ledger
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.ledger_rows import make_intent


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger's address."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def test_one_ticker_is_cleared_while_the_service_writes(url: str) -> None:
    """The service sees it in its next reading; other tickers and other state stay."""
    service = SqliteLedger(url)
    service.set_state("halted:NVDA", "an orphan")
    service.set_state("halted:BTC/USD", "another")
    service.set_state("account", "mine")
    assert halts.listing(url) == {"NVDA": "an orphan", "BTC/USD": "another"}
    assert halts.clear(url, "nvda") == "NVDA"
    assert service.states("halted:") == {"halted:BTC/USD": "another"}
    assert halts.clear(url, "btcusd") == "BTC/USD"
    service.begin(make_intent(1))
    assert service.get_state("account") == "mine"
    service.close()
    assert halts.listing(url) == {}


def test_a_ticker_that_is_not_halted(url: str) -> None:
    """Is told apart from one that was."""
    SqliteLedger(url).close()
    assert halts.clear(url, "NVDA") is None


def test_clearing_waits_for_the_service_and_loses_none_of_its_rows(url: str) -> None:
    """Both write at once, many times: every row and every clearing is kept."""
    service = SqliteLedger(url)
    failed: list[LedgerError] = []

    def write() -> None:
        try:
            for number in range(300):
                service.begin(make_intent(number))
        except LedgerError as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    for symbol in "ABCDEFGHIJ":
        service.set_state(f"halted:{symbol}", "why")
    thread.start()
    cleared = [halts.clear(url, symbol) for symbol in "ABCDEFGHIJ"]
    thread.join()
    assert (failed, cleared) == ([], list("ABCDEFGHIJ"))
    assert len(service.open_intents()) == 300
    assert service.states("halted:") == {}
    service.close()


def test_no_ledger_and_no_file_of_ours(tmp_path: Path) -> None:
    """Nothing is made, nothing of others is touched."""
    missing = tmp_path / "missing.db"
    with pytest.raises(LedgerError, match="there is no ledger"):
        halts.clear(f"sqlite:///{missing}", "NVDA")
    assert not missing.exists()
    with pytest.raises(ConfigError):
        halts.clear("sqlite://", "NVDA")


def test_a_locked_database_ends_the_attempt(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience, with the halt in place."""
    service = SqliteLedger(url)
    service.set_state("halted:NVDA", "why")
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(halts, "BUSY_TIMEOUT", 0.05)
    with pytest.raises(LedgerError):
        halts.clear(url, "NVDA")
    other.execute("ROLLBACK")
    other.close()
    assert halts.clear(url, "NVDA") == "NVDA"
    service.close()


def test_in_postgres(postgres_url: str) -> None:
    """By the same two functions."""
    service = open_ledger(postgres_url)
    service.set_state("halted:NVDA", "an orphan")
    service.set_state("halted:F", "another")
    assert halts.listing(postgres_url) == {"NVDA": "an orphan", "F": "another"}
    assert halts.clear(postgres_url, "nvda") == "NVDA"
    assert halts.clear(postgres_url, "nvda") is None
    assert service.states("halted:") == {"halted:F": "another"}
    service.close()
