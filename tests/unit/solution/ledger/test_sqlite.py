"""The ledger's contract, over the ledger in memory and the one in a file."""

import threading
from decimal import Decimal

import pytest

from solution.domain.records import Change, EntryRef, State
from solution.errors import IdentityExists, LedgerError
from solution.ledger import rows
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.clocks import ManualClock
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


def column(ledger: SqliteLedger, sql: str) -> list[object]:
    """The first column of a query on the ledger's own connection."""
    return [row[0] for row in ledger._connection.execute(sql)]


def test_find_returns_every_column_as_it_was_begun(ledger: SqliteLedger) -> None:
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


def test_absent_rows_are_none(ledger: SqliteLedger) -> None:
    """What is not there is None, not an error."""
    assert ledger.find("nobody") is None
    assert ledger.find_by_client_order_id("nobody") is None
    assert ledger.find_dead_letter(EntryRef("nvda", "1-0")) is None
    assert ledger.get_state("nothing") is None


@pytest.mark.parametrize("changed", [{"client_order_id": "other"}, {"identity": "other"}])
def test_begin_refuses_a_taken_identity_or_order_id(
    ledger: SqliteLedger, changed: dict[str, str]
) -> None:
    """Either key alone is enough to refuse; the first row stays as it was."""
    ledger.begin(make_intent(symbol="FIRST"))
    with pytest.raises(IdentityExists):
        ledger.begin(make_intent(symbol="SECOND", **changed))
    assert [intent.symbol for intent in ledger.open_intents()] == ["FIRST"]


def test_rows_are_stamped_with_the_clock() -> None:
    """created and updated come from the clock, as milliseconds and as RFC 3339 text."""
    clock = ManualClock()
    ledger = SqliteLedger("sqlite://", clock=clock)
    ledger.begin(make_intent())
    begun = clock.epoch_ms()
    clock.advance(1.25)
    ledger.apply([make_end()])
    found = ledger.find(make_intent().identity)
    assert (found.created_ms, found.updated_ms) == (begun, begun + 1_250)
    assert column(ledger, "SELECT created_at FROM order_intents") == ["2026-03-04T15:00:00.000Z"]
    assert column(ledger, "SELECT updated_at FROM order_intents") == ["2026-03-04T15:00:01.250Z"]
    ledger.close()


def test_quantities_are_stored_as_plain_digits(ledger: SqliteLedger) -> None:
    """No exponent and no binary fraction reaches the file."""
    ledger.begin(make_intent(qty=Decimal("1E+3"), limit_price=Decimal("0.1"), cancel_after=60))
    stored = ledger._connection.execute("SELECT qty, limit_price, cancel_after FROM order_intents")
    assert stored.fetchone() == ("1000", "0.1", "60")


def test_a_float_is_refused(ledger: SqliteLedger) -> None:
    """A float has lost its digits before it comes here."""
    with pytest.raises(TypeError, match="Decimal"):
        ledger.begin(make_intent(qty=12.5))
    with pytest.raises(TypeError, match="milliseconds"):
        ledger.begin(make_intent(submitted_ms="now"))


def test_text_that_is_no_unicode_is_kept_escaped(ledger: SqliteLedger) -> None:
    """A lone surrogate, which UTF-8 cannot carry, does not stop the commit."""
    ledger.apply(
        [Change(insert=make_intent(message="bad \ud800"), events=(make_event(message="\udfff"),))]
    )
    assert ledger.find(make_intent().identity).message == "bad \\ud800"
    assert ledger.unpublished(10)[0][1]["message"] == "\\udfff"


def test_apply_moves_a_row_to_its_end_with_all_that_belongs_to_it(ledger: SqliteLedger) -> None:
    """State, trade and event of one change are there after one call."""
    ledger.begin(make_intent())
    change = make_end()
    assert ledger.apply([change]) == [(1, change)]
    found = ledger.find(make_intent().identity)
    assert (found.state, found.status, found.filled_qty) == (
        State.FILLED,
        "filled",
        Decimal("12.50"),
    )
    assert column(ledger, "SELECT price FROM trades") == ["101.25"]
    assert ledger.open_intents() == []


