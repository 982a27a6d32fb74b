"""Tests of signal_generator.scalping.machine."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from signal_generator.executions import Execution
from signal_generator.hosting import OpenOrder
from signal_generator.scalping.machine import Kind, Machine, Order, State, Trigger

TEN, FOUR, ZERO = Decimal(10), Decimal(4), Decimal(0)
CROSS, ENDED, TICK = Trigger.CROSS, Trigger.ENDED, Trigger.TICK


def _in(state: State, *, closing: bool = False) -> Machine:
    machine = Machine(held=TEN if "SELL" in state else ZERO, closing=closing)
    kinds = {State.BUY_SUBMITTED: Kind.BUY, State.SELL_SUBMITTED: Kind.SELL}
    if state in kinds:
        machine.sent("s-1", kinds[state], TEN)
    return machine


def _told(event: str, signal_id: str = "s-1", **fields: Any) -> Execution:
    return Execution(event_id=1, event=event, signal_id=signal_id, own={}, **fields)


def _resting(side: str = "buy", order_id: str = "o-1", qty: Decimal = TEN) -> OpenOrder:
    at = datetime(2026, 3, 6, 15, tzinfo=UTC)
    return OpenOrder("TSLA", order_id, "c-1", side, "limit", qty, ZERO, Decimal(1), at)


@pytest.mark.parametrize(
    ("state", "trigger", "closing", "wish"),
    [
        (State.TO_BUY, CROSS, False, Kind.BUY),
        (State.TO_BUY, ENDED, False, None),
        (State.TO_BUY, TICK, False, None),
        (State.BUY_SUBMITTED, CROSS, False, None),
        (State.BUY_SUBMITTED, TICK, False, None),
        (State.TO_SELL, CROSS, False, None),
        (State.TO_SELL, ENDED, False, Kind.SELL),
        (State.TO_SELL, TICK, False, Kind.SELL),
        (State.SELL_SUBMITTED, CROSS, False, None),
        (State.SELL_SUBMITTED, TICK, False, None),
        (State.BUY_SUBMITTED, TICK, True, Kind.LIQUIDATE),
        (State.TO_SELL, TICK, True, Kind.LIQUIDATE),
        (State.TO_SELL, ENDED, True, None),
        (State.SELL_SUBMITTED, TICK, True, Kind.LIQUIDATE),
        (State.DONE, CROSS, True, None),
        (State.DONE, TICK, True, None),
    ],
)
def test_what_each_state_wants(
    state: State, trigger: Trigger, closing: bool, wish: Kind | None
) -> None:
    """The whole table, and that the facts lead to the state."""
    machine = _in(State.TO_BUY if state is State.DONE else state, closing=closing)
    assert machine.state is state
    assert machine.wish(trigger) is wish


@pytest.mark.parametrize(
    ("state", "update", "after"),
    [
        (State.BUY_SUBMITTED, _told("submitted"), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("new"), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("partial_fill", filled_qty=FOUR), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("fill", filled_qty=TEN, final=True), State.TO_SELL),
        (State.BUY_SUBMITTED, _told("canceled", filled_qty=FOUR, final=True), State.TO_SELL),
        (State.BUY_SUBMITTED, _told("canceled", filled_qty=ZERO, final=True), State.TO_BUY),
        (State.BUY_SUBMITTED, _told("rejected", final=True), State.TO_BUY),
        (State.BUY_SUBMITTED, _told("refused", final=True), State.TO_BUY),
        (State.BUY_SUBMITTED, _told("dead_letter", final=True), State.TO_BUY),
        (State.BUY_SUBMITTED, _told("dry_run", final=True), State.TO_BUY),
        (State.BUY_SUBMITTED, _told("expired", final=True), State.TO_BUY),
        (State.BUY_SUBMITTED, _told("replaced"), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("done_for_day"), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("unknown"), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("expired_unconfirmed"), State.BUY_SUBMITTED),
        (State.BUY_SUBMITTED, _told("expired_unconfirmed", final=True), State.TO_BUY),
        (State.SELL_SUBMITTED, _told("fill", filled_qty=TEN, final=True), State.TO_BUY),
        (State.SELL_SUBMITTED, _told("partial_fill", filled_qty=FOUR), State.SELL_SUBMITTED),
        (State.SELL_SUBMITTED, _told("canceled", filled_qty=FOUR, final=True), State.TO_SELL),
        (State.SELL_SUBMITTED, _told("expired", final=True), State.TO_SELL),
        (State.SELL_SUBMITTED, _told("rejected", final=True), State.TO_SELL),
        (State.SELL_SUBMITTED, _told("refused", final=True), State.TO_SELL),
        (State.SELL_SUBMITTED, _told("unknown"), State.SELL_SUBMITTED),
        (State.SELL_SUBMITTED, _told("expired_unconfirmed"), State.SELL_SUBMITTED),
        (State.SELL_SUBMITTED, _told("fill", "another", filled_qty=TEN), State.SELL_SUBMITTED),
    ],
)
def test_every_kind_of_news_moves_it(state: State, update: Execution, after: State) -> None:
    """And only a final one ends the wait."""
    machine = _in(state)
    ended = machine.told(update)
    assert machine.state is after
    assert (ended is not None) == update.final


def test_a_repeated_or_older_fill_is_counted_once() -> None:
    """The order's total counts, not the number of messages."""
    machine = _in(State.BUY_SUBMITTED)
    for filled in (FOUR, FOUR, Decimal(2), TEN):
        machine.told(_told("partial_fill", filled_qty=filled))
    assert machine.held == TEN


