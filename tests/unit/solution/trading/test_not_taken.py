"""A broker that was not reached, or refused for the rate: the same body once more."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from solution.book.reservations import Reservation
from solution.domain.orders import Side
from solution.domain.records import State
from solution.errors import (
    NotSent,
    OutcomeUnknown,
    RateLimited,
)
from tests.helpers.trading import (
    Rig,
    RigRules,
    accept,
    fail,
)

UNCLEAR = OutcomeUnknown("POST /v2/orders: no usable answer: timed out")
REFUSED_CONNECTION = NotSent("POST /v2/orders: not sent: Connection refused")
TOO_MANY = RateLimited("POST /v2/orders: too many requests", 1.0)


@pytest.fixture
def rig() -> Rig:
    """A fresh order path."""
    return Rig()


def test_a_broker_that_comes_back_gets_the_signal_once(rig: Rig) -> None:
    """Connection refused three times, then there: one order, told once."""
    rig.desk.script += [fail(REFUSED_CONNECTION)] * 3
    entry = rig.send()
    rig.work_all()
    assert len(rig.desk.orders) == 1
    assert len(set(rig.desk.posts)) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.is_free()


def test_a_broker_that_stays_away_ends_the_signal_unsent(rig: Rig) -> None:
    """Beyond the age limit: NOT_SENT, never an order, reservation and lane free."""
    rig.desk.default = fail(REFUSED_CONNECTION)
    entry = rig.send()
    rig.work_all(1000)
    assert rig.row(rig.only_coid()).state is State.NOT_SENT
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "NOT_SENT"
    assert 60 <= rig.clock.monotonic() - 1000 < 70
    assert rig.portfolio.reserved()[0] == 0
    rig.desk.default = accept("new")
    assert rig.is_free()


def test_the_rate_limit_of_the_broker_loses_nothing(rig: Rig) -> None:
    """HTTP 429 lets the same body go out again, and waiting for that does not age the signal."""
    rig.desk.script += [fail(TOO_MANY)] * 2
    entry = rig.publish(max_age="1")
    rig.work()
    rig.clock.advance(30)
    rig.starved += 30
    rig.work_all()
    assert len(set(rig.desk.posts)) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_a_gate_that_closes_before_the_next_try_ends_it(tmp_path: Path) -> None:
    """Not at the broker for certain, and the kill switch is on now: REFUSED."""
    rig = Rig(RigRules(kill_switch_file=tmp_path / "kill"))
    rig.desk.script.append(fail(TOO_MANY))
    entry = rig.send()
    (tmp_path / "kill").touch()
    rig.work_all()
    row = rig.row(rig.only_coid())
    assert (row.state, row.reason) == (State.REFUSED, "KILL_SWITCH")
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.portfolio.reserved()[0] == 0


def test_the_market_closing_before_the_next_try_ends_it(rig: Rig) -> None:
    """The session is asked for again before the same body goes out."""
    rig.desk.script.append(fail(TOO_MANY))
    rig.send()
    rig.desk.is_open = False
    rig.work_all()
    assert rig.row(rig.only_coid()).reason == "MARKET_CLOSED"


@pytest.mark.parametrize(("later", "sent"), [(0, True), (120, False)])
def test_an_auction_order_goes_out_again_in_its_window(rig: Rig, later: int, sent: bool) -> None:
    """The session rule of its own time in force counts at the second try, too: 09:27, 09:29."""
    rig.clock.jump_wall(-33 * 60)
    rig.desk.is_open = False
    rig.desk.script.append(fail(TOO_MANY))
    rig.desk.default = accept("accepted")
    rig.send(time_in_force="opg", qty="10")
    assert len(rig.desk.posts) == 1
    rig.clock.advance(later)
    rig.starved += later
    rig.work_all()
    assert len(rig.desk.posts) == 1 + sent
    row = rig.row(rig.only_coid())
    assert row.reason == ("" if sent else "MARKET_CLOSED")
    assert row.state is (State.OPEN if sent else State.REFUSED)


@pytest.mark.parametrize(("price", "sent"), [("101.9", True), ("103", False), ("80", True)])
def test_a_price_that_ran_away_meets_the_caps_before_the_next_try(price: str, sent: bool) -> None:
    """10 shares at 100 are the cap of 1 %: cents of drift are no reason to lose the signal."""
    rig = Rig(RigRules(max_position_pct=Decimal("0.01")))
    rig.desk.script.append(fail(TOO_MANY))
    rig.send()
    rig.desk.price = Decimal(price)
    rig.work_all()
    assert len(rig.desk.posts) == 1 + sent
    assert rig.row(rig.only_coid()).reason == ("" if sent else "POSITION_CAP")


def test_what_was_promised_to_others_meanwhile_counts_at_the_next_try() -> None:
    """The order's own reservation does not stand in its way; another one's does."""
    rig = Rig(RigRules(max_position_pct=Decimal("0.01")))
    rig.desk.script.append(fail(TOO_MANY))
    entry = rig.send()
    other = Reservation("other", "NVDA", Side.BUY, Decimal(1), Decimal(100), opens=True)
    rig.portfolio.restore(other)
    rig.work_all()
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "POSITION_CAP"


def test_a_row_that_took_its_time_has_its_gates_asked_again(rig: Rig) -> None:
    """A slow disk between the gates and the POST: what changed since stops it."""
    begin = rig.ledger.begin

    def slowly(intent: Any) -> None:
        begin(intent)
        rig.clock.advance(0.3)
        rig.desk.is_open = False

    rig.ledger.begin = slowly  # type: ignore[method-assign]
    entry = rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "MARKET_CLOSED"
    assert rig.portfolio.reserved()[0] == 0
    assert rig.is_free()


def test_a_row_that_took_its_time_is_sent_if_nothing_changed(rig: Rig) -> None:
    """The gates pass again, its own reservation included."""
    begin = rig.ledger.begin

    def slowly(intent: Any) -> None:
        begin(intent)
        rig.clock.advance(0.3)

    rig.ledger.begin = slowly  # type: ignore[method-assign]
    entry = rig.send()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_news_that_settles_an_order_in_the_queue_frees_its_lane(rig: Rig) -> None:
    """The order appears while its resend waits for a worker: adopted, not sent, lane let go."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    coid = rig.only_coid()
    rig.clock.advance(0.25)
    rig.watch.step()
    rig.clock.advance(1.0)
    rig.watch.step()
    rig.clock.advance(1.0)
    rig.watch.step()  # the third 404: the work is back in its lane
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    rig.work_all()
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.is_free()


def found_while_queued(rig: Rig, **fields: str) -> str:
    """The id of an order whose answer was unclear, and which the stream told of while it waited."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send(**fields)
    coid = rig.only_coid()
    for pause in (0.25, 1.0, 1.0):
        rig.clock.advance(pause)
        rig.watch.step()
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.hear(rig.update(coid, "new"))
    rig.work_all()
    return coid


def test_an_immediate_order_found_while_queued_holds_the_lane_to_its_end(rig: Rig) -> None:
    """Adopted but not at its end yet: the asset's next signal still waits for it."""
    coid = found_while_queued(rig)
    second = rig.publish()
    assert rig.work() is False
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    rig.work_all()
    assert rig.outcomes.told(second) == ["submitted", "fill!"]


def test_a_resting_order_found_while_queued_frees_its_lane(rig: Rig) -> None:
    """Open at the broker, and nothing of the asset has to wait for its end."""
    coid = found_while_queued(rig, order_type="limit", limit_price="50", time_in_force="day")
    assert len(rig.desk.posts) == 1
    assert rig.row(coid).state is State.OPEN
    assert rig.is_free()
