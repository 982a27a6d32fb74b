"""A flatten from the first cancel to the last share, with everything real but the broker."""

from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from solution.domain.flattening import PREFIX
from solution.domain.reasons import Reason
from solution.domain.records import State
from solution.domain.trading_state import TradingState
from solution.errors import LedgerError, NotSent, OutcomeUnknown, RateLimited, Rejected
from solution.runtime.service import Fatal
from solution.trading.flatten import IDLE, KEPT_MS, PACE
from solution.trading.flatten_round import ENOUGH_REFUSALS
from tests.helpers.flatten import FlattenRig
from tests.helpers.trading import RigRules, accept, accept_then, fail

TAKE_PROFIT = {"order_type": "limit", "limit_price": "150", "time_in_force": "gtc", "qty": "10"}
BUY_LOWER = {"order_type": "limit", "limit_price": "50", "time_in_force": "gtc", "qty": "2"}


def test_longs_shorts_and_fractions_end_at_nothing() -> None:
    """Each by one market order for the day of the side that reduces it, under an id of its own."""
    made = FlattenRig(NVDA="10", AAPL="-4", AMD="2.5")
    made.ask()
    found = made.run()
    assert found is not None
    assert found.flat
    assert found.left == {}
    sides = [("AAPL", "buy", "4"), ("AMD", "sell", "2.5"), ("NVDA", "sell", "10")]
    assert sorted(made.sent()) == sides
    assert set(made.desk.positions.values()) == {Decimal(0)}
    sent = [orjson.loads(body) for body in made.desk.posts]
    assert {(one["type"], one["time_in_force"]) for one in sent} == {("market", "day")}
    assert len({one["client_order_id"] for one in sent}) == 3


def test_what_rests_is_cancelled_before_anything_is_sold() -> None:
    """On both sides; what a signal opened rests no more, and the shares it held are sold."""
    made = FlattenRig(NVDA="10")
    made.answers(accept("new"), accept("new"))
    made.rig.send("s", **TAKE_PROFIT)
    made.rig.send("b", **BUY_LOWER)
    made.ask("NVDA")
    made.run()
    ends = [(one.side, one.qty, one.end) for one in made.request().cancelled.values()]
    assert sorted(ends) == [("buy", "2", "canceled"), ("sell", "10", "canceled")]
    assert made.sent() == [("NVDA", "sell", "10")]
    assert made.request().flat


def test_one_ticker_leaves_the_others_alone() -> None:
    """Their positions and their orders."""
    made = FlattenRig(NVDA="10", AAPL="5")
    made.answers(accept("new"))
    made.rig.send("b", ticker="AAPL", **BUY_LOWER)
    made.ask("NVDA")
    made.run()
    assert made.request().flat
    assert made.desk.positions == {"NVDA": Decimal(0), "AAPL": Decimal(5)}
    assert made.desk.cancels == []


def test_legs_of_a_bracket_are_cancelled() -> None:
    """They hold the shares, under ids of the broker's own."""
    made = FlattenRig()
    made.rig.send("b", take_profit="120", stop_loss="80")
    for leg in ("take_profit", "stop_loss"):
        made.desk.orders[f"{leg}-of-order-1"]["status"] = "new"
    made.ask("NVDA")
    made.run()
    assert [one.end for one in made.request().cancelled.values()] == ["canceled", "canceled"]
    assert made.request().flat
    assert made.desk.positions["NVDA"] == 0


def test_a_partial_fill_is_followed_by_an_order_for_the_rest() -> None:
    """Of ten, four are sold and the order ends: the next one is for six, under another id."""
    made = FlattenRig(NVDA="10")
    made.answers(accept("new"))
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    (coid,) = made.request().orders
    made.desk.fill(coid, qty="4")
    made.rig.hear(made.rig.update(coid, "partial_fill", position_qty=Decimal(6)))
    made.desk.orders[coid]["status"] = "canceled"
    made.rig.hear(made.rig.update(coid, "canceled"))
    made.run()
    assert made.sent() == [("NVDA", "sell", "10"), ("NVDA", "sell", "6")]
    assert made.request().flat
    assert [row.state for row in made.rows()] == [State.CANCELED, State.FILLED]


def test_a_picture_that_lags_behind_the_fill_sells_nothing_twice() -> None:
    """The broker shows ten shares for another half second: no second order, no short."""
    made = FlattenRig(NVDA="10")
    made.ask()
    made.desk.lag = {"NVDA": Decimal(10)}
    made.run(0.9)
    made.desk.lag = {}
    made.run()
    assert made.sent() == [("NVDA", "sell", "10")]
    assert made.desk.positions["NVDA"] == 0


