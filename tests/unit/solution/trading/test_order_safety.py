"""What a review by experiment found, each as the interleaving that showed it."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from solution.book.prices import Quote
from solution.domain.reasons import Reason
from solution.domain.records import State
from solution.errors import LeaseLost, NotSent, OutcomeUnknown, Rejected
from solution.trading.looker import usable
from tests.helpers.trading import STREAM, Rig, accept, accept_then, entry_fields, fail

UNCLEAR = OutcomeUnknown("no usable answer")
RESTING = {"order_type": "limit", "limit_price": "50", "time_in_force": "gtc"}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def restarted(dead: Rig) -> Rig:
    """A new process on the old one's ledger and broker, a second later."""
    rig = Rig(ledger=dead.ledger)
    rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
    rig.desk.orders = dead.desk.orders
    rig.snapshot()
    rig.clock.advance(0.001)
    rig.recover()
    return rig


def test_a_restart_does_not_forget_when_to_cancel(rig: Rig) -> None:
    """``cancel_after`` counts from the sending, whichever process is alive then."""
    rig.desk.script.append(accept("new"))
    rig.send(cancel_after="30", **RESTING)
    rig.advance(10)
    again = restarted(rig)
    again.advance(18)
    assert again.desk.cancels == []
    again.advance(2)
    assert len(again.desk.cancels) == 1


def test_a_late_order_is_cancelled_although_the_process_died_first(rig: Rig) -> None:
    """Given up, then found by the stream, then a crash before the cancel went out."""
    rig.desk.default = fail(UNCLEAR)
    rig.send(**RESTING)
    rig.advance(200)
    coid = rig.only_coid()
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    rig.desk.place({"client_order_id": coid, "symbol": "NVDA", "side": "buy", "type": "limit"})
    rig.hear(rig.update(coid, "new"))
    assert rig.row(coid).state is State.OPEN
    again = restarted(rig)
    again.advance(1)
    assert len(again.desk.cancels) == 1


def test_a_no_to_the_second_post_says_nothing_of_the_first(rig: Rig) -> None:
    """The first got through unseen; its shares may even be why the second was refused."""
    rig.desk.script += [accept_then(UNCLEAR), fail(Rejected(403, 40310000, "insufficient qty"))]
    entry = rig.send()
    coid = rig.only_coid()
    rig.desk.hidden.add(coid)
    rig.advance(5)
    assert len(rig.desk.posts) == 2
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    assert rig.portfolio.reserved()[0] == 1
    rig.desk.hidden.clear()
    rig.desk.fill(coid)
    rig.advance(10)
    assert rig.row(coid).state is State.FILLED
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_a_sale_by_hand_is_known_before_the_next_bare_sell(rig: Rig) -> None:
    """A fill of an order that is not ours moves the position: no short is opened by accident."""
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    rig.desk.place({"client_order_id": "by-hand", "symbol": "NVDA", "side": "sell", "qty": "10"})
    rig.desk.fill("by-hand")
    update = rig.update("by-hand", "fill", position_qty=Decimal(0))
    rig.hear(update)
    entry = rig.send("s")
    assert rig.desk.posts == []
    assert rig.row(rig.coid_of(entry, "s")).reason == Reason.NOTHING_TO_SELL


def test_an_order_without_a_row_is_adopted_not_sent_again(rig: Rig) -> None:
    """The ledger was lost with the power; the broker still knows the id."""
    entry = rig.send()
    order = dict(rig.desk.orders[rig.only_coid()])
    fresh = Rig()
    fresh.clock.advance(rig.clock.monotonic() - fresh.clock.monotonic() + 1)
    fresh.desk.orders = {order["client_order_id"]: order | {"status": "filled"}}
    fresh.desk.fill(order["client_order_id"])
    fresh.snapshot()
    fresh.recover([(STREAM, entry, entry_fields("b", {}))])
    fresh.redeliver(entry)
    assert fresh.desk.posts == []
    assert fresh.row(order["client_order_id"]).state is State.FILLED
    assert fresh.outcomes.told(entry)[-1] == "fill!"
    assert fresh.outcomes.acks == [entry]


