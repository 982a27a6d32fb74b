"""What the exchange sends, byte for byte where it matters, and how its process behaves."""

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import pytest
import requests
from websockets.sync.client import connect

from paper_exchange.testing import Running, running
from tests.contract.raw_http import LIMIT, PATIENCE, Http

#: Required properties in the published OpenAPI documents, and those alpaca-py insists on.
ORDER_KEYS = {
    "id", "client_order_id", "created_at", "updated_at", "submitted_at", "filled_at",
    "expired_at", "expires_at", "canceled_at", "failed_at", "replaced_at", "replaced_by",
    "replaces", "asset_id", "symbol", "asset_class", "notional", "qty", "filled_qty",
    "filled_avg_price", "order_class", "order_type", "type", "side", "position_intent",
    "time_in_force", "limit_price", "stop_price", "status", "extended_hours", "legs",
    "trail_percent", "trail_price", "hwm", "ratio_qty", "subtag", "source",
}  # fmt: skip
POSITION_KEYS = {
    "asset_id", "symbol", "exchange", "asset_class", "avg_entry_price", "qty", "side",
    "market_value", "cost_basis", "unrealized_pl", "unrealized_plpc",
    "unrealized_intraday_pl", "unrealized_intraday_plpc", "current_price", "lastday_price",
    "change_today", "asset_marginable",
}  # fmt: skip
ASSET_KEYS = {
    "id", "class", "exchange", "symbol", "name", "status", "tradable", "marginable",
    "shortable", "fractionable",
}  # fmt: skip
CALENDAR_KEYS = {"date", "open", "close", "session_open", "session_close", "settlement_date"}
CLOCK_KEYS = {"timestamp", "is_open", "next_open", "next_close"}
FILL_KEYS = {
    "activity_type", "id", "cum_qty", "leaves_qty", "price", "qty", "side", "symbol",
    "transaction_time", "order_id", "type", "order_status",
}  # fmt: skip
BAR_KEYS = {"t", "o", "h", "l", "c", "v", "n", "vw"}
QUOTE_KEYS = {"t", "bx", "bp", "bs", "ap", "as", "ax", "c", "z"}
TRADE_KEYS = {"t", "i", "x", "p", "s", "c", "z"}

SUB_PENNY = (
    "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria"
)


@pytest.fixture
def http(exchange: Running) -> Iterator[Http]:
    """A fresh account."""
    client = Http(exchange.url)
    yield client
    client.session.close()


def test_required_fields(http: Http) -> None:
    """Responses carry what the published schemas require."""
    order = http.order().json()
    assert set(order) == ORDER_KEYS
    assert set(http("GET", "/v2/positions").json()[0]) >= POSITION_KEYS
    assert set(http("GET", "/v2/assets/NVDA").json()) >= ASSET_KEYS | {"easy_to_borrow"}
    assert set(http("GET", "/v2/clock").json()) == CLOCK_KEYS
    day = http("GET", "/v2/calendar?start=2026-11-20&end=2026-11-20").json()[0]
    assert set(day) == CALENDAR_KEYS
    fill = http("GET", "/v2/account/activities/FILL").json()[0]
    assert set(fill) == FILL_KEYS
    stamp, _, unique = fill["id"].partition("::")
    assert (len(stamp), len(unique)) == (17, 36)


