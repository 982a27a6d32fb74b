"""A whole probe: all confirmed where all is as assumed, one share at most, nothing left behind."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from paper_exchange.testing import Running
from solution.errors import StartupError
from solution.probe.assumptions import ASSUMED, UNTRIED
from solution.probe.bench import PREFIX
from solution.probe.finding import Verdict
from tests.helpers.contrary_broker import Call, Reply
from tests.unit.solution.probe.conftest import Account


def test_all_is_confirmed_where_all_is_as_assumed(account: Account) -> None:
    """Every name once, in the order of the tables; what could not be tried says why."""
    outcome, found = account.probe()
    assert [f.name for f in outcome.findings if f.name in UNTRIED] == list(UNTRIED)
    assert Counter(f.name for f in outcome.findings) == Counter([*ASSUMED, *UNTRIED])
    tried = {name: found[name].verdict for name in ASSUMED}
    assert tried.pop("ioc while closed") is Verdict.UNTESTED
    assert set(tried.values()) == {Verdict.CONFIRMED}, outcome.findings
    assert not outcome.interrupted
    assert (outcome.left, account.open_orders(), account.ask("v2/positions")) == ([], [], [])


def test_the_closed_market_has_questions_of_its_own(exchange_of: Callable[..., Running]) -> None:
    """An IOC order is tried then, too."""
    account = Account(exchange_of("--session", "nyse"))
    _, found = account.probe()
    assert found["ioc while closed"].verdict is Verdict.CONFIRMED
    assert found["ioc while open"].verdict is Verdict.UNTESTED


def test_one_order_at_a_time_for_one_share_at_half_the_price(account: Account) -> None:
    """Whatever is sent: the price has a cap, and nothing else is open when it is sent."""
    sent: list[dict[str, Any]] = []
    open_before: list[int] = []

    def watching(call: Call) -> Reply:
        if call.is_order:
            known = {order["client_order_id"] for order in sent}
            alive = call.ask("GET", "/v2/orders?status=open").json
            again = call.fields["client_order_id"] in known
            open_before.append(0 if again else len(alive))
            sent.append(call.fields)
        return call.forward()

    account.probe(watching)
    last = account.ask("v2/stocks/F/trades/latest")["trade"]["p"]
    assert set(open_before) == {0}
    assert len({order["client_order_id"] for order in sent}) == 9
    for order in sent:
        assert (order["qty"], order["type"], order["side"]) == ("1", "limit", "buy")
        assert float(order["limit_price"]) < 0.55 * last
        assert order["client_order_id"].startswith(PREFIX)
        assert len(order["client_order_id"]) == 44


def test_a_broker_that_fills_it_all_the_same_sells_one_share(account: Account) -> None:
    """After the first share no order is sent, and the report says what was bought."""

    def generous(call: Call) -> Reply:
        return call.forward(limit_price="9999") if call.is_order else call.forward()

    outcome, found = account.probe(generous)
    assert [p["qty"] for p in account.ask("v2/positions")] == ["1"]
    assert found["ioc ends at once"].verdict is Verdict.DIFFERENT
    assert found["fok"].verdict is Verdict.UNTESTED
    assert "bought 1 F" in found["fok"].seen
    assert (outcome.left, account.open_orders()) == ([], [])


@pytest.mark.parametrize("kind", ["reset_after", "garbage", "late ms=300"])
def test_an_order_whose_answer_is_lost_is_found_and_cancelled(account: Account, kind: str) -> None:
    """It rests at the broker, and nobody has told its id."""
    account.fault(f"POST /v2/orders: {kind} skip=4 next=1")
    outcome, found = account.probe()
    assert found["order answer"].verdict is Verdict.UNTESTED
    assert (outcome.left, account.open_orders()) == ([], [])
    placed = [o["status"] for o in account.ask("v2/orders?status=all")]
    assert set(placed) == {"canceled"}


def test_orders_that_an_earlier_probe_left_are_cancelled(account: Account) -> None:
    """One that was killed; an order of anybody else's is left alone."""
    body = {"symbol": "F", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day"}
    for coid in (f"{PREFIX}old", "sp-probes", "mine"):
        account.ask("v2/orders", {**body, "limit_price": "1", "client_order_id": coid})
    outcome, _ = account.probe()
    assert outcome.left == []
    assert {o["client_order_id"] for o in account.open_orders()} == {"sp-probes", "mine"}


def test_an_order_that_cannot_be_cancelled_is_named(account: Account) -> None:
    """No further one is sent, and the person is told which one it is."""

    def stubborn(call: Call) -> Reply:
        return Reply(204) if call.method == "DELETE" else call.forward()

    outcome, found = account.probe(stubborn)
    [line] = outcome.left
    [resting] = account.open_orders()
    assert resting["client_order_id"] in line
    assert resting["id"] in line
    assert found["extended hours, day"].verdict is Verdict.UNTESTED


def test_the_rate_limit_ends_it(account: Account) -> None:
    """The account's budget is for its orders."""
    account.fault("POST /v2/orders: storm requests=1 skip=2")
    outcome, found = account.probe()
    assert found["ioc while open"].verdict is Verdict.UNTESTED
    assert "rate limit" in found["bracket legs"].seen
    assert (outcome.left, account.open_orders()) == ([], [])


def test_a_rate_limit_leaves_nothing_open_either(account: Account) -> None:
    """Longer than anything else may take: the end waits until its window has passed."""
    account.fault("* /v2/orders*: storm ms=5000 skip=14 next=1")
    outcome, found = account.probe()
    assert "rate limit" in found["bracket legs"].seen
    assert (outcome.left, account.open_orders()) == ([], [])
    assert "canceled" in {o["status"] for o in account.ask("v2/orders?status=all")}


@pytest.mark.parametrize(
    ("path", "reply", "words"),
    [
        ("/v2/clock", Reply(401, b'{"message": "unauthorized."}'), "does not accept the keys"),
        ("/v2/clock", Reply(200, b'{"timestamp": "soon"}'), "names no readable time"),
        ("/v2/clock", Reply(502, b"<html>"), "does not answer"),
    ],
)
def test_a_broker_that_tells_too_little_gets_no_order(
    account: Account, path: str, reply: Reply, words: str
) -> None:
    """Without a market and a price nothing is sent."""
    with pytest.raises(StartupError, match=words):
        account.probe(lambda call: reply if call.path == path else call.forward())
    assert account.ask("v2/orders?status=all") == []
