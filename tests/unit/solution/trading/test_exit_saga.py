"""An exit that meets our own resting orders: cancel, await, read again, sell."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import State
from solution.errors import OutcomeUnknown, Rejected
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.trading import Rig, RigRules, accept, accept_then

TAKE_PROFIT = {"order_type": "limit", "limit_price": "150", "time_in_force": "gtc", "qty": "10"}
BUY_LOWER = {"order_type": "limit", "limit_price": "50", "time_in_force": "gtc", "qty": "2"}


@pytest.fixture
def rig() -> Rig:
    """Ten NVDA are held; a cancel takes effect at once and the stream tells it."""
    return holding("10")


def holding(qty: str, rules: RigRules | None = None, *, ledger: SqliteLedger | None = None) -> Rig:
    """Like :func:`rig`, with another position or other settings."""
    made = Rig(rules, ledger=ledger)
    made.snapshot(NVDA=qty)
    made.clock.advance(0.001)

    def cancelled(order_id: str) -> None:
        order = of(made, order_id)
        order["status"] = "canceled"
        if "symbol" in order and order["client_order_id"] in made.desk.orders:
            made.hear(made.update(order["client_order_id"], "canceled"))

    made.desk.on_cancel = cancelled
    return made


def of(rig: Rig, order_id: str) -> dict[str, Any]:
    for order in rig.desk.orders.values():
        for each in (order, *order.get("legs", ())):
            if each["id"] == order_id:
                return each
    raise AssertionError(order_id)


def rest(rig: Rig, direction: str, **fields: str) -> str:
    """A resting order of ours; returns its client_order_id."""
    rig.desk.script.append(accept("new"))
    entry = rig.send(direction, **fields)
    return rig.coid_of(entry, direction, **fields)


def sold(rig: Rig) -> Mapping[str, Any]:
    """The newest order at the broker."""
    return list(rig.desk.orders.values())[-1]


def test_a_bare_sell_takes_back_the_shares_of_a_resting_sale(rig: Rig) -> None:
    """All ten are sold, in one order, after the cancel."""
    resting = rest(rig, "s", **TAKE_PROFIT)
    entry = rig.send("s")
    assert rig.row(resting).state is State.CANCELED
    assert rig.desk.cancels == [rig.desk.orders[resting]["id"]]
    assert rig.desk.snapshots == 1
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert sold(rig)["qty"] == "10"


def test_a_burst_does_not_wait_for_cancels(rig: Rig) -> None:
    """An exit with an order in its way goes back to its lane, and is decided after the burst."""
    rest(rig, "s", **TAKE_PROFIT)
    entry = rig.publish("s")
    taken = rig.lanes.take(rig._slot, lambda _: 0.0, 0.0)
    assert taken is not None
    course = rig.pipeline.start(taken[0].item, *taken, unburdened=False)
    assert (course.departed, course.sent_back, rig.desk.cancels) == (None, True, [])
    assert rig.portfolio.reserved()[0] == 1  # the resting order's
    rig.work_all()
    assert len(rig.desk.cancels) == 1
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_both_histories_tell_of_the_cancel(rig: Rig) -> None:
    """The resting order's, whose end it is, and the exit's, which waited for it."""
    resting = rest(rig, "s", **TAKE_PROFIT)
    exit_id = rig.coid_of(rig.send("s"), "s")
    order_id = rig.desk.orders[resting]["id"]
    assert rig.history(resting)[1:] == [f"order {order_id}, in the way of the exit {exit_id}"]
    assert rig.notes(exit_id) == ["cancel", "cleared", "answered"]
    assert rig.history(exit_id)[:2] == [
        f"order {order_id}, in the way", "0 of 1 still open after 0.050 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (Rejected(422, 1, "filled already"), "cancel_refused", ": filled already"),
        (OutcomeUnknown("HTTP 504"), "cancel", ": no answer: HTTP 504"),
    ],
)
def test_a_cancel_that_fails_is_told_as_well(
    rig: Rig, error: Exception, kind: str, words: str
) -> None:
    """With the broker's words."""
    resting = rest(rig, "s", **TAKE_PROFIT)

    def refuse(_order_id: str) -> None:
        raise error

    rig.desk.on_cancel = refuse
    rig.send("s")
    assert rig.notes(resting)[1] == kind
    assert rig.history(resting)[1].endswith(words)