def test_the_brokers_position_counts_where_a_fill_tells_it() -> None:
    """Shares that were there before are the scalper's too: it says so in its documentation."""
    machine = _in(State.BUY_SUBMITTED)
    update = _told(
        "fill", filled_qty=TEN, filled_avg_price=Decimal("9.5"), position_qty=Decimal(12)
    )
    machine.told(update)
    assert (machine.held, machine.entry) == (12, Decimal("9.5"))


def test_a_cancelled_sale_of_a_part_is_offered_again_at_once_and_an_empty_one_after_a_look() -> (
    None
):
    """A sale that gets nowhere is not repeated at the speed of the network."""
    part, none = _in(State.SELL_SUBMITTED), _in(State.SELL_SUBMITTED)
    part.told(_told("canceled", filled_qty=FOUR, final=True))
    none.told(_told("canceled", final=True))
    assert part.wish(ENDED) is Kind.SELL
    assert part.held == 6
    assert none.wish(ENDED) is none.wish(TICK) is None
    none.believe(TEN, Decimal(1), [])
    assert none.wish(TICK) is Kind.SELL


def test_a_late_fill_of_an_ended_order_makes_it_ask_the_broker() -> None:
    """`corrected`: the count that everything rests on was wrong."""
    machine = _in(State.BUY_SUBMITTED)
    machine.told(_told("canceled", final=True))
    machine.told(_told("corrected", filled_qty=FOUR))
    assert machine.recount
    assert machine.wish(CROSS) is None
    machine.believe(FOUR, Decimal(3), [])
    assert (machine.state, machine.held, machine.entry) == (State.TO_SELL, FOUR, 3)


def test_the_liquidation_waits_for_both_ends_and_is_repeated_until_flat() -> None:
    """The resting sale is cancelled by the service; either may be told first."""
    machine = _in(State.SELL_SUBMITTED)
    machine.close_day()
    assert machine.wish(TICK) is Kind.LIQUIDATE
    machine.sent("out", Kind.LIQUIDATE, TEN)
    assert machine.wish(TICK) is None
    machine.told(_told("canceled", final=True))
    assert machine.state is State.SELL_SUBMITTED
    machine.told(_told("canceled", "out", filled_qty=FOUR, final=True))
    machine.believe(Decimal(6), Decimal(1), [])
    assert machine.wish(TICK) is Kind.LIQUIDATE
    machine.sent("out-2", Kind.LIQUIDATE, Decimal(6))
    machine.told(_told("fill", "out-2", filled_qty=Decimal(6), final=True, position_qty=ZERO))
    assert machine.state is State.DONE
    assert machine.flat


@pytest.mark.parametrize(
    ("reason", "again"), [("NOTHING_TO_SELL", None), ("KILL_SWITCH", Kind.LIQUIDATE)]
)
def test_only_a_liquidation_that_was_tried_shows_whose_an_order_is(
    reason: str, again: Kind | None
) -> None:
    """One that a limit refused has cancelled nothing yet."""
    machine = Machine()
    machine.close_day()
    machine.believe(ZERO, ZERO, [_resting()])
    assert machine.wish(TICK) is Kind.LIQUIDATE
    machine.sent("out", Kind.LIQUIDATE, ZERO)
    machine.told(_told("refused", "out", reason=reason, final=True))
    machine = Machine.from_json(machine.as_json())
    machine.believe(ZERO, ZERO, [_resting()])
    assert machine.wish(TICK) is again
    assert machine.out is (again is None)
    assert not machine.flat