def test_market_data_fields(http: Http) -> None:
    """Single and multi-symbol routes wrap the same rows."""
    bars = http("GET", "/v2/stocks/bars/latest?symbols=NVDA,NOPE").json()
    assert set(bars["bars"]) == {"NVDA"}
    assert set(bars["bars"]["NVDA"]) == BAR_KEYS
    quote = http("GET", "/v2/stocks/NVDA/quotes/latest").json()
    assert (quote["symbol"], set(quote["quote"])) == ("NVDA", QUOTE_KEYS)
    snapshot = http("GET", "/v2/stocks/NVDA/snapshot").json()
    assert set(snapshot["latestTrade"]) == TRADE_KEYS
    assert isinstance(snapshot["latestTrade"]["p"], float)
    crypto = http("GET", "/v1beta3/crypto/us/snapshots?symbols=BTC/USD").json()
    assert set(crypto["snapshots"]) == {"BTC/USD"}


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
        ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "many"}, 422, 40010001, "qty must be a number"),
        ({"qty": None, "notional": ".5"}, 422, 40010001, "notional must be >= 1.00"),
        ({"type": "iceberg"}, 422, 40010001, "invalid order type"),
        ({"side": "hold"}, 422, 40010001, "invalid side"),
        ({"time_in_force": "iok"}, 422, 40010001, "invalid time_in_force"),
        ({"type": "limit"}, 422, 40010001, "limit orders require a limit price"),
        (
            {"type": "stop", "time_in_force": "day"},
            422,
            40010001,
            "stop orders require a stop price",
        ),
        (
            {"client_order_id": "x" * 129},
            422,
            40010001,
            "client_order_id must be no more than 128 characters",
        ),
        ({"symbol": "NOPE"}, 422, 42210000, 'asset "NOPE" not found'),
        ({"symbol": "TWTR"}, 422, 42210000, 'asset "TWTR" not found'),
        ({"qty": "1.5"}, 422, 42210000, "fractional orders must be DAY orders"),
        (
            {"qty": ".5", "side": "sell", "time_in_force": "day"},
            422,
            42210000,
            "fractional orders cannot be sold short",
        ),
        (
            {"symbol": "BRK.A", "qty": ".5", "time_in_force": "day"},
            403,
            40310000,
            'asset "BRK.A" is not fractionable',
        ),
        (
            {"extended_hours": True},
            422,
            42210000,
            "extended hours order must be DAY or GTC limit orders",
        ),
        (
            {"type": "limit", "limit_price": 290.123},
            422,
            42210000,
            SUB_PENNY,
        ),
        (
            {"symbol": "GME", "side": "sell"},
            403,
            40310000,
            'asset "GME" cannot be sold short',
        ),
        (
            {"symbol": "BTC/USD", "time_in_force": "day"},
            422,
            42210000,
            "invalid crypto time_in_force",
        ),
        (
            {"symbol": "BTC/USD", "qty": "0.0001", "time_in_force": "gtc"},
            403,
            40310000,
            "cost basis must be >= minimal amount of order 10",
        ),
        (
            {"order_class": "bracket"},
            422,
            42210000,
            "bracket orders must be DAY or GTC orders",
        ),
    ],
)
def test_refused_orders(
    http: Http, changes: dict[str, Any], status: int, code: int, message: str
) -> None:
    """Each refusal has Alpaca's status, code and message, and leaves no order behind."""
    answer = http.order(**changes)
    assert answer.status_code == status
    assert answer.json() == {"code": code, "message": message}
    assert http("GET", "/v2/orders?status=all").json() == []


def test_malformed_body(http: Http) -> None:
    """What is not a JSON object is a bad request."""
    for raw in (b"{", b"[]", b"\xff\xfe"):
        answer = http("POST", "/v2/orders", data=raw)
        assert (answer.status_code, answer.json()["code"]) == (400, 40010000)


def test_insufficient_buying_power(http: Http) -> None:
    """The body states what there is and what it takes."""
    answer = http.order(type="limit", limit_price="100", qty="5000")
    assert answer.status_code == 403
    assert answer.json() == {
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "400000",
        "cost_basis": "500000",
    }


def test_open_orders_reserve_buying_power(http: Http) -> None:
    """A resting buy leaves less for the next one, until it is canceled."""
    resting = http.order(**LIMIT | {"qty": "200000"}).json()
    assert http("GET", "/v2/account").json()["buying_power"] == "100000"
    assert http.order(**LIMIT | {"symbol": "AAPL", "qty": "80000"}).status_code == 403
    assert http("DELETE", f"/v2/orders/{resting['id']}").status_code == 204
    assert http("GET", "/v2/account").json()["buying_power"] == "400000"


def test_insufficient_qty(http: Http) -> None:
    """Selling more than held, or more than is free, is refused with all figures."""
    http.order(qty="20")
    answer = http.order(side="sell", qty="200")
    assert answer.status_code == 403
    assert answer.json() == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 200, available: 20)",
        "symbol": "NVDA",
        "available": "20",
        "existing_qty": "20",
        "held_for_orders": "0",
    }
    http.order(side="sell", qty="15", type="limit", limit_price="9999", time_in_force="gtc")
    held = http.order(side="sell", qty="6").json()
    assert (held["available"], held["held_for_orders"]) == ("5", "15")
    assert http("GET", "/v2/positions/NVDA").json()["qty_available"] == "5"