def test_what_the_resting_order_filled_first_is_not_sold_again(rig: Rig) -> None:
    """Three shares went before the cancel took effect: seven are left to sell."""
    resting = rest(rig, "s", **TAKE_PROFIT)

    def filled_a_little_first(_order_id: str) -> None:
        rig.desk.fill(resting, "150", "3")
        rig.hear(rig.update(resting, "partial_fill", position_qty=Decimal(7)))
        rig.desk.orders[resting]["status"] = "canceled"
        rig.hear(rig.update(resting, "canceled"))

    rig.desk.on_cancel = filled_a_little_first
    rig.send("s")
    assert sold(rig)["qty"] == "7"


def test_an_exit_that_finds_enough_free_shares_cancels_nothing(rig: Rig) -> None:
    """Scaling out in two limit orders of five."""
    rest(rig, "s", **TAKE_PROFIT | {"qty": "5"})
    rest(rig, "s", **TAKE_PROFIT | {"qty": "5", "limit_price": "160"})
    assert rig.desk.cancels == []


def test_a_market_sell_cancels_a_resting_buy_it_could_trade_with(rig: Rig) -> None:
    """Alpaca refuses it as a wash trade else."""
    resting = rest(rig, "b", **BUY_LOWER)
    entry = rig.send("s")
    assert rig.row(resting).state is State.CANCELED
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_a_limit_sell_above_a_resting_buy_leaves_it(rig: Rig) -> None:
    """They cannot trade with each other."""
    resting = rest(rig, "b", **BUY_LOWER)
    rest(rig, "s", **TAKE_PROFIT)
    assert rig.row(resting).state is State.OPEN
    assert rig.desk.cancels == []


@pytest.mark.parametrize(
    ("is_open", "reason"), [(False, "MARKET_CLOSED"), (None, "SESSION_UNKNOWN")]
)
def test_an_exit_that_the_session_refuses_cancels_nothing(
    rig: Rig, is_open: bool | None, reason: str
) -> None:
    """A protective order would be gone, and the position still there."""
    resting = rest(rig, "s", **TAKE_PROFIT)
    rig.desk.is_open = is_open
    entry = rig.send("s")
    assert rig.row(rig.coid_of(entry, "s")).reason == reason
    assert rig.row(resting).state is State.OPEN
    assert rig.desk.cancels == []


@pytest.mark.parametrize(("held", "sells"), [("10", False), ("10.5", True)])
def test_an_exit_that_may_queue_clears_its_way(held: str, sells: bool) -> None:
    """A fraction is a day order and waits; whole shares are ioc and would be refused."""
    rig = Rig(RigRules(queue_when_closed=True))
    rig.snapshot(NVDA=held)
    rig.clock.advance(0.001)
    resting = rest(rig, "s", **TAKE_PROFIT)
    rig.desk.on_cancel = lambda _: rig.desk.orders[resting].update(status="canceled")
    rig.desk.is_open = False
    rig.desk.script.append(accept("accepted"))
    entry = rig.send("s")
    assert (rig.row(resting).state is State.CANCELED) is sells
    assert rig.outcomes.told(entry) == (["submitted"] if sells else ["refused!"])


@pytest.mark.parametrize(
    ("fields", "reason"), [({}, "NOT_ABOVE_ENTRY"), ({"weight": "0.00001"}, "SIZE_TOO_SMALL")]
)
def test_an_exit_that_would_be_refused_without_them_cancels_nothing(
    fields: dict[str, str], reason: str
) -> None:
    """SELL_ONLY_ABOVE_ENTRY holds the bare sale back; the other asks for less than a share."""
    sizing = {"policy": "all_in", "sell_only_above_entry": True}
    rig = holding("10", RigRules(sizing=sizing))
    resting = rest(rig, "s", **TAKE_PROFIT)
    entry = rig.send("s", **fields)
    assert rig.row(rig.coid_of(entry, "s", **fields)).reason == reason
    assert rig.row(resting).state is State.OPEN
    assert rig.desk.cancels == []


def test_an_entry_cancels_nothing(rig: Rig) -> None:
    """Only exits clear their way."""
    rest(rig, "s", **TAKE_PROFIT)
    rig.send("b")
    assert rig.desk.cancels == []


