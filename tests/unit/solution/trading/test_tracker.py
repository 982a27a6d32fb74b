"""OrderTracker: news from three sources, in any order and more than once."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.reasons import Reason
from solution.domain.records import EntryRef, State
from solution.errors import DuplicateOrder, OutcomeUnknown
from solution.trading import registry as module
from solution.trading.work import FreeLane
from tests.helpers.trading import Rig, Update, accept, fail

UNCLEAR = OutcomeUnknown("no usable answer")
RESTING = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}


@pytest.fixture
def rig() -> Rig:
    """A fresh order path."""
    return Rig()


def open_order(rig: Rig, **fields: str) -> tuple[str, str]:
    """A signal whose order stands at the broker as ``new``; entry id and client_order_id."""
    rig.desk.script.append(accept("new"))
    entry = rig.send(**(RESTING | fields))
    return entry, rig.only_coid()


def executions(rig: Rig, coid: str) -> list[Update]:
    """new, two partial fills and the final one, as the stream sends them."""
    updates = [rig.update(coid, "new")]
    for number, qty in enumerate(("4", "7", "10"), 1):
        rig.desk.fill(coid, "50", qty)
        name = "fill" if qty == "10" else "partial_fill"
        updates.append(rig.update(coid, name, execution_id=f"e{number}", position_qty=Decimal(qty)))
    return updates


# --- merging ----------------------------------------------------------------------------


def test_partial_fills_are_told_one_by_one(rig: Rig) -> None:
    """Each execution is an event and a position; only the last is final."""
    entry, coid = open_order(rig)
    rig.hear(*executions(rig, coid))
    told = ["submitted", "partial_fill", "partial_fill", "fill!"]
    assert rig.outcomes.told(entry) == told
    assert [e["qty"] for e in rig.outcomes.events[1:]] == ["4", "3", "3"]
    assert rig.held() == 10
    row = rig.row(coid)
    assert (row.state, row.filled_qty, row.filled_avg_price) == (
        State.FILLED,
        Decimal(10),
        Decimal(50),
    )


def test_every_message_twice_changes_nothing(rig: Rig) -> None:
    """Duplicates of the stream are merged away."""
    entry, coid = open_order(rig)
    for update in executions(rig, coid):
        rig.hear(update, update)
    assert rig.outcomes.told(entry) == ["submitted", "partial_fill", "partial_fill", "fill!"]
    assert rig.held() == 10


@given(seed=st.integers(0, 10_000), copies=st.integers(1, 3), lost=st.integers(0, 2))
def test_any_order_of_news_ends_alike(seed: int, copies: int, lost: int) -> None:
    """Shuffled, repeated and partly lost messages, then a poll: same end, one final event."""
    rig, draw = Rig(), random.Random(seed)
    entry, coid = open_order(rig)
    updates = executions(rig, coid) * copies
    draw.shuffle(updates)
    rig.hear(*updates[lost:])
    rig.tracker.polled(coid, rig.desk.orders[coid])
    told = rig.outcomes.told(entry)
    assert sum(name.endswith("!") for name in told) == 1
    row = rig.row(coid)
    assert (row.state, row.filled_qty) == (State.FILLED, Decimal(10))
    booked = sum(Decimal(e["qty"]) for e in rig.outcomes.events if "fill" in e["event"])
    assert booked == 10
    assert rig.outcomes.acks == [entry]


def test_a_step_back_is_ignored(rig: Rig) -> None:
    """pending_new after new, and a smaller filled quantity, are old news."""
    entry, coid = open_order(rig)
    partial = executions(rig, coid)[1]
    rig.hear(partial)
    rig.hear(
        Update(
            event="pending_new", client_order_id=coid, order_id="order-1", symbol="NVDA", order={}
        )
    )
    rig.hear(rig.update(coid, "new", order={"status": "new", "filled_qty": "0"}))
    assert rig.outcomes.told(entry) == ["submitted", "partial_fill"]


def test_a_cancel_keeps_what_was_filled(rig: Rig) -> None:
    """CANCELED with four shares: the rest of the reservation is free again."""
    entry, coid = open_order(rig)
    rig.hear(executions(rig, coid)[1])
    rig.desk.orders[coid] |= {"status": "canceled", "filled_qty": "4"}
    rig.hear(rig.update(coid, "canceled"))
    row = rig.row(coid)
    assert (row.state, row.filled_qty) == (State.CANCELED, Decimal(4))
    assert rig.outcomes.told(entry)[-1] == "canceled!"
    assert rig.portfolio.view("NVDA").pending_qty == 0


def test_a_cancel_that_reveals_a_missed_fill_books_it(rig: Rig) -> None:
    """The fill's own message was lost; the cancel carries the total."""
    _entry, coid = open_order(rig)
    rig.desk.fill(coid, "50", "4")
    rig.desk.orders[coid]["status"] = "canceled"
    rig.hear(rig.update(coid, "canceled", position_qty=Decimal(4)))
    assert rig.held() == 4
    assert rig.row(coid).filled_qty == 4


