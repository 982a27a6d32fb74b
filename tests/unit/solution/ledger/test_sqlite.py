"""What only SQLite does: how values lie in the file, and which index serves a statement."""

from decimal import Decimal

from solution.domain.records import State
from solution.ledger import rows
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.clocks import ManualClock
from tests.helpers.ledger_rows import make_end, make_intent


def column(ledger: SqliteLedger, sql: str) -> list[object]:
    """The first column of a query on the ledger's own connection."""
    return [row[0] for row in ledger._connection.execute(sql)]


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


def test_quantities_are_stored_as_plain_digits(sqlite_ledger: SqliteLedger) -> None:
    """No exponent and no binary fraction reaches the file."""
    sqlite_ledger.begin(
        make_intent(qty=Decimal("1E+3"), limit_price=Decimal("0.1"), cancel_after=60)
    )
    stored = sqlite_ledger._connection.execute(
        "SELECT qty, limit_price, cancel_after FROM order_intents"
    )
    assert stored.fetchone() == ("1000", "0.1", "60")


def test_the_index_of_open_rows_has_the_terminal_states_of_the_domain(
    memory_ledger: SqliteLedger,
) -> None:
    """The schema repeats the list; with another one SQLite would scan the whole history."""
    plan = memory_ledger._connection.execute(f"EXPLAIN QUERY PLAN {rows.SELECT_OPEN}").fetchall()
    assert "USING INDEX order_intents_open" in str(plan)


def test_an_update_goes_by_the_order_id_and_not_through_the_open_rows(
    memory_ledger: SqliteLedger,
) -> None:
    """With thousands of open orders that would cost ten times as much."""
    sql, row = rows.update_statement("sp-test-1", {"state": State.OPEN}, 0)
    plan = memory_ledger._connection.execute(f"EXPLAIN QUERY PLAN {sql}", row).fetchall()
    assert "USING INDEX order_intents_client_order_id" in str(plan)
