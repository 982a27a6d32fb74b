"""What the order path tells the breaker, and what the breaker does to it."""

import contextlib
from typing import Any

import pytest

from solution.domain.records import State
from solution.errors import (
    BrokerError,
    DuplicateOrder,
    LedgerError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.trading.breaker import BreakerRules
from solution.trading.breaker_row import KEY, Standing
from tests.helpers.trading import Answer, Rig, RigRules, accept, accept_then, fail, fill

UNCLEAR = OutcomeUnknown("HTTP 500 is no verdict of the broker")
NO_POWER = Rejected(403, 40310000, "insufficient buying power")
LIMIT = {"order_type": "limit", "limit_price": "100", "time_in_force": "day"}
TICKERS = ("NVDA", "AAPL", "MSFT", "AMD")


def rig_of(failures: int = 3, cooldown: float = 0.0) -> Rig:
    return Rig(RigRules(breaker=BreakerRules(failures=failures, cooldown=cooldown)))


def failures(rig: Rig) -> int:
    return int(rig.breaker.status()["failures"])


def other(_desk: Any, _body: dict[str, Any]) -> dict[str, Any]:
    """HTTP 200 with some other object."""
    return {"message": "welcome", "client_order_id": "x"}


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (fail(UNCLEAR), 1),
        (accept_then(UNCLEAR), 1),
        (fail(NotSent("connection refused")), 1),
        (fail(Unauthorized(401, 0, "unauthorized.")), 1),
        (fail(Rejected(403, 40310000, "account is not authorized to trade")), 1),
        (other, 1),
        (accept("rejected"), 1),
        (fail(NO_POWER), 0),
        (fail(Rejected(422, 40010001, "qty must be > 0")), 0),
        (fail(RateLimited("too many requests", 1.0)), 0),
        (fail(DuplicateOrder(422, 40010001, "client_order_id must be unique")), 0),
        (fill(), 0),
    ],
)
def test_what_each_answer_adds_to_the_run(answer: Answer, counted: int) -> None:
    """Those that neither the producer nor the account's state has caused."""
    rig = rig_of()
    rig.desk.script.append(answer)
    rig.send()
    assert failures(rig) == counted


def test_retries_of_one_row_count_once() -> None:
    """A broker that is away for five tries of one order has failed once."""
    rig = rig_of()
    rig.desk.script.extend([fail(NotSent("connection refused"))] * 5)
    rig.send()
    rig.work_all(4)
    assert (len(rig.desk.posts), failures(rig)) == (5, 1)
    assert rig.breaker.reason() is None


def test_gate_refusals_and_bad_signals_never_count() -> None:
    """Nor does a switch that is thrown while a connection is made."""
    rig = rig_of(failures=1)
    rig.halts.halt("AAPL", "why")
    rig.send(ticker="AAPL")
    rig.send("s")

    def thrown() -> None:
        rig.killed = "the switch"

    rig.desk.connecting = thrown
    rig.send()
    assert rig.desk.posts == []
    assert failures(rig) == 0


def test_an_order_that_is_rejected_later_counts() -> None:
    """Accepted, and then rejected by the exchange."""
    rig = rig_of()
    rig.desk.script.append(accept("accepted"))
    rig.send(**LIMIT)
    coid = rig.only_coid()
    assert failures(rig) == 0
    rig.desk.orders[coid]["status"] = "rejected"
    rig.hear(rig.update(coid, "rejected"))
    assert (rig.row(coid).state, failures(rig)) == (State.REJECTED, 1)


def test_a_rejection_that_overtakes_the_answer_to_the_post_counts() -> None:
    """The order stream was faster."""
    rig = rig_of()

    def overtaken(desk: Any, body: dict[str, Any]) -> dict[str, Any]:
        order = dict(desk.place(body, status="accepted"))
        desk.orders[body["client_order_id"]]["status"] = "rejected"
        rig.hear(rig.update(body["client_order_id"], "rejected"))
        return order

    rig.desk.script.append(overtaken)
    rig.send()
    assert (rig.row(rig.only_coid()).state, failures(rig)) == (State.REJECTED, 1)


def trip(rig: Rig) -> None:
    """Three unclear answers in a row, each for a ticker of its own."""
    rig.desk.script.extend([fail(UNCLEAR)] * 3)
    for ticker in TICKERS[1:]:
        rig.send(ticker=ticker)
    assert rig.breaker.reason() is not None


def test_open_it_refuses_entries_and_lets_exits_pass() -> None:
    """CIRCUIT_OPEN, with the last failure in its words."""
    rig = rig_of()
    rig.snapshot(NVDA="5")
    trip(rig)
    entry, exit_ = rig.send("b"), rig.send("s")
    row = rig.row(rig.coid_of(entry, "b"))
    assert (row.state, row.reason) == (State.REFUSED, "CIRCUIT_OPEN")
    assert "HTTP 500" in row.message
    assert rig.outcomes.told(exit_)[-1] == "fill!"


