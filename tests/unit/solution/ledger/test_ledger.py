"""The ledger's contract, over memory, a SQLite file and a real PostgreSQL."""

import threading
from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import TERMINAL, Change, EntryRef, EquityPoint, Note, State
from solution.errors import IdentityExists, LeaseLost, LedgerError
from solution.ledger.rows import event_fields
from solution.ledger.store import Executor, Store
from tests.helpers.clocks import eventually
from tests.helpers.ledger_rows import (
    AT,
    make_dead_letter,
    make_end,
    make_event,
    make_intent,
    make_trade,
)

THREADS = 16
PER_THREAD = 25


def column(ledger: Store, sql: str) -> list[object]:
    """The first column of a query on the ledger's own connection."""
    return [row[0] for row in ledger._read(sql)]


def execute(ledger: Store, sql: str) -> None:
    """Run a statement behind the ledger's back, without comparing the lease."""
    epoch, ledger._epoch = ledger._epoch, 0
    ledger._write(lambda executor: executor.execute(sql))
    ledger._epoch = epoch


def test_find_returns_every_column_as_it_was_begun(ledger: Store) -> None:
    """No column of an intent is lost, reordered or changed in value on its way."""
    intent = make_intent(
        signal_id="s-1",
        asset_id="asset",
        notional=Decimal("1000.10"),
        order_type="limit",
        time_in_force="ioc",
        limit_price=Decimal("99.95"),
        reserved_cash=Decimal("1249.375"),
        reserved_qty=Decimal(3),
        cancel_after=Decimal("2.5"),
        reason="R",
        message="a sentence",
        status="new",
        filled_qty=Decimal("0.5"),
        filled_avg_price=Decimal("99.9"),
        alpaca_order_id="order-1",
        strategy="mean",
        extra=(("x_a", "1"), ("x_b", "ü")),
        published_ms=1,
        received_ms=2,
        submitted_ms=3,
        answered_ms=4,
        ended_ms=5,
        created_ms=6,
        updated_ms=7,
    )
    ledger.begin(intent)
    assert ledger.find(intent.identity) == intent
    assert ledger.find_by_client_order_id(intent.client_order_id) == intent


def test_absent_rows_are_none(ledger: Store) -> None:
    """What is not there is None, not an error."""
    assert ledger.find("nobody") is None
    assert ledger.find_by_client_order_id("nobody") is None
    assert ledger.find_dead_letter(EntryRef("nvda", "1-0")) is None
    assert ledger.get_state("nothing") is None


@pytest.mark.parametrize("changed", [{"client_order_id": "other"}, {"identity": "other"}])
def test_begin_refuses_a_taken_identity_or_order_id(ledger: Store, changed: dict[str, str]) -> None:
    """Either key alone is enough to refuse; the first row stays as it was."""
    ledger.begin(make_intent(symbol="FIRST"))
    with pytest.raises(IdentityExists):
        ledger.begin(make_intent(symbol="SECOND", **changed))
    assert [intent.symbol for intent in ledger.open_intents()] == ["FIRST"]


def test_a_float_is_refused(ledger: Store) -> None:
    """A float has lost its digits before it comes here."""
    with pytest.raises(TypeError, match="Decimal"):
        ledger.begin(make_intent(qty=12.5))
    with pytest.raises(TypeError, match="milliseconds"):
        ledger.begin(make_intent(submitted_ms="now"))


def test_text_that_is_no_unicode_is_kept_escaped(ledger: Store) -> None:
    """A lone surrogate, which UTF-8 cannot carry, does not stop the commit."""
    ledger.apply(
        [Change(insert=make_intent(message="bad \ud800"), events=(make_event(message="\udfff"),))]
    )
    assert ledger.find(make_intent().identity).message == "bad \\ud800"
    assert ledger.unpublished(10)[0][1]["message"] == "\\udfff"


def test_apply_moves_a_row_to_its_end_with_all_that_belongs_to_it(ledger: Store) -> None:
    """State, trade and event of one change are there after one call."""
    ledger.begin(make_intent())
    change = make_end()
    assert ledger.apply([change]) == [(1, event_fields(change.events[0]))]
    found = ledger.find(make_intent().identity)
    assert (found.state, found.status, found.filled_qty) == (
        State.FILLED,
        "filled",
        Decimal("12.50"),
    )
    with ledger.open_reader() as reader:
        assert reader.list_trades() == [make_trade()]
    assert ledger.open_intents() == []


