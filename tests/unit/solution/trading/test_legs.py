"""A bracket's legs: learned from their entry order, booked and told as its signal's."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from solution.book.positions import Position
from solution.domain import legs as domain
from solution.domain.records import Change, Intent, State
from solution.errors import NoBudget, OutcomeUnknown
from solution.ledger.sqlite import SqliteLedger
from solution.trading import legs as module
from solution.trading import recovery
from solution.trading.legs import ASK_AFTER, ENOUGH, HURRY, MARK, LegFinder
from solution.trading.open_orders import EVERY, OpenOrders
from tests.helpers.trading import Rig, Update, accept, fail

BRACKET = {"qty": "10", "take_profit": "150", "stop_loss": "90"}
LIMIT = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}
TAKE, STOP = "take_profit-of-order-1", "stop_loss-of-order-1"


class Brackets(Rig):
    """A rig with what asks for legs, and for all open orders once a minute."""

    def __init__(self, *, ledger: SqliteLedger | None = None) -> None:
        super().__init__(ledger=ledger)
        self.finder = LegFinder(self.desk, self.tracker)
        self.compare = OpenOrders(
            self.desk,
            self.tracker,
            self.schedule,
            self.clock,
            is_ours=lambda coid: coid.startswith("sp-"),
            has_row=lambda coid: self.ledger.find_by_client_order_id(coid) is not None,
            on_stranger=lambda _: None,
        )

    def bracket(self, **fields: str) -> str:
        """A bracket that is filled, its legs held; returns its client_order_id."""
        self.send("b", **(BRACKET | fields))
        return self.only_coid()

    def a_minute(self) -> None:
        """What the keeper's thread does once a minute, and the polls that follow."""
        self.clock.advance(EVERY)
        self.finder.step()
        self.compare.step()
        self.advance(0.5)

    def leg_row(self, coid: str) -> Intent | None:
        return self.ledger.find_by_client_order_id(coid)

    def trade(self, coid: str, price: str, qty: str, left: str, number: int = 1) -> Update:
        """Shares of a leg trade; what the stream says of it."""
        before = Decimal(self.desk.orders[coid]["filled_qty"])
        self.desk.fill(coid, price, qty)
        whole = self.desk.orders[coid]["status"] == "filled"
        return self.update(
            coid,
            "fill" if whole else "partial_fill",
            execution_id=f"x{number}",
            qty=Decimal(qty) - before,
            price=Decimal(price),
            position_qty=Decimal(left),
        )

    def cancelled(self, coid: str) -> Update:
        """The broker cancels a leg."""
        self.desk.orders[coid]["status"] = "canceled"
        return self.update(coid, "canceled")


@pytest.fixture
def rig() -> Brackets:
    """A fresh order path."""
    return Brackets()


def restarted(dead: Brackets) -> Brackets:
    """A new process on the old one's ledger and broker, some seconds later."""
    assert isinstance(dead.ledger, SqliteLedger)
    rig = Brackets(ledger=dead.ledger)
    rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
    rig.desk.orders, rig.desk.legs = dead.desk.orders, dead.desk.legs
    rig.snapshot()
    rig.clock.advance(0.001)
    recovery.restore(
        ledger=rig.ledger,
        tracker=rig.tracker,
        portfolio=rig.portfolio,
        schedule=rig.schedule,
        clock=rig.clock,
    )
    return rig


def of_leg(rig: Rig, coid: str) -> list[tuple[str, str, str]]:
    """Event, shares and message of what was told under a leg's id."""
    told = (e for e in rig.outcomes.events if e["client_order_id"] == coid)
    return [(e["event"], e.get("qty", ""), e.get("message", "")) for e in told]


# --- learned ------------------------------------------------------------------------------------


def test_the_answer_to_the_post_names_the_legs(rig: Brackets) -> None:
    """Each has a row of its own, and nothing is told of it yet."""
    parent = rig.bracket(signal_id="mine")
    row = rig.row(TAKE)
    assert (row.state, row.status, row.side, row.qty) == (State.OPEN, "held", "sell", Decimal(10))
    assert (row.signal_id, row.stream, row.entry_id) == ("mine", "", "")
    assert (row.submitted_ms, row.reserved_qty) == (0, 0)
    assert (domain.parent_of(row), domain.is_leg(row)) == (parent, True)
    assert [rig.row(c).message for c in (TAKE, STOP)] == ["take profit", "stop loss"]
    assert of_leg(rig, TAKE) == of_leg(rig, STOP) == []
    assert rig.row(parent).state is State.FILLED
    assert rig.ledger.states(MARK) == {}