def test_it_is_asked_again_right_before_the_post() -> None:
    """What opens between the gates and the POST stops it; its row ends there."""
    rig = rig_of()

    def opens() -> None:
        rig.fence = lambda: None
        for order in "abc":
            rig.breaker.failed(order, "HTTP 500")

    rig.fence = opens
    entry = rig.send()
    row = rig.row(rig.coid(entry))
    assert (row.state, row.reason) == (State.REFUSED, "CIRCUIT_OPEN")
    assert rig.desk.posts == []
    assert rig.is_free("AAPL")


def test_half_open_one_order_goes_out_and_closes_it() -> None:
    """Another is refused while the probe waits for its rate slot."""
    rig = rig_of(cooldown=1.0)
    trip(rig)
    rig.clock.advance(1.0)
    rig.desk.script.append(fail(RateLimited("too many requests", 1.0)))
    probe = rig.send("b")
    refused = rig.breaker.claim("another")
    assert refused is not None
    assert "half-open" in refused
    rig.work_all()
    assert rig.outcomes.told(probe)[-1] == "fill!"
    assert rig.breaker.status()["state"] == "closed"


@pytest.mark.parametrize("ends", [True, False])
def test_half_open_a_fill_by_the_stream_frees_no_place(*, ends: bool) -> None:
    """The broker takes the probe and answers nothing: nobody else goes out until that is known."""
    rig = rig_of(cooldown=1.0)
    trip(rig)
    rig.clock.advance(1.0)
    asked: list[str | None] = []

    def takes_and_fails(desk: Any, body: dict[str, Any]) -> dict[str, Any]:
        coid = body["client_order_id"]
        desk.place(body, status="filled" if ends else "accepted")
        rig.hear(rig.update(coid, "fill" if ends else "accepted", qty="1", price="100"))
        assert (rig.tracker.get(coid) is None) == ends
        asked.append(rig.breaker.claim("another"))
        rig.clock.advance(5.0)
        asked.append(rig.breaker.claim("another"))
        raise UNCLEAR

    rig.desk.script.append(takes_and_fails)
    rig.send("b")
    assert all("half-open: it waits" in str(why) for why in asked)
    assert len(asked) == 2
    assert (rig.breaker.status()["state"], failures(rig)) == ("open", 4)
    assert rig.breaker.status()["at_ms"] == rig.clock.epoch_ms()


@pytest.mark.parametrize("where", ["the switch", "the fence"])
def test_half_open_a_probe_that_is_stopped_at_the_last_moment_frees_its_place(where: str) -> None:
    """Nothing was sent."""
    rig = rig_of(cooldown=1.0)
    trip(rig)
    rig.clock.advance(1.0)
    posts = len(rig.desk.posts)

    def breaks() -> None:
        raise LedgerError("locked")

    def stops() -> None:
        rig.killed = "by hand" if where == "the switch" else ""
        rig.fence = breaks if where == "the fence" else rig.fence

    rig.desk.connecting = stops
    with contextlib.suppress(LedgerError):
        rig.send("b")
    assert len(rig.desk.posts) == posts
    assert rig.breaker.status()["state"] == "half-open"
    assert Standing.of(rig.ledger.get_state(KEY)).probe == ""


@pytest.mark.parametrize("error", [UNCLEAR, NotSent("connection refused")])
def test_half_open_a_failure_opens_it_anew(error: BrokerError) -> None:
    """And nothing else goes out."""
    rig = rig_of(cooldown=1.0)
    trip(rig)
    rig.clock.advance(1.0)
    rig.desk.script.append(fail(error))
    posts = len(rig.desk.posts)
    rig.send("b")
    assert len(rig.desk.posts) == posts + 1
    assert rig.breaker.status()["state"] == "open"


def test_half_open_a_producers_mistake_decides_nothing() -> None:
    """The next order is the probe."""
    rig = rig_of(cooldown=1.0)
    trip(rig)
    rig.clock.advance(1.0)
    rig.desk.script.append(fail(NO_POWER))
    rig.send("b")
    assert rig.breaker.status()["state"] == "half-open"
    again = rig.send("b")
    assert rig.outcomes.told(again)[-1] == "fill!"
    assert rig.breaker.status()["state"] == "closed"


def test_a_lookup_that_finds_the_order_does_not_end_the_run() -> None:
    """A broker that takes orders and answers none of them is not sound."""
    rig = rig_of()
    rig.desk.script.append(accept_then(UNCLEAR))
    rig.send()
    rig.advance(5.0)
    assert rig.row(rig.only_coid()).state is State.OPEN
    assert failures(rig) == 1