def test_a_fill_after_the_end_is_a_correction(rig: Rig) -> None:
    """Booked and told as ``corrected``, not final, and the state stays."""
    entry, coid = open_order(rig)
    rig.desk.orders[coid] |= {"status": "canceled"}
    rig.hear(rig.update(coid, "canceled"))
    rig.desk.fill(coid, "50", "4")
    rig.hear(rig.update(coid, "partial_fill", execution_id="late", position_qty=Decimal(4)))
    assert rig.outcomes.told(entry) == ["submitted", "canceled!", "corrected"]
    row = rig.row(coid)
    assert (row.state, row.filled_qty) == (State.CANCELED, Decimal(4))
    assert rig.held() == 4


def test_orders_of_others_are_passed_over(rig: Rig) -> None:
    """The account's stream also carries orders that we did not send."""
    stranger = Update(
        event="fill",
        client_order_id="manual",
        order_id="x",
        symbol="NVDA",
        order={"status": "filled"},
    )
    rig.hear(stranger)
    assert rig.outcomes.events == []


def test_a_replaced_order_is_followed_under_its_new_id(rig: Rig) -> None:
    """Somebody changes it at the broker: the successor's fill ends our signal."""
    entry, coid = open_order(rig)
    rig.desk.orders[coid] |= {"status": "replaced", "replaced_by": "order-77"}
    rig.hear(rig.update(coid, "replaced"))
    order = {"id": "order-77", "status": "filled", "filled_qty": "12", "filled_avg_price": "51"}
    rig.hear(
        Update(
            event="fill",
            client_order_id="made-by-the-broker",
            order_id="order-77",
            symbol="NVDA",
            order=order,
            position_qty=Decimal(12),
        )
    )
    assert rig.outcomes.told(entry) == ["submitted", "replaced", "fill!"]
    assert rig.row(coid).alpaca_order_id == "order-77"


def test_an_unknown_status_is_an_open_order(rig: Rig) -> None:
    """A word we do not know is told and never ends an order."""
    entry, coid = open_order(rig)
    rig.desk.orders[coid]["status"] = "restated"
    rig.hear(rig.update(coid, "restated"))
    assert rig.row(coid).state is State.OPEN
    assert rig.outcomes.told(entry) == ["submitted", "restated"]


def test_a_successors_shares_count_anew(rig: Rig) -> None:
    """4 filled, replaced, 6 more under the new id: 10 shares, 10 in trades, 10 held."""
    entry, coid = open_order(rig)
    rig.hear(executions(rig, coid)[1])
    rig.desk.orders[coid] |= {
        "status": "replaced", "replaced_by": "order-77", "filled_qty": "4", "qty": "10",
    }  # fmt: skip
    rig.hear(rig.update(coid, "replaced"))
    successor = {"id": "order-77", "replaces": "order-1", "symbol": "NVDA", "qty": "6"}
    for event, status, filled in (("new", "new", "0"), ("fill", "filled", "6")):
        order = successor | {"status": status, "filled_qty": filled, "filled_avg_price": "51"}
        rig.hear(
            Update(
                event=event, client_order_id="of-the-broker", order_id="order-77", symbol="NVDA",
                order=order, qty=Decimal(6) if filled == "6" else None, price=Decimal(51),
                execution_id="e9" if filled == "6" else "",
                position_qty=Decimal(10) if filled == "6" else None,
            )
        )  # fmt: skip
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.row(coid).filled_qty == 10 == rig.held()
    booked = [(t.order_id, str(t.qty)) for t in rig.trades(coid)]
    assert booked == [("order-1", "4"), ("order-77", "6")]