def test_a_lost_answer_is_looked_up_and_adopted() -> None:
    """One POST, one order."""
    made = FlattenRig(NVDA="10")
    made.answers(accept_then(OutcomeUnknown("HTTP 504")))
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    (coid,) = made.request().orders
    made.desk.fill(coid)
    made.run()
    assert made.request().flat
    assert len(made.desk.posts) == 1


def test_what_provably_was_not_sent_goes_out_again_under_its_id() -> None:
    """A 429, then no connection, then an answer: one row."""
    made = FlattenRig(NVDA="10")
    made.answers(fail(RateLimited("too many requests")), fail(NotSent("refused")))
    made.ask()
    made.run()
    assert made.request().flat
    assert len(made.desk.posts) == 3
    assert len(set(made.desk.posts)) == 1
    assert made.sent() == [("NVDA", "sell", "10")]


def test_an_order_that_is_not_found_is_sent_again_where_that_is_allowed() -> None:
    """The answer was lost, and the order with it: the same body under the same id."""
    made = FlattenRig(NVDA="10")
    made.answers(fail(OutcomeUnknown("reset")))
    made.ask()
    made.run()
    assert made.request().flat
    assert len(made.desk.posts) == 2
    assert len(set(made.desk.posts)) == 1


def test_an_order_that_is_not_found_and_may_not_be_sent_again_holds_its_shares() -> None:
    """RESEND_UNKNOWN=false: nothing is sent beside it, and that is what is told."""
    made = FlattenRig(rules=RigRules(may_resend=False), NVDA="10")
    made.answers(fail(OutcomeUnknown("reset")))
    made.ask()
    made.run(20)
    assert len(made.desk.posts) == 1
    assert made.left() == {
        "NVDA": ("10", "sell 10 was sent and is not confirmed; nothing is sent beside it")
    }


def test_a_refusal_is_tried_again_with_pauses_and_then_given_up() -> None:
    """With the broker's own words; each try has a row of its own."""
    made = FlattenRig(NVDA="10", AAPL="5")
    made.desk.default = fail(Rejected(403, 40310000, "not today"))
    made.ask()
    made.run(120)
    found = made.request()
    assert found.done_ms
    assert not found.flat
    assert made.left()["NVDA"][0] == "10"
    assert made.left()["NVDA"][1].startswith(f"refused {ENOUGH_REFUSALS} times: ")
    assert "not today" in made.left()["NVDA"][1]
    assert len(made.sent()) == 2 * ENOUGH_REFUSALS


def test_a_ticker_that_the_broker_does_not_list() -> None:
    """A typing error must not look like success."""
    made = FlattenRig(NVDA="10")
    made.ask("NVDAA")
    made.run()
    assert not made.request().flat
    assert made.left() == {"NVDAA": ("0", "the broker lists no such ticker")}
    assert made.desk.posts == []


def test_shares_that_an_order_of_somebody_else_holds_are_told() -> None:
    """It is not ours to cancel; what is free is sold."""
    made = FlattenRig(NVDA="10")
    body = {"client_order_id": "by-hand", "symbol": "NVDA", "side": "sell", "qty": "4"}
    made.desk.place(body, type="limit")
    made.ask()
    made.run(10)
    assert made.sent() == [("NVDA", "sell", "6")]
    assert made.left() == {"NVDA": ("4", "other orders hold all of it")}
    assert made.desk.cancels == []


def test_on_an_account_that_is_ours_alone_they_are_cancelled() -> None:
    """EXCLUSIVE_ACCOUNT=true."""
    made = FlattenRig(exclusive=True, NVDA="10")
    body = {"client_order_id": "by-hand", "symbol": "NVDA", "side": "sell", "qty": "4"}
    made.desk.place(body, type="limit")
    made.ask()
    made.run(10)
    assert made.sent() == [("NVDA", "sell", "10")]
    assert made.request().flat


def test_a_closed_market_is_waited_for_and_told() -> None:
    """Nothing is sent before it opens."""
    made = FlattenRig(NVDA="10")
    made.desk.is_open = False
    made.ask()
    made.run(60)
    assert made.left()["NVDA"][1].startswith("the market is closed until 2026-03-")
    assert made.desk.posts == []
    made.desk.is_open = True
    made.run()
    assert made.request().flat


def test_an_order_of_the_extended_session_is_priced_anew() -> None:
    """Not filled within its seconds: cancelled, and the next one goes to the bid of then."""
    made = FlattenRig(allow_extended=True, NVDA="10")
    made.rig.clock.advance(7 * 3600)
    made.desk.is_open = False
    made.desk.default = accept("new")
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    made.desk.price = Decimal("98.50")
    made.run(40, until=lambda: len(made.desk.posts) == 2)
    first, second = (orjson.loads(body) for body in made.desk.posts)
    assert (first["limit_price"], second["limit_price"]) == ("100.00", "98.50")
    assert {one["extended_hours"] for one in (first, second)} == {True}
    assert made.rows()[0].state is State.CANCELED