def test_open_intents_are_the_rows_without_an_end_in_order_of_creation(
    ledger: Store,
) -> None:
    """UNKNOWN and EXPIRED_UNCONFIRMED are open; refusals and ends are not."""
    for number in (3, 1, 2, 4):
        ledger.begin(make_intent(number))
    ledger.apply(
        [
            Change(client_order_id="sp-test-1", update={"state": State.UNKNOWN}),
            Change(client_order_id="sp-test-4", update={"state": State.EXPIRED_UNCONFIRMED}),
            make_end(2),
            Change(insert=make_intent(5, state=State.REFUSED)),
        ]
    )
    assert [intent.client_order_id for intent in ledger.open_intents()] == [
        "sp-test-3",
        "sp-test-1",
        "sp-test-4",
    ]


def test_changes_of_one_row_apply_in_their_order(ledger: Store) -> None:
    """Within a batch the later change of a row wins."""
    ledger.begin(make_intent())
    ledger.apply(
        [
            Change(client_order_id="sp-test-1", update={"status": "new", "filled_qty": Decimal(1)}),
            Change(client_order_id="sp-test-1", update={"filled_qty": Decimal(2)}),
        ]
    )
    found = ledger.find(make_intent().identity)
    assert (found.status, found.filled_qty) == ("new", Decimal(2))


def life(**last: Any) -> list[Change]:
    """Answer, acceptance and end of row 1, as three changes with an event each."""
    return [
        make_move(State.OPEN, status="pending_new", answered_ms=7, event="submitted"),
        make_move(State.OPEN, status="new", event="new"),
        make_move(**({"state": State.FILLED, "status": "filled", "ended_ms": 9} | last)),
    ]


def make_move(state: State, *, event: str = "fill", **columns: Any) -> Change:
    """A change of row 1 as the tracker makes them."""
    told = make_event(event=event, final=state in TERMINAL)
    update = {"state": state, "updated_ms": 5, **columns}
    return Change(client_order_id="sp-test-1", update=update, events=(told,))


def told(ledger: Store, changes: list[Change]) -> list[str]:
    """The events of a batch, in order."""
    return [fields["event"] for _, fields in ledger.apply(changes)]


def test_a_whole_life_in_one_batch_sets_what_each_change_sets(ledger: Store) -> None:
    """The row ends as if every change had been committed alone, and every event goes out."""
    ledger.begin(make_intent())
    assert told(ledger, life()) == ["submitted", "new", "fill"]
    found = ledger.find(make_intent().identity)
    assert (found.state, found.status) == (State.FILLED, "filled")
    assert (found.answered_ms, found.ended_ms, found.updated_ms) == (7, 9, 5)


def test_nothing_joins_an_end(ledger: Store) -> None:
    """What comes after an end in one batch finds a terminal row, as in a batch of its own."""
    ledger.begin(make_intent())
    late = make_move(State.CANCELED, status="canceled", event="canceled")
    assert told(ledger, [*life(), late]) == ["submitted", "new", "fill"]
    assert ledger.find(make_intent().identity).status == "filled"


def test_a_whole_life_after_the_end_changes_nothing(ledger: Store) -> None:
    """Each change is judged by itself: what is not final is told, the second end is not."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    ended = {"state": State.CANCELED, "status": "canceled"}
    assert told(ledger, life(**ended)) == ["submitted", "new"]
    assert ledger.find(make_intent().identity).status == "filled"


def test_a_row_inserted_between_two_of_its_updates(ledger: Store) -> None:
    """The one before it found no row, the one after it does."""
    first, second, _ = life()
    ledger.apply([first, Change(insert=make_intent()), second])
    found = ledger.find(make_intent().identity)
    assert (found.status, found.answered_ms) == ("new", 0)


def test_a_terminal_row_never_changes_state(ledger: Store) -> None:
    """An update with a state finds nothing, and its final event is not reported again."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    late = make_end(update={"state": State.CANCELED, "status": "canceled"}, trades=())
    assert ledger.apply([late]) == []
    found = ledger.find(make_intent().identity)
    assert (found.state, found.status) == (State.FILLED, "filled")