def test_open_intents_are_the_rows_without_an_end_in_order_of_creation(
    ledger: SqliteLedger,
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


def test_changes_of_one_row_apply_in_their_order(ledger: SqliteLedger) -> None:
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


def test_a_terminal_row_never_changes_state(ledger: SqliteLedger) -> None:
    """An update with a state finds nothing, and its final event is not reported again."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    late = make_end(update={"state": State.CANCELED, "status": "canceled"}, trades=())
    assert ledger.apply([late]) == []
    found = ledger.find(make_intent().identity)
    assert (found.state, found.status) == (State.FILLED, "filled")


def test_a_late_event_that_ends_nothing_is_still_reported(ledger: SqliteLedger) -> None:
    """Of a change that comes after the end, events that are not final go out."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    partial, end = make_event(event="partial_fill"), make_event(final=True)
    late = make_end(update={"state": State.OPEN}, events=(partial, end))
    [(event_id, change)] = ledger.apply([late])
    assert (event_id, change.events) == (2, (partial,))


def test_facts_beside_the_same_terminal_state_are_written(ledger: SqliteLedger) -> None:
    """A fill after the recorded end is booked and told; the end is not told again."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    corrected, end = make_event(event="corrected"), make_event(final=True)
    update = {"state": State.FILLED, "filled_qty": Decimal(13)}
    [(_, change)] = ledger.apply([make_end(update=update, events=(corrected, end))])
    assert ledger.find(make_intent().identity).filled_qty == Decimal(13)
    assert change.events == (corrected,)


def test_an_update_without_a_state_reaches_a_terminal_row(ledger: SqliteLedger) -> None:
    """Facts that arrive after the end (a last fill) are booked."""
    ledger.begin(make_intent())
    ledger.apply([make_end()])
    ledger.apply([Change(client_order_id="sp-test-1", update={"filled_qty": Decimal(13)})])
    assert ledger.find(make_intent().identity).filled_qty == Decimal(13)


def test_an_update_of_no_row_is_reported_in_the_log(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """The event still goes out: it happened, whatever the ledger knew."""
    assert len(ledger.apply([make_end(trades=())])) == 1
    assert "update_without_row" in caplog.messages


def test_a_repeated_insert_reports_nothing_twice(ledger: SqliteLedger) -> None:
    """A redelivery that overtook its own first record leaves one row and one final event."""
    refused = Change(
        insert=make_intent(state=State.REFUSED, reason="FIRST"), events=(make_event(final=True),)
    )
    again = Change(
        insert=make_intent(state=State.REFUSED, reason="SECOND"), events=(make_event(final=True),)
    )
    assert [event_id for event_id, _ in ledger.apply([refused, again])] == [1]
    assert ledger.find(make_intent().identity).reason == "FIRST"


def test_a_signal_published_again_is_reported_under_its_new_entry(ledger: SqliteLedger) -> None:
    """The same identity under another entry id makes no row, but its report goes out."""
    ledger.begin(make_intent())
    again = Change(insert=make_intent(entry_id="2-0"), events=(make_event(2, final=True),))
    assert len(ledger.apply([again])) == 1
    assert ledger.find(make_intent().identity).entry_id == "1-0"


def test_trades_are_deduplicated_by_execution_and_by_cumulated_quantity(
    ledger: SqliteLedger,
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


def test_dead_letters_keep_the_raw_bytes_and_come_once(ledger: SqliteLedger) -> None:
    """Bytes that are not UTF-8 come back unchanged; the same entry is reported once."""
    letter = make_dead_letter()
    change = Change(dead_letter=letter, events=(make_event(event="dead_letter", final=True),))
    assert [len(ledger.apply([change])), len(ledger.apply([change]))] == [1, 0]
    assert ledger.find_dead_letter(EntryRef("nvda", "1-0")) == letter


@pytest.mark.parametrize("name", ["sate", "identity", "client_order_id", "created_ms", "id"])
def test_columns_that_may_not_be_set_are_refused(ledger: SqliteLedger, name: str) -> None:
    """A misspelt column is a mistake in the program and changes nothing."""
    with pytest.raises(ValueError, match=name):
        ledger.apply([make_end(), Change(client_order_id="sp-test-1", update={name: "x"})])
    assert ledger.unpublished(10) == []


def test_a_failing_statement_rolls_the_whole_batch_back(ledger: SqliteLedger) -> None:
    """Nothing of a batch is there when one statement of it fails, and its ids are not used up."""
    ledger.begin(make_intent())
    ledger._connection.execute("ALTER TABLE trades RENAME TO hidden")
    with pytest.raises(LedgerError, match="no such table"):
        ledger.apply([make_end()])
    ledger._connection.execute("ALTER TABLE hidden RENAME TO trades")
    assert ledger.find(make_intent().identity).state is State.SUBMITTING
    assert [event_id for event_id, _ in ledger.apply([make_end()])] == [1]


def test_events_wait_in_order_until_they_are_published(ledger: SqliteLedger) -> None:
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


def test_published_events_are_deleted_with_the_next_commit(ledger: SqliteLedger) -> None:
    """Marking costs no commit of its own; a batch, or idle time, takes the rows along."""
    ledger.apply([Change(events=(make_event(1), make_event(2)))])
    ledger.mark_published([1])
    assert column(ledger, "SELECT event_id FROM outbox") == [1, 2]
    ledger.apply([Change(events=(make_event(3),))])
    assert column(ledger, "SELECT event_id FROM outbox") == [2, 3]
    ledger.mark_published([2, 3])
    ledger.tidy(idle=True)
    assert column(ledger, "SELECT event_id FROM outbox") == []


def test_event_ids_go_on_after_the_outbox_was_emptied(ledger: SqliteLedger) -> None:
    """An id is never used twice, or consumers would drop the second event."""
    ledger.apply([Change(events=(make_event(1), make_event(2)))])
    ledger.mark_published([1, 2])
    ledger.tidy(idle=True)
    assert [event_id for event_id, _ in ledger.apply([Change(events=(make_event(3),))])] == [3]
    assert ledger.last_event_id() == 3


def test_send_times_hold_what_was_sent_since(ledger: SqliteLedger) -> None:
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


def test_state_is_kept_by_key(ledger: SqliteLedger) -> None:
    """The last value stands."""
    ledger.set_state("breaker", "open")
    ledger.set_state("breaker", "closed")
    assert ledger.get_state("breaker") == "closed"


def test_many_threads_begin_at_once(ledger: SqliteLedger) -> None:
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


def test_a_closed_ledger_says_so(ledger: SqliteLedger) -> None:
    """After close() nothing pretends to be durable; a second close() does nothing."""
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.begin(make_intent())
    with pytest.raises(LedgerError):
        ledger.apply([make_end()])
    with pytest.raises(LedgerError):
        ledger.find("anything")


def test_the_index_of_open_rows_has_the_terminal_states_of_the_domain(
    memory_ledger: SqliteLedger,
) -> None:
    """schema.sql repeats the list; with another one SQLite would scan the whole history."""
    plan = memory_ledger._connection.execute(f"EXPLAIN QUERY PLAN {rows.SELECT_OPEN}").fetchall()
    assert "USING INDEX order_intents_open" in str(plan)


def test_an_update_goes_by_the_order_id_and_not_through_the_open_rows(
    memory_ledger: SqliteLedger,
) -> None:
    """With thousands of open orders that would cost ten times as much."""
    sql, row = rows.update_statement("sp-test-1", {"state": State.OPEN}, 0)
    plan = memory_ledger._connection.execute(f"EXPLAIN QUERY PLAN {sql}", row).fetchall()
    assert "USING INDEX order_intents_client_order_id" in str(plan)