def test_one_leg_alone(rig: Brackets) -> None:
    """An OTO order has one."""
    rig.send("b", qty="10", stop_loss="90")
    assert rig.row(STOP).message == "stop loss"
    assert rig.leg_row(TAKE) is None


def test_the_rows_are_put_before_the_answer(rig: Brackets) -> None:
    """A crash between two commits leaves no entry order whose legs nobody knows."""
    changes: list[Change] = []
    put = rig.outcomes.put

    def noted(change: Change) -> None:
        changes.append(change)
        put(change)

    rig.outcomes.put = noted  # type: ignore[method-assign]
    parent = rig.bracket()
    made = [n for n, change in enumerate(changes) if change.insert is not None]
    (taken,) = [n for n, change in enumerate(changes) if change.client_order_id == parent]
    assert len(made) == 2
    assert max(made) < taken


def test_legs_that_no_answer_named_are_asked_for_once(rig: Brackets) -> None:
    """From spare budget, with the entry order; the mark stands until their rows do."""
    rig.desk.answers_legs = False
    parent = rig.bracket()
    assert rig.ledger.states(MARK) == {MARK + parent: "order-1"}
    rig.finder.step()
    assert rig.desk.asked == []
    rig.clock.advance(ASK_AFTER)
    rig.finder.step()
    rig.finder.step()
    assert rig.desk.asked == ["nested order-1 POLL"]
    assert rig.row(STOP).state is State.OPEN
    assert rig.ledger.states(MARK) == {}


def test_a_kill_does_not_wait_for_the_time_to_ask(rig: Brackets) -> None:
    """At once, and once a second; a mark that stands counts until its legs are known."""
    rig.desk.answers_legs = False
    rig.bracket()
    rig.desk.lookup_error = OutcomeUnknown("HTTP 504")
    rig.finder.hurry()
    rig.finder.hurry()
    assert rig.desk.asked == ["nested order-1 LOOKUP"]
    assert rig.tracker.legs.count_wanted() == 1
    rig.desk.lookup_error = None
    rig.clock.advance(HURRY)
    rig.finder.hurry()
    assert rig.tracker.legs.count_wanted() == 0
    assert rig.row(STOP).state is State.OPEN


def test_a_kill_hears_that_there_is_no_budget(rig: Brackets) -> None:
    """It says so, and asks again."""
    rig.desk.answers_legs = False
    rig.bracket()
    rig.desk.lookup_error = NoBudget("no slot")  # type: ignore[assignment]
    with pytest.raises(NoBudget):
        rig.finder.hurry()
    assert rig.tracker.legs.count_wanted() == 1


def test_the_mark_outlives_the_process(rig: Brackets) -> None:
    """Its entry order has ended, so no open row tells of it."""
    rig.desk.answers_legs = False
    parent = rig.bracket()
    again = restarted(rig)
    again.finder.step()
    assert again.row(TAKE).state is State.OPEN
    assert again.ledger.states(MARK) == {}
    again.hear(again.trade(TAKE, "150", "10", "0"))
    assert of_leg(again, TAKE) == [("fill", "10", "take profit")]
    assert sum(t.qty for t in again.trades(parent)) == 10


def test_an_entry_order_that_filled_nothing_has_no_legs_to_ask_for(rig: Brackets) -> None:
    """The broker cancels them with it."""
    rig.desk.answers_legs = False
    rig.desk.script.append(accept("new"))
    parent = rig.bracket()
    rig.desk.orders[parent]["status"] = "canceled"
    rig.hear(rig.update(parent, "canceled"))
    assert rig.ledger.states(MARK)
    rig.clock.advance(ASK_AFTER)
    rig.finder.step()
    assert rig.desk.asked == []
    assert rig.ledger.states(MARK) == {}


def test_a_broker_that_does_not_answer_is_asked_again(rig: Brackets) -> None:
    """And without budget nothing more is tried in this step."""
    rig.desk.answers_legs = False
    rig.bracket()
    for error in (NoBudget("no slot"), OutcomeUnknown("HTTP 504")):
        rig.clock.advance(ASK_AFTER)
        rig.desk.lookup_error = error  # type: ignore[assignment]
        rig.finder.step()
    rig.desk.lookup_error = None
    rig.finder.step()
    assert rig.desk.asked == ["nested order-1 POLL"] * 2
    rig.clock.advance(ASK_AFTER)
    rig.finder.step()
    assert rig.row(TAKE).state is State.OPEN


