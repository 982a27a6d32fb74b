"""Signals whose identity was seen before: one order, each entry told its end once."""

import threading
from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import Change, DeadLetter, EntryRef, State
from solution.errors import (
    DuplicateOrder,
)
from solution.trading import endings, outcomes
from tests.helpers.trading import (
    STREAM,
    Rig,
    accept,
    entry_fields,
    fail,
    fill,
)


@pytest.fixture
def rig() -> Rig:
    """A fresh order path."""
    return Rig()


def test_the_same_signal_id_again_makes_no_second_order(rig: Rig) -> None:
    """Its outcome is told once more, under the new entry id, with a final=1 of its own."""
    first = rig.send(signal_id="one")
    second = rig.send(signal_id="one")
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(second) == ["fill!"]
    assert rig.outcomes.acks == [first, second]


def test_a_signal_id_that_ended_a_moment_ago_is_not_decided_anew(rig: Rig) -> None:
    """Its end is not committed yet when it is read again: the second is told the same, in order."""
    put, waiting = rig.outcomes.put, []
    rig.outcomes.put = waiting.append  # type: ignore[method-assign]
    first = rig.send("s", signal_id="s-1")  # there is nothing to sell
    rig.snapshot(NVDA="5")
    second = rig.send("s", signal_id="s-1")
    rig.outcomes.put = put  # type: ignore[method-assign]
    for change in waiting:
        put(change)
    assert rig.desk.posts == []
    assert rig.outcomes.told(first) == rig.outcomes.told(second) == ["refused!"]
    assert rig.outcomes.acks == [first, second]


def test_only_so_many_ends_are_remembered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger has the others."""
    monkeypatch.setattr(endings, "RECENT", 1)
    for name in ("s-1", "s-2"):
        rig.send("s", signal_id=name)
    remembered = rig.pipeline._endings._recent
    assert [intent.signal_id for intent in remembered.values()] == ["s-2"]


@pytest.mark.parametrize("follows", [True, False])
def test_a_repeated_entry_is_told_once_also_when_it_comes_again(rig: Rig, follows: bool) -> None:
    """Killed between the commit and the acknowledgement: read again, acknowledged, not told."""
    rig.desk.script.append(accept("new") if follows else fill())
    rig.send(signal_id="one")
    second = rig.send(signal_id="one")
    if follows:
        coid = rig.only_coid()
        rig.desk.fill(coid)
        rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
        rig.work_all()
    rig.redeliver(second, signal_id="one")
    assert rig.outcomes.told(second) == ["fill!"]
    assert rig.outcomes.acks[-2:] == [second, second]


def test_the_same_signal_id_while_its_order_is_open_is_told_at_the_end(rig: Rig) -> None:
    """The repeated entry stays pending until the order ends; then both have their final=1."""
    rig.desk.script.append(accept("new"))
    terms = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}
    first = rig.send(signal_id="one", **terms)
    second = rig.send(signal_id="one", **terms)
    assert rig.outcomes.acks == [first]
    coid = rig.only_coid()
    rig.desk.fill(coid, "50")
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(second) == ["fill!"]
    assert rig.outcomes.acks == [first, second]


def test_the_same_signal_id_with_other_content_is_a_dead_letter(rig: Rig) -> None:
    """SIGNAL_ID_REUSED: no order, kept, acknowledged, and the ticker goes on."""
    rig.send(signal_id="one")
    second = rig.send(signal_id="one", qty="3")
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(second) == ["dead_letter!"]
    assert rig.outcomes.events[-1]["reason"] == "SIGNAL_ID_REUSED"
    assert second in rig.outcomes.acks
    assert rig.is_free()


@pytest.mark.parametrize("price", ["limit_price", "stop_price", "trail_price"])
def test_no_order_at_a_price_of_nothing(rig: Rig, price: str) -> None:
    """A buy below the exchange's finest step: a dead letter, nothing sent, nothing held."""
    kind = {"limit_price": "limit", "stop_price": "stop", "trail_price": "trailing_stop"}[price]
    entry = rig.send(qty="1", order_type=kind, time_in_force="day", **{price: "0.00001"})
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.outcomes.events[-1]["reason"] == "INVALID_VALUE"
    assert (rig.desk.posts, rig.portfolio.reserved()[0]) == ([], 0)
    assert rig.is_free()


def test_a_signal_id_used_again_is_told_no_second_end(rig: Rig) -> None:
    """Refused beside the other entry, then read as new from a group made anew."""
    rig.send(signal_id="one")
    rig.ledger.apply([Change(repeats=(EntryRef(STREAM, "9-9"),))])
    rig.send(signal_id="one", qty="3", entry_id="9-9")
    assert rig.ledger.find_dead_letter(EntryRef(STREAM, "9-9")) is not None
    assert rig.outcomes.told("9-9") == []
    assert "9-9" in rig.outcomes.acks


def test_a_redelivered_entry_with_an_ended_row_is_only_acknowledged(rig: Rig) -> None:
    """Nothing is sent and nothing is told a second time."""
    entry = rig.send()
    rig.redeliver(entry)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.acks == [entry, entry]
    assert rig.is_free()


