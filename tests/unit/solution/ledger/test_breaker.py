"""The breaker's row, read and deleted beside a service that has the ledger open."""

from pathlib import Path

import pytest

from solution.errors import ConfigError, LedgerError
from solution.ledger import breaker, open_ledger
from solution.ledger.sqlite import SqliteLedger


def test_it_is_read_and_deleted_while_the_service_has_the_ledger(tmp_path: Path) -> None:
    """Nothing else is touched."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    service = SqliteLedger(url)
    service.set_state("account", "mine")
    assert (breaker.row(url), breaker.clear(url)) == (None, False)
    service.set_state(breaker.KEY, "row")
    assert breaker.row(url) == "row"
    assert breaker.clear(url)
    assert (service.get_state(breaker.KEY), service.get_state("account")) == (None, "mine")
    service.close()


def test_without_a_ledger(tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(LedgerError, match="there is no ledger"):
        breaker.clear(f"sqlite:///{tmp_path}/missing.db")
    with pytest.raises(ConfigError):
        breaker.row("sqlite://")


def test_in_postgres(postgres_url: str) -> None:
    """By the same two functions."""
    service = open_ledger(postgres_url)
    service.set_state(breaker.KEY, "row")
    assert breaker.row(postgres_url) == "row"
    assert breaker.clear(postgres_url)
    assert not breaker.clear(postgres_url)
    service.close()