def test_signals_are_restricted_before_the_first_cancel() -> None:
    """For the account until a person resumes; once, although he resumes while it goes on."""
    made = FlattenRig(NVDA="10")
    made.answers(accept("new"))
    made.rig.send("s", **TAKE_PROFIT)
    seen: list[bool] = []
    made.desk.on_cancel = lambda order_id: (
        seen.append("operator_reducing" in made.states.lasting()),
        made.cancelled(order_id),
    )[1]
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    assert seen == [True]
    assert made.states.lasting()["operator_reducing"].state is TradingState.REDUCING
    made.states.lift("operator_reducing")
    made.run()
    assert made.request().flat
    assert made.states.lasting() == {}


def test_one_ticker_is_restricted_by_itself() -> None:
    """The account is not."""
    made = FlattenRig(NVDA="10")
    made.ask("NVDA")
    made.run()
    assert made.states.lasting() == {}
    found = made.states.restriction("NVDA")
    assert found is not None
    assert found.state is TradingState.REDUCING
    assert made.states.restriction("AAPL") is None


def test_no_signal_opens_again_what_was_closed() -> None:
    """The source that bought is still running; the ledger tells why nothing came of it."""
    made = FlattenRig(NVDA="10")
    made.ask()
    made.run()
    entry = made.rig.send("b", qty="3")
    assert made.rig.outcomes.told(entry) == ["refused!"]
    assert made.rig.row(made.rig.coid(entry, qty="3")).reason == "REDUCING_ONLY"
    assert made.desk.positions["NVDA"] == 0


@pytest.fixture
def stopped(tmp_path: Path) -> FlattenRig:
    """Ten NVDA, while the kill switch's file exists, account and ticker are halted."""
    switch = tmp_path / ".kill_switch"
    switch.touch()
    made = FlattenRig(rules=RigRules(kill_switch_file=switch), NVDA="10")
    made.states.restrict("operator", TradingState.HALTED, Reason.TRADING_HALTED, "kill")
    made.states.halts.halt("NVDA", "an orphan")
    made.stopped = "the kill switch file exists"
    return made


def test_what_stops_trading_does_not_stop_what_a_person_asked_for(stopped: FlattenRig) -> None:
    """And what was stricter than the flatten's own restriction stays."""
    stopped.ask()
    stopped.run()
    assert stopped.request().flat
    assert stopped.states.lasting()["operator"].state is TradingState.HALTED


def test_what_stops_trading_stops_what_no_person_asked_for(stopped: FlattenRig) -> None:
    """The end of a session sells nothing while everything is stopped, and says so."""
    stopped.ask(request_id="eos-2026-03-04")
    for _ in range(30):
        stopped.rig.advance(stopped.service.step())
    left = stopped.request("eos-2026-03-04").left
    assert left["NVDA"].why == "the kill switch file exists"
    assert stopped.desk.posts == []


def test_a_stop_that_comes_last_is_met_before_the_post(stopped: FlattenRig) -> None:
    """Between the first question and the POST: the row ends as never sent."""
    stopped.stopped = None
    stopped.ask(request_id="eos-2026-03-04")
    stopped.service.step()
    stopped.rig.advance(1)
    stopped.service.step()
    (order,) = stopped.request("eos-2026-03-04").orders.values()
    assert order.state == State.REFUSED
    assert stopped.desk.posts == []


def test_its_time_is_over_at_the_close() -> None:
    """What could not be closed is held, and nothing is sent any more."""
    made = FlattenRig(NVDA="10")
    made.has_slot = False
    made.ask(until_ms=made.rig.clock.epoch_ms() + 5_000)
    made.run(20)
    made.has_slot = True
    found = made.request()
    assert (bool(found.done_ms), found.flat) == (True, False)
    assert made.left() == {"NVDA": ("10", "its time is over")}
    assert made.desk.posts == []


def test_without_budget_it_waits() -> None:
    """And says so."""
    made = FlattenRig(NVDA="10")
    made.has_slot = False
    made.ask()
    made.run(3)
    assert made.left() == {"NVDA": ("10", "no request is left in the rate budget")}
    made.has_slot = True
    made.run()
    assert made.request().flat


def test_a_dry_run_sends_and_cancels_nothing() -> None:
    """The request ends at once, with that as its reason."""
    made = FlattenRig(dry_run=True, NVDA="10")
    made.ask()
    made.run()
    assert not made.request().flat
    assert made.left() == {"every position": ("stands", "a dry run sends nothing")}
    assert made.desk.posts == []