def test_a_cancel_that_is_never_confirmed_ends_the_waiting(rig: Rig) -> None:
    """After five seconds the exit is decided on what is free: nothing. The broker was asked."""
    resting = rest(rig, "s", **TAKE_PROFIT)
    rig.desk.on_cancel = lambda _: None
    entry = rig.send("s")
    assert rig.row(rig.coid_of(entry, "s")).reason == "NOTHING_TO_SELL"
    assert rig.row(resting).state is State.OPEN
    assert sum(asked.startswith("order ") for asked in rig.desk.asked) >= 3


def test_a_silent_stream_is_asked_around(rig: Rig) -> None:
    """The poll brings the end of the resting order."""
    resting = rest(rig, "s", **TAKE_PROFIT)
    rig.desk.on_cancel = lambda _: rig.desk.orders[resting].update(status="canceled")
    entry = rig.send("s")
    assert rig.row(resting).state is State.CANCELED
    assert rig.outcomes.told(entry)[-1] == "fill!"


@pytest.mark.parametrize(
    "error", [Rejected(422, 42210000, "order is not cancelable"), OutcomeUnknown("timed out")]
)
def test_a_cancel_that_fails(rig: Rig, error: Exception) -> None:
    """Filled meanwhile, or no answer: the exit gets its own end in any case."""
    rest(rig, "s", **TAKE_PROFIT)

    def fails(_order_id: str) -> None:
        raise error

    rig.desk.on_cancel = fails
    entry = rig.send("s")
    assert rig.outcomes.told(entry) == ["refused!"]


def test_the_legs_of_a_bracket_are_cancelled(rig: Rig) -> None:
    """The broker made their ids, so their parent tells that they are ours."""
    parent = rest(rig, "b", **BUY_LOWER)
    leg = {"id": "leg-1", "symbol": "NVDA", "side": "sell", "status": "new", "client_order_id": "x"}
    other = {**leg, "id": "leg-2", "symbol": "AAPL"}
    over = {**leg, "id": "leg-3", "status": "canceled"}
    rig.desk.orders[parent]["legs"] = [leg, other, over]
    rig.portfolio.apply_snapshot(*held_by_another(rig, qty="10", available="0"))
    rig.clock.advance(0.001)

    def cancelled(order_id: str) -> None:
        of(rig, order_id)["status"] = "canceled"
        if order_id == rig.desk.orders[parent]["id"]:
            rig.hear(rig.update(parent, "canceled"))
        rig.snapshot(NVDA="10")

    rig.desk.on_cancel = cancelled
    entry = rig.send("s")
    assert set(rig.desk.cancels) == {"leg-1", rig.desk.orders[parent]["id"]}
    assert rig.outcomes.told(entry)[-1] == "fill!"


def held_by_another(rig: Rig, *, qty: str, available: str) -> tuple[Any, Any, float]:
    """A snapshot in which some order holds shares."""
    from solution.book.positions import Account, Position

    account = Account("acc", Decimal(100_000), Decimal(100_000), Decimal(200_000))
    position = Position("NVDA", Decimal(qty), Decimal(available), Decimal(100))
    return account, {"NVDA": position}, rig.clock.monotonic()


def test_with_the_saga_off_the_exit_is_refused(rig: Rig) -> None:
    """EXIT_CANCELS_RESTING=false."""
    rig.pipeline._reserving._clearing = None
    resting = rest(rig, "s", **TAKE_PROFIT)
    entry = rig.send("s")
    assert rig.row(rig.coid_of(entry, "s")).reason == "NOTHING_TO_SELL"
    assert rig.row(resting).state is State.OPEN


def test_a_finished_exit_that_is_read_anew_cancels_nothing() -> None:
    """Redis lost its group: the entry looks fresh, and what rests now belongs to a new position."""
    rig = Rig(RigRules(ordered=False))
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    exit_entry = rig.send("s")
    rig.clock.advance(1)
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    resting = rest(rig, "s", **TAKE_PROFIT)
    rig.send("s", entry_id=exit_entry)
    assert rig.desk.cancels == []
    assert rig.row(resting).state is State.OPEN
    assert rig.outcomes.told(exit_entry) == ["submitted", "fill!"]
    assert rig.outcomes.acks.count(exit_entry) == 2
    assert rig.portfolio.reserved()[0] == 1
    assert rig.is_free()