@pytest.mark.parametrize("known", [True, False])
def test_legs_that_never_show_are_given_up(
    rig: Brackets, caplog: pytest.LogCaptureFixture, *, known: bool
) -> None:
    """So many answers without any; and then nobody asks for them again."""
    rig.desk.answers_legs = False
    parent = rig.bracket()
    rig.desk.legs.clear()
    if not known:
        rig.ledger.set_state(f"{MARK}sp-gone", "order-1")
        rig.ledger.delete_state(MARK + parent)
        rig = restarted(rig)
    for _ in range(ENOUGH + 1):
        rig.clock.advance(module.ASK_LONGEST)
        rig.finder.step()
    assert rig.desk.asked == ["nested order-1 POLL"] * ENOUGH
    assert [r.message for r in caplog.records if r.name == module.__name__] == ["legs_not_found"]
    assert rig.ledger.states(MARK) == {}
    if known:
        rig.tracker.polled(parent, rig.desk.orders[parent])
        assert rig.ledger.states(MARK) == {}


def test_no_legs_of_an_order_that_is_not_waited_for(rig: Brackets) -> None:
    """It was settled while an exit asked."""
    rig.tracker.legs.told_none("nobody")
    assert rig.portfolio.view("NVDA").leg_qty == 0


def test_an_order_without_legs_is_not_asked_for(rig: Brackets) -> None:
    """Nor one of somebody else under our id, nor what a leg's own news may hold."""
    rig.send("b")
    rig.clock.advance(ASK_AFTER)
    rig.finder.step()
    assert rig.desk.asked == []
    assert rig.ledger.states(MARK) == {}


@pytest.mark.parametrize("said", [[{"symbol": "NVDA"}, None, "leg-1"], True, {"id": "leg-1"}])
def test_what_is_no_leg_is_left_out(rig: Brackets, said: object) -> None:
    """Nothing could be booked under it."""
    rig.desk.script.append(accept("new", legs=said, order_class="bracket"))
    rig.desk.answers_legs = False
    parent = rig.bracket()
    assert rig.ledger.states(MARK) == {MARK + parent: "order-1"}


def test_a_foreign_order_has_no_legs_of_ours(rig: Brackets) -> None:
    """Another order under our id: none of its news is for our books."""
    rig.desk.script.append(fail(OutcomeUnknown("no answer")))
    rig.send("b", **BRACKET)
    coid = rig.only_coid()
    rig.tracker.expire_unconfirmed(coid, "older", adopt=False)
    assert rig.tracker.legs.learn(coid, {"id": "o", "legs": [{"id": "leg-1"}]}) == ()
    rig.hear(
        Update(event="fill", client_order_id=coid, order_id="o", symbol="NVDA", order={"id": "o"})
    )
    assert rig.tracker.legs._unheard == {}


@pytest.mark.parametrize(
    ("order", "role"),
    [
        ({"type": "limit"}, "take profit"),
        ({"type": "stop"}, "stop loss"),
        ({"order_type": "stop_limit"}, "stop loss"),
        ({}, "leg"),
    ],
)
def test_what_a_leg_is_for(order: Mapping[str, Any], role: str) -> None:
    """By its type."""
    assert domain.role_of(order) == role


def test_a_leg_without_a_client_order_id_goes_by_its_order_id(rig: Brackets) -> None:
    """And by the entry order's size and other side, where it states none."""
    parent = rig.bracket()
    rig.tracker.polled(parent, rig.desk.orders[parent] | {"legs": [{"id": "leg-9"}]})
    row = rig.row("leg-9")
    assert (row.alpaca_order_id, row.qty, row.side) == ("leg-9", Decimal(10), "sell")
    assert (row.message, row.time_in_force) == ("leg", "day")


# --- booked and told --------------------------------------------------------------------------