def test_a_late_event_that_ends_nothing_is_still_reported(ledger: Store) -> None:
    """Of a change that comes after the end, events that are not final go out."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    partial, end = make_event(event="partial_fill"), make_event(final=True)
    late = make_end(update={"state": State.OPEN}, events=(partial, end))
    assert ledger.apply([late]) == [(2, event_fields(partial))]


def test_facts_beside_the_same_terminal_state_are_written(ledger: Store) -> None:
    """A fill after the recorded end is booked and told; the end is not told again."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    corrected, end = make_event(event="corrected"), make_event(final=True)
    update = {"state": State.FILLED, "filled_qty": Decimal(13)}
    [(_, told)] = ledger.apply([make_end(update=update, events=(corrected, end))])
    assert ledger.find(make_intent().identity).filled_qty == Decimal(13)
    assert told == event_fields(corrected)


def test_an_update_without_a_state_reaches_a_terminal_row(ledger: Store) -> None:
    """Facts that arrive after the end (a last fill) are booked."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    ledger.apply([Change(client_order_id="sp-test-1", update={"filled_qty": Decimal(13)})])
    assert ledger.find(make_intent().identity).filled_qty == Decimal(13)


def test_an_update_of_no_row_is_reported_in_the_log(
    ledger: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The event still goes out: it happened, whatever the ledger knew."""
    assert len(ledger.apply([make_end(trades=())])) == 1
    assert "update_without_row" in caplog.messages


def test_a_repeated_insert_reports_nothing_twice(ledger: Store) -> None:
    """A redelivery that overtook its own first record leaves one row and one final event."""
    refused = Change(
        insert=make_intent(state=State.REFUSED, reason="FIRST"), events=(make_event(final=True),)
    )
    again = Change(
        insert=make_intent(state=State.REFUSED, reason="SECOND"), events=(make_event(final=True),)
    )
    assert [event_id for event_id, _ in ledger.apply([refused, again])] == [1]
    assert ledger.find(make_intent().identity).reason == "FIRST"


def test_a_signal_published_again_is_reported_under_its_new_entry(ledger: Store) -> None:
    """The same identity under another entry id makes no row, but its report goes out."""
    ledger.begin(make_intent())
    again = Change(insert=make_intent(entry_id="2-0"), events=(make_event(2, final=True),))
    assert len(ledger.apply([again])) == 1
    assert ledger.find(make_intent().identity).entry_id == "1-0"


def test_a_signal_whose_id_has_a_row_of_its_own_is_known_by_it(ledger: Store) -> None:
    """An order taken in before its signal: found by the id, the signal's own row first."""
    orphan = make_intent(identity="orphan:sp-test-1", entry_id="", stream="", digest="")
    ledger.begin(orphan)
    assert ledger.find(make_intent().identity) is None
    assert ledger.find(make_intent().identity, "sp-test-1").identity == "orphan:sp-test-1"
    ledger.begin(make_intent(client_order_id="sp-before-1"))
    assert ledger.find(make_intent().identity, "sp-test-1").client_order_id == "sp-before-1"
    assert ledger.find("nobody's", "nobody's") is None


def test_a_refusal_beside_a_row_with_its_id_is_reported_once(ledger: Store) -> None:
    """There is no second row; a redelivery does not report it again."""
    ledger.begin(make_intent(identity="orphan:sp-test-1", entry_id="", stream="", digest=""))
    refused = Change(insert=make_intent(state=State.REFUSED), events=(make_event(final=True),))
    assert [event_id for event_id, _ in ledger.apply([refused, refused])] == [1]
    assert column(ledger, "SELECT entry_id FROM repeats") == ["1-0"]


def test_trades_are_deduplicated_by_execution_and_by_cumulated_quantity(
    ledger: Store,
) -> None:
    """A polled trade and the stream's own for the same shares are one."""
    streamed = make_trade()
    same_id = make_trade(cum_qty=Decimal(99))
    polled = make_trade(execution_id="order-1:12.5", cum_qty=Decimal("12.5"))
    other_order = make_trade(2)
    for trade in (streamed, same_id, polled, other_order):
        ledger.apply([Change(trades=(trade,))])
    assert column(ledger, "SELECT execution_id FROM trades ORDER BY id") == [
        "execution-1",
        "execution-2",
    ]


