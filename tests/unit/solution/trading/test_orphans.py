"""Orders at the broker with an id of ours and without a row."""

from typing import Any

import orjson
import pytest

from solution.domain.records import DeadLetter, State
from solution.trading import outcomes
from tests.helpers.trading import DEPLOYMENT, STREAM, Rig, RigRules, accept, entry_fields

RESTING = {"order_type": "limit", "limit_price": "50", "time_in_force": "gtc"}


def after_the_loss_of_the_ledger(dead: Rig) -> Rig:
    """A new ledger at the same broker, a second later."""
    rig = Rig()
    rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
    rig.desk.orders = dead.desk.orders
    return rig


def entries(entry: str, **fields: str) -> list[Any]:
    """The stream as it stands at Redis: nonsense, an innocent, and the signal."""
    return [
        (STREAM, "1-0", ((b"no", b"signal"),)),
        (STREAM, "2-0", entry_fields("b", {"ticker": "AAPL"})),
        (STREAM, entry, entry_fields("b", fields)),
    ]


def test_an_acknowledged_signals_order_gets_its_row_back() -> None:
    """Nothing is pending any more, and still the order is followed to its end."""
    dead = Rig()
    dead.desk.default = accept("new")
    entry = dead.send(**RESTING)
    coid = dead.only_coid()
    rig = after_the_loss_of_the_ledger(dead)
    rig.recover(entries(entry, **RESTING))
    row = rig.row(coid)
    assert (row.state, row.entry_id, row.side) == (State.OPEN, entry, "buy")
    assert rig.halts.all() == {}
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    assert rig.row(coid).state is State.FILLED
    rig.redeliver(entry, **RESTING)
    assert rig.desk.posts == []
    assert rig.outcomes.acks == [entry]


def test_an_order_that_no_signal_explains_halts_its_ticker() -> None:
    """It is followed like any other, and booked; new signals of the ticker are refused."""
    dead = Rig()
    dead.desk.default = accept("new")
    dead.send(**RESTING)
    coid = dead.only_coid()
    rig = after_the_loss_of_the_ledger(dead)
    rig.recover([])
    row = rig.row(coid)
    assert (row.state, row.reason, row.identity) == (State.OPEN, "ORPHAN", f"orphan:{coid}")
    (told,) = rig.outcomes.events
    assert (told["event"], told["reason"], told["message"]) == ("submitted", "ORPHAN", row.message)
    assert coid in rig.halts.all()["NVDA"]
    refused = rig.send()
    assert rig.outcomes.told(refused) == ["refused!"]
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    assert rig.row(coid).state is State.FILLED


@pytest.mark.parametrize(("limit", "reason"), [(7200.0, ""), (60.0, "ORPHAN")])
def test_signals_are_asked_as_far_back_as_they_may_be_young(limit: float, reason: str) -> None:
    """With MAX_SIGNAL_AGE=7200 an order may be made an hour after its signal."""
    rig = Rig(RigRules(max_signal_age=limit))
    entry = f"{rig.clock.epoch_ms()}-0"
    coid = rig.coid(entry)
    rig.clock.advance(3600)
    there = {"client_order_id": coid, "symbol": "NVDA", "side": "buy", "type": "market"}
    order = rig.desk.place({**there, "qty": "10"})
    orphans = rig.orphans()
    stream = entries(entry)
    orphans._recent = lambda since: (e for e in stream if int(e[1].partition("-")[0]) >= since)
    orphans.settle({coid: order})
    assert rig.row(coid).reason == reason


def test_a_resumed_orphan_stays_resumed_after_a_restart() -> None:
    """Its row is why: the next start knows the order."""
    dead = Rig()
    dead.send()
    first = after_the_loss_of_the_ledger(dead)
    first.recover([])
    assert set(first.halts.all()) == {"NVDA"}
    first.ledger.delete_state("halted:NVDA")
    again = Rig(ledger=first.ledger)
    again.clock.advance(first.clock.monotonic() - again.clock.monotonic() + 1)
    again.desk.orders = dead.desk.orders
    again.recover([])
    assert again.halts.all() == {}


