"""The listing commands' view of a ledger."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from solution.domain.records import Change, EntryRef, Intent, State, Trade
from solution.errors import ConfigError, LedgerError
from solution.ledger import open_reader
from solution.ledger.reader import LedgerReader
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store
from tests.helpers.ledger_rows import make_dead_letter, make_end, make_intent, make_trade


@pytest.fixture
def reader(ledger: Store) -> Iterator[LedgerReader]:
    """Four signals (one refused, one filled), two dead letters, one value."""
    fill(ledger)
    with ledger.open_reader() as opened:
        yield opened


def fill(ledger: Store) -> None:
    """What every reader of these tests finds."""
    for number in (1, 2):
        ledger.begin(make_intent(number, signal_id=f"s-{number}"))
    ledger.apply(
        [
            make_end(1),
            Change(insert=make_intent(3, state=State.REFUSED, symbol="AAPL")),
            Change(insert=make_intent(4, state=State.UNKNOWN, symbol="AAPL")),
            Change(dead_letter=make_dead_letter(8)),
            Change(dead_letter=make_dead_letter(9)),
        ]
    )
    ledger.set_state("account", "a-1")


def names(intents: Iterable[Intent]) -> list[str]:
    """The entry ids of a list of intents."""
    return [intent.entry_id for intent in intents]


def test_intents_come_newest_first(reader: LedgerReader) -> None:
    """A limit keeps the newest."""
    assert names(reader.list_intents()) == ["4-0", "3-0", "2-0", "1-0"]
    assert names(reader.list_intents(limit=2)) == ["4-0", "3-0"]


def test_intents_are_filtered_by_state_and_symbol(reader: LedgerReader) -> None:
    """Both filters hold together; no state at all matches nothing."""
    assert names(reader.list_intents(states=[State.SUBMITTING, State.REFUSED])) == ["3-0", "2-0"]
    assert names(reader.list_intents(symbol="AAPL")) == ["4-0", "3-0"]
    assert names(reader.list_intents(states=[State.UNKNOWN], symbol="AAPL")) == ["4-0"]
    assert names(reader.list_intents(states=[])) == []


def test_legs_are_found_by_their_entry_order_and_are_no_signals(ledger: Store) -> None:
    """Those of another bracket are not among them."""
    fill(ledger)
    for number, parent in ((5, "sp-test-1"), (6, "sp-test-1"), (7, "sp-test-2")):
        identity = f"|leg:{parent}:order-{number}"
        leg = make_intent(number, identity=identity, state=State.OPEN, entry_id="")
        ledger.apply([Change(insert=leg)])
    with ledger.open_reader() as reader:
        found = [row.client_order_id for row in reader.list_legs("sp-test-1")]
        assert found == ["sp-test-5", "sp-test-6"]
        assert reader.list_legs("sp-test-4") == []
        assert sum(reader.counts_by_state().values()) == 4


@pytest.mark.parametrize("key", ["sp-test-2", "nvda|2-0|abcdef", "s-2", "2-0"])
def test_an_intent_is_found_by_any_of_its_names(reader: LedgerReader, key: str) -> None:
    """Whatever a user has at hand leads to the row."""
    assert names(reader.find_intents(key)) == ["2-0"]


def test_trades_are_listed_by_order(reader: LedgerReader) -> None:
    """All of them, or one order's."""
    assert reader.list_trades() == reader.list_trades("sp-test-1") == [make_trade(1)]
    assert reader.list_trades("sp-test-2") == []


def test_dead_letters_come_newest_first_with_their_bytes(reader: LedgerReader) -> None:
    """What was received is shown as it was received."""
    assert reader.list_dead_letters() == [make_dead_letter(9), make_dead_letter(8)]
    assert reader.list_dead_letters(limit=1) == [make_dead_letter(9)]
    assert reader.find_dead_letters("8-0") == [make_dead_letter(8)]
    assert reader.count_dead_letters() == 2


def test_states_are_counted(reader: LedgerReader) -> None:
    """Only states that occur are there."""
    assert reader.counts_by_state() == {
        State.FILLED: 1,
        State.SUBMITTING: 1,
        State.REFUSED: 1,
        State.UNKNOWN: 1,
    }