def test_the_kill_switch_is_the_last_thing_asked_before_a_second_post(rig: Rig) -> None:
    """Thrown while the lease is renewed, after the gates: an unclear order is not sent again."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()

    def thrown() -> None:
        rig.killed = "thrown"

    rig.fence = thrown
    rig.advance(5)
    assert len(rig.desk.posts) == 1
    assert rig.row(rig.only_coid()).state is State.EXPIRED_UNCONFIRMED
    assert rig.portfolio.reserved()[0] == 1


def test_a_sale_whose_shares_are_gone_is_not_sent_again_after_a_crash(rig: Rig) -> None:
    """Refused, not committed; the next sale had the shares; then the crash. No short is opened."""
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    rig.desk.script.append(fail(UNCLEAR))
    rig.send("s")
    again = Rig(ledger=rig.ledger)
    again.clock.advance(rig.clock.monotonic() - again.clock.monotonic() + 1)
    again.snapshot(NVDA="0")
    again.clock.advance(0.001)
    again.recover()
    again.redeliver(again.ledger.open_intents()[0].entry_id, "s")
    again.advance(6)
    assert again.desk.posts == []
    (row,) = again.ledger.open_intents()
    assert row.state is State.EXPIRED_UNCONFIRMED
    assert "no longer covers" in row.message


@pytest.mark.parametrize("first", [True, False], ids=["first-post", "resend"])
def test_a_process_that_slept_through_a_takeover_sends_nothing(rig: Rig, first: bool) -> None:
    """Paused between its row and its POST; the row is the other instance's to settle."""

    def lost() -> None:
        raise LeaseLost("epoch 2 is another's")

    if not first:
        rig.desk.script.append(fail(NotSent("connection refused")))
        rig.send()
    rig.fence = lost
    with pytest.raises(LeaseLost):
        if first:
            rig.send()
        else:
            rig.work()
    assert len(rig.desk.posts) == (0 if first else 1)
    assert [row.state for row in rig.ledger.open_intents()] == [State.SUBMITTING]
    assert rig.outcomes.acks == []


def test_after_a_restart_a_lost_buy_does_not_follow_its_sell(rig: Rig) -> None:
    """The reply with the buy was lost, the sell was sent, the process died: SUPERSEDED."""
    rig.snapshot(NVDA="5")
    rig.clock.advance(0.001)
    lost = f"{rig.clock.epoch_ms()}-0"
    rig.send("s", entry_id=f"{rig.clock.epoch_ms()}-1")
    assert len(rig.desk.posts) == 1
    again = restarted(rig)
    again.redeliver(lost)
    assert again.desk.posts == []
    assert again.outcomes.events[-1]["reason"] == "SUPERSEDED"


def test_a_resting_order_found_after_a_crash_frees_its_asset(rig: Rig) -> None:
    """Its lane was taken by the redelivered entry; a gtc order would have held it for months."""

    def killed(desk: Any, body: dict[str, Any]) -> None:
        desk.place(body, status="new")
        raise KeyboardInterrupt

    rig.desk.script.append(killed)  # type: ignore[arg-type]
    entry = rig.publish(**RESTING)
    with pytest.raises(KeyboardInterrupt):
        rig.work()
    again = restarted(rig)
    again.redeliver(entry, **RESTING)
    again.advance(1)
    assert again.row(rig.only_coid()).state is State.OPEN
    assert again.is_free()


def test_a_market_order_that_rests_lets_go_of_its_lane(rig: Rig) -> None:
    """A halted symbol: expected to end at once, open at the first poll."""
    rig.desk.script.append(accept("new"))
    rig.send(time_in_force="day")
    assert not rig.is_free()
    rig.advance(2.1)
    assert rig.is_free()


def test_the_kill_switch_counts_until_the_row_is_durable(rig: Rig) -> None:
    """Thrown while the ledger was busy: the row ends as refused, nothing was sent."""
    begin = rig.ledger.begin

    def slow(intent: Any) -> None:
        begin(intent)
        rig.killed = "thrown meanwhile"

    rig.ledger.begin = slow  # type: ignore[method-assign]
    entry = rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "KILL_SWITCH"
    assert rig.is_free()


@pytest.mark.parametrize(("quote_age", "uses_last"), [(30, False), (90, True)])
def test_an_old_ask_does_not_hide_behind_a_new_trade(quote_age: int, uses_last: bool) -> None:
    """The size is computed on the price whose age was judged."""
    wall = datetime(2026, 3, 4, 15, tzinfo=UTC)
    quote = Quote(
        symbol="NVDA",
        bid=Decimal(99),
        ask=Decimal(100),
        last=Decimal(150),
        quote_at=wall - timedelta(seconds=quote_age),
        trade_at=wall,
        received=0.0,
    )
    seen = usable(quote, wall, 60.0)
    assert seen.buy_price == (Decimal(150) if uses_last else Decimal(100))
    assert usable(dataclasses.replace(quote, trade_at=None), wall, 60.0).ask == Decimal(100)
    assert usable(quote, wall, 0.0).ask == Decimal(100)