def test_the_price_of_an_execution_is_its_own(rig: Rig) -> None:
    """Not what is left between two averages of the order."""
    _entry, coid = open_order(rig)
    rig.desk.fill(coid, "49.333", "3")
    first = {"qty": Decimal(3), "price": Decimal("49.33"), "execution_id": "e1"}
    rig.hear(rig.update(coid, "partial_fill", position_qty=Decimal(3), **first))
    [trade] = rig.trades(coid)
    assert (trade.execution_id, trade.price) == ("e1", Decimal("49.33"))


# --- any order, any number, any of them lost ----------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.data())
def test_books_agree_whatever_is_heard(data: st.DataObject) -> None:
    """Stream and polls in any order, repeated or lost: row, trades, position and events agree."""
    rig = Rig()
    entry, coid = open_order(rig)
    sizes = data.draw(st.permutations([Decimal(1), Decimal(2), Decimal(3), Decimal(4)]))
    told: list[Update] = [rig.update(coid, "new")]
    polls: list[dict[str, Any]] = [dict(rig.desk.orders[coid])]
    held = Decimal(0)
    with_position = data.draw(st.booleans())
    for number, size in enumerate(sizes, 1):
        held += size
        rig.desk.fill(coid, "50", str(held))
        told.append(
            rig.update(
                coid, "fill" if held == 10 else "partial_fill", qty=size, price=Decimal(50),
                execution_id=f"e{number}", position_qty=held if with_position else None,
            )
        )  # fmt: skip
        polls.append(dict(rig.desk.orders[coid]))
    heard = data.draw(st.lists(st.sampled_from([*told, *polls]), max_size=12))
    for message in [*heard, polls[-1]]:
        if isinstance(message, Update):
            rig.hear(message)
        elif isinstance(message, dict):
            rig.tracker.polled(coid, message)
    row, trades = rig.row(coid), rig.trades(coid)
    assert (row.state, row.filled_qty) == (State.FILLED, Decimal(10))
    assert sum(t.qty for t in trades) == 10
    assert rig.held() == 10 or rig.portfolio.is_uncertain("NVDA")
    fills = [e for e in rig.outcomes.events if e["event"] in {"partial_fill", "fill", "corrected"}]
    assert sum(Decimal(e["qty"]) for e in fills if e.get("price")) == 10
    assert sum(name.endswith("!") for name in rig.outcomes.told(entry)) == 1
    assert sum(kind == "answered" for kind in rig.notes(coid)) == 1
    rig.clock.advance(1)
    rig.snapshot(NVDA="10")
    assert rig.held() == 10
    assert not rig.portfolio.is_uncertain("NVDA")


# --- busts and corrections ----------------------------------------------------------------


def bought(rig: Rig) -> tuple[str, str]:
    """A limit order that filled in two executions, e1 of 4 and e2 of 6."""
    entry, coid = open_order(rig)
    for name, qty, filled in (("e1", 4, "4"), ("e2", 6, "10")):
        rig.desk.fill(coid, "50", filled)
        event = "fill" if filled == "10" else "partial_fill"
        rig.hear(
            rig.update(
                coid, event, qty=Decimal(qty), price=Decimal(50), execution_id=name,
                position_qty=Decimal(filled),
            )
        )  # fmt: skip
    return entry, coid


def busted(rig: Rig, coid: str) -> Update:
    """The broker takes e2 back."""
    order = dict(rig.desk.orders[coid]) | {"filled_qty": "4"}
    return rig.update(
        coid, "trade_bust", order=order, qty=Decimal(6), price=Decimal(50), execution_id="b1",
        previous_execution_id="e2", position_qty=Decimal(4), at="2026-03-04T16:00:00Z",
    )  # fmt: skip