@pytest.mark.parametrize(("direction", "fields"), [("s", {}), ("", {"target_qty": "5"})])
def test_a_signal_that_comes_as_new_once_more_cancels_nothing(
    direction: str, fields: dict[str, str]
) -> None:
    """Redis lost data, and the signal has had its order: what was placed since stays."""
    rig = holding("10", RigRules(ordered=False))
    entry = rig.send(direction, **fields)
    resting = rest(rig, "b", **BUY_LOWER)
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    rig.send(direction, entry_id=entry, **fields)
    assert rig.row(resting).state is State.OPEN
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


# --- nothing is held: what rests would open the position after the exit ---------------------------

SHORT_HIGHER = {**TAKE_PROFIT, "action": "short_sell"}


def ending(rig: Rig, entry: str, direction: str, fields: Mapping[str, str]) -> tuple[str, str]:
    """Reason and message of its row."""
    row = rig.row(rig.coid_of(entry, direction, **fields))
    return row.reason, row.message


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(
    ("direction", "fields", "opposed"),
    [
        ("", {"target_qty": "0"}, {"buy", "short"}),
        ("", {"target_weight": "0"}, {"buy", "short"}),
        ("", {"action": "liquidate"}, {"buy", "short"}),
        ("s", {}, {"buy"}),
        ("s", {"action": "sell_long"}, {"buy"}),
        ("s", {"action": "liquidate"}, {"buy"}),
        ("b", {"action": "buy_to_cover"}, {"short"}),
        ("b", {"action": "liquidate"}, {"short"}),
    ],
)
def test_an_exit_of_everything_cancels_what_would_open_the_position(
    direction: str, fields: dict[str, str], opposed: set[str], is_open: bool
) -> None:
    """And nothing that would not. No session is needed for that: there is nothing to sell."""
    rig = holding("0")
    resting = {"buy": rest(rig, "b", **BUY_LOWER), "short": rest(rig, "s", **SHORT_HIGHER)}
    rig.desk.is_open = is_open
    entry = rig.send(direction, **fields)
    assert {n for n, coid in resting.items() if rig.row(coid).state is State.CANCELED} == opposed
    reason, message = ending(rig, entry, direction, fields)
    assert reason in {"AT_TARGET", "NOTHING_TO_SELL", "NOTHING_TO_COVER"}
    assert message.endswith(f"; {len(opposed)} of {len(opposed)} resting orders cancelled")


@pytest.mark.parametrize(
    ("direction", "fields"),
    [
        ("s", {"qty": "1"}),
        ("", {"action": "liquidate", "qty": "1"}),
        ("s", {"order_type": "limit", "limit_price": "60"}),
    ],
)
def test_an_exit_that_says_how_much_or_could_not_trade_leaves_resting_orders(
    direction: str, fields: dict[str, str]
) -> None:
    """It speaks of shares that are held, or of a price that the resting buy does not pay."""
    rig = holding("0")
    resting = rest(rig, "b", **BUY_LOWER)
    entry = rig.send(direction, **fields)
    assert rig.row(resting).state is State.OPEN
    assert "resting" not in ending(rig, entry, direction, fields)[1]


@pytest.mark.parametrize("held", ["0", "10"])
def test_a_target_of_nothing_cancels_resting_buys_at_whatever_price(held: str) -> None:
    """The position wanted is none, and they would open one."""
    rig = holding(held)
    resting = rest(rig, "b", **BUY_LOWER)
    rig.send("", target_qty="0", order_type="limit", limit_price="60")
    assert rig.row(resting).state is State.CANCELED


def test_a_resting_buy_that_fills_before_its_cancel_is_sold() -> None:
    """The exit looks again after the cancel."""
    rig = holding("0")
    resting = rest(rig, "b", **BUY_LOWER)

    def fills_first(_order_id: str) -> None:
        rig.desk.fill(resting, "50")
        rig.hear(rig.update(resting, "fill", position_qty=Decimal(2)))

    rig.desk.on_cancel = fills_first
    entry = rig.send("", target_qty="0")
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("sell", "2")


