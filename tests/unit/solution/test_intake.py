"""Intake between a listener that decided and the lanes and outcomes of a rig."""

import pytest

from solution import intake as module
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef
from solution.errors import SignalError
from solution.intake import Intake
from tests.helpers.trading import STREAM, Rig

FIELDS = ((b"signal_id", b"s-1"), (b"ticker", b"ZZZZ"), (b"direction", b"b"), (b"x_ref", b"7"))
UNKNOWN = SignalError(Reason.UNKNOWN_TICKER, "ticker 'ZZZZ' is not listed by the broker")


@pytest.fixture
def rig() -> Rig:
    """Lanes, tracker and an in-memory ledger."""
    return Rig()


@pytest.fixture
def intake(rig: Rig) -> Intake:
    """The intake of the rig."""
    return Intake(rig.lanes, rig.outcomes, rig.clock)


def test_a_dead_letter_names_its_producers_signal(
    rig: Rig, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    """In the event and in the log; the entry id stands under its own name."""
    caplog.set_level("WARNING", logger=module.__name__)
    intake.dead_letter(EntryRef(STREAM, "1-0"), FIELDS, UNKNOWN)
    (event,) = rig.outcomes.events
    assert (event["signal_id"], event["entry_id"], event["x_ref"], event["final"]) == (
        "s-1", "1-0", "7", "1",
    )  # fmt: skip
    (line,) = caplog.records
    assert (vars(line)["signal_id"], vars(line)["entry_id"]) == ("s-1", "1-0")
    assert rig.outcomes.acks == ["1-0"]


def test_the_log_names_no_signal_id_where_there_is_none(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry id is no signal_id."""
    caplog.set_level("WARNING", logger=module.__name__)
    intake.dead_letter(EntryRef(STREAM, "1-0"), (), UNKNOWN)
    (line,) = caplog.records
    assert ("signal_id" in vars(line), vars(line)["entry_id"]) == (False, "1-0")