def test_a_broker_that_does_not_answer_is_asked_again() -> None:
    """Nothing is decided on what is not known."""
    made = FlattenRig(NVDA="10")
    made.desk.lookup_error = OutcomeUnknown("HTTP 502")
    made.ask()
    made.run(3)
    assert made.desk.posts == []
    made.desk.lookup_error = None
    made.run()
    assert made.request().flat


def test_an_exit_signal_does_not_sell_the_same_shares() -> None:
    """They are promised to the closing order that is on its way."""
    made = FlattenRig(NVDA="10")
    made.answers(accept("new"))
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    entry = made.rig.send("s", qty="10", time_in_force="ioc")
    made.run()
    assert made.desk.positions["NVDA"] == 0
    assert made.desk.sold["NVDA"] == 10
    assert made.rig.outcomes.told(entry)
    assert made.request().flat


def test_a_signal_on_its_way_is_waited_for() -> None:
    """What it buys is sold as well."""
    made = FlattenRig(NVDA="10")
    made.answers(accept("new"))
    entry = made.rig.send("b", qty="3")
    made.ask()
    made.run(0.5, until=lambda: bool(made.request().orders))
    made.desk.fill(made.rig.coid(entry, qty="3"))
    made.rig.hear(made.rig.update(made.rig.coid(entry, qty="3"), "fill", position_qty=Decimal(13)))
    made.run()
    assert made.request().flat
    assert made.desk.positions["NVDA"] == 0


# --- rows ---------------------------------------------------------------------------------


def test_a_row_that_is_no_request_is_told_once_and_left(caplog: pytest.LogCaptureFixture) -> None:
    """Others are carried out all the same."""
    made = FlattenRig(NVDA="10")
    made.rig.ledger.set_state(PREFIX + "bad", '{"symbols": "NVDA"}')
    made.ask()
    made.run()
    assert made.request().flat
    assert sum("flatten_unreadable" in one.message for one in caplog.records) == 1
    assert made.rig.ledger.get_state(PREFIX + "bad") is not None


def test_what_was_withdrawn_while_a_slot_was_waited_for_sells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resume in the middle of a round: what is bought now must not be sold."""
    made = FlattenRig(NVDA="10")
    connect = made.desk.connect

    def resumed() -> None:
        made.rig.ledger.delete_state(PREFIX + "one")
        connect()

    monkeypatch.setattr(made.desk, "connect", resumed)
    made.ask()
    while made.rig.ledger.states(PREFIX):
        made.rig.advance(made.service.step())
    made.service.step()
    assert made.desk.posts == []


def test_a_withdrawn_request_sends_no_body_again() -> None:
    """The answer was lost and the order is not at the broker: with its request it is over."""
    made = FlattenRig(NVDA="10")
    made.answers(fail(NotSent("no connection")))
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    (row,) = made.rows()
    posts = len(made.desk.posts)
    made.rig.ledger.delete_state(PREFIX + "one")
    for _ in range(100):
        made.rig.advance(made.service.step())
    assert len(made.desk.posts) == posts
    assert made.rig.row(row.client_order_id).message == "the request was withdrawn"


def test_a_withdrawn_request_is_not_written_again() -> None:
    """The order that was sent is followed; nothing more is sent."""
    made = FlattenRig(NVDA="10")
    made.answers(accept("new"))
    made.ask()
    made.run(until=lambda: bool(made.request().orders))
    made.rig.ledger.delete_state(PREFIX + "one")
    assert made.service.step() == IDLE
    assert made.rig.ledger.states(PREFIX) == {}


def test_what_was_done_long_ago_is_forgotten() -> None:
    """A week later."""
    made = FlattenRig(NVDA="10")
    made.ask()
    made.run()
    made.service.step()
    assert made.request().flat
    made.rig.clock.advance(KEPT_MS / 1000 + 1)
    made.service.step()
    assert made.rig.ledger.states(PREFIX) == {}


def test_what_is_under_way_is_shown() -> None:
    """For the status; the pace follows it."""
    made = FlattenRig(NVDA="10")
    assert made.service.step() == IDLE
    made.desk.is_open = False
    made.ask()
    assert made.service.step() == PACE
    made.run(3)
    assert made.service.under_way()["one"].startswith("NVDA 10: the market is closed until")
    assert made.prompted > 1


def test_a_ledger_that_fails_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be made durable, so nothing may be sent."""
    made = FlattenRig(NVDA="10")

    def fails(_prefix: str) -> dict[str, str]:
        raise LedgerError("disk full")

    monkeypatch.setattr(made.rig.ledger, "states", fails)
    with pytest.raises(Fatal, match="disk full"):
        made.service.step()
