"""Entries that kill the process: counted in the ledger, tried alone, given up at the third."""

import pytest

from solution import failpoints
from solution.domain.records import EntryRef
from solution.errors import OutcomeUnknown
from tests.helpers.trading import STREAM, Rig, accept_then


class Death(BaseException):
    """The process dies here."""


def dies(rig: Rig, entry: str) -> None:
    """The entry is redelivered, and its decision kills the process."""

    def die() -> None:
        raise Death

    rig.desk.on_quote = die
    with pytest.raises(Death):
        rig.redeliver(entry)


def restarted(dead: Rig) -> Rig:
    rig = Rig(ledger=dead.ledger)
    rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
    rig.desk.orders = dead.desk.orders
    rig.recover()
    return rig


def test_the_third_start_that_would_follow_two_crashes_is_a_dead_letter() -> None:
    """The first delivery is not counted, so the process has died three times by then."""
    rig = Rig()
    entry = f"{rig.clock.epoch_ms()}-0"
    for _ in range(2):
        dies(rig, entry)
        rig = restarted(rig)
    rig.redeliver(entry)
    assert rig.outcomes.events[-1]["reason"] == "POISON"
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.outcomes.acks == [entry]
    assert rig.desk.posts == []


def test_an_entry_that_ends_is_forgotten() -> None:
    """However often it is delivered: only starts that did not end count."""
    rig = Rig()
    rig.desk.price = None  # refused: no price
    for number in range(5):
        entry = f"{rig.clock.epoch_ms()}-{number}"
        rig.redeliver(entry)
        assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.ledger.open_starts() == {}


def test_a_fresh_entry_costs_no_mark() -> None:
    """The order path of the normal case writes one row before its POST."""
    rig = Rig()
    marked: list[EntryRef] = []
    rig.ledger.mark_start = marked.append  # type: ignore[method-assign, assignment]
    rig.send()
    assert marked == []


def test_a_row_at_submitting_or_later_is_never_dead_lettered() -> None:
    """Its order may exist: it is looked up at the broker, as often as it takes."""
    rig = Rig()
    rig.desk.script.append(accept_then(OutcomeUnknown("lost")))
    entry = rig.send()
    coid = rig.only_coid()
    for _ in range(5):
        rig = restarted(rig)
        rig.redeliver(entry)
    rig.desk.fill(coid)
    rig.advance(5)
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert len(rig.desk.orders) == 1
    assert rig.ledger.find_dead_letter(EntryRef(STREAM, entry)) is None


def test_suspects_run_alone() -> None:
    """An innocent that was being decided beside it must not be counted twice with it."""
    rig = Rig()
    entry = f"{rig.clock.epoch_ms()}-0"
    dies(rig, entry)
    rig = restarted(rig)
    inside: list[bool] = []
    turnstile = rig.pipeline._turnstile
    rig.desk.on_quote = lambda: inside.append(turnstile.enter("innocent", patience=0))
    rig.redeliver(entry)
    assert inside == [False]
    assert rig.outcomes.told(entry)[-1] == "fill!"
    rig.send("b", ticker="AAPL")
    assert inside == [False, True]


def test_the_history_tells_of_redeliveries_and_suspicion() -> None:
    """Before its row, and after."""
    rig = Rig()
    entry = f"{rig.clock.epoch_ms()}-0"
    dies(rig, entry)
    rig = restarted(rig)
    rig.redeliver(entry)
    rig.redeliver(entry)
    coid = rig.only_coid()
    assert rig.notes(coid) == ["redelivered", "suspect", "answered", "redelivered"]
    told = rig.history(coid)
    assert told[0] == "it was read before and had no row"
    assert told[-1] == "acknowledged: FILLED"


def test_the_history_tells_that_it_joined_a_lookup() -> None:
    """Its entry came again while it is not known what became of it."""
    rig = Rig()
    rig.desk.script.append(accept_then(OutcomeUnknown("lost")))
    entry = rig.send()
    again = restarted(rig)
    again.redeliver(entry)
    coid = rig.only_coid()
    assert again.notes(coid)[:3] == ["unknown", "recovered", "redelivered"]
    assert again.history(coid)[2] == "acknowledged with its outcome"


def test_a_crash_after_the_mark_counts() -> None:
    """The mark is durable before anything is decided."""
    rig = Rig()
    entry = f"{rig.clock.epoch_ms()}-0"
    failpoints.arm(failpoints.parse("pipeline.decided=raise"))
    try:
        with pytest.raises(failpoints.Crash):
            rig.redeliver(entry)
    finally:
        failpoints.disarm()
    assert rig.ledger.open_starts() == {EntryRef(STREAM, entry): 1}