def test_a_bust_is_booked_and_no_end_is_left(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A negative trade, a ``corrected`` event, the position; FILLED stays FILLED."""
    entry, coid = bought(rig)
    rig.hear(busted(rig, coid), busted(rig, coid))
    assert rig.outcomes.told(entry) == ["submitted", "partial_fill", "fill!", "corrected"]
    told = rig.outcomes.events[-1]
    assert (told["qty"], told["filled_qty"], told["final"]) == ("-6", "4", "0")
    assert told["message"] == "trade_bust of e2"
    row = rig.row(coid)
    assert (row.state, row.filled_qty) == (State.FILLED, Decimal(4))
    assert [t.qty for t in rig.trades(coid)] == [4, 6, -6]
    assert rig.held() == 4
    assert rig.portfolio.is_uncertain("NVDA")
    assert rig.notes(coid) == ["answered", "corrected"]
    assert rig.tracker.board.corrections() == {"execution": 1}
    assert "execution_corrected" in [record.message for record in caplog.records]


def test_a_bust_after_a_restart_finds_its_order_in_the_ledger(rig: Rig) -> None:
    """The order ended before this process began; what is busted is known from its trades."""
    _entry, coid = bought(rig)
    again = Rig(ledger=rig.ledger)
    again.desk.orders = rig.desk.orders
    again.hear(busted(again, coid))
    row = again.row(coid)
    assert (row.state, row.filled_qty) == (State.FILLED, Decimal(4))
    assert sum(t.qty for t in again.trades(coid)) == 4


def test_a_fill_after_a_restart_finds_its_order_in_the_ledger(rig: Rig) -> None:
    """Late and repeated events of orders that ended before: a correction, or nothing."""
    entry, coid = open_order(rig)
    rig.desk.orders[coid] |= {"status": "canceled"}
    rig.hear(rig.update(coid, "canceled"))
    again = Rig(ledger=rig.ledger)
    again.desk.orders = rig.desk.orders
    again.hear(again.update(coid, "canceled"))
    assert again.outcomes.events == []
    again.desk.fill(coid, "50", "4")
    late = again.update(coid, "partial_fill", execution_id="late", position_qty=Decimal(4))
    again.hear(late, late)
    assert again.outcomes.told(entry) == ["corrected"]
    assert (again.row(coid).filled_qty, again.held()) == (Decimal(4), Decimal(4))
    assert again.notes(coid)[-1] == "late_fill"


def test_an_open_order_goes_on_after_a_restart_where_it_was(rig: Rig) -> None:
    """Its executions are on record: the next one is booked, the last one not again."""
    _entry, coid = open_order(rig)
    rig.desk.fill(coid, "50", "4")
    first = {"qty": Decimal(4), "price": Decimal(50), "execution_id": "e1"}
    rig.hear(rig.update(coid, "partial_fill", **first))
    again = Rig(ledger=rig.ledger)
    again.desk.orders = rig.desk.orders
    again.tracker.restore(again.row(coid))
    again.hear(again.update(coid, "partial_fill", **first))
    again.desk.fill(coid, "50", "10")
    second = {"qty": Decimal(6), "price": Decimal(50), "execution_id": "e2"}
    again.hear(again.update(coid, "fill", **second))
    booked = [(t.execution_id, str(t.qty)) for t in again.trades(coid)]
    assert booked == [("e1", "4"), ("e2", "6")]
    assert again.row(coid).state is State.FILLED


def test_a_bust_of_an_open_order_is_asked_about_at_once(rig: Rig) -> None:
    """And what fills afterwards is counted on top of what is left."""
    _entry, coid = open_order(rig)
    rig.hear(executions(rig, coid)[1])
    rig.desk.orders[coid] |= {"filled_qty": "0", "filled_avg_price": None, "status": "new"}
    bust = {"execution_id": "b", "previous_execution_id": "e1", "at": "2026-03-04T16:00:00Z"}
    rig.hear(rig.update(coid, "trade_bust", qty=Decimal(4), position_qty=Decimal(0), **bust))
    assert (rig.row(coid).filled_qty, rig.held()) == (Decimal(0), Decimal(0))
    rig.desk.fill(coid, "50", "10")
    rig.desk.orders[coid]["updated_at"] = "2026-03-04T16:00:01Z"
    rig.advance(0.1)
    assert rig.row(coid).filled_qty == 10
    assert sum(t.qty for t in rig.trades(coid)) == 10


def test_a_corrected_price_changes_no_position(rig: Rig) -> None:
    """Two rows that cancel out in shares, and one event that says so."""
    entry, coid = bought(rig)
    fix = {"execution_id": "c1", "previous_execution_id": "e2", "price": Decimal(49)}
    rig.hear(rig.update(coid, "trade_correct", qty=Decimal(6), position_qty=Decimal(10), **fix))
    booked = [(str(t.qty), str(t.price)) for t in rig.trades(coid)]
    assert booked[2:] == [("-6", "50"), ("6", "49")]
    assert rig.row(coid).filled_avg_price == Decimal("49.4")
    assert rig.held() == 10
    assert not rig.portfolio.is_uncertain("NVDA")
    assert rig.outcomes.told(entry)[-1] == "corrected"


def test_a_strangers_bust_moves_the_position_only(rig: Rig) -> None:
    """No order of ours is touched by it."""
    stranger = Update(
        event="trade_bust", client_order_id="sp-other-x", order_id="x", symbol="NVDA",
        order={}, position_qty=Decimal(3),
    )  # fmt: skip
    rig.hear(stranger)
    assert rig.held() == 3
    assert rig.outcomes.events == []


# --- late and conflicting orders --------------------------------------------------------


def expired(rig: Rig, **fields: str) -> tuple[str, str]:
    """A signal given up as EXPIRED_UNCONFIRMED; entry id and client_order_id."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send(**fields)
    coid = rig.only_coid()
    rig.tracker.expire_unconfirmed(coid, "not found")
    return entry, coid


def test_an_unconfirmed_order_is_acknowledged_but_not_final(rig: Rig) -> None:
    """The reservation is held, and of its asset only reductions pass."""
    entry, coid = expired(rig)
    assert rig.outcomes.told(entry) == ["unknown", "expired_unconfirmed"]
    assert rig.outcomes.acks == [entry]
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    assert rig.portfolio.reserved()[0] == 1
    second = rig.send()
    assert rig.outcomes.told(second) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "EXPOSURE_UNCONFIRMED"
    rig.snapshot(NVDA="5")
    third = rig.send("s")
    assert rig.outcomes.told(third) == ["submitted", "fill!"]


def test_a_late_fill_of_an_unconfirmed_order_is_booked(rig: Rig) -> None:
    """``corrected``, then the one final event; the asset is free for entries again."""
    entry, coid = expired(rig)
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10), execution_id="e"))
    assert rig.outcomes.told(entry) == ["unknown", "expired_unconfirmed", "corrected", "fill!"]
    assert rig.held() == 10
    assert rig.outcomes.acks == [entry]
    assert rig.tracker.is_unconfirmed("NVDA") is False


