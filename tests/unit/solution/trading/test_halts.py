"""Tickers that trade no more until a person resumes them."""

import pytest

from solution.domain.records import State
from solution.errors import LedgerError
from solution.ledger.sqlite import SqliteLedger
from solution.trading.halts import PREFIX, Halts
from tests.helpers.trading import Rig


def test_a_halt_outlives_the_process() -> None:
    """It stands in the ledger; the next process reads it before anything else."""
    ledger = SqliteLedger("sqlite://")
    Halts(ledger).halt("NVDA", "why")
    again = Halts(ledger)
    assert again.reason("NVDA") == "why"
    assert again.reason("AAPL") is None
    assert again.all() == {"NVDA": "why"}


def test_what_a_person_lifts_is_lifted_at_the_next_refresh() -> None:
    """The command writes the ledger; the service reads it again every second."""
    ledger = SqliteLedger("sqlite://")
    halts = Halts(ledger)
    halts.halt("NVDA", "why")
    ledger.delete_state(PREFIX + "NVDA")
    assert halts.reason("NVDA") == "why"
    halts.refresh()
    assert halts.reason("NVDA") is None


def test_a_halt_that_cannot_be_kept_holds_all_the_same() -> None:
    """Until the process ends, which is what a failing ledger leads to."""

    class Broken:
        def states(self, prefix: str) -> dict[str, str]:
            return {}

        def set_state(self, key: str, value: str) -> None:
            raise LedgerError("disk full")

    halts = Halts(Broken())
    with pytest.raises(LedgerError):
        halts.halt("NVDA", "why")
    assert halts.reason("NVDA") == "why"


def test_signals_of_a_halted_ticker_are_refused_and_others_trade() -> None:
    """Exits too: nobody knows what the position means until a person has looked."""
    rig = Rig()
    rig.snapshot(NVDA="5")
    rig.clock.advance(0.001)
    rig.halts.halt("NVDA", "an order that no signal explains")
    halted, other = rig.send("s"), rig.send("b", ticker="AAPL")
    row = rig.row(rig.coid_of(halted, "s"))
    assert (row.state, row.reason) == (State.REFUSED, "TICKER_HALTED")
    assert "no signal explains" in row.message
    assert rig.outcomes.told(other)[-1] == "fill!"
    assert len(rig.desk.posts) == 1
