"""What the ledger keeps: states and rows."""

from dataclasses import fields
from decimal import Decimal

from solution.domain.records import TERMINAL, Change, EntryRef, Intent, State

OPEN = {State.SUBMITTING, State.UNKNOWN, State.OPEN, State.EXPIRED_UNCONFIRMED}


def test_every_state_is_open_or_terminal() -> None:
    """A new state must be put on one side: recovery reads the open ones, XACK needs the others."""
    assert set(State) - TERMINAL == OPEN


def test_states_are_their_own_text() -> None:
    """The database holds the name, so a renamed value would lose every row in that state."""
    assert [state.value for state in State] == [state.name for state in State]


def test_a_new_row_promises_nothing() -> None:
    """Nothing is filled, reserved, sent or ended by default; unknown numbers are None."""
    row = Intent(
        identity="nvda|entry:1-0:d",
        digest="d",
        stream="nvda",
        entry_id="1-0",
        client_order_id="sp-x",
        state=State.SUBMITTING,
    )
    required = {"identity", "digest", "stream", "entry_id", "client_order_id", "state"}
    rest = {f.name: getattr(row, f.name) for f in fields(row) if f.name not in required}
    assert not any(rest.values())
    assert {name for name, value in rest.items() if value is None} == {
        "qty",
        "notional",
        "limit_price",
        "cancel_after",
        "filled_avg_price",
    }
    assert (row.filled_qty, row.reserved_cash, row.reserved_qty) == (Decimal(0),) * 3


def test_changes_share_no_update() -> None:
    """Each change has its own dictionary of columns."""
    one, other = Change(), Change()
    one.update["state"] = State.OPEN
    assert other == Change(update={})


def test_entries_are_the_same_by_content() -> None:
    """A redelivered entry is found among those remembered."""
    remembered = {EntryRef("nvda", "1-0"), EntryRef("nvda", "1-1")}
    assert EntryRef("nvda", "1-0") in remembered
    assert EntryRef("nvda", "1-0") != EntryRef("aapl", "1-0")
