"""Endpoints through the ASGI application, without a network."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from paper_exchange.app import App
from paper_exchange.clock import ManualClock
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.asking import Answer, Asked, json_body, keys, request
from tests.unit.paper_exchange.conftest import NOON

ORDER = {"symbol": "KO", "qty": "10", "side": "buy", "type": "market", "time_in_force": "ioc"}

Ask = Callable[..., Answer]


class Site:
    """One application, asked one request after another."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(NOON)
        self.app = App(replace(Settings(rate_limit=0), **settings), clock=self.clock)

    def ask(
        self, method: str, target: str, body: object = None, client: str = "127.0.0.1"
    ) -> Answer:
        """Status and decoded body of one request."""
        answer = request(self.app, method, target, *keys(), body=json_body(body), client=client)
        return answer.status, answer.json

    def order(self, **changes: Any) -> Any:
        """POST an order and return the answer's body; one second passes."""
        self.clock.advance(1)
        return self.ask("POST", "/v2/orders", ORDER | changes)[1]


@pytest.fixture
def site() -> Site:
    """A fresh application, KO standing at 100."""
    made = Site()
    assert made.ask("POST", "/admin/prices", {"KO": 100}) == (200, {"KO": "100"})
    return made


def ids(answer: Answer) -> list[str]:
    """The client order ids of a list."""
    return [order["client_order_id"] for order in answer[1]]


def test_list_bounds_are_exclusive(site: Site) -> None:
    """Neither the order sent at ``after`` nor the one at ``until`` is listed."""
    sent = [site.order(client_order_id=name)["submitted_at"] for name in "abcd"]
    path = f"/v2/orders?status=all&after={sent[0]}&until={sent[3]}"
    assert ids(site.ask("GET", path)) == ["c", "b"]
    assert ids(site.ask("GET", f"{path}&direction=asc&limit=1")) == ["b"]
    assert ids(site.ask("GET", f"/v2/orders?after={sent[0]}")) == []


def test_list_of_open_orders_obeys_bounds(site: Site) -> None:
    """The bounds count for open orders as well."""
    rest = {"type": "limit", "limit_price": "9", "time_in_force": "gtc"}
    sent = [site.order(client_order_id=name, **rest)["submitted_at"] for name in "abc"]
    assert ids(site.ask("GET", f"/v2/orders?after={sent[0]}&until={sent[2]}")) == ["b"]


def test_list_filters(site: Site) -> None:
    """Symbols, side, class; unknown symbols match nothing."""
    site.order(client_order_id="a")
    site.order(client_order_id="b", side="sell")
    site.order(client_order_id="c", symbol="BTC/USD", qty="1", time_in_force="gtc")
    every = "/v2/orders?status=all"
    assert ids(site.ask("GET", f"{every}&symbols=BTCUSD,KO&side=sell")) == ["b"]
    assert ids(site.ask("GET", f"{every}&asset_class=crypto")) == ["c"]
    assert ids(site.ask("GET", f"{every}&asset_class=all&limit=9000")) == ["c", "b", "a"]
    assert ids(site.ask("GET", f"{every}&symbols=NOPE")) == []


@pytest.mark.parametrize(
    "target",
    [
        "/v2/orders?status=new",
        "/v2/orders?direction=up",
        "/v2/orders?limit=0",
        "/v2/orders?limit=x",
        "/v2/orders?after=yesterday",
        "/v2/orders?side=hold",
        "/v2/orders?before_order_id=1",
        "/v2/calendar?start=soon",
        "/v2/account/activities?page_token=gone",
        "/admin/log?since=x",
    ],
)
def test_bad_queries(site: Site, target: str) -> None:
    """A parameter that cannot be understood is 422, never ignored."""
    status, body = site.ask("GET", target)
    assert (status, body["code"]) == (422, 40010001)


def test_activities(site: Site) -> None:
    """By type, order, day, bounds and page, in both directions."""
    sent = [site.order(client_order_id=str(n)) for n in range(3)]
    rows = site.ask("GET", "/v2/account/activities?direction=asc")[1]
    assert [row["order_id"] for row in rows] == [order["id"] for order in sent]
    assert rows[0]["id"].startswith("20261120120001000::")

    def count(query: str) -> int:
        return len(site.ask("GET", f"/v2/account/activities{query}")[1])

    assert count("/FILL?page_size=2") == 2
    assert count("/DIV") == 0
    assert count("?activity_types=DIV,FILL") == 3
    assert count(f"?order_id={sent[1]['id']}") == 1
    assert count("?date=2026-11-20") == 3
    assert count("?date=2026-11-21") == 0
    assert count(f"?after={rows[0]['transaction_time']}") == 2
    assert count(f"?until={rows[0]['transaction_time']}") == 0
    assert count(f"?page_token={rows[0]['id']}&direction=asc") == 2