def test_a_leg_that_fills_is_booked_and_told_as_its_signals(rig: Brackets) -> None:
    """Under its own ids; the signal's end stays the one of its entry order."""
    parent = rig.bracket(signal_id="mine", strategy="alpha", x_note="n")
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    first = rig.trade(TAKE, "150", "4", "6")
    rig.hear(first, first)
    assert rig.held() == 6
    rig.hear(rig.trade(TAKE, "151", "10", "0", number=2), rig.cancelled(STOP))
    assert rig.held() == 0
    trades = rig.trades(TAKE)
    assert [(t.qty, t.side, t.order_id) for t in trades] == [
        (Decimal(4), "sell", "order-2"), (Decimal(6), "sell", "order-2"),
    ]  # fmt: skip
    assert of_leg(rig, TAKE) == [
        ("partial_fill", "4", "take profit"), ("fill", "6", "take profit"),
    ]  # fmt: skip
    assert of_leg(rig, STOP) == [("canceled", "10", "stop loss")]
    assert [e["final"] for e in rig.outcomes.events] == ["0", "1", "0", "0", "0"]
    entry = rig.row(parent)
    for event in rig.outcomes.events:
        assert (event["signal_id"], event["stream"]) == ("mine", entry.stream)
        assert (event["entry_id"], event["strategy"]) == (entry.entry_id, "alpha")
        assert event["x_note"] == "n"
    assert (rig.row(TAKE).state, rig.row(STOP).state) == (State.FILLED, State.CANCELED)
    assert sum(t.qty for t in rig.trades(parent)) == entry.filled_qty == 10
    assert rig.outcomes.acks == [entry.entry_id]
    assert rig.tracker.board.counts() == {"FILLED": 1}
    assert len(rig.tracker) == 0


def test_a_fill_that_a_poll_finds_is_in_doubt_until_a_snapshot(rig: Brackets) -> None:
    """The position may contain it already: nothing more is sold on it meanwhile."""
    rig.bracket()
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    fill = rig.trade(STOP, "90", "10", "0")
    rig.cancelled(TAKE)
    rig.a_minute()
    assert [t.qty for t in rig.trades(STOP)] == [10]
    assert (rig.row(STOP).state, rig.row(TAKE).state) == (State.FILLED, State.CANCELED)
    view = rig.portfolio.view("NVDA")
    assert (view.available_qty, view.uncertain) == (0, True)
    rig.hear(fill)  # late, and known
    assert [t.qty for t in rig.trades(STOP)] == [10]
    rig.snapshot()
    assert rig.held() == 0


def test_all_open_legs_cost_one_request_a_minute(rig: Brackets) -> None:
    """They rest for days: nobody asks for each of them."""
    for _ in range(3):
        rig.send("b", **BRACKET)
    rig.advance(0.5)
    rig.desk.asked.clear()
    for _ in range(3):
        rig.a_minute()
    assert rig.desk.asked == ["open POLL"] * 3


def test_the_end_of_one_leg_has_the_other_asked_for(rig: Brackets) -> None:
    """The stream is known to miss the cancel of a sibling; legs of other brackets rest."""
    rig.bracket()
    rig.send("b", **BRACKET)
    rig.hear(rig.trade(TAKE, "150", "4", "6"))
    rig.advance(5)
    rig.hear(rig.trade(TAKE, "150", "10", "0", number=2))
    rig.cancelled(STOP)
    assert rig.desk.asked == []
    rig.advance(5)
    assert rig.desk.asked == ["order order-3 POLL"]
    assert rig.row(STOP).state is State.CANCELED


def test_a_held_leg_that_no_list_has_is_asked_for_less_and_less(rig: Brackets) -> None:
    """After one list, two, four, eight; and anew once it was listed."""
    rig.bracket()
    rig.desk.hidden.add(STOP)
    for _ in range(9):
        rig.a_minute()
    assert rig.desk.asked.count("order order-3 POLL") == 4
    rig.desk.hidden.clear()
    rig.a_minute()
    rig.desk.hidden.add(STOP)
    rig.a_minute()
    assert rig.desk.asked.count("order order-3 POLL") == 5


def test_a_poll_of_a_leg_never_takes_the_budget_of_orders(rig: Brackets) -> None:
    """However long it had none, and whether or not the stream tells."""
    rig.bracket()
    rig.stream_alive = False
    rig.schedule.poll_now([TAKE], rig.clock.monotonic())
    rig.desk.lookup_error = NoBudget("no slot")
    rig.advance(20)
    assert {line.split()[-1] for line in rig.desk.asked} == {"POLL"}


