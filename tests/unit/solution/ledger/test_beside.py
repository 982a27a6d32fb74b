"""Small state is written beside a service that has the ledger open."""

import sqlite3
import threading
from pathlib import Path

import pytest

from solution.errors import ConfigError, LedgerError
from solution.ledger import beside, open_ledger
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.ledger_rows import make_intent


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger's address."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def test_rows_are_kept_and_forgotten_while_the_service_writes(url: str) -> None:
    """The service sees it in its next reading; other state stays."""
    service = SqliteLedger(url)
    service.set_state("account", "mine")
    beside.keep(url, {"trading_state:operator": "{}", "kill:1": "a", "kill:2": "b"})
    assert service.states("kill:") == {"kill:1": "a", "kill:2": "b"}
    service.begin(make_intent(1))
    assert beside.forget(url, lambda key: key.startswith("kill:")) == {"kill:1": "a", "kill:2": "b"}
    assert service.states("") == {"account": "mine", "trading_state:operator": "{}"}
    assert beside.forget(url, lambda key: key == "kill:1") == {}
    beside.keep(url, {"a": "2"}, new={"a": "3", "b": "1"})
    beside.keep(url, {}, new={"b": "4"})
    assert service.states("")["a"] + service.states("")["b"] == "21"
    service.close()


def test_writing_waits_for_the_service_and_loses_none_of_its_rows(url: str) -> None:
    """Both write at once, many times: every row and every change is kept."""
    service = SqliteLedger(url)
    failed: list[LedgerError] = []

    def write() -> None:
        try:
            for number in range(300):
                service.begin(make_intent(number))
        except LedgerError as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    for symbol in "ABCDEFGHIJ":
        beside.keep(url, {f"halted:{symbol}": "why"})
        beside.forget(url, lambda key, mine=f"halted:{symbol}": key == mine)  # type: ignore[misc]
    thread.join()
    assert failed == []
    assert len(service.open_intents()) == 300
    assert service.states("halted:") == {}
    service.close()


def test_no_ledger_and_no_file_of_ours(tmp_path: Path) -> None:
    """Nothing is made, nothing of others is touched."""
    missing = tmp_path / "missing.db"
    with pytest.raises(LedgerError, match="there is no ledger"):
        beside.keep(f"sqlite:///{missing}", {"a": "b"})
    assert not missing.exists()
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(LedgerError, match="holds no ledger"):
        beside.keep(f"sqlite:///{empty}", {"a": "b"})
    with pytest.raises(ConfigError):
        beside.keep("sqlite://", {"a": "b"})


def test_a_locked_database_ends_the_attempt(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience, with everything as it was."""
    service = SqliteLedger(url)
    service.set_state("halted:NVDA", "why")
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(beside, "BUSY_TIMEOUT", 0.05)
    with pytest.raises(LedgerError):
        beside.forget(url, lambda _key: True)
    other.execute("ROLLBACK")
    other.close()
    assert beside.forget(url, lambda _key: True) == {"halted:NVDA": "why"}
    service.close()


def test_in_postgres(postgres_url: str) -> None:
    """By the same two functions."""
    service = open_ledger(postgres_url)
    beside.keep(postgres_url, {"trading_state:operator": "{}", "kill:1": "a"})
    beside.keep(postgres_url, {"kill:1": "b"}, new={"kill:1": "c"})
    assert service.states("kill:") == {"kill:1": "b"}
    assert beside.forget(postgres_url, lambda key: key == "kill:1") == {"kill:1": "b"}
    assert beside.forget(postgres_url, lambda key: key == "kill:1") == {}
    assert set(service.states("trading_state:")) == {"trading_state:operator"}
    service.close()