def test_wash_trade(http: Http) -> None:
    """A resting stop sale blocks every purchase; limits only when they cross."""
    http.order(qty="2")
    stop = http.order(side="sell", type="stop", stop_price="1", time_in_force="gtc").json()
    answer = http.order()
    assert answer.status_code == 403
    assert answer.json() == {
        "code": 40310000,
        "message": "potential wash trade detected. use complex orders",
        "existing_order_id": stop["id"],
        "reject_reason": "opposite side market/stop order exists",
    }
    http("DELETE", "/v2/orders")
    http.order(side="sell", type="limit", limit_price="9999", time_in_force="gtc")
    assert http.order(**LIMIT).status_code == 200
    assert http.order().json()["reject_reason"] == "opposite side limit order exists"


def test_opposite_openings(http: Http) -> None:
    """A flat account cannot wait to buy and to sell short at once."""
    http.order(**LIMIT)
    answer = http.order(side="sell", type="limit", limit_price="9999", time_in_force="gtc")
    assert answer.json() == {
        "code": 40310000,
        "message": "cannot open a short sell while a long buy order is open",
    }


def test_canceling(http: Http) -> None:
    """Cancel once, cancel again, cancel what is filled, cancel what is not there."""
    resting, filled = http.order(**LIMIT).json(), http.order(client_order_id="f").json()
    assert http("DELETE", f"/v2/orders/{resting['id']}").status_code == 204
    assert http("DELETE", f"/v2/orders/{resting['id']}").status_code == 204
    late = http("DELETE", f"/v2/orders/{filled['id']}")
    assert late.status_code == 422
    assert late.json() == {"code": 42210000, "message": 'order is already in "filled" state'}
    unknown = uuid4()
    missing = http("DELETE", f"/v2/orders/{unknown}")
    assert missing.json() == {"code": 40410000, "message": f"order not found for {unknown}"}
    assert http("GET", "/v2/orders/x").json()["message"] == "order_id is missing"
    by_client = http("GET", "/v2/orders:by_client_order_id?client_order_id=none")
    assert (by_client.status_code, by_client.json()["code"]) == (404, 40410000)


def test_replacing(http: Http) -> None:
    """The documented refusals of a replacement."""
    order = http.order(**LIMIT).json()
    path = f"/v2/orders/{order['id']}"
    same = http("PATCH", path, json={"limit_price": "1.50", "qty": None})
    assert same.json() == {"code": 42210000, "message": "order parameters are not changed"}
    assert http("PATCH", path, json={"qty": "3"}).json()["replaces"] == order["id"]
    again = http("PATCH", path, json={"qty": "4"})
    assert (again.status_code, again.json()["message"]) == (422, "order already replaced")


def test_closed_orders_stay(http: Http) -> None:
    """Orders are listed by status long after their end, and found by the client's id."""
    sent = [http.order(client_order_id=f"n{i}").json()["id"] for i in range(3)]
    listed = http("GET", "/v2/orders?status=all&limit=500").json()
    assert [order["id"] for order in listed] == sent[::-1]
    found = http("GET", "/v2/orders:by_client_order_id?client_order_id=n1").json()
    assert found["id"] == sent[1]


def test_headers(http: Http) -> None:
    """Every trading answer carries a request id and the state of the limit."""
    for answer in (http("GET", "/v2/clock"), http.order(qty="0"), http("GET", "/v2/nothing")):
        assert answer.headers["X-Request-ID"]
        assert int(answer.headers["X-RateLimit-Limit"]) > 0
        assert int(answer.headers["X-RateLimit-Remaining"]) > 0
        assert int(answer.headers["X-RateLimit-Reset"]) > time.time()