def test_a_fill_that_comes_before_the_answer_is_asked_for(rig: Brackets) -> None:
    """The stream was faster, and nobody knew whose leg that was."""

    def slow(_desk: object, body: dict[str, Any]) -> Mapping[str, Any]:
        rig.desk.place(body)
        parent = dict(rig.desk.fill(body["client_order_id"]))
        answer = rig.desk.nested(parent)
        rig.hear(rig.trade(TAKE, "150", "10", "0"))
        rig.hear(rig.update(body["client_order_id"], "fill", position_qty=Decimal(10)))
        return answer

    rig.desk.script.append(slow)
    rig.desk.answers_legs = False
    rig.bracket()
    assert rig.row(TAKE).state is State.OPEN
    rig.advance(0)
    assert of_leg(rig, TAKE) == [("fill", "10", "take profit")]


def test_a_leg_that_is_learned_of_while_its_news_is_judged_is_asked_for(rig: Brackets) -> None:
    """Another thread has the answer to the POST."""
    rig.bracket()
    rig.trade(TAKE, "150", "10", "0")
    rig.tracker.legs.missed(rig.desk.orders[TAKE])
    rig.advance(0)
    assert of_leg(rig, TAKE) == [("fill", "10", "take profit")]


def test_what_the_entry_order_says_of_its_legs_is_news(rig: Brackets) -> None:
    """Asked for after they had traded: told after the entry order's own."""
    rig.desk.answers_legs = False
    parent = rig.bracket()
    rig.trade(TAKE, "150", "10", "0")
    rig.cancelled(STOP)
    rig.clock.advance(ASK_AFTER)
    rig.finder.step()
    assert of_leg(rig, TAKE) == [("fill", "10", "take profit")]
    assert of_leg(rig, STOP) == [("canceled", "10", "stop loss")]
    assert sum(t.qty for t in rig.trades(parent)) == 10