def test_state_is_read_by_key(reader: LedgerReader) -> None:
    """None for a key that was never set."""
    assert (reader.get_state("account"), reader.get_state("nothing")) == ("a-1", None)


def test_the_time_of_a_state_is_read_by_key(reader: LedgerReader) -> None:
    """As RFC 3339 with a zone; None for a key that was never set."""
    at = reader.written_at("account")
    assert at is not None
    assert datetime.fromisoformat(at).tzinfo is not None
    assert reader.written_at("nothing") is None


def test_repeats_are_listed(ledger: Store) -> None:
    """By stream and entry."""
    ledger.apply([Change(repeats=(EntryRef("nvda", "5-0"),))])
    with ledger.open_reader() as reader:
        assert reader.list_repeats() == [("nvda", "5-0")]


def test_a_reader_follows_the_service(reader: LedgerReader, ledger: Store) -> None:
    """Each question sees the commits made before it."""
    ledger.apply([make_end(2)])
    assert reader.counts_by_state()[State.FILLED] == 2


def test_a_reader_cannot_write(file_ledger: SqliteLedger) -> None:
    """Read-only is SQLite's own, not our restraint."""
    fill(file_ledger)
    with file_ledger.open_reader() as reader, pytest.raises(LedgerError, match="read-only"):
        reader._read("DELETE FROM order_intents RETURNING id")


def test_a_ledger_in_memory_is_read_by_its_own_process_only() -> None:
    """Another process would find an empty one."""
    with pytest.raises(ConfigError, match="in memory"):
        open_reader("sqlite://")


def test_no_file_is_made_where_none_is(tmp_path: Path) -> None:
    """A wrong path is an error and leaves nothing behind."""
    with pytest.raises(LedgerError, match="there is no ledger at"):
        open_reader(f"sqlite:///{tmp_path}/missing.db")
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_made_beside_a_closed_ledger(file_ledger: SqliteLedger) -> None:
    """Reading after the service has ended leaves neither a -wal nor a -shm."""
    file_ledger.begin(make_intent())
    file_ledger.close()
    before = sorted(file_ledger.path.parent.iterdir())
    with open_reader(f"sqlite:///{file_ledger.path}") as opened:
        assert names(opened.list_intents()) == ["1-0"]
    assert sorted(file_ledger.path.parent.iterdir()) == before


def test_an_empty_file_holds_no_ledger_yet(tmp_path: Path) -> None:
    """A start that was cut short before its first commit."""
    (tmp_path / "empty.db").touch()
    with pytest.raises(LedgerError, match="no ledger yet"):
        open_reader(f"sqlite:///{tmp_path}/empty.db")


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    """The error is ours, not the driver's."""
    (tmp_path / "text.db").write_text("hello " * 200)
    with pytest.raises(LedgerError, match="no SQLite database"):
        open_reader(f"sqlite:///{tmp_path}/text.db")


def test_executions_since_a_time_are_read_from_the_newest_backwards(
    file_ledger: SqliteLedger,
) -> None:
    """Oldest first, over page borders; those told a moment out of order are not lost."""
    seconds = [1, 2, 9, 5, 6, 7, 8, 4]
    for number, second in enumerate(seconds):
        intent = make_intent(number)
        file_ledger.begin(intent)
        trade = Trade(
            execution_id=f"e-{number}",
            at=f"2026-03-04T15:00:0{second}.123Z",
            symbol="NVDA",
            side="buy",
            qty=Decimal(1),
            price=Decimal(1),
            cum_qty=Decimal(1),
            order_id=f"o-{number}",
            client_order_id=intent.client_order_id,
        )
        change = Change(client_order_id=intent.client_order_id, trades=(trade,))
        file_ledger.apply([change])
    with file_ledger.open_reader() as reader:
        for page in (1, 2, 3, 100):
            found = reader.trades_since("2026-03-04T15:00:04", page=page)
            assert [trade.at[18] for trade in found] == list("956784")
        assert reader.trades_since("2026-03-04T16") == []