def test_configurations(site: Site) -> None:
    """Nulls and unknown names change nothing, wrong values are refused as a whole."""
    path = "/v2/account/configurations"
    before = site.ask("GET", path)
    assert site.ask("PATCH", path, {"no_shorting": None, "color": "red"}) == before
    for wrong in (
        {"max_margin_multiplier": "3"},
        {"no_shorting": "yes"},
        {"max_options_trading_level": 9},
    ):
        assert site.ask("PATCH", path, {"suspend_trade": True} | wrong)[0] == 422
    assert site.ask("GET", path) == before
    changed = site.ask(
        "PATCH", path, {"max_margin_multiplier": "2", "max_options_trading_level": 1}
    )
    assert changed[1]["max_margin_multiplier"] == "2"
    assert site.ask("GET", "/v2/account")[1]["multiplier"] == "2"


def test_asset_filters(site: Site) -> None:
    """Inactive ones are listed as such; nothing here has attributes."""
    assert [a["symbol"] for a in site.ask("GET", "/v2/assets?status=inactive")[1]] == ["TWTR"]
    assert {a["class"] for a in site.ask("GET", "/v2/assets")[1]} == {"us_equity"}
    crypto = site.ask("GET", "/v2/assets?asset_class=crypto&exchange=CRYPTO")[1]
    assert {"price_increment", "min_order_size", "min_trade_increment"} <= set(crypto[0])
    assert site.ask("GET", "/v2/assets?attributes=ipo")[1] == []
    gme = site.ask("GET", "/v2/assets/GME")[1]
    assert (gme["shortable"], gme["borrow_status"]) == (False, "hard_to_borrow")


def test_closing_positions(site: Site) -> None:
    """Amounts are checked; whole-share assets and shorts close in whole shares."""
    site.order(qty="5", side="sell")
    assert site.ask("DELETE", "/v2/positions/KO?percentage=50")[1]["qty"] == "2"
    path = "/v2/positions/KO"
    for query in ("qty=1&percentage=1", "qty=x", "qty=0", "percentage=101"):
        assert site.ask("DELETE", f"{path}?{query}")[0] == 422
    assert site.ask("DELETE", f"{path}?percentage=1") == (
        422,
        {"code": 42210000, "message": "qty must be > 0"},
    )
    assert site.ask("GET", path)[1]["qty"] == "-3"
    assert site.ask("DELETE", f"{path}?qty=4")[0] == 403
    assert site.ask("DELETE", "/v2/positions/NVDA") == (
        404,
        {"code": 40410000, "message": "position does not exist"},
    )


def test_bounds_of_a_list_are_exclusive_to_the_nanosecond(site: Site) -> None:
    """With the time that an order itself says, as a client that pages through its orders does."""
    site.clock.ns += 123_456_789
    first, second = site.order(client_order_id="a"), site.order(client_order_id="b")
    later = site.ask("GET", f"/v2/orders?status=all&after={first['submitted_at']}")
    assert ids(later) == ["b"]
    earlier = site.ask("GET", f"/v2/orders?status=all&until={second['submitted_at']}")
    assert ids(earlier) == ["a"]


def test_close_all_reports_what_orders_hold(site: Site) -> None:
    """Without cancel_orders a held position is an error row."""
    site.order()
    site.order(side="sell", type="limit", limit_price="200", time_in_force="gtc")
    status, rows = site.ask("DELETE", "/v2/positions")
    assert (status, rows[0]["status"], rows[0]["body"]["held_for_orders"]) == (207, 403, "10")
    assert site.ask("DELETE", "/v2/positions?cancel_orders=True")[1][0]["status"] == 200