def test_dead_letters_keep_the_raw_bytes_and_come_once(ledger: Store) -> None:
    """Bytes that are not UTF-8 come back unchanged; the same entry is reported once."""
    letter = make_dead_letter()
    change = Change(dead_letter=letter, events=(make_event(event="dead_letter", final=True),))
    assert [len(ledger.apply([change])), len(ledger.apply([change]))] == [1, 0]
    assert ledger.find_dead_letter(EntryRef("nvda", "1-0")) == letter


@pytest.mark.parametrize("name", ["sate", "identity", "client_order_id", "created_ms", "id"])
def test_columns_that_may_not_be_set_are_refused(ledger: Store, name: str) -> None:
    """A misspelt column is a mistake in the program and changes nothing."""
    with pytest.raises(ValueError, match=name):
        ledger.apply([make_end(), Change(client_order_id="sp-test-1", update={name: "x"})])
    assert ledger.unpublished(10) == []


def test_a_failing_statement_rolls_the_whole_batch_back(ledger: Store) -> None:
    """Nothing of a batch is there when one statement of it fails, and its ids are not used up."""
    ledger.begin(make_intent())
    execute(ledger, "ALTER TABLE trades RENAME TO hidden")
    with pytest.raises(LedgerError, match="trades"):
        ledger.apply([make_end()])
    execute(ledger, "ALTER TABLE hidden RENAME TO trades")
    assert ledger.find(make_intent().identity).state is State.SUBMITTING
    assert [event_id for event_id, _ in ledger.apply([make_end()])] == [1]


def test_events_wait_in_order_until_they_are_published(ledger: Store) -> None:
    """unpublished() gives ids and fields ascending, from after an id, up to a limit."""
    ledger.apply([Change(events=tuple(make_event(n) for n in range(1, 6)))])
    assert [event_id for event_id, _ in ledger.unpublished(10)] == [1, 2, 3, 4, 5]
    assert [event_id for event_id, _ in ledger.unpublished(2, after=2)] == [3, 4]
    assert list(ledger.unpublished(1)[0][1].items()) == [
        ("stream", "nvda"),
        ("entry_id", "1-0"),
        ("client_order_id", "sp-test-1"),
        ("event", "fill"),
        ("final", "0"),
        ("at", AT),
    ]
    ledger.mark_published([1, 2, 4])
    assert [event_id for event_id, _ in ledger.unpublished(10)] == [3, 5]


def test_published_events_are_deleted_with_the_next_commit(ledger: Store) -> None:
    """Marking costs no commit of its own; a batch, or idle time, takes the rows along."""
    ledger.apply([Change(events=(make_event(1), make_event(2)))])
    ledger.mark_published([1])
    assert column(ledger, "SELECT event_id FROM outbox") == [1, 2]
    ledger.apply([Change(events=(make_event(3),))])
    assert column(ledger, "SELECT event_id FROM outbox") == [2, 3]
    ledger.mark_published([2, 3])
    ledger.tidy(idle=True)
    assert column(ledger, "SELECT event_id FROM outbox") == []


def test_event_ids_go_on_after_the_outbox_was_emptied(ledger: Store) -> None:
    """An id is never used twice, or consumers would drop the second event."""
    ledger.apply([Change(events=(make_event(1), make_event(2)))])
    ledger.mark_published([1, 2])
    ledger.tidy(idle=True)
    assert [event_id for event_id, _ in ledger.apply([Change(events=(make_event(3),))])] == [3]
    assert ledger.last_event_id() == 3


def test_send_times_hold_what_was_sent_since(ledger: Store) -> None:
    """Rows never sent and older sends are left out, a row sent again counts by its last time."""
    hour = 3_600_000
    for number, (created, submitted) in enumerate(
        [
            (1, 1),
            (4 * hour, 5 * hour),
            (4 * hour, 4 * hour),
            (5 * hour, 5 * hour + 1),
            (5 * hour, 0),
        ],
        1,
    ):
        ledger.begin(make_intent(number, created_ms=created, submitted_ms=submitted))
    assert ledger.send_times(4 * hour + 1) == [5 * hour, 5 * hour + 1]
    assert ledger.send_times(0) == [1, 4 * hour, 5 * hour, 5 * hour + 1]


def test_what_was_sent_is_known_by_stream_and_asset(ledger: Store) -> None:
    """For the order of an asset's entries after a restart, and for where a list must begin."""
    assert (ledger.sent_since(0), ledger.last_sent_ms()) == ([], 0)
    for number, sent in ((1, 1_000), (2, 2_000), (3, 0)):
        ledger.begin(make_intent(number, asset_id="a", created_ms=1, submitted_ms=sent))
    assert ledger.sent_since(1_500) == [("nvda", "a", "2-0")]
    assert ledger.last_sent_ms() == 2_000