def test_an_order_nobody_finds_is_given_up_at_the_close_only() -> None:
    """Until then no second buy goes beside it."""
    machine = _in(State.BUY_SUBMITTED)
    machine.told(_told("expired_unconfirmed"))
    assert machine.wish(CROSS) is None
    machine.close_day()
    assert machine.give_up_doubtful() == ["s-1"]
    assert machine.state is State.DONE


def test_a_short_account_buys_nothing() -> None:
    """A buy would cover what somebody else has sold."""
    machine = Machine()
    assert not machine.explains(Decimal(-3), [])
    assert machine.believe(Decimal(-3), Decimal(5), []) == [
        "the account is 3 short: nothing is bought"
    ]
    assert (machine.state, machine.wish(CROSS)) == (State.TO_BUY, None)
    machine.believe(ZERO, ZERO, [])
    assert machine.wish(CROSS) is Kind.BUY


def test_the_brokers_position_starts_it_where_it_stands() -> None:
    """The four beginnings of a process without a memory."""
    beginnings = [
        (ZERO, [], State.TO_BUY),
        (TEN, [], State.TO_SELL),
        (ZERO, [_resting("buy")], State.BUY_SUBMITTED),
        (TEN, [_resting("sell")], State.SELL_SUBMITTED),
    ]
    for held, resting, state in beginnings:
        machine = Machine()
        machine.believe(held, Decimal(7), resting)
        assert machine.state is state


def test_an_order_found_at_the_broker_is_followed_by_its_id_or_by_its_absence() -> None:
    """The service tells its end if it is the service's; else the list of open orders does."""
    told, unseen = Machine(), Machine()
    for machine in (told, unseen):
        machine.believe(ZERO, ZERO, [_resting()])
    told.told(_told("fill", "x", order_id="o-1", filled_qty=TEN, final=True))
    assert told.recount  # counted by the broker and by the event
    assert not unseen.explains(TEN, [])
    assert unseen.believe(TEN, Decimal(1), []) == [
        "the order o-1 found at the broker has ended",
        "the broker holds 10, not 0",
    ]
    assert unseen.state is State.TO_SELL


@pytest.mark.parametrize(
    ("state", "held", "resting", "explained"),
    [
        (State.BUY_SUBMITTED, ZERO, [], True),
        (State.BUY_SUBMITTED, TEN, [], True),
        (State.BUY_SUBMITTED, Decimal(11), [], False),
        (State.BUY_SUBMITTED, ZERO, [_resting("buy")], True),
        (State.BUY_SUBMITTED, ZERO, [_resting("sell")], False),
        (State.BUY_SUBMITTED, ZERO, [_resting(qty=FOUR)], False),
        (State.BUY_SUBMITTED, ZERO, [_resting(), _resting(order_id="o-2")], False),
        (State.SELL_SUBMITTED, TEN, [_resting("sell")], True),
        (State.SELL_SUBMITTED, ZERO, [], True),
        (State.SELL_SUBMITTED, Decimal(11), [], False),
        (State.TO_SELL, FOUR, [], False),
        (State.TO_BUY, ZERO, [], True),
    ],
)
def test_what_the_broker_may_say_while_news_is_on_its_way(
    state: State, held: Decimal, resting: list[OpenOrder], explained: bool
) -> None:
    """What our own orders can explain is no contradiction."""
    assert _in(state).explains(held, resting) is explained


def test_a_known_order_is_no_stranger() -> None:
    """Once its id was told, size and side need not match: it may have been replaced."""
    machine = _in(State.BUY_SUBMITTED)
    machine.told(_told("submitted", order_id="o-1"))
    assert machine.explains(ZERO, [_resting(qty=FOUR)])
    assert not machine.explains(ZERO, [_resting(order_id="o-2")])


def test_it_survives_being_written_down() -> None:
    """Every fact, also through JSON."""
    machine = Machine(
        TEN,
        Decimal("9.5"),
        {"s": Order(Kind.SELL, TEN, FOUR, "o", adopted=True, doubtful=True, blurred=True)},
        closing=True,
        recount=True,
        short=True,
    )
    assert Machine.from_json(json.loads(json.dumps(machine.as_json()))) == machine