def test_an_unconfirmed_order_that_appears_open_is_cancelled(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """What is open of it goes at once, and somebody is told."""
    entry, coid = expired(rig, **RESTING)
    order = rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.hear(rig.update(coid, "new"))
    rig.advance(0.1)
    assert rig.desk.cancels == [order["id"]]
    order["status"] = "canceled"
    rig.hear(rig.update(coid, "canceled"))
    told = ["unknown", "expired_unconfirmed", "corrected", "new", "canceled!"]
    assert rig.outcomes.told(entry) == told
    assert "late_order_found" in [record.message for record in caplog.records]


def test_an_id_conflict_keeps_the_other_order_out_of_our_books(rig: Rig) -> None:
    """News of the order that is not ours must not move the position of our symbol."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    coid = rig.only_coid()
    rig.tracker.conflicts(coid, "other symbol")
    assert (rig.notes(coid)[-1], rig.history(coid)[-1]) == (
        "conflict", "REJECTED, ID_CONFLICT: other symbol",
    )  # fmt: skip
    rig.desk.place({"client_order_id": coid, "symbol": "AAPL", "side": "sell", "qty": "7"})
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    assert rig.outcomes.told(entry) == ["unknown", "rejected!"]
    assert rig.held() == 0
    # Where the stream says how the position stands, that is taken: it is the account's own.
    foreign = rig.update(coid, "fill", position_qty=Decimal(-7))
    rig.hear(replace(foreign, symbol="AAPL"))
    assert rig.held("AAPL") == -7
    assert rig.portfolio.is_uncertain("AAPL")


def test_a_conflict_found_after_giving_up_ends_the_signal(rig: Rig) -> None:
    """EXPIRED_UNCONFIRMED, and then an order that is not ours: REJECTED, asset free again."""
    entry, coid = expired(rig)
    rig.desk.place(
        {"client_order_id": coid, "symbol": "AAPL", "side": "buy", "type": "market", "qty": "10"}
    )
    rig.advance(6)
    assert rig.row(coid).reason == "ID_CONFLICT"
    assert rig.outcomes.told(entry)[-1] == "rejected!"
    assert rig.tracker.is_unconfirmed("NVDA") is False


# --- an order that is not ours, heard of by the stream first ----------------------------------


def duplicate(rig: Rig, **changed: str) -> tuple[str, str]:
    """A signal whose POST meets another order under its id; entry id and client_order_id."""
    taken = DuplicateOrder(422, 40010001, "client_order_id must be unique")

    def run(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body | changed)
        raise taken

    rig.desk.script.append(run)
    entry = rig.send(**RESTING)
    return entry, rig.only_coid()


def test_a_strangers_fill_is_not_merged_before_it_was_compared(rig: Rig) -> None:
    """The lookup that follows the 422 names the difference and halts the ticker."""
    entry, coid = duplicate(rig, side="sell", qty="99")
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", execution_id="e", qty=Decimal(99)))
    assert rig.row(coid).state is State.UNKNOWN
    assert rig.held() == 0
    rig.advance(1)
    assert (rig.row(coid).reason, rig.row(coid).filled_qty) == ("ID_CONFLICT", 0)
    assert rig.outcomes.told(entry) == ["unknown", "rejected!"]
    assert set(rig.halts.all()) == {"NVDA"}


def test_a_strangers_position_is_the_accounts_all_the_same(rig: Rig) -> None:
    """Whoever traded: where the stream says how the position stands, that is taken, in doubt."""
    _entry, coid = duplicate(rig, side="sell", qty="99")
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", qty=Decimal(99), position_qty=Decimal(-99)))
    assert rig.held() == -99
    assert rig.portfolio.is_uncertain("NVDA")


@pytest.mark.parametrize("heard", ["before the lookup", "after it", "after a restart"])
def test_yesterdays_order_is_not_adopted_when_it_fills(rig: Rig, heard: str) -> None:
    """Alike in every field, and older than its signal: its fill is nobody's, whenever it comes."""
    entry, coid = duplicate(rig, created_at="2026-03-03T15:00:00Z")
    told = ["unknown", "expired_unconfirmed"]
    if heard != "before the lookup":
        rig.advance(1)
        assert rig.outcomes.told(entry) == told
    if heard == "after a restart":
        again = Rig(ledger=rig.ledger)
        again.clock.advance(rig.clock.monotonic() - again.clock.monotonic() + 1)
        again.desk.orders, told = rig.desk.orders, []
        again.recover()
        rig = again
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", execution_id="e", qty=Decimal(10)))
    rig.advance(20)
    row = rig.row(coid)
    assert (row.state, row.reason, row.filled_qty) == (State.EXPIRED_UNCONFIRMED, "ID_CONFLICT", 0)
    assert rig.outcomes.told(entry) == told
    assert (rig.held(), rig.desk.cancels) == (0, [])


def test_what_contradicts_an_order_given_up_is_looked_up_at_once(rig: Rig) -> None:
    """It is watched rarely; the conflict must not wait for that."""
    entry, coid = expired(rig)
    rig.advance(1000)
    rig.desk.place(orjson.loads(rig.desk.posts[0]) | {"side": "sell"})
    rig.hear(rig.update(coid, "new"))
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    rig.advance(0)
    assert rig.row(coid).reason == "ID_CONFLICT"
    assert rig.outcomes.told(entry)[-1] == "rejected!"


def test_yesterdays_order_found_after_giving_up_is_nobodys_from_then_on(rig: Rig) -> None:
    """Looked for in vain first: it is neither cancelled when seen nor booked when it fills."""
    entry, coid = expired(rig)
    rig.desk.place(orjson.loads(rig.desk.posts[0]) | {"created_at": "2026-03-03T15:00:00Z"})
    rig.advance(6)
    assert rig.row(coid).reason == "ID_CONFLICT"
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", execution_id="e", qty=Decimal(10)))
    rig.advance(600)
    assert rig.outcomes.told(entry) == ["unknown"] + ["expired_unconfirmed"] * 2
    assert (rig.held(), rig.desk.cancels) == (0, [])


@pytest.mark.parametrize("age", ["", "2026-03-04T14:00:00Z"])
def test_a_fill_that_overtakes_the_answer_is_merged_at_once(rig: Rig, age: str) -> None:
    """Nothing is unclear yet: it is held against the body, and no clock counts."""
    heard: list[list[str]] = []

    def run(desk: Any, body: dict[str, Any]) -> Any:
        order = desk.place(body | ({"created_at": age} if age else {}))
        desk.fill(body["client_order_id"])
        rig.hear(rig.update(body["client_order_id"], "fill", execution_id="e", qty=Decimal(10)))
        heard.append(rig.outcomes.told(entry))
        return dict(order)

    rig.desk.script.append(run)
    entry = rig.publish()
    rig.work()
    assert heard == [["submitted", "fill!"]]
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.held() == 10


def test_a_strangers_fill_during_the_first_post_is_not_merged(rig: Rig) -> None:
    """Its news comes before the 422 that tells of it."""

    def run(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body | {"side": "sell"})
        desk.fill(body["client_order_id"])
        rig.hear(rig.update(body["client_order_id"], "fill", execution_id="e", qty=Decimal(10)))
        raise DuplicateOrder(422, 40010001, "client_order_id must be unique")

    rig.desk.script.append(run)
    entry = rig.send()
    rig.advance(1)
    assert rig.outcomes.told(entry) == ["unknown", "rejected!"]
    assert rig.row(rig.only_coid()).reason == "ID_CONFLICT"


@pytest.mark.parametrize("call", ["refused", "unsent", "stopped_before_resend"])
def test_no_verdict_of_ours_ends_an_order_that_exists(rig: Rig, call: str) -> None:
    """The stream said that it is open: a definite no that comes after it is not believed."""
    entry, coid = open_order(rig)
    verdicts: dict[str, Any] = {
        "refused": lambda: rig.tracker.refused(coid, Reason.REFUSED_BY_BROKER, "no"),
        "unsent": lambda: rig.tracker.unsent(coid, "no"),
        "stopped_before_resend": lambda: rig.tracker.stopped_before_resend(coid, "X", "no"),
    }
    verdicts[call]()
    assert rig.row(coid).state is State.OPEN
    assert rig.outcomes.told(entry) == ["submitted"]


def test_an_absence_is_confirmed_only_of_what_was_given_up(rig: Rig) -> None:
    """While it may still be looked up or sent, no list proves anything."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    rig.tracker.confirm_absent(rig.only_coid())
    assert rig.row(rig.only_coid()).state is State.UNKNOWN
    assert rig.outcomes.told(entry) == ["unknown"]


def test_an_order_that_the_broker_rejects_later_says_so(rig: Rig) -> None:
    """Accepted, then rejected on the stream (by the exchange behind it): final, with a reason."""
    entry, coid = open_order(rig)
    rig.desk.orders[coid]["status"] = "rejected"
    rig.hear(rig.update(coid, "rejected"))
    row = rig.row(coid)
    assert (row.state, row.reason) == (State.REJECTED, "REFUSED_BY_BROKER")
    assert rig.outcomes.told(entry) == ["submitted", "rejected!"]
    assert rig.outcomes.events[-1]["reason"] == "REFUSED_BY_BROKER"
    assert rig.portfolio.view("NVDA").pending_qty == 0


def test_nothing_is_asked_of_an_order_that_is_gone(rig: Rig) -> None:
    """Calls about an id that is not (or no longer) on its way do nothing."""
    rig.tracker.unknown("gone", "")
    rig.tracker.expire_unconfirmed("gone", "")
    rig.tracker.unsent("gone", "")
    rig.tracker.answered("gone", {}, how=("answered", "HTTP 200"))
    assert rig.tracker.note_absent("gone") == 0
    rig.tracker.forget_absences("gone")
    rig.tracker.confirm_absent("gone")
    assert rig.tracker.take_for_resend("gone") is None
    assert rig.outcomes.events == []


# --- redelivery -------------------------------------------------------------------------


def test_a_redelivered_entry_of_an_unclear_order_waits_for_its_end(rig: Rig) -> None:
    """After a restart: its lane is held, and it is acknowledged with the outcome."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    coid = rig.only_coid()
    again = Rig(ledger=rig.ledger)
    again.clock.advance(1)  # its own entry ids must be others
    again.tracker.restore(again.row(coid))
    again.redeliver(entry)
    assert again.is_free() is False
    again.desk.place(orjson.loads(rig.desk.posts[0]))
    again.desk.fill(coid)
    again.advance(1)
    assert again.outcomes.acks[0] == entry
    assert again.outcomes.told(entry) == ["submitted", "fill!"]
    assert again.is_free()


def test_a_second_copy_of_an_entry_in_hand_takes_no_lane(rig: Rig) -> None:
    """The same entry read again while its order is unclear: one lane is enough."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    coid = rig.only_coid()
    rig.publish(ticker="AAPL")
    taken = rig.lanes.take(lambda _: rig.limiter.try_acquire(3), lambda _: 0.0, 0.0)  # type: ignore[arg-type]
    assert taken is not None
    assert rig.tracker.attach(coid, taken[0], taken[0].item)
    assert rig.is_free("AAPL")


def test_an_entry_read_again_while_in_hand_is_acknowledged_once(rig: Rig) -> None:
    """Its own sweep found it: the lane that came with the copy is let go, the other one stays."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    work = rig.tracker.get(rig.only_coid()).work  # type: ignore[union-attr]
    assert work is not None
    copy, free = replace(work, redelivered=True), FreeLane()
    assert rig.tracker.attach(rig.only_coid(), free, copy)
    assert rig.tracker.get(rig.only_coid()).lane is not free  # type: ignore[union-attr]
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.desk.fill(rig.only_coid())
    rig.advance(1)
    assert rig.outcomes.acks == [entry]


def test_two_that_recall_one_order_at_once_get_the_same(rig: Rig) -> None:
    """Both read the ledger; the second must not put its own copy in the first one's place."""
    entry, coid = bought(rig)
    again = Rig(ledger=rig.ledger)
    found: list[Any] = []
    find_row = again.ledger.find_by_client_order_id

    def slowly(client_order_id: str) -> Any:
        again.tracker._find_row = find_row
        found.append(again.tracker.recall(client_order_id))  # the other thread is faster
        return find_row(client_order_id)

    again.tracker._find_row = slowly
    assert again.tracker.recall(coid) is found[0]
    assert found[0].intent.entry_id == entry


def test_ended_orders_are_remembered_up_to_a_bound(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it the ledger answers, so memory cannot grow without end."""
    monkeypatch.setattr(module, "ENDED_KEPT", 2)
    entries = [rig.send(signal_id=str(number)) for number in range(4)]
    assert len(rig.tracker) == 0
    coid = rig.coid(entries[0], signal_id="0")
    assert rig.tracker.follow(coid, EntryRef("nvda", "9-9")) is False
    again = rig.send(signal_id="0")
    assert rig.outcomes.told(again) == ["fill!"]


def test_a_second_follower_of_one_entry_counts_once(rig: Rig) -> None:
    """Read twice, told once."""
    _entry, coid = open_order(rig, signal_id="one")
    rig.tracker.follow(coid, EntryRef("nvda", "9-9"))
    rig.tracker.follow(coid, EntryRef("nvda", "9-9"))
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill"))
    assert rig.outcomes.told("9-9") == ["fill!"]


# --- for the status page ----------------------------------------------------------------


def test_counts_recent_ends_and_latency(rig: Rig) -> None:
    """Ends by state, refusals by reason; milliseconds from entry id to answer."""
    assert rig.tracker.board.latency_ms() == {"p50": None, "p99": None}
    entry = f"{rig.clock.epoch_ms() - 40}-0"
    rig.send(entry_id=entry)
    rig.desk.price = None
    rig.send()
    assert rig.tracker.board.counts() == {"FILLED": 1, "STALE_PRICE": 1}
    assert [row["state"] for row in rig.tracker.board.recent()] == ["FILLED", "REFUSED"]
    assert rig.tracker.board.latency_ms() == {"p50": 40, "p99": 40}


def test_a_signal_that_turns_up_leaves_what_must_be_done_about_its_order() -> None:
    """Of an orphan only its own reason goes; another one tells what a person has to look at."""
    rig = Rig()
    rig.send()
    row = rig.row(rig.only_coid())
    row.reason, row.message = "ID_CONFLICT", "a person has to look"
    signal = replace(row, digest="of the signal", reason="", message="")
    claimed = Rig().tracker.claim(row, signal)
    assert (claimed.digest, claimed.reason) == ("of the signal", "ID_CONFLICT")
    assert claimed.message == "a person has to look"