def test_an_entry_that_comes_anew_leaves_its_open_order_alone(rig: Rig) -> None:
    """A group rebuilt after data loss delivers it as new: its order stays tracked and reserved."""
    resting = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}
    rig.desk.default = accept("new")
    entry = rig.send(**resting)
    rig.publish(entry_id=entry, **resting)
    rig.work()
    assert len(rig.desk.posts) == 1
    assert rig.portfolio.reserved()[0] == 1
    coid = rig.only_coid()
    rig.desk.fill(coid, "50")
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.row(coid).state is State.FILLED
    assert rig.is_free()


def test_a_redelivered_entry_with_a_dead_letter_is_only_acknowledged(rig: Rig) -> None:
    """A dead letter is no row; the entry is recognised all the same."""
    rig.send(signal_id="one")
    second = rig.send(signal_id="one", qty="3")
    before = len(rig.outcomes.events)
    rig.redeliver(second, signal_id="one", qty="3")
    assert len(rig.desk.posts) == 1
    assert len(rig.outcomes.events) == before
    assert rig.is_free()


def test_an_entry_id_that_redis_gave_again_is_another_signal(rig: Rig) -> None:
    """After data loss: the dead letter of the same id was made of other content."""
    rig.send(signal_id="one")
    second = rig.send(signal_id="one", qty="3")
    rig.redeliver(second, signal_id="two")
    assert len(rig.desk.posts) == 2


def test_two_lanes_with_one_signal_id_make_one_order(rig: Rig) -> None:
    """While one worker sends, another with the same signal_id neither sends nor disturbs it."""
    rival: list[str] = []

    def meanwhile(desk: Any, body: dict[str, Any]) -> Any:
        rival.append(rig.publish(ticker="AAPL", signal_id="one"))
        worker = threading.Thread(target=rig.work)
        worker.start()
        worker.join(5)
        return accept("new")(desk, body)

    rig.desk.script.append(meanwhile)
    first = rig.send(signal_id="one")
    coid = rig.only_coid()
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    rig.work_all()
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(rival[0]) == ["dead_letter!"]
    assert rig.held() == Decimal(10)


def test_two_deciding_at_the_same_moment_keep_one_reservation(rig: Rig) -> None:
    """A rival that arrives between look-up and row cannot take over order or reservation."""
    rival: list[str] = []

    def meanwhile() -> None:
        rig.desk.on_quote = lambda: None
        rival.append(rig.publish(ticker="AAPL", signal_id="one"))
        worker = threading.Thread(target=rig.work)
        worker.start()
        worker.join(5)

    rig.desk.on_quote = meanwhile
    rig.desk.default = accept("new")
    first = rig.send(signal_id="one")
    rig.work_all()
    assert len(rig.desk.posts) == 1
    coid = rig.only_coid()
    assert rig.tracker.get(coid) is not None
    assert rig.portfolio.reserved()[0] == 1
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.row(coid).state is State.FILLED
    assert {rig.outcomes.told(e)[-1] for e in (first, rival[0])} == {"fill!", "dead_letter!"}


@pytest.mark.parametrize(
    "changed", [{"symbol": "AAPL"}, {"created_at": "2026-03-04T14:00:00Z"}], ids=["other", "older"]
)
def test_an_order_without_a_row_that_is_not_this_signals_is_not_adopted(
    rig: Rig, changed: dict[str, str]
) -> None:
    """An id used before, and no ledger: the POST meets the 422, and nothing is booked."""
    entry = rig.publish(signal_id="one")
    coid = rig.coid(entry, signal_id="one")
    there = {"client_order_id": coid, "symbol": "NVDA", "side": "buy", "type": "market"}
    order = rig.desk.place({**there, "qty": "10", **changed})
    rig.desk.fill(coid)
    rig.orphans([(STREAM, entry, entry_fields("b", {"signal_id": "one"}))]).settle({coid: order})
    assert rig.ledger.find_by_client_order_id(coid) is None
    rig.desk.script.append(fail(DuplicateOrder(422, 40010001, "client_order_id must be unique")))
    rig.work()
    rig.advance(5)
    assert len(rig.desk.posts) == 1
    assert rig.held() == 0
    assert "fill!" not in rig.outcomes.told(entry)
    assert rig.outcomes.acks == [entry]


def test_a_dead_letter_whose_signal_id_traded_later_is_told_once(rig: Rig) -> None:
    """Expired and kept, then a crash before its acknowledgement; its producer sent it again."""
    fields = {"signal_id": "one"}
    dead = f"{rig.clock.epoch_ms()}-7"
    letter = DeadLetter(
        stream=STREAM,
        entry_id=dead,
        reason="EXPIRED",
        message="too old",
        at="2026-03-04T14:00:00Z",
        fields=entry_fields("b", fields),
    )
    rig.outcomes.put(outcomes.dead_letter(letter))
    rig.send(**fields)
    rig.redeliver(dead, **fields)
    assert rig.outcomes.told(dead) == ["dead_letter!"]
    assert rig.outcomes.acks.count(dead) == 2
