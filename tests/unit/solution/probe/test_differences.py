"""Every assumption is found to be different where it is, and nothing is left open then either."""

import json
import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from paper_exchange.testing import Running
from solution.probe.assumptions import ASSUMED
from solution.probe.bench import PREFIX
from solution.probe.finding import Verdict
from tests.helpers.contrary_broker import Call, Reply, Twist, refused
from tests.helpers.redis_server import free_port
from tests.unit.solution.probe.conftest import Account

LIFETIMES = ("ioc", "fok", "opg", "cls")


def without_account_number(call: Call) -> Reply:
    """The account states no number."""
    reply = call.forward()
    return reply.changed(account_number=None) if call.path == "/v2/account" else reply


def without_rate_headers(call: Call) -> Reply:
    """No answer says what is left of the budget."""
    reply = call.forward()
    headers = {n: v for n, v in (reply.headers or {}).items() if "ratelimit" not in n.lower()}
    return Reply(reply.status, reply.body, headers)


def unknown_order_is_a_422(call: Call) -> Reply:
    """Not found, in other words."""
    reply = call.forward()
    is_lookup = call.path.startswith("/v2/orders:by_client_order_id")
    return refused(422, 1, "no such order") if is_lookup and reply.status == 404 else reply


def any_cancel_is_fine(call: Call) -> Reply:
    """A cancel of nothing is accepted."""
    reply = call.forward()
    return Reply(204) if call.method == "DELETE" and reply.status == 404 else reply


def any_lifetime_is_fine(call: Call) -> Reply:
    """An unknown time in force becomes a day."""
    known = {*LIFETIMES, "day", None}
    changes = {} if call.fields.get("time_in_force") in known else {"time_in_force": "day"}
    return call.forward(**changes)


def malformed_is_a_gateway_error(call: Call) -> Reply:
    """A proxy chokes on it."""
    return Reply(502, b"<html>") if call.body == b"{" else call.forward()


def refuses(time_in_force: str, **marks: object) -> Twist:
    """Orders with this time in force are not for this account."""

    def twist(call: Call) -> Reply:
        asked = {name: call.fields.get(name) for name in ("time_in_force", *marks)}
        if asked == {"time_in_force": time_in_force, **marks}:
            return refused(422, 42210000, f"{time_in_force} orders: contact sales")
        return call.forward()

    return twist


def ioc_rests(call: Call) -> Reply:
    """An IOC order is treated as one of the day."""
    changes = {"time_in_force": "day"} if call.fields.get("time_in_force") == "ioc" else {}
    return call.forward(**changes)


def answer_without_time(call: Call) -> Reply:
    """The answer to a POST is short."""
    reply = call.forward()
    return reply.changed(created_at=None) if call.is_order and reply.status == 200 else reply


def day_is_cancelled(call: Call) -> Reply:
    """What should rest ends before its answer is there."""
    reply = call.forward()
    if call.fields.get("time_in_force") == "day" and reply.status == 200:
        call.ask("DELETE", f"/v2/orders/{reply.json['id']}")
    return reply


def never_found(call: Call) -> Reply:
    """By its client_order_id no order is ever found."""
    if call.path.startswith("/v2/orders:by_client_order_id"):
        return refused(404, 40410000, "order not found")
    return call.forward()


def lists_nothing(call: Call) -> Reply:
    """The list of open orders is empty."""
    is_list = call.method == "GET" and call.path.startswith("/v2/orders?")
    return Reply(200, b"[]") if is_list else call.forward()


def takes_an_id_again(at: int) -> Twist:
    """The nth request with one id makes an order of its own."""
    seen: Counter[str] = Counter()

    def twist(call: Call) -> Reply:
        coid = call.fields.get("client_order_id", "")
        seen[coid] += call.is_order
        changes = {"client_order_id": f"{PREFIX}{uuid.uuid4().hex}"} if seen[coid] == at else {}
        return call.forward(**changes)

    return twist


def forgets_a_cancel() -> Twist:
    """The first cancel of each order is accepted and nothing comes of it."""
    seen: Counter[str] = Counter()

    def twist(call: Call) -> Reply:
        seen[call.path] += call.method == "DELETE"
        if call.method == "DELETE" and seen[call.path] == 1:
            return Reply(204)
        return call.forward()

    return twist


def forgets_what_ended(call: Call) -> Reply:
    """An order that has ended is not found by a cancel."""
    if call.method != "DELETE":
        return call.forward()
    order = call.ask("GET", call.path)
    ended = order.status == 200 and order.json["status"] == "canceled"
    return refused(404, 40410000, "order not found") if ended else call.forward()