def test_a_repeated_signal_is_told_its_end_once(ledger: Store) -> None:
    """Also when the entry is delivered again before it was acknowledged."""
    told = Change(events=(make_event(2, final=True),), repeats=(EntryRef("nvda", "2-0"),))
    assert [len(ledger.apply([told])), len(ledger.apply([told]))] == [1, 0]


def test_a_change_may_say_when_it_happened(ledger: Store) -> None:
    """Otherwise the clock says it."""
    ledger.begin(make_intent())
    ledger.apply([Change(client_order_id="sp-test-1", update={"status": "new", "updated_ms": 7})])
    assert ledger.find(make_intent().identity).updated_ms == 7


def test_state_is_kept_by_key(ledger: Store) -> None:
    """The last value stands."""
    ledger.set_state("breaker", "open")
    ledger.set_state("breaker", "closed")
    assert ledger.get_state("breaker") == "closed"


def test_many_threads_begin_at_once(ledger: Store) -> None:
    """Sixteen workers insert while a writer applies: every row is there, a contested one once."""
    start = threading.Barrier(THREADS + 1)
    conflicts = []

    def work(thread: int) -> None:
        start.wait()
        for index in range(PER_THREAD):
            ledger.begin(make_intent(thread * PER_THREAD + index))
        try:
            ledger.begin(make_intent(-1))
        except IdentityExists as error:
            conflicts.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for worker in workers:
        worker.start()
    start.wait()
    for number in range(100):
        ledger.apply([Change(events=(make_event(number),))])
    for worker in workers:
        worker.join()
    assert len(ledger.open_intents()) == THREADS * PER_THREAD + 1
    assert len(conflicts) == THREADS - 1


def test_a_closed_ledger_says_so(ledger: Store) -> None:
    """After close() nothing pretends to be durable; a second close() does nothing."""
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.begin(make_intent())
    with pytest.raises(LedgerError):
        ledger.apply([make_end()])
    with pytest.raises(LedgerError):
        ledger.find("anything")


# --- notes, starts, the curve, state by prefix ---------------------------------------------------


def test_notes_are_committed_with_their_change(ledger: Store) -> None:
    """The history of an order is read in the order it was written, and no other order's."""
    first, second = Note("sp-test-1", 5, "posted", "HTTP 201"), Note("sp-test-1", 4, "answered")
    ledger.begin(make_intent())
    ledger.apply([Change(notes=(first, Note("sp-test-2", 1, "posted"))), make_end(notes=(second,))])
    with ledger.open_reader() as reader:
        assert reader.notes("sp-test-1") == [first, second]
        assert reader.notes("nobody") == []


def test_starts_are_counted_until_the_entry_ends(ledger: Store) -> None:
    """Each start counts one; a clean end forgets all of them, at once for whoever asks."""
    one, two = EntryRef("nvda", "1-0"), EntryRef("nvda", "2-0")
    assert [ledger.mark_start(one), ledger.mark_start(one), ledger.mark_start(two)] == [1, 2, 1]
    assert ledger.open_starts() == {one: 2, two: 1}
    ledger.clear_start(one)
    assert ledger.mark_start(one) == 1
    ledger.clear_start(one)
    ledger.clear_start(two)
    assert ledger.open_starts() == {}


def test_a_cleared_start_goes_with_the_next_batch(ledger: Store) -> None:
    """The end of an entry costs no commit of its own."""
    ref = EntryRef("nvda", "1-0")
    ledger.mark_start(ref)
    ledger.clear_start(ref)
    assert column(ledger, "SELECT starts FROM entry_starts") == [1]
    ledger.apply([Change(events=(make_event(),))])
    assert column(ledger, "SELECT starts FROM entry_starts") == []