@pytest.mark.parametrize("error", [None, OutcomeUnknown("timed out")])
def test_a_resting_buy_that_stays_is_not_said_to_be_cancelled(error: Exception | None) -> None:
    """Its cancel failed, or was never confirmed."""
    rig = holding("0")
    resting = rest(rig, "b", **BUY_LOWER)

    def stays(_order_id: str) -> None:
        if error is not None:
            raise error

    rig.desk.on_cancel = stays
    entry = rig.send("", target_qty="0")
    assert rig.row(resting).state is State.OPEN
    reason, message = ending(rig, entry, "", {"target_qty": "0"})
    assert (reason, message.partition("; ")[2]) == (
        "NOTHING_TO_SELL",
        "0 of 1 resting orders cancelled",
    )


@pytest.mark.parametrize("held", ["0", "10"])
def test_an_exit_that_the_shutdown_finds_waiting_stays_pending(held: str) -> None:
    """It is neither refused nor decided on cancels that nobody waited for."""
    rig = holding(held)
    resting = rest(rig, "b", **BUY_LOWER)
    rig.desk.on_cancel = lambda _: rig.stop.set()
    entry = rig.send("s")
    assert rig.outcomes.told(entry) == []
    assert rig.desk.cancels == [rig.desk.orders[resting]["id"]]


def test_a_sell_of_longs_leaves_the_cover_of_a_short() -> None:
    """It has nothing to sell, so nothing is in its way."""
    rig = holding("-10")
    cover = rest(rig, "b", **BUY_LOWER)
    entry = rig.send("s")
    assert rig.row(cover).state is State.OPEN
    assert ending(rig, entry, "s", {}) == ("NOTHING_TO_SELL", "0 NVDA held, none free to sell")


# --- targets: the trade must not meet an order of our own -----------------------------------------

SELL_STOP = {"order_type": "stop", "stop_price": "80", "time_in_force": "gtc", "qty": "4"}
TRAILING = {"order_type": "trailing_stop", "trail_percent": "5", "time_in_force": "gtc", "qty": "4"}
FOUR_HIGHER = {**TAKE_PROFIT, "qty": "4"}
ONE_LOWER = {**BUY_LOWER, "qty": "1"}
SHORT_LESS = {**SHORT_HIGHER, "qty": "2"}


@pytest.mark.parametrize(
    ("held", "direction", "fields", "wanted", "traded"),
    [
        ("10", "b", ONE_LOWER, "5", ("sell", "5")),
        ("10", "s", FOUR_HIGHER, "8", ("sell", "2")),
        ("10", "s", SELL_STOP, "12", ("buy", "2")),
        ("0", "b", TAKE_PROFIT, "5", ("buy", "5")),
        ("0", "s", SHORT_HIGHER, "5", ("buy", "5")),
        ("-5", "s", SHORT_HIGHER, "3", ("buy", "5")),
    ],
)
def test_a_target_cancels_what_it_could_trade_with_and_looks_again(
    held: str, direction: str, fields: dict[str, str], wanted: str, traded: tuple[str, str]
) -> None:
    """The difference is computed anew: what was cancelled is no longer counted as filled."""
    rig = holding(held)
    resting = rest(rig, direction, **fields)
    entry = rig.send("", target_qty=wanted)
    assert rig.row(resting).state is State.CANCELED
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert (sold(rig)["side"], sold(rig)["qty"]) == traded


def test_a_target_that_the_cancels_reach_says_so(rig: Rig) -> None:
    """Ten are held and four of them were on sale: without the sale ten is the position."""
    resting = rest(rig, "s", **FOUR_HIGHER)
    entry = rig.send("", target_qty="10")
    assert rig.row(resting).state is State.CANCELED
    assert ending(rig, entry, "", {"target_qty": "10"}) == (
        "AT_TARGET",
        "10 NVDA held and pending are the target; 1 of 1 resting orders cancelled",
    )


def test_a_target_may_have_orders_of_both_sides_in_its_way() -> None:
    """Without the resting buy it lacks shares, and the short sale stands in the way of buying."""
    rig = holding("0")
    buy, short = rest(rig, "b", **TAKE_PROFIT | {"limit_price": "50"}), rest(rig, "s", **SHORT_LESS)
    rig.send("", target_qty="5")
    assert rig.row(buy).state is State.CANCELED
    assert rig.row(short).state is State.CANCELED
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("buy", "5")


