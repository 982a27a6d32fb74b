"""Orders at the broker with an id of ours and without a row."""

from typing import Any

import orjson
import pytest

from solution.domain.records import State
from tests.helpers.trading import DEPLOYMENT, STREAM, Rig, accept, entry_fields

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
    assert coid in rig.halts.all()["NVDA"]
    refused = rig.send()
    assert rig.outcomes.told(refused) == ["refused!"]
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    assert rig.row(coid).state is State.FILLED


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