def extended_ioc_is_fine(call: Call) -> Reply:
    """The pair that should be refused is taken."""
    changes = {"extended_hours": False} if call.fields.get("time_in_force") == "ioc" else {}
    return call.forward(**changes)


def hides_legs(call: Call) -> Reply:
    """A bracket's answer has no legs."""
    reply = call.forward()
    return reply.changed(legs=None) if call.is_order and reply.status == 200 else reply


TWISTS: dict[str, Callable[[], Twist]] = {
    "account fields": lambda: without_account_number,
    "rate headers": lambda: without_rate_headers,
    "unknown order": lambda: unknown_order_is_a_422,
    "cancel of an unknown order": lambda: any_cancel_is_fine,
    "unknown time in force": lambda: any_lifetime_is_fine,
    "malformed request": lambda: malformed_is_a_gateway_error,
    "ioc while open": lambda: refuses("ioc"),
    "ioc ends at once": lambda: ioc_rests,
    "fok": lambda: refuses("fok"),
    "order answer": lambda: answer_without_time,
    "day order rests": lambda: day_is_cancelled,
    "lookup delay": lambda: never_found,
    "list of open orders": lambda: lists_nothing,
    "duplicate id, open order": lambda: takes_an_id_again(2),
    "cancel": forgets_a_cancel,
    "duplicate id, ended order": lambda: takes_an_id_again(3),
    "cancel of an ended order": lambda: forgets_what_ended,
    "extended hours, day": lambda: refuses("day", extended_hours=True),
    "extended hours, ioc": lambda: extended_ioc_is_fine,
    "opg": lambda: refuses("opg"),
    "cls": lambda: refuses("cls"),
    "bracket legs": lambda: hides_legs,
}
FAULTS = {
    "event of a new order": "stream: drop event=new",
    "event of a cancel": "stream: drop event=canceled",
}
OPTIONS = {
    "second order stream": ("--stream-connections", "1"),
    "ioc while closed": ("--session", "nyse", "--closed-ioc", "refuse"),
}


def test_every_assumption_has_its_contrary() -> None:
    """So that none is confirmed by a probe that cannot fail."""
    assert {*TWISTS, *FAULTS, *OPTIONS, "order stream"} == set(ASSUMED)


@pytest.mark.parametrize("name", TWISTS)
def test_a_broker_that_does_otherwise(account: Account, name: str) -> None:
    """It is found, with what to do; every order has ended, and nothing was bought."""
    outcome, found = account.probe(TWISTS[name]())
    assert found[name].verdict is Verdict.DIFFERENT
    assert found[name].advice == ASSUMED[name].advice
    assert (outcome.left, account.open_orders(), account.ask("v2/positions")) == ([], [], [])
    assert json.dumps([f.seen for f in outcome.findings]).count("SECRET-CANARY") == 0


@pytest.mark.parametrize("name", FAULTS)
def test_an_event_that_never_comes(account: Account, name: str) -> None:
    """The stream is connected and silent about it."""
    account.fault(FAULTS[name])
    outcome, found = account.probe()
    assert found[name].verdict is Verdict.DIFFERENT
    assert found["order stream"].verdict is Verdict.CONFIRMED
    assert (outcome.left, account.open_orders()) == ([], [])


@pytest.mark.parametrize("name", OPTIONS)
def test_an_exchange_of_another_kind(exchange_of: Callable[..., Running], name: str) -> None:
    """One stream per account; no IOC while closed."""
    account = Account(exchange_of(*OPTIONS[name]))
    outcome, found = account.probe()
    assert found[name].verdict is Verdict.DIFFERENT
    assert (outcome.left, account.open_orders()) == ([], [])


def test_no_order_stream(account: Account) -> None:
    """What needs it is untested, and the rest is not held up."""
    url = f"ws://127.0.0.1:{free_port()}/stream"
    _, found = account.probe(ALPACA_STREAM_URL=url)
    assert found["order stream"].verdict is Verdict.DIFFERENT
    for name in ("second order stream", "event of a new order", "event of a cancel"):
        assert found[name].verdict is Verdict.UNTESTED
    assert found["cancel"].verdict is Verdict.CONFIRMED


def test_a_refused_ioc_names_the_setting(account: Account) -> None:
    """What to do stands beside it, in the words of the configuration."""
    _, found = account.probe(refuses("ioc"))
    assert "TIME_IN_FORCE=day" in found["ioc while open"].advice
    assert "contact sales" in found["ioc while open"].seen