def test_cancel_all_says_which_it_could_not_cancel() -> None:
    """An order that is being replaced has a row of its own, with the status of its refusal."""
    site = Site(cancel_delay_ms=60_000)
    orders = [
        site.order(type="limit", limit_price="1", time_in_force="gtc", symbol=symbol)
        for symbol in ("KO", "NVDA")
    ]
    assert site.ask("PATCH", f"/v2/orders/{orders[0]['id']}", {"limit_price": "2"})[0] == 200
    status, rows = site.ask("DELETE", "/v2/orders")
    told = {row["id"]: row["status"] for row in rows}
    assert (status, told[orders[0]["id"]], told[orders[1]["id"]]) == (207, 422, 200)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "give either advance (seconds) or to (a time)"),
        ({"advance": 1, "to": "2026-11-21"}, "give either advance (seconds) or to (a time)"),
        ({"advance": -1}, "the clock moves forward, by a week at most in one step"),
        ({"to": "2027-11-20"}, "the clock moves forward, by a week at most in one step"),
        ({"advance": None}, "cannot read {'advance': None}: advance is in seconds"),
        ({"to": "noon"}, "cannot read {'to': 'noon'}: advance is in seconds"),
    ],
)
def test_steps_that_are_refused(body: dict[str, object], message: str) -> None:
    """The clock stands where it was."""
    site = Site(stepped=True)
    status, refusal = site.ask("POST", "/admin/clock", body)
    assert status == 422
    assert refusal["message"].startswith(message)
    assert site.clock.ns == ManualClock(NOON).ns


def test_a_body_that_is_too_large(site: Site) -> None:
    """Is refused, and what the trading API was asked is in the log."""
    large = {"symbol": "x" * 1_100_000}
    for path in ("/v2/orders", "/admin/prices"):
        assert site.ask("POST", path, large) == (
            413,
            {"code": 41300000, "message": "request body is too large"},
        )
    log = site.ask("GET", "/admin/log")[1]["entries"]
    assert [(entry["path"], entry["status"]) for entry in log] == [("/v2/orders", 413)]


def test_close_all_goes_on_past_an_order_that_cannot_be_canceled() -> None:
    """One that is being replaced costs its position an error row, and no other anything."""
    site = Site(cancel_delay_ms=60_000)
    site.ask("POST", "/admin/prices", {"KO": 100, "NVDA": 100})
    site.order()
    site.order(symbol="NVDA")
    order = site.order(side="sell", type="limit", limit_price="200", time_in_force="gtc")
    assert site.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "201"})[0] == 200
    status, rows = site.ask("DELETE", "/v2/positions?cancel_orders=true")
    assert (status, [(row["symbol"], row["status"]) for row in rows]) == (
        207,
        [("KO", 403), ("NVDA", 200)],
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbol": ""}, "symbol is required"),
        ({"qty": True}, "qty must be a number"),
        ({"type": "limit", "limit_price": "-1"}, "limit_price must be > 0"),
        ({"extended_hours": "yes"}, "extended_hours must be true or false"),
        ({"client_order_id": 7}, "client_order_id must be a string"),
        ({"stop_loss": {"stop_price": 1}}, "stop_loss is not accepted for a simple order"),
        ({"position_intent": "buy"}, "invalid position_intent"),
        ({"limit_price": "1"}, "market orders require no limit price"),
        (
            {"type": "trailing_stop"},
            "trailing stop orders require exactly one of trail_price and trail_percent",
        ),
        ({"type": "trailing_stop", "trail_percent": "100"}, "trail_percent must be < 100"),
        ({"symbol": "ETH/USD", "type": "stop", "stop_price": "1"}, "invalid order type"),
        (
            {"time_in_force": "opg", "type": "stop", "stop_price": "1"},
            "opg and cls orders must be market or limit orders",
        ),
        (
            {"type": "stop", "stop_price": "1"},
            "ioc and fok orders must be market or limit orders",
        ),
        (
            {"type": "trailing_stop", "trail_price": "1", "qty": "1.5", "time_in_force": "day"},
            "fractional orders must be market, limit, stop or stop_limit orders",
        ),
        (
            {"qty": None, "notional": 5, "type": "limit", "limit_price": 1, "time_in_force": "day"},
            "notional orders must be market orders",
        ),
    ],
)
def test_more_refusals(site: Site, changes: dict[str, Any], message: str) -> None:
    """Rules whose wording is ours."""
    status, body = site.ask("POST", "/v2/orders", ORDER | changes)
    assert (status, body["message"]) == (422, message)