def test_a_crash_between_the_halt_and_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The halt came first; the next start finds the order again."""
    dead = Rig()
    dead.send()
    rig = after_the_loss_of_the_ledger(dead)

    def crash(_intent: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rig.ledger, "begin", crash)
    with pytest.raises(KeyboardInterrupt):
        rig.recover([])
    monkeypatch.undo()
    again = Rig(ledger=rig.ledger)
    again.clock.advance(rig.clock.monotonic() - again.clock.monotonic() + 1)
    again.desk.orders = dead.desk.orders
    assert set(again.halts.all()) == {"NVDA"}
    again.recover([])
    assert again.row(dead.only_coid()).state is State.FILLED


def test_a_crash_between_two_adoptions_loses_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of the first is newer than the second order; the next start lists from before it."""
    dead = Rig()
    dead.desk.default = accept("new")
    sent = [dead.send(**RESTING), dead.send(ticker="AAPL", **RESTING)]
    coids = list(dead.desk.orders)
    stream = [
        (STREAM, sent[0], entry_fields("b", RESTING)),
        (STREAM, sent[1], entry_fields("b", {"ticker": "AAPL", **RESTING})),
    ]
    dead.clock.advance(600)
    rig = after_the_loss_of_the_ledger(dead)
    begin, begun = rig.ledger.begin, list[str]()

    def once(intent: Any) -> None:
        if begun:
            raise KeyboardInterrupt
        begin(intent)
        begun.append(intent.client_order_id)

    monkeypatch.setattr(rig.ledger, "begin", once)
    with pytest.raises(KeyboardInterrupt):
        rig.recover(stream)
    monkeypatch.undo()
    again = Rig(ledger=rig.ledger)
    again.clock.advance(rig.clock.monotonic() - again.clock.monotonic() + 1)
    again.desk.orders = dead.desk.orders
    again.recover(stream)
    assert begun == coids[:1]
    assert [again.row(coid).state for coid in coids] == [State.OPEN, State.OPEN]
    assert again.ledger.states("recovery") == {}


# --- an orphan whose signal turns up after all ------------------------------------------------


def orphaned(dead: Rig, **fields: str) -> tuple[Rig, str, str]:
    """A new life in which the order of a signal is an orphan; entry id and client_order_id."""
    entry = dead.send(**fields)
    rig = after_the_loss_of_the_ledger(dead)
    rig.recover([])
    assert set(rig.halts.all()) == {"NVDA"}
    return rig, entry, dead.only_coid()


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("redelivered", [False, True])
def test_an_open_orphan_is_its_signals_when_that_turns_up(redelivered: bool, resumed: bool) -> None:
    """No second order: the row is named after the signal, and the end told to it."""
    dead = Rig()
    dead.desk.default = accept("new")
    rig, entry, coid = orphaned(dead, signal_id="one", x_note="mine", **RESTING)
    if resumed:
        rig.ledger.delete_state("halted:NVDA")
        rig.halts.refresh()
    if redelivered:
        rig.redeliver(entry, signal_id="one", x_note="mine", **RESTING)
    else:
        rig.send(entry_id=entry, signal_id="one", x_note="mine", **RESTING)
    row = rig.row(coid)
    assert (row.state, row.entry_id, row.signal_id, row.reason) == (State.OPEN, entry, "one", "")
    assert rig.outcomes.acks == [entry]
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    rig.redeliver(entry, signal_id="one", x_note="mine", **RESTING)
    assert rig.outcomes.told(entry) == ["fill!"]
    assert (rig.outcomes.events[-1]["signal_id"], rig.outcomes.events[-1]["x_note"]) == (
        "one",
        "mine",
    )
    assert rig.desk.posts == []


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("met", ["halted", "refused", "sent"])
def test_the_end_of_an_orphan_is_told_to_its_signal(met: str, remembered: bool) -> None:
    """It looks fresh and names no signal_id; whatever it would meet, its end is the order's."""
    rig, entry, coid = orphaned(Rig())
    assert rig.row(coid).state is State.FILLED
    if met != "halted":
        rig.ledger.delete_state("halted:NVDA")
        rig.halts.refresh()
    if met == "sent":
        rig.clock.advance(1)
        rig.snapshot(NVDA="10")
        rig.clock.advance(1)
    if not remembered:  # ended before the last start
        rig.tracker._registry.ended.clear()
    rig.send(entry_id=entry)
    assert rig.outcomes.told(entry) == ["fill!"]
    assert rig.outcomes.events[-1]["filled_qty"] == "10"
    rig.redeliver(entry)
    assert rig.outcomes.told(entry) == ["fill!"]
    assert rig.outcomes.acks == [entry, entry]
    assert rig.desk.posts == []
    assert rig.row(coid).entry_id == entry
    rig.clock.advance(1)
    rig.snapshot(NVDA="10")
    rig.ledger.delete_state("halted:NVDA")
    rig.halts.refresh()
    assert rig.outcomes.told(rig.send()) == ["submitted", "fill!"]


