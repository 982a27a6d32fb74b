"""Intake between a listener that decided and the lanes and outcomes of a rig."""

from typing import Any

import orjson
import pytest

from solution import intake as module
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef, State
from solution.errors import OutcomeUnknown, SignalError
from solution.intake import Intake
from tests.helpers.trading import STREAM, Answer, Rig, accept, entry_fields, fail, fill

UNCLEAR = OutcomeUnknown("no usable answer")
FIELDS = ((b"signal_id", b"s-1"), (b"ticker", b"ZZZZ"), (b"direction", b"b"), (b"x_ref", b"7"))
UNKNOWN = SignalError(Reason.UNKNOWN_TICKER, "ticker 'ZZZZ' is not listed by the broker")


@pytest.fixture
def rig() -> Rig:
    """Lanes, tracker and an in-memory ledger."""
    return Rig()


@pytest.fixture
def intake(rig: Rig) -> Intake:
    """The intake of the rig."""
    return intake_of(rig)


def intake_of(rig: Rig) -> Intake:
    """What the service puts between the listener and this rig."""
    return Intake(rig.lanes, rig.outcomes, rig.clock, ledger=rig.ledger, tracker=rig.tracker)


def restarted(dead: Rig) -> Rig:
    """A new process on the old one's ledger: its open rows are tracked, nothing is read yet."""
    rig = Rig(ledger=dead.ledger)
    rig.clock.advance(1)
    rig.recover()
    return rig


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


def test_an_entry_that_was_told_its_end_gets_no_second_one(rig: Rig, intake: Intake) -> None:
    """Published again and told; the process died before XACK, and the content was trimmed."""
    rig.desk.script.append(accept("filled"))
    rig.send(signal_id="s-1")
    again = rig.send(signal_id="s-1")
    assert rig.outcomes.told(again)[-1].endswith("!")
    told = len(rig.outcomes.events)
    acks = rig.outcomes.acks.count(again)
    lost = SignalError(Reason.PAYLOAD_LOST, "no longer in the stream")
    intake.dead_letter(EntryRef(STREAM, again), (), lost)
    assert len(rig.outcomes.events) == told
    assert rig.outcomes.acks.count(again) == acks + 1


def test_the_log_names_no_signal_id_where_there_is_none(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry id is no signal_id."""
    caplog.set_level("WARNING", logger=module.__name__)
    intake.dead_letter(EntryRef(STREAM, "1-0"), (), UNKNOWN)
    (line,) = caplog.records
    assert ("signal_id" in vars(line), vars(line)["entry_id"]) == (False, "1-0")


# --- entries handled before -------------------------------------------------------------------


@pytest.mark.parametrize("content", [entry_fields("b", {}), None])
def test_an_entry_of_an_unclear_order_is_acknowledged_with_its_outcome(
    rig: Rig, content: Any
) -> None:
    """Not before: a crash would leave an order that nobody looks for."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    again = restarted(rig)
    assert intake_of(again).leave_to_row(EntryRef(STREAM, entry), content)
    assert again.outcomes.acks == []
    again.desk.place(orjson.loads(rig.desk.posts[0]))
    again.desk.fill(rig.only_coid())
    again.advance(1)
    assert again.outcomes.acks == [entry]
    assert again.outcomes.told(entry) == ["submitted", "fill!"]


@pytest.mark.parametrize("late", [0, 10])
def test_an_order_without_its_signal_is_not_sent_again(rig: Rig, late: int) -> None:
    """Not found, and what it was made of is no signal now: given up, acknowledged, watched."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    again = restarted(rig)
    again.advance(late)  # absent for long enough, and its entry is waited for
    intake_of(again).leave_to_row(EntryRef(STREAM, entry), entry_fields("b", {}))
    again.advance(10)
    assert (again.desk.posts, again.outcomes.acks) == ([], [entry])
    assert again.row(rig.only_coid()).state is State.EXPIRED_UNCONFIRMED


@pytest.mark.parametrize(("answer", "state"), [(accept("new"), "OPEN"), (fill(), "FILLED")])
@pytest.mark.parametrize("content", [entry_fields("b", {}), None])
def test_an_entry_of_a_settled_order_is_acknowledged(
    rig: Rig, answer: Answer, state: str, content: Any
) -> None:
    """An order that is followed, or at its end, owes nothing to the entry."""
    rig.desk.script.append(answer)
    entry = rig.send()
    again = restarted(rig)
    assert intake_of(again).leave_to_row(EntryRef(STREAM, entry), content)
    assert again.row(rig.only_coid()).state == state
    assert (again.outcomes.acks, again.outcomes.events) == ([entry], [])


def test_another_entry_of_the_signal_id_is_told_the_end_once(rig: Rig) -> None:
    """Also when it comes again after it was told, and crashed before its acknowledgement."""
    rig.send(signal_id="one")
    other = EntryRef(STREAM, "9-9")
    again = restarted(rig)
    fields = entry_fields("b", {"signal_id": "one"})
    for _ in range(2):
        assert intake_of(again).leave_to_row(other, fields)
    assert again.outcomes.told("9-9") == ["fill!"]
    assert again.outcomes.acks == ["9-9", "9-9"]


def test_another_entry_of_an_order_on_its_way_waits_for_the_end(rig: Rig) -> None:
    """It stays pending until there is one."""
    rig.desk.script.append(accept("new"))
    rig.send(signal_id="one")
    again = restarted(rig)
    again.desk.orders = rig.desk.orders
    assert intake_of(again).leave_to_row(
        EntryRef(STREAM, "9-9"), entry_fields("b", {"signal_id": "one"})
    )
    assert again.outcomes.acks == []
    again.desk.fill(rig.only_coid())
    again.advance(10)
    assert again.outcomes.told("9-9") == ["fill!"]


@pytest.mark.parametrize(
    "fields",
    [
        entry_fields("b", {"qty": "7"}),
        entry_fields("b", {"signal_id": "one", "qty": "7"}),
        entry_fields("b", {"signal_id": "two"}),
        ((b"ticker", b"NVDA"), (b"ticker", b"NVDA")),
        (),
    ],
)
def test_other_content_is_another_signal(rig: Rig, intake: Intake, fields: Any) -> None:
    """An entry id or a signal_id used again has no row: it gets an end of its own."""
    entry = rig.send(signal_id="one")
    assert intake.leave_to_row(EntryRef(STREAM, entry), fields) is False
    assert intake.leave_to_row(EntryRef("other", entry), None) is False
    assert rig.outcomes.acks == [entry]