def test_data_errors(site: Site) -> None:
    """Symbols are required; an unknown one is missing from a list and a 404 alone."""
    assert site.ask("GET", "/v2/stocks/quotes/latest")[0] == 400
    assert site.ask("GET", "/v2/stocks/NOPE/quotes/latest")[0] == 404
    assert site.ask("GET", "/v1beta3/crypto/us/latest/trades?symbols=KO") == (200, {"trades": {}})


def test_admin_is_for_this_machine(site: Site) -> None:
    """Others are refused; the health check names the session."""
    assert site.ask("GET", "/admin/health", client="10.0.0.7")[0] == 403
    assert site.ask("GET", "/admin/health") == (200, {"status": "ok", "session": "always"})


def test_a_defect_is_answered(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in a handler is a logged 500 with a body, and the next request works."""
    site.app.exchange.accounts.authenticate("k", "s", 1).cash = None  # type: ignore[union-attr]  # the defect
    with caplog.at_level(logging.ERROR):
        status, body = site.ask("GET", "/v2/account")
    assert (status, body["code"]) == (500, 50010000)
    assert "request_failed" in caplog.text
    assert site.ask("GET", "/v2/clock")[0] == 200


def test_credentials_never_reach_the_log(site: Site) -> None:
    """The witness names keys, not secrets."""
    site.order()
    assert '"s"' not in str(site.ask("GET", "/admin/log")[1]["entries"])
    assert "secret" not in str(site.ask("GET", "/admin/log")[1]["entries"])


@pytest.mark.parametrize(
    "target",
    [
        "/v2/orders?nested=maybe",
        "/v2/orders?asset_class=stamps",
        "/v2/account/activities?order_id=5",
        "/v2/account/activities?category=any",
        "/v2/account/activities/DIV?until=soon",
        "/v2/assets?attributes=shiny",
        "/v2/calendar?date_type=birthday",
    ],
)
def test_nonsense_in_a_query_is_refused(target: str) -> None:
    """It is named, instead of being ignored."""
    name = target.partition("?")[2].partition("=")[0]
    status, body = Site().ask("GET", target)
    assert (status, body) == (422, {"code": 40010001, "message": f"invalid {name}"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("position_intent", []), ("order_class", {}), ("legs", 5), ("advanced_instructions", [1])],
)
def test_fields_of_the_wrong_kind_are_refused(field: str, value: object) -> None:
    """Whatever JSON a field holds, the answer is a refusal."""
    assert Site().ask("POST", "/v2/orders", {**ORDER, field: value})[0] == 422


def test_calendar_by_settlement() -> None:
    """The days that settle within the bounds: those before them."""
    site = Site(session="nyse")
    bounds = "start=2026-11-24&end=2026-11-25&date_type=SETTLEMENT"
    days = site.ask("GET", f"/v2/calendar?{bounds}")[1]
    assert [day["date"] for day in days] == ["2026-11-23", "2026-11-24"]


def test_other_paths_below_a_position_do_not_exist() -> None:
    """A placeholder may hold a slash (BTC/USD), but not make up methods for what is not served."""
    site = Site()
    missing = {"code": 40410000, "message": "endpoint not found"}
    assert site.ask("POST", "/v2/positions/AAPL/exercise") == (404, missing)
    assert site.ask("POST", "/v2/positions/AAPL")[0] == 405


def test_the_largest_numbers() -> None:
    """Any order and price that can be told can be answered, with all its cents."""
    site = Site()
    most = "999999999999"
    limit = {"type": "limit", "limit_price": most, "time_in_force": "day"}
    site.ask("POST", "/admin/prices", {"KO": "0.0001"})
    assert site.order(qty="1000000000")["status"] == "pending_new"
    assert site.ask("POST", "/admin/prices", {"KO": most})[0] == 200
    answer = site.order(symbol="NVDA", qty=most, **limit)
    assert (answer["code"], answer["cost_basis"]) == (40310000, "999999999998000000000001")
    for path in ("/v2/account", "/v2/positions", "/v2/account/portfolio/history"):
        assert site.ask("GET", path)[0] == 200
    too_large = site.order(symbol="NVDA", qty="1000000000000", **limit)
    assert too_large["code"] == 40010001


def test_beyond_the_table_of_sessions() -> None:
    """Where no session is known any more, requests say so instead of failing."""
    asked = Asked(session="nyse", clock=ManualClock(datetime(2030, 1, 5, 15, tzinfo=UTC)))
    status, body = asked("GET", "/v2/clock")
    assert status == 422
    assert "no NYSE session table for 2030-01-05" in body["message"]
