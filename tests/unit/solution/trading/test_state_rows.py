"""Small state that stops orders: in force at once, durable on return, safe from races."""

import threading

import pytest

from solution.errors import LedgerError
from solution.trading import state_rows
from solution.trading.state_rows import StateRows

KEYS = ("a:", "b:")


class Ledger:
    """Rows in a dict; ``fails`` while set; a write waits for ``open``."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.fails = False
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()

    def set_state(self, key: str, value: str) -> None:
        self.waiting.set()
        assert self.open.wait(10)
        if self.fails:
            raise LedgerError("disk full")
        self.rows[key] = value

    def delete_state(self, key: str) -> None:
        if self.fails:
            raise LedgerError("disk full")
        self.rows.pop(key, None)

    def states(self, prefix: str) -> dict[str, str]:
        return {key: value for key, value in self.rows.items() if key.startswith(prefix)}


@pytest.fixture
def ledger() -> Ledger:
    """An empty one."""
    return Ledger()


@pytest.fixture
def rows(ledger: Ledger) -> StateRows:
    """Rows under two prefixes."""
    return StateRows(ledger, KEYS)


def test_a_row_is_in_force_while_it_is_written(ledger: Ledger, rows: StateRows) -> None:
    """Before the ledger has answered; a reading meanwhile does not take it back."""
    ledger.open.clear()
    writer = threading.Thread(target=rows.put, args=("a:1", "x"))
    writer.start()
    assert ledger.waiting.wait(10)
    assert rows.rows == {"a:1": "x"}
    reader = threading.Thread(target=rows.refresh)
    reader.start()
    ledger.open.set()
    writer.join()
    reader.join()
    assert rows.rows == ledger.rows == {"a:1": "x"}


def test_what_the_ledger_did_not_take_is_in_force_and_tried_again(
    ledger: Ledger, rows: StateRows
) -> None:
    """A failing ledger undoes nothing; once it works, the row is durable."""
    ledger.fails = True
    with pytest.raises(LedgerError):
        rows.put("a:1", "x")
    rows.refresh()
    assert rows.rows == {"a:1": "x"}
    ledger.fails = False
    rows.refresh()
    assert ledger.rows == {"a:1": "x"}
    del ledger.rows["a:1"]
    rows.refresh()
    assert rows.rows == {}


def test_what_others_write_and_delete_counts_from_the_next_reading(
    ledger: Ledger, rows: StateRows
) -> None:
    """Rows under other prefixes are nobody's business here."""
    ledger.rows |= {"a:1": "x", "c:1": "y"}
    rows.refresh()
    assert rows.rows == {"a:1": "x"}
    ledger.rows.clear()
    rows.refresh()
    assert rows.rows == {}


def test_dropping(ledger: Ledger, rows: StateRows) -> None:
    """Durable first: a ledger that fails leaves it in force."""
    rows.put("a:1", "x")
    ledger.fails = True
    with pytest.raises(LedgerError):
        rows.drop("a:1")
    assert rows.rows == {"a:1": "x"}
    ledger.fails = False
    rows.drop("a:1")
    assert rows.rows == ledger.rows == {}


def test_what_is_put_while_the_old_one_is_dropped_stays(ledger: Ledger, rows: StateRows) -> None:
    """Between the deletion in the ledger and that in memory."""
    rows.put("a:1", "old")
    delete = ledger.delete_state

    def meanwhile(key: str) -> None:
        delete(key)
        with rows._memory:
            rows._unkept[key] = "new"
            rows._show()

    ledger.delete_state = meanwhile  # type: ignore[method-assign]
    rows.drop("a:1")
    assert rows.rows == {"a:1": "new"}


def test_nobody_waits_for_long_on_another_threads_question(
    ledger: Ledger, rows: StateRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that hangs in one thread is as good as one that does not answer."""
    monkeypatch.setattr(state_rows, "WAIT", 0.01)
    ledger.open.clear()
    writer = threading.Thread(target=rows.put, args=("a:1", "x"))
    writer.start()
    assert ledger.waiting.wait(10)
    with pytest.raises(LedgerError, match="another thread"):
        rows.refresh()
    ledger.open.set()
    writer.join()