def test_news_of_unknown_orders_are_remembered_within_bounds(
    rig: Brackets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position follows all of them; the oldest is forgotten."""
    monkeypatch.setattr(module, "UNHEARD_KEPT", 1)
    for number in (1, 2):
        order = {"id": f"order-{number}"}
        rig.hear(
            Update(
                event="fill",
                client_order_id=f"x{number}",
                order_id=f"order-{number}",
                symbol="NVDA",
                order=order,
                position_qty=Decimal(number),
            )
        )
    assert rig.held() == 2
    assert rig.tracker.legs._unheard == {"order-2": None}


def test_a_bust_of_a_legs_fill_says_whose(rig: Brackets) -> None:
    """The shares are back, and the message names the leg."""
    rig.bracket()
    rig.hear(rig.trade(STOP, "90", "4", "6"))
    rig.hear(
        rig.update(
            STOP, "trade_bust", execution_id="x1", position_qty=Decimal(10), at="2026-03-04T16:00Z"
        )
    )
    assert rig.held() == 10
    assert of_leg(rig, STOP)[-1] == ("corrected", "-4", "stop loss: trade_bust of x1")


def test_a_leg_that_fills_after_its_recorded_end(rig: Brackets) -> None:
    """Booked as a correction, also by a process that never followed it."""
    rig.bracket(signal_id="mine")
    rig.hear(rig.cancelled(STOP))
    rig = restarted(rig)
    rig.desk.fill(STOP, "90", "3")
    late = rig.update(STOP, "fill", execution_id="x9", position_qty=Decimal(7))
    rig.hear(late, late)
    assert of_leg(rig, STOP) == [("corrected", "3", "stop loss")]
    assert rig.outcomes.events[-1]["signal_id"] == "mine"
    assert rig.row(STOP).filled_qty == 3
    assert rig.held() == 7


def test_a_leg_recorded_as_ended_is_not_cancelled(rig: Brackets) -> None:
    """It protects a position: what the broker has open of it stays."""
    rig.bracket()
    rig.hear(rig.cancelled(STOP))
    rig.desk.orders[STOP]["status"] = "new"
    rig.a_minute()
    assert rig.desk.cancels == []


# --- after a crash ------------------------------------------------------------------------------


def test_a_fill_that_was_heard_and_not_committed_is_booked_once(rig: Brackets) -> None:
    """Killed between the message and its commit: found by the first poll of the next process."""
    rig.bracket(signal_id="mine")
    rig.outcomes.put = lambda _: None  # type: ignore[method-assign]
    rig.hear(rig.trade(TAKE, "150", "10", "0"))
    assert rig.trades(TAKE) == []
    again = restarted(rig)
    again.advance(0)
    assert [t.qty for t in again.trades(TAKE)] == [10]
    assert of_leg(again, TAKE) == [("fill", "10", "take profit")]
    assert again.outcomes.events[-1]["signal_id"] == "mine"
    assert again.portfolio.reserved() == (0, 0)
    again.hear(again.update(TAKE, "fill", execution_id="x1", position_qty=Decimal(0)))
    third = restarted(again)
    third.advance(0)
    assert [t.qty for t in third.trades(TAKE)] == [10]
    assert of_leg(third, TAKE) == []


def test_a_partial_fill_goes_on_after_a_restart(rig: Brackets) -> None:
    """The executions on record are its standing."""
    rig.desk.script.append(accept("new"))
    parent = rig.bracket()
    rig.desk.fill(parent, "100", "10")
    rig.hear(rig.update(parent, "fill", position_qty=Decimal(10)))
    rig.hear(rig.trade(TAKE, "150", "4", "6"))
    again = restarted(rig)
    again.hear(again.trade(TAKE, "150", "10", "0", number=2))
    assert [t.qty for t in again.trades(TAKE)] == [4, 6]


def test_an_open_entry_order_knows_its_legs_after_a_restart(rig: Brackets) -> None:
    """Their rows are there, so the broker is not asked for them."""
    rig.desk.script.append(accept("new"))
    parent = rig.bracket(**LIMIT, stop_loss="40", take_profit="60")
    again = restarted(rig)
    again.advance(0)
    assert again.ledger.states(MARK) == {}
    tracked = again.tracker.get(parent)
    assert tracked is not None
    assert tracked.legs_known


def test_what_was_sent_after_a_bracket_is_restored_as_well(rig: Brackets) -> None:
    """Legs stand between the rows of other orders."""
    rig.desk.script.append(accept("new"))
    first = rig.bracket(**LIMIT, stop_loss="40", take_profit="60")
    rig.desk.script.append(accept("new"))
    rig.send("b", ticker="AAPL", **LIMIT)
    second = rig.only_coid_of("AAPL")
    again = restarted(rig)
    assert again.tracker.get(first) is not None
    assert again.tracker.get(second) is not None


def test_a_crash_between_the_rows_of_two_legs_loses_neither(rig: Brackets) -> None:
    """One was committed, the other and the entry order's answer were not."""
    put, left = rig.outcomes.put, 1

    def die_soon(change: Change) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            put(change)

    rig.outcomes.put = die_soon  # type: ignore[method-assign]
    parent = rig.bracket()
    assert (rig.row(parent).state, rig.leg_row(STOP)) == (State.SUBMITTING, None)
    assert rig.row(TAKE).state is State.OPEN
    again = restarted(rig)
    again.advance(ASK_AFTER + 1)
    again.finder.step()
    assert again.row(parent).state is State.FILLED
    assert (again.row(TAKE).state, again.row(STOP).state) == (State.OPEN, State.OPEN)


@pytest.mark.parametrize("ended", [True, False])
def test_legs_on_record_are_not_made_twice(
    rig: Brackets, caplog: pytest.LogCaptureFixture, *, ended: bool
) -> None:
    """The mark was not forgotten before the crash: asked for once more."""
    parent = rig.bracket()
    if ended:
        rig.hear(rig.cancelled(STOP))
    rig.ledger.set_state(MARK + parent, "order-1")
    again = restarted(rig)
    again.finder.step()
    assert again.row(STOP).state is (State.CANCELED if ended else State.OPEN)
    assert "intent_exists" not in [record.message for record in caplog.records]
    assert of_leg(again, STOP) == []
    assert again.ledger.states(MARK) == {}


def test_another_thread_may_be_faster(rig: Brackets) -> None:
    """Between the question to the ledger and the mutex."""
    rig.desk.answers_legs = False
    parent = rig.bracket()
    order = rig.desk.nested(rig.desk.orders[parent])
    legs, found = rig.tracker.legs, rig.ledger.find_by_client_order_id

    def slow(coid: str) -> Intent | None:
        legs._find_row = found
        legs.learn(parent, order)
        return None

    legs._find_row = slow
    legs.learn(parent, order)
    with rig.ledger.open_reader() as reader:
        assert [row.client_order_id for row in reader.list_legs(parent)] == [TAKE, STOP]


def test_an_orphans_legs_become_its_signals(rig: Brackets) -> None:
    """Its signal turned up: from then on they are told as that one's."""
    entry = rig.publish(**BRACKET, signal_id="mine")
    coid = rig.coid(entry, **BRACKET, signal_id="mine")
    body = {
        "client_order_id": coid, "symbol": "NVDA", "side": "buy", "type": "market", "qty": "10",
        "time_in_force": "day", "order_class": "bracket", "take_profit": {}, "stop_loss": {},
    }  # fmt: skip
    rig.desk.place(body)
    rig.orphans().settle({coid: rig.desk.nested(rig.desk.orders[coid])})
    assert rig.row(TAKE).signal_id == ""
    rig.hear(rig.cancelled(STOP))
    signal = rig.row(coid)
    signal.stream, signal.entry_id, signal.signal_id = "nvda", entry, "mine"
    rig.tracker.claim(rig.row(coid), signal)
    rig.hear(rig.trade(TAKE, "150", "10", "0"))
    assert rig.outcomes.events[-1]["signal_id"] == "mine"
    assert rig.outcomes.events[-1]["entry_id"] == entry


def test_a_leg_whose_entry_order_has_no_row_is_followed(rig: Brackets) -> None:
    """A ledger restored from a backup: told without a signal's names."""
    rig.bracket()
    rig.ledger.apply([Change(insert=_leg_of_nobody())])
    again = restarted(rig)
    again.hear(
        Update(
            event="fill",
            client_order_id="leg-7",
            order_id="order-7",
            symbol="NVDA",
            order={"id": "order-7", "status": "filled", "filled_qty": "10", "qty": "10"},
        )
    )
    assert of_leg(again, "leg-7") == [("fill", "10", "take profit")]


def _leg_of_nobody() -> Intent:
    made = Intent(
        identity="orphan:x", digest="", stream="", entry_id="", client_order_id="sp-x",
        state=State.OPEN, symbol="NVDA", side="buy", qty=Decimal(10),
    )  # fmt: skip
    return domain.row_of(made, {"id": "order-7", "client_order_id": "leg-7", "type": "limit"}, 1)


# --- exits --------------------------------------------------------------------------------------


def exit_of(rig: Brackets, cancel: Callable[[str], None]) -> str:
    """Ten are held, and the legs hold them; a bare sell."""
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    account = rig.portfolio.account()
    assert account is not None
    held = {"NVDA": Position("NVDA", Decimal(10), Decimal(0), Decimal(100))}
    rig.portfolio.apply_snapshot(account, held, rig.clock.monotonic())
    rig.clock.advance(0.001)
    rig.desk.on_cancel = cancel
    return rig.send("s")


def test_an_exit_cancels_the_legs_we_follow(rig: Brackets) -> None:
    """Both are asked once, and the stream tells their ends."""
    rig.bracket()

    def cancel(order_id: str) -> None:
        coid = TAKE if order_id == "order-2" else STOP
        rig.hear(rig.cancelled(coid))
        rig.snapshot(NVDA="10")

    entry = exit_of(rig, cancel)
    assert rig.desk.cancels == ["order-2", "order-3"]
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.notes(TAKE) == ["cancel"]
    assert (rig.row(TAKE).state, rig.row(STOP).state) == (State.CANCELED, State.CANCELED)


def test_an_exit_without_a_list_cancels_the_legs_we_follow(rig: Brackets) -> None:
    """The broker did not list its orders; ours are known all the same."""
    rig.bracket()
    real = rig.desk.open_orders

    def unlisted(*args: Any, nested: bool = False) -> Any:
        if nested:
            raise OutcomeUnknown("HTTP 504")
        return real(*args)

    rig.desk.open_orders = unlisted  # type: ignore[method-assign]

    def cancel(order_id: str) -> None:
        rig.hear(rig.cancelled(TAKE if order_id == "order-2" else STOP))
        rig.snapshot(NVDA="10")

    exit_of(rig, cancel)
    assert rig.desk.cancels == ["order-2", "order-3"]


def test_a_purchase_leaves_the_legs_alone(rig: Brackets) -> None:
    """They protect what is held already."""
    rig.bracket()
    rig.snapshot(NVDA="10")
    rig.clock.advance(0.001)
    rig.send("", target_qty="12")
    assert rig.desk.cancels == []