def test_what_goes_with_a_commit_stays_when_it_fails(ledger: Store) -> None:
    """Published events and ended entries are forgotten by the commit after the one that failed."""
    ref = EntryRef("nvda", "1-0")
    ledger.mark_start(ref)
    ledger.apply([Change(events=(make_event(),))])
    execute(ledger, "ALTER TABLE trades RENAME TO hidden")
    ledger.clear_start(ref)
    ledger.mark_published([1])
    with pytest.raises(LedgerError):
        ledger.apply([make_end()])
    assert column(ledger, "SELECT event_id FROM outbox") == [1]
    execute(ledger, "ALTER TABLE hidden RENAME TO trades")
    assert column(ledger, "SELECT event_id FROM outbox") == []
    assert column(ledger, "SELECT starts FROM entry_starts") == []


def test_the_equity_curve_keeps_one_point_a_moment(ledger: Store) -> None:
    """Newest first, exact, and a point given twice is one."""
    ledger.add_equity(1_764_000_000_123, Decimal("100000.10"), Decimal("-3.5"))
    ledger.add_equity(1_764_000_060_000, Decimal(100001), Decimal(0))
    ledger.add_equity(1_764_000_060_000, Decimal(100001), Decimal(0))
    with ledger.open_reader() as reader:
        assert reader.list_equity() == [
            EquityPoint("2025-11-24T16:01:00.000Z", Decimal(100001), Decimal(0)),
            EquityPoint("2025-11-24T16:00:00.123Z", Decimal("100000.10"), Decimal("-3.5")),
        ]
        assert len(reader.list_equity(limit=1)) == 1


def test_state_is_found_by_prefix_and_deleted_by_key(ledger: Store) -> None:
    """A percent sign or an underscore in a prefix is a character like any other."""
    for key in ("halt:A_B", "halt:AB", "halt%", "other"):
        ledger.set_state(key, key.upper())
    assert ledger.states("halt:") == {"halt:A_B": "HALT:A_B", "halt:AB": "HALT:AB"}
    assert ledger.states("halt:A_") == {"halt:A_B": "HALT:A_B"}
    ledger.delete_state("halt:AB")
    ledger.delete_state("never there")
    assert ledger.states("halt:") == {"halt:A_B": "HALT:A_B"}
    with ledger.open_reader() as reader:
        assert reader.states("halt%") == {"halt%": "HALT%"}


def test_text_with_a_zero_byte_is_kept_escaped(ledger: Store) -> None:
    """PostgreSQL cannot hold one; a signal that brings it must not stop the batch."""
    ledger.apply([Change(insert=make_intent(message="a\0b"), events=(make_event(message="\0"),))])
    assert ledger.find(make_intent().identity).message == "a\\x00b"
    assert ledger.unpublished(10)[0][1]["message"] == "\0"


# --- the columns that people and other programs read ---------------------------------------------


def test_the_documented_columns_can_be_selected(ledger: Store) -> None:
    """The names of the reference page, in every database."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    ledger.add_equity(0, Decimal(1), Decimal(2))
    ledger.set_state("k", "v")
    for table, names in {
        "order_intents": "symbol, side, qty, status, filled_qty, alpaca_order_id, created_at,"
        " updated_at",
        "trades": "timestamp, symbol, side, qty, price, order_id, client_order_id",
        "equity_curve": "timestamp, equity, daily_pnl",
        "bot_state": "key, value, updated_at",
        "dead_letters": "stream, entry_id, reason, message, at, fields",
    }.items():
        found = ledger._read(f"SELECT {names} FROM {table}")  # noqa: S608  # constant names
        assert len(found) == (table != "dead_letters")


# --- the lease -----------------------------------------------------------------------------------


def take_over(ledger: Store) -> None:
    """What another instance's acquire_lease does to the row."""
    execute(ledger, "UPDATE lease SET epoch = epoch + 1, holder = 'other' WHERE id = 1")


@pytest.mark.parametrize("leased", [True, False])
@pytest.mark.parametrize(
    ("state", "goes"),
    [
        (State.SUBMITTING, True),
        (State.UNKNOWN, True),
        (State.OPEN, False),
        (State.EXPIRED_UNCONFIRMED, False),
        (State.FILLED, False),
    ],
)
def test_only_an_unresolved_row_begins_again(
    ledger: Store, state: State, goes: bool, leased: bool
) -> None:
    """It is SUBMITTING then; what the broker has, or what has ended, stays as it is."""
    if leased:
        ledger.acquire_lease("me", 5.0)
    ledger.begin(make_intent())
    ledger.apply([Change(client_order_id="sp-test-1", update={"state": state})])
    assert ledger.begin_again("sp-test-1") is goes
    assert ledger.find(make_intent().identity).state is (State.SUBMITTING if goes else state)
    assert ledger.begin_again("sp-of-nobody") is False