def test_unknown_endpoint(http: Http) -> None:
    """An unknown path is a 404 with a body; a known one with another method is a 405."""
    for path in ("/v2/nothing", "/nothing", "/v2/stocks/x/y/z"):
        answer = http("GET", path)
        assert answer.status_code == 404
        assert answer.json() == {"code": 40410000, "message": "endpoint not found"}
    wrong = http("PUT", "/v2/orders")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "DELETE, GET, POST")


def test_too_large_a_body(http: Http) -> None:
    """A body beyond a megabyte is refused and the connection stays usable."""
    assert http("POST", "/v2/orders", data=b"x" * 2_000_000).status_code == 413
    assert http("GET", "/v2/clock").status_code == 200


def test_credential_forms(exchange: Running) -> None:
    """Basic and Bearer are accepted; nothing at all gets the proxy's page."""
    url = f"{exchange.url}/v2/account"
    headers = Http(exchange.url, "basic")("GET", "/v2/account").json()["id"]
    word = base64.b64encode(b"basic:s").decode()
    basic = requests.get(url, headers={"Authorization": f"Basic {word}"}, timeout=5)
    assert basic.json()["id"] == headers
    bearer = requests.get(url, headers={"Authorization": "Bearer token"}, timeout=5)
    assert bearer.status_code == 200
    for extra in ({}, {"Authorization": "Basic !"}):
        nobody = requests.get(url, headers=extra, timeout=5)
        assert (nobody.status_code, nobody.headers["Content-Type"]) == (401, "text/html")