@pytest.mark.parametrize(
    ("direction", "fields", "target", "qty"),
    [
        ("b", ONE_LOWER, {"target_qty": "5", "order_type": "limit", "limit_price": "60"}, "6"),
        ("s", FOUR_HIGHER, {"target_qty": "8", "order_type": "limit", "limit_price": "140"}, "2"),
        ("s", TRAILING, {"target_qty": "8"}, "2"),
        ("s", FOUR_HIGHER, {"target_qty": "8", **TRAILING}, "2"),
        ("b", ONE_LOWER, {"target_qty": "15"}, "4"),
    ],
)
def test_a_target_leaves_what_it_cannot_trade_with(
    rig: Rig, direction: str, fields: dict[str, str], target: dict[str, str], qty: str
) -> None:
    """Another price, a trailing stop (the broker exempts it), its own side: all count as filled."""
    resting = rest(rig, direction, **fields)
    rig.send("", **{name: text for name, text in target.items() if name != "qty"})
    assert rig.row(resting).state is State.OPEN
    assert rig.desk.cancels == []
    assert sold(rig)["qty"] == qty


def test_a_target_that_would_have_to_sell_more_than_there_is_cancels_at_any_price() -> None:
    """Three held and ten to be bought lower; two are wanted."""
    rig = holding("3")
    resting = rest(rig, "b", **BUY_LOWER | {"qty": "10"})
    rig.send("", target_qty="2", order_type="limit", limit_price="60")
    assert rig.row(resting).state is State.CANCELED
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("sell", "1")


def test_a_target_beyond_a_cap_cancels_nothing() -> None:
    """The protective stop stays: the target would be refused without it as well."""
    rig = holding("10", RigRules(max_position_pct=Decimal("0.1")))
    resting = rest(rig, "s", **SELL_STOP)
    entry = rig.send("", target_qty="101")
    assert ending(rig, entry, "", {"target_qty": "101"})[0] == "POSITION_CAP"
    assert rig.row(resting).state is State.OPEN
    assert rig.desk.cancels == []


def test_buying_power_that_a_resting_buy_holds_does_not_refuse_a_target() -> None:
    """The cancel gives it back."""
    rig = holding("0")
    resting = rest(rig, "b", **BUY_LOWER | {"qty": "3999"})
    account, positions, _ = held_by_another(rig, qty="0", available="0")
    poor = replace(account, buying_power=Decimal(50))
    rig.portfolio.apply_snapshot(poor, positions, rig.clock.monotonic())
    cancelled = rig.desk.on_cancel

    def and_the_account_is_read(order_id: str) -> None:
        cancelled(order_id)
        rig.clock.advance(0.001)
        rig.snapshot()

    rig.desk.on_cancel = and_the_account_is_read
    rig.send("", target_qty="5")
    assert rig.row(resting).state is State.CANCELED
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("buy", "5")


def test_a_target_asks_for_a_cancel_once(rig: Rig) -> None:
    """It is not confirmed within its time: the target trades on what is known then."""
    rest(rig, "b", **ONE_LOWER)
    rig.desk.on_cancel = lambda _: None
    before = rig.clock.monotonic()
    rig.send("", target_qty="5")
    assert len(rig.desk.cancels) == 1
    assert rig.clock.monotonic() - before < 6
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("sell", "6")


def test_with_the_saga_off_a_target_leaves_resting_orders(rig: Rig) -> None:
    """EXIT_CANCELS_RESTING=false: the broker's word decides."""
    rig.pipeline._reserving._clearing = None
    resting = rest(rig, "b", **ONE_LOWER)
    rig.send("", target_qty="5")
    assert rig.row(resting).state is State.OPEN


# --- legs of brackets, before any snapshot tells of them ------------------------------------------

BRACKET = {"qty": "10", "take_profit": "150", "stop_loss": "90"}
EXITS = [
    ("s", {}),
    ("s", {"action": "sell_long"}),
    ("", {"action": "liquidate"}),
    ("", {"target_qty": "0"}),
    ("", {"target_weight": "0"}),
]


def entered(rig: Rig, direction: str = "b", **fields: str) -> str:
    """A bracket whose entry has filled just now; returns its client_order_id."""
    sent = BRACKET | fields
    return rig.coid_of(rig.send(direction, **sent), direction, **sent)


def exits_of(rig: Rig, parent: str) -> list[str]:
    """The order ids of its legs."""
    return [rig.desk.orders[leg]["id"] for leg in rig.desk.legs[parent]]