def test_every_lease_has_a_higher_epoch(ledger: Store) -> None:
    """Before the first there is none, and nothing is compared."""
    assert ledger.epoch == 0
    assert [ledger.acquire_lease("me", 5.0), ledger.epoch] == [1, 1]
    assert [ledger.acquire_lease("me", 5.0), ledger.epoch] == [2, 2]


def test_a_holder_writes_renews_and_lets_go(ledger: Store) -> None:
    """Everything works under the lease as it does without."""
    ledger.acquire_lease("me", 5.0)
    ledger.begin(make_intent())
    assert len(ledger.apply([make_end()])) == 1
    assert ledger.mark_start(EntryRef("nvda", "1-0")) == 1
    ledger.set_state("k", "v")
    ledger.renew_lease(5.0)
    ledger.release_lease()
    assert ledger.find(make_intent().identity).state is State.FILLED


def test_a_lease_that_was_never_taken_is_not_released(ledger: Store) -> None:
    """A standby that is stopped must not end the active one's lease."""
    execute(ledger, "UPDATE lease SET epoch = 7, holder = 'other', expires_ms = 99")
    ledger.release_lease()
    assert ledger._read("SELECT holder, expires_ms FROM lease") == [("other", 99)]


def test_nothing_is_written_after_a_takeover(ledger: Store) -> None:
    """A process that was paused and wakes up sends nothing: no row, no batch, no value."""
    ledger.acquire_lease("me", 5.0)
    ledger.begin(make_intent(1))
    take_over(ledger)
    for write in (
        lambda: ledger.begin(make_intent(2)),
        lambda: ledger.begin_again("sp-test-1"),
        lambda: ledger.apply([make_end(1)]),
        lambda: ledger.mark_start(EntryRef("nvda", "1-0")),
        lambda: ledger.set_state("k", "v"),
        lambda: ledger.add_equity(0, Decimal(1), Decimal(1)),
        lambda: ledger.renew_lease(5.0),
    ):
        with pytest.raises(LeaseLost, match="epoch was 1"):
            write()
    assert [intent.entry_id for intent in ledger.open_intents()] == ["1-0"]
    assert ledger.unpublished(10) == []
    assert (ledger.open_starts(), ledger.states("")) == ({}, {})


def test_a_taken_identity_is_told_under_a_lease_as_well(ledger: Store) -> None:
    """A row that is there is not mistaken for a lost lease."""
    ledger.acquire_lease("me", 5.0)
    ledger.begin(make_intent())
    with pytest.raises(IdentityExists):
        ledger.begin(make_intent())


def test_a_takeover_and_a_begin_never_both_win(ledger: Store) -> None:
    """Eight threads begin while the epoch moves on: each row that was begun is there for the
    successor to see, and after the takeover none is added."""
    ledger.acquire_lease("me", 5.0)
    begun: list[int] = []
    lost: list[int] = []

    def work(thread: int) -> None:
        for index in range(500):
            number = thread * 1_000 + index
            try:
                ledger.begin(make_intent(number))
            except LeaseLost:
                lost.append(number)
                return
            begun.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(begun) > 40)
    take_over_beside(ledger)
    seen = {intent.entry_id for intent in ledger.open_intents()}
    for thread in threads:
        thread.join()
    assert len(lost) == 8
    assert {intent.entry_id for intent in ledger.open_intents()} == seen
    assert seen == {f"{number}-0" for number in begun}


def take_over_beside(ledger: Store) -> None:
    """Another instance's takeover while this one's threads go on writing under their epoch."""

    def update(executor: Executor) -> None:
        executor.execute("UPDATE lease SET epoch = epoch + 1, holder = 'other' WHERE id = 1")

    ledger._write(update)


def test_a_change_keeps_and_forgets_small_state(ledger: Store) -> None:
    """In the same commit as its rows, in the order the changes were put."""
    ledger.apply(
        [
            Change(keep=(("legs:a", "1"), ("legs:b", "2"))),
            Change(keep=(("legs:a", "3"),), forget=("legs:b", "legs:never")),
        ]
    )
    assert ledger.states("legs:") == {"legs:a": "3"}
    ledger.apply([Change(forget=("legs:a",))])
    assert ledger.get_state("legs:a") is None