def test_known_keys_and_limit() -> None:
    """With a key list others are refused; past the limit requests are, too, with a Retry-After."""
    with running("--keys", "good:s", "--rate-limit", "3", "--cash", "2500") as exchange:
        bad, good = Http(exchange.url, "bad"), Http(exchange.url, "good")
        refused = bad("GET", "/v2/account")
        assert (refused.status_code, refused.json()) == (401, {"message": "unauthorized."})
        assert bad("GET", "/v1beta3/crypto/us/snapshots?symbols=BTC/USD").status_code == 401
        left = [good("GET", "/v2/clock").headers["X-RateLimit-Remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        limited = good.order()
        assert limited.status_code == 429
        assert limited.json() == {"code": 42910000, "message": "rate limit exceeded."}
        assert limited.headers["Retry-After"] == "1"
        assert limited.headers["X-RateLimit-Remaining"] == "0"
        assert good("GET", "/v2/stocks/NVDA/trades/latest").status_code == 200
        entries = requests.get(f"{exchange.url}/admin/log", timeout=5).json()["entries"]
        seen = [entry["status"] for entry in entries]
        assert seen == [401, 401, 200, 200, 200, 429, 200]


def test_witness(exchange: Running, http: Http) -> None:
    """The log has each request in order, with the id it carried, refused or not."""
    start = requests.get(f"{exchange.url}/admin/log", timeout=5).json()["count"]
    before = time.monotonic()
    http.order(client_order_id="seen")
    http.order(client_order_id="seen")
    answer = requests.get(f"{exchange.url}/admin/log?since={start}", timeout=5).json()
    rows = [
        (row["method"], row["path"], row["status"], row["client_order_id"], row["key_id"])
        for row in answer["entries"]
    ]
    assert rows == [
        ("POST", "/v2/orders", 200, "seen", http.key),
        ("POST", "/v2/orders", 422, "seen", http.key),
    ]
    assert before < answer["entries"][0]["arrived"] < answer["entries"][1]["arrived"]
    orders = requests.get(f"{exchange.url}/admin/orders", timeout=5).json()
    assert [o["client_order_id"] for o in orders if o["key_id"] == http.key] == ["seen"]


def test_prices_by_hand(exchange: Running, http: Http) -> None:
    """A price set by hand holds, with one step of spread; nonsense changes nothing."""
    url = f"{exchange.url}/admin/prices"
    assert requests.post(url, json={"F": "12.5"}, timeout=5).json() == {"F": "12.5"}
    quote = http("GET", "/v2/stocks/F/quotes/latest").json()["quote"]
    assert (quote["bp"], quote["ap"]) == (12.49, 12.51)
    for bad in ({"F": -1}, {"F": "x"}, {"F": "1.005"}, {"NOPE": 1}):
        assert requests.post(url, json=bad, timeout=5).status_code in {404, 422}
    assert requests.post(url, json={"F": None}, timeout=5).status_code == 200


@pytest.mark.parametrize("path", ["/stream", "/stream/"])
def test_stream_conversation(exchange: Running, http: Http, path: str) -> None:
    """Both forms of authentication, listen as a replacement, frames of bytes."""
    url = exchange.stream_url.removesuffix("/stream") + path
    with connect(url, open_timeout=5) as socket:

        def say(message: object) -> Any:
            socket.send(json.dumps(message))
            frame = socket.recv(timeout=15)
            assert isinstance(frame, bytes)
            return json.loads(frame)

        listen = {"action": "listen", "data": {"streams": ["trade_updates", "other"]}}
        early = say(listen)
        assert early["data"] == {"status": "unauthorized", "action": "listen"}
        assert say({"action": "auth", "key": http.key, "secret": "s"}) == {
            "stream": "authorization",
            "data": {"status": "authorized", "action": "authenticate"},
        }
        assert say(listen) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        order = http.order().json()
        new, fill = (json.loads(socket.recv(timeout=15)) for _ in range(2))
        assert new["data"]["event"] == "new"
        assert set(new["data"]["order"]) == ORDER_KEYS | {"cancel_requested_at"}
        assert fill["data"]["order"]["id"] == order["id"]
        assert fill["data"]["position_qty"] == "1"
        assert fill["data"]["event_id"] > new["data"]["event_id"]
        assert say({"action": "listen", "data": {"streams": []}})["data"] == {"streams": []}


def test_stream_in_msgpack(exchange: Running, http: Http) -> None:
    """A client that asks for msgpack at the handshake gets it."""
    headers = {"Content-Type": "application/msgpack"}
    with connect(exchange.stream_url, additional_headers=headers, open_timeout=5) as socket:
        socket.send(
            json.dumps({"action": "authenticate", "data": {"key_id": http.key, "secret_key": "s"}})
        )
        answer = msgpack.unpackb(socket.recv(timeout=15))
    assert answer["data"]["status"] == "authorized"


def test_fill_delay() -> None:
    """With a delay an order is new first, and filled when the delay has passed."""
    with running("--fill-delay-ms", "150") as exchange:
        http = Http(exchange.url)
        with connect(exchange.stream_url, open_timeout=5) as socket:
            socket.send(json.dumps({"action": "auth", "key": http.key, "secret": "s"}))
            socket.send('{"action":"listen","data":{"streams":["trade_updates"]}}')
            socket.recv(timeout=15)
            socket.recv(timeout=15)
            order = http.order().json()
            assert http("GET", f"/v2/orders/{order['id']}").json()["status"] == "new"
            json.loads(socket.recv(timeout=15))
            fill = json.loads(socket.recv(timeout=15))["data"]
        assert fill["event"] == "fill"
        assert fill["order"]["filled_at"] > fill["order"]["submitted_at"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_prompt_end(number: signal.Signals) -> None:
    """A signal ends the process with 0 promptly, open connections or not."""
    with running() as exchange:
        http = Http(exchange.url)
        http.order(**LIMIT)
        with connect(exchange.stream_url, open_timeout=5) as socket:
            socket.send(json.dumps({"action": "auth", "key": "k", "secret": "s"}))
            socket.recv(timeout=15)
            exchange.process.send_signal(number)
            assert exchange.process.wait(PATIENCE) == 0


def test_port_in_use(exchange: Running) -> None:
    """A taken port is one line on stderr and exit code 1."""
    port = exchange.url.rpartition(":")[2]
    command = [sys.executable, "-m", "paper_exchange", "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}")
    assert second.stderr.count("\n") == 1


def test_concurrent_orders(exchange: Running, http: Http) -> None:
    """Orders from many connections are all taken, once each."""
    with ThreadPoolExecutor(8) as pool:
        clients = [Http(exchange.url, http.key) for _ in range(8)]
        answers = list(
            pool.map(
                lambda n: clients[n % 8].order(client_order_id=f"c{n // 2}").status_code,
                range(80),
            )
        )
    assert sorted(answers) == [200] * 40 + [422] * 40
    assert http("GET", "/v2/positions/NVDA").json()["qty"] == "40"