@pytest.mark.parametrize(("direction", "fields"), EXITS)
def test_an_exit_right_after_a_bracket_cancels_its_legs(
    direction: str, fields: dict[str, str]
) -> None:
    """They hold the shares at the broker, and the account was last read before they did."""
    rig = holding("0")
    parent = entered(rig)
    entry = rig.send(direction, **fields)
    assert rig.desk.cancels == exits_of(rig, parent)
    assert all(rig.row(leg).state is State.CANCELED for leg in rig.desk.legs[parent])
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("sell", "10")
    assert rig.desk.asked == []


@pytest.mark.parametrize(
    ("direction", "fields"), [("b", {"action": "buy_to_cover"}), ("", {"target_qty": "0"})]
)
def test_the_legs_of_a_short_are_cancelled_to_cover_it(
    direction: str, fields: dict[str, str]
) -> None:
    """They would buy the same shares back."""
    rig = holding("0")
    short = {"action": "short_sell", "take_profit": "90", "stop_loss": "150"}
    parent = entered(rig, "s", **short)
    assert rig.portfolio.view("NVDA").coverable_qty == 0
    rig.send(direction, **fields)
    assert rig.desk.cancels == exits_of(rig, parent)
    assert (sold(rig)["side"], sold(rig)["qty"]) == ("buy", "10")


@pytest.mark.parametrize(("direction", "fields"), EXITS)
def test_legs_that_no_answer_named_are_asked_for_first(
    direction: str, fields: dict[str, str]
) -> None:
    """The order stream was faster than the answer. Its entry order is in no list of open ones."""
    rig = holding("0")
    rig.desk.answers_legs = False
    parent = entered(rig)
    order_id = rig.desk.orders[parent]["id"]
    entry = rig.send(direction, **fields)
    assert rig.desk.asked == [f"nested {order_id} EXIT"]
    assert rig.desk.cancels == exits_of(rig, parent)
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert sold(rig)["qty"] == "10"


def test_a_bracket_whose_answer_was_lost_is_cleared_away() -> None:
    """A lookup tells that it is filled, and nothing of its legs."""
    rig = holding("0")
    rig.desk.script.append(accept_then(OutcomeUnknown("reset")))
    parent = entered(rig)
    rig.desk.fill(parent)
    rig.advance(5)
    assert rig.row(parent).state is State.FILLED
    entry = rig.send("s")
    assert rig.desk.cancels == exits_of(rig, parent)
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_a_bracket_that_filled_in_part_counts_with_what_it_filled() -> None:
    """The rest of it is cancelled with it, and what it bought is sold."""
    rig = holding("0")
    rig.desk.script.append(accept("new"))
    parent = entered(rig, order_type="limit", limit_price="100", time_in_force="day")
    rig.desk.fill(parent, "100", "4")
    rig.hear(rig.update(parent, "partial_fill", position_qty=Decimal(4)))
    assert rig.portfolio.view("NVDA").leg_qty == 4
    rig.send("s")
    assert rig.desk.cancels == [rig.desk.orders[parent]["id"], *exits_of(rig, parent)]
    assert sold(rig)["qty"] == "4"


@pytest.mark.parametrize("fields", [{"qty": "7"}, {"notional": "700"}, {"weight": "0.007"}])
def test_an_exit_of_what_is_free_beside_them_leaves_the_legs(
    rig: Rig, fields: dict[str, str]
) -> None:
    """Ten were held before the bracket bought ten."""
    entered(rig)
    rig.desk.script.append(accept("new"))
    entry = rig.send("s", **fields)
    assert (rig.desk.cancels, rig.desk.asked) == ([], [])
    assert rig.outcomes.told(entry) == ["submitted"]
    assert Decimal(sold(rig)["qty"]) == 7


def test_an_exit_of_more_than_is_free_beside_them_cancels_the_legs(rig: Rig) -> None:
    """Eleven of twenty, of which a bracket holds ten."""
    parent = entered(rig)
    rig.send("s", qty="11")
    assert rig.desk.cancels == exits_of(rig, parent)
    assert sold(rig)["qty"] == "11"


def test_an_exit_that_is_refused_for_its_size_leaves_the_legs(rig: Rig) -> None:
    """It asks for less than a share."""
    entered(rig)
    entry = rig.send("s", weight="0.00001")
    assert ending(rig, entry, "s", {"weight": "0.00001"})[0] == "SIZE_TOO_SMALL"
    assert rig.desk.cancels == []