@pytest.mark.parametrize(
    "changed", [{"symbol": "AAPL"}, {"created_at": "2026-03-04T13:00:00Z"}], ids=["other", "older"]
)
def test_an_orphan_that_contradicts_its_signal_is_not_its_order(changed: dict[str, str]) -> None:
    """The id was used before: a dead letter with that reason; the orphan stays what it is."""
    rig = Rig()
    entry = rig.publish(signal_id="one")
    coid = rig.coid(entry, signal_id="one")
    there = {"client_order_id": coid, "symbol": "NVDA", "side": "buy", "type": "market"}
    rig.orphans([]).settle({coid: rig.desk.place({**there, "qty": "10", **changed})})
    rig.work()
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.outcomes.events[-1]["reason"] == "ID_CONFLICT"
    rig.redeliver(entry, signal_id="one")
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.outcomes.acks == [entry, entry]
    assert rig.row(coid).entry_id == ""
    assert rig.desk.posts == []


def test_an_orphan_whose_signal_was_a_dead_letter_stays_one() -> None:
    """The entry was told its end before; it is not told another one."""
    rig, entry, coid = orphaned(Rig())
    letter = DeadLetter(
        stream=STREAM, entry_id=entry, reason="EXPIRED", message="", at="2026-03-04T15:00:00Z"
    )
    rig.outcomes.put(outcomes.dead_letter(letter))
    rig.redeliver(entry)
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.row(coid).entry_id == ""


def test_another_deployments_orders_are_nobodys_orphans() -> None:
    """A second group on the account has ids of its own."""
    rig = Rig()
    rig.desk.place({"client_order_id": "sp-00000000-1", "symbol": "NVDA", "side": "buy"})
    rig.recover([])
    assert rig.halts.all() == {}
    assert rig.ledger.open_intents() == []


def test_a_stranger_that_turns_up_while_running() -> None:
    """The same as at start; one that has a row by now is none."""
    rig = Rig()
    entry = rig.send()
    known = rig.desk.orders[rig.only_coid()]
    rig.orphans([]).stranger(known)
    assert rig.halts.all() == {}
    coid = f"sp-{DEPLOYMENT}-{'0' * 32}"
    order = rig.desk.place(
        {"client_order_id": coid, "symbol": "AAPL", "side": "sell", "qty": "3", "type": "limit"}
    )
    rig.orphans(entries(entry)).stranger(order)
    assert set(rig.halts.all()) == {"AAPL"}
    assert rig.row(coid).side == "sell"


def test_the_ids_are_recomputed_not_trusted() -> None:
    """An entry of the same asset is no explanation; only the one whose id it is."""
    dead = Rig()
    dead.send()
    body = orjson.loads(dead.desk.posts[0])
    rig = after_the_loss_of_the_ledger(dead)
    rig.recover([(STREAM, "1-0", entry_fields("b", {}))])
    assert rig.row(body["client_order_id"]).reason == "ORPHAN"


@pytest.mark.parametrize("created", [None, "soon", "2026-03-04T17:00:00"])
def test_an_orphan_whose_age_cannot_be_read_was_found_now(created: str | None) -> None:
    """No time, or one of no zone: it is followed all the same, from now on."""
    dead = Rig()
    dead.desk.default = accept("new")
    dead.send(**RESTING)
    coid = dead.only_coid()
    dead.desk.orders[coid]["created_at"] = created
    rig = after_the_loss_of_the_ledger(dead)
    rig.recover([])
    assert rig.row(coid).published_ms == rig.clock.epoch_ms()
    assert set(rig.halts.all()) == {"NVDA"}