def test_a_share_that_somebody_else_holds_is_looked_for_beside_the_legs(rig: Rig) -> None:
    """A snapshot counts both as held; ours are known, so the broker is asked for the others."""
    parent = entered(rig)
    rig.clock.advance(1)
    rig.portfolio.apply_snapshot(*held_by_another(rig, qty="20", available="4"))
    rig.clock.advance(1)
    rig.send("s", qty="8")
    assert set(rig.desk.asked) == {"open EXIT"}
    assert rig.desk.cancels == exits_of(rig, parent)


def test_what_a_take_profit_sold_first_is_not_sold_again() -> None:
    """Four went at the target; six are left, and its stop counts the same six."""
    rig = holding("0")
    parent = entered(rig)
    take, _ = rig.desk.legs[parent]
    rig.desk.fill(take, "150", "4")
    rig.hear(rig.update(take, "partial_fill", position_qty=Decimal(6)))
    assert rig.portfolio.view("NVDA").leg_qty == 6
    rig.send("s")
    assert rig.desk.cancels == exits_of(rig, parent)
    assert sold(rig)["qty"] == "6"


def test_with_the_saga_off_nothing_is_sized_on_what_legs_hold(rig: Rig) -> None:
    """EXIT_CANCELS_RESTING=false: what is free beside them is sold, then nothing, with words."""
    rig.pipeline._reserving._clearing = None
    entered(rig)
    first, second = rig.send("s", qty="15"), rig.send("s")
    assert sold(rig)["qty"] == "10"
    assert ending(rig, first, "s", {"qty": "15"})[1].startswith("limited to what is free; legs of")
    assert ending(rig, second, "s", {}) == (
        "NOTHING_TO_SELL",
        "10 NVDA held, none free to sell; legs of brackets hold 10",
    )
    assert rig.desk.cancels == []


def test_a_broker_that_names_no_legs_does_not_keep_an_exit_from_being_tried() -> None:
    """It was asked, and there are none as far as it says."""
    rig = holding("0")
    rig.desk.answers_legs = False
    entered(rig)
    rig.desk.legs.clear()
    entry = rig.send("s")
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.desk.cancels == []


def test_a_broker_that_cannot_be_asked_for_legs_leaves_the_exit_with_words() -> None:
    """Selling would be refused: the shares are held by orders that nobody can cancel yet."""
    rig = holding("0")
    rig.desk.answers_legs = False
    entered(rig)
    rig.desk.lookup_error = OutcomeUnknown("HTTP 504")
    entry = rig.send("s")
    assert ending(rig, entry, "s", {}) == (
        "NOTHING_TO_SELL",
        "10 NVDA held, none free to sell; legs of brackets hold 10",
    )


def test_a_ticker_without_brackets_costs_no_request(rig: Rig) -> None:
    """Beside a bracket of another one."""
    entered(rig, ticker="AAPL")
    rig.send("s")
    assert (rig.desk.asked, rig.desk.cancels) == ([], [])
    assert (sold(rig)["symbol"], sold(rig)["qty"]) == ("NVDA", "10")


@pytest.mark.parametrize("answered", [True, False])
def test_legs_are_cleared_away_after_a_restart(*, answered: bool) -> None:
    """Known by their rows, or by the mark that they are still to be asked for."""
    dead = holding("0")
    dead.desk.answers_legs = answered
    parent = entered(dead)
    assert isinstance(dead.ledger, SqliteLedger)
    rig = holding("10", ledger=dead.ledger)
    rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
    rig.desk.orders, rig.desk.legs = dead.desk.orders, dead.desk.legs
    rig.recover()
    assert rig.portfolio.view("NVDA").leg_qty == 10
    entry = rig.send("s")
    assert rig.desk.cancels == exits_of(rig, parent)
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.portfolio.view("NVDA").leg_qty == 0


def test_a_bracket_entered_after_an_exit_holds_its_own(rig: Rig) -> None:
    """Nothing of the one before it is left."""
    entered(rig)
    rig.send("s")
    rig.desk.cancels.clear()
    parent = entered(rig)
    assert rig.portfolio.view("NVDA").leg_qty == 10
    rig.send("s")
    assert rig.desk.cancels == exits_of(rig, parent)
