"""Each fault as a client meets it, and as the witness tells it."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from paper_exchange.testing import Running, running
from tests.contract.raw_http import LIMIT, MARKET, PATIENCE, Http

OPTIONS = ("--seed", "7")


class Client(Http):
    """One account, which may be met by faults, and the admin routes, which are not."""

    def place(self, coid: str = "c", **options: Any) -> requests.Response:
        """POST a market IOC for one NVDA."""
        return self("POST", "/v2/orders", json={**MARKET, "client_order_id": coid}, **options)

    def fault(self, text: str) -> str:
        """Add a rule for this account alone; returns its id."""
        answer = requests.post(
            f"{self.url}/admin/faults", json={"text": f"{text} key={self.key}"}, timeout=PATIENCE
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def rule(self, rule_id: str) -> dict[str, Any]:
        """A rule as the exchange shows it."""
        rows = requests.get(f"{self.url}/admin/faults", timeout=PATIENCE).json()["faults"]
        return next(row for row in rows if row["id"] == rule_id)

    def seen(self) -> list[tuple[Any, ...]]:
        """What the witness has of this account: outcome, status, client order id, taken."""
        entries = requests.get(f"{self.url}/admin/log", timeout=PATIENCE).json()["entries"]
        return [
            (e["outcome"], e["status"], e["client_order_id"], e["taken"])
            for e in entries
            if e["key_id"] == self.key
        ]

    def held(self) -> list[str]:
        """The client order ids of all orders the exchange has of this account."""
        orders = requests.get(f"{self.url}/admin/orders", timeout=PATIENCE).json()
        return [o["client_order_id"] for o in orders if o["key_id"] == self.key]


@pytest.fixture
def client(exchange: Running) -> Iterator[Client]:
    """A fresh account; no fault outlives its test."""
    made = Client(exchange.url)
    yield made
    made.session.close()
    requests.delete(f"{exchange.url}/admin/faults", timeout=PATIENCE)


def eventually(holds: Callable[[], bool]) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline


# -- REST ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "taken"),
    [
        ("status status=503", 503, False),
        ("status status=504 taken=true", 504, True),
        ("html", 502, False),
        ("html status=504 taken=true", 504, True),
        ("garbage", 200, True),
        ("garbage taken=false", 200, False),
        ("storm requests=1", 429, False),
    ],
)
def test_another_answer(client: Client, fault: str, status: int, taken: bool) -> None:
    """The client reads one thing, the witness knows whether there is an order."""
    rule = client.fault(f"POST /v2/orders: {fault}")
    assert client.place().status_code == status
    assert client.seen() == [(fault.split(maxsplit=1)[0], status, "c", taken)]
    assert client.held() == ["c"] * taken
    assert client.rule(rule)["hits"] == 1


def test_bodies_of_other_answers(client: Client) -> None:
    """Alpaca's body by default, one's own with headers, a gateway's page, and nonsense."""
    client.fault("GET /v2/clock: status next=1 status=503")
    client.fault(
        'GET /v2/clock: status next=1 status=500 body="out of order" headers="Retry-After: 7"'
    )
    client.fault("GET /v2/clock: html next=1")
    client.fault("GET /v2/clock: garbage next=1")
    plain = client("GET", "/v2/clock")
    assert plain.json() == {"code": 50310000, "message": "service unavailable"}
    own = client("GET", "/v2/clock")
    assert (own.text, own.headers["Retry-After"]) == ("out of order", "7")
    page = client("GET", "/v2/clock")
    assert page.headers["Content-Type"] == "text/html"
    assert "<h1>502 Bad Gateway</h1>" in page.text
    nonsense = client("GET", "/v2/clock")
    assert nonsense.headers["Content-Type"] == "application/json"
    with pytest.raises(requests.JSONDecodeError):
        nonsense.json()
    assert client("GET", "/v2/clock").json()["timestamp"]


@pytest.mark.parametrize(("fault", "taken"), [("reset_before", False), ("reset_after", True)])
def test_resets(client: Client, fault: str, taken: bool) -> None:
    """The connection is reset, not closed; the order exists or not as the rule says."""
    client.fault(f"POST /v2/orders: {fault} next=1")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        client.place()
    assert client.seen() == [(fault, 0, "c", taken)]
    assert client.held() == ["c"] * taken
    assert client.place().status_code == (422 if taken else 200)
    assert client.held() == ["c"]


@pytest.mark.parametrize(("fault", "taken"), [("hang_before", False), ("no_answer", True)])
def test_silence_on_the_line(client: Client, fault: str, taken: bool) -> None:
    """Nothing comes until the client gives up, and others are served meanwhile."""
    client.fault(f"POST /v2/orders: {fault} next=1")
    with pytest.raises(requests.ReadTimeout):
        client.place(timeout=0.1)
    assert client.seen() == [(fault, 0, "c", taken)]
    assert client.held() == ["c"] * taken


def test_cut_body(client: Client) -> None:
    """The whole length is announced, half of it comes, and the order is taken."""
    client.fault("POST /v2/orders: cut next=1")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.place()
    assert client.seen() == [("cut", 200, "c", True)]
    resting = client("POST", "/v2/orders", json=LIMIT).json()["id"]
    client.fault("DELETE *: cut next=1")
    with pytest.raises(requests.ConnectionError):
        client("DELETE", f"/v2/orders/{resting}")
    assert client("GET", f"/v2/orders/{resting}").json()["status"] == "canceled"


@pytest.mark.parametrize(("answer", "status"), [("504", 504), ("none", 0), ("reset", 0)])
def test_late_acceptance(client: Client, answer: str, status: int) -> None:
    """An error now, and the order only afterwards; the entry says so in the end."""
    client.fault(f"POST /v2/orders: late ms=150 answer={answer} next=1")
    with contextlib.suppress(requests.RequestException):
        assert client.place(timeout=0.1).status_code == status
    assert client.seen() == [("late", status, "c", False)]
    assert client.held() == []
    eventually(lambda: client.held() == ["c"])
    assert client.seen() == [("late", status, "c", True)]


def test_latency(client: Client) -> None:
    """Before acceptance the order does not exist yet, after it it does; both add up."""
    client.fault("POST /v2/orders: latency ms=200 next=1")
    before = time.monotonic()
    with pytest.raises(requests.ReadTimeout):
        client.place("slow", timeout=0.05)
    assert client.held() == []
    eventually(lambda: client.held() == ["slow"])
    assert time.monotonic() - before > 0.2
    client.fault("POST /v2/orders: latency ms=200 when=after next=1")
    with pytest.raises(requests.ReadTimeout):
        client.place("quick", timeout=0.05)
    assert client.held() == ["slow", "quick"]
    client.fault("GET /v2/clock: latency ms=20-40")
    client.fault("GET /v2/clock: latency ms=30 when=after")
    before = time.monotonic()
    assert client("GET", "/v2/clock").status_code == 200
    assert time.monotonic() - before >= 0.05
    assert client.seen()[-1] == ("latency", 200, None, True)


def test_storms(client: Client) -> None:
    """So many requests, or so long; with the limit's headers or without."""
    rule = client.fault("* /v2/*: storm requests=3 limit_headers=false next=1")
    answers = [client("GET", "/v2/clock") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 429, 200]
    assert "Retry-After" not in answers[0].headers
    assert answers[0].json() == {"code": 42910000, "message": "rate limit exceeded."}
    assert client.rule(rule)["hits"] == 3
    client.fault("* /v2/*: storm ms=300 next=1")
    limited = client("GET", "/v2/clock")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
    assert int(limited.headers["X-RateLimit-Reset"]) > time.time()
    eventually(lambda: client("GET", "/v2/clock").status_code == 200)


def test_filters(client: Client, exchange: Running) -> None:
    """Only the method, path, key and client that a rule names are hit, and never admin."""
    client.fault('* /v2/orders/*: status status=500 client="APCA-PY"')
    path = f"/v2/orders/{uuid4()}"
    assert client("GET", path).status_code == 404
    assert client("GET", path, headers={"User-Agent": "APCA-PY/0.44.0"}).status_code == 500
    assert client("GET", "/v2/orders").status_code == 200
    other = Client(exchange.url)
    client.fault("*: status status=500")
    assert other("GET", "/v2/clock").status_code == 200
    assert client("GET", "/v2/stocks/NVDA/trades/latest").status_code == 500
    assert client("GET", "/admin/health").status_code == 200
    other.session.close()


def test_same_seed_same_hits(client: Client) -> None:
    """A rule that is added again treats the same requests in the same way."""
    runs = []
    for _ in range(2):
        rule = client.fault("GET /v2/clock: status status=500 p=0.5")
        runs.append([client("GET", "/v2/clock").status_code for _ in range(20)])
        requests.delete(f"{client.url}/admin/faults/{rule}", timeout=PATIENCE)
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_prompt_end_with_held_requests() -> None:
    """A signal ends the exchange although requests hang, with nothing on stderr."""
    with running("--fault", "GET /v2/clock: no_answer", capture_errors=True) as exchange:
        host, port = exchange.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as raw:
            raw.sendall(b"GET /v2/clock HTTP/1.1\r\nHost: x\r\n\r\n")
            log = f"{exchange.url}/admin/log"
            eventually(lambda: requests.get(log, timeout=5).json()["count"] == 1)
            exchange.process.terminate()
            assert exchange.process.wait(PATIENCE) == 0
        assert exchange.errors() == ""


# -- admin -----------------------------------------------------------------------------------------


def test_admin_routes(client: Client) -> None:
    """Add, list, delete one, delete all; what is not understood is one sentence."""
    url = f"{client.url}/admin/faults"
    row = {"target": "POST /v2/orders", "kind": "latency", "ms": "10-20", "p": 0.25, "skip": 2}
    added = requests.post(url, json=row, timeout=PATIENCE).json()
    assert added.items() >= row.items()
    assert added["text"] == "POST /v2/orders: latency p=0.25 skip=2 ms=10-20 when=before"
    assert requests.get(url, timeout=PATIENCE).json()["faults"] == [added]
    refused = requests.post(url, json={**row, "p": 2}, timeout=PATIENCE)
    assert (refused.status_code, refused.json()["message"]) == (
        422,
        "p must be a number from 0 to 1, not 2",
    )
    assert requests.delete(f"{url}/{added['id']}", timeout=PATIENCE).status_code == 204
    assert requests.delete(f"{url}/{added['id']}", timeout=PATIENCE).status_code == 404
    client.fault("stream: drop")
    assert requests.delete(url, timeout=PATIENCE).status_code == 204
    assert requests.get(url, timeout=PATIENCE).json() == {"faults": []}


# -- streams ---------------------------------------------------------------------------------------


@pytest.fixture
def stream(exchange: Running, client: Client) -> Iterator[ClientConnection]:
    """A connection that listens to the client's account."""
    with connect(exchange.stream_url, open_timeout=5) as connection:
        connection.send(json.dumps({"action": "auth", "key": client.key, "secret": "s"}))
        connection.send('{"action":"listen","data":{"streams":["trade_updates"]}}')
        connection.recv(timeout=15)
        connection.recv(timeout=15)
        yield connection


def told(stream: ClientConnection, count: int) -> list[str]:
    """The next events, with the order they are about."""
    messages = [json.loads(stream.recv(timeout=15))["data"] for _ in range(count)]
    return [f"{m['order']['client_order_id']} {m['event']}" for m in messages]


@pytest.mark.parametrize(
    ("fault", "events"),
    [
        ("drop event=fill next=1", ["a new", "b new", "b fill"]),
        ("drop symbol=AAPL", ["a new", "a fill", "b new", "b fill"]),
        ("duplicate skip=1 next=1", ["a new", "a fill", "a fill", "b new", "b fill"]),
        ("reorder next=1", ["a fill", "a new", "b new", "b fill"]),
        ("delay ms=50 next=1", ["a new", "a fill", "b new", "b fill"]),
        ("silence ms=0 next=1", ["a fill", "b new", "b fill"]),
    ],
)
def test_events(client: Client, stream: ClientConnection, fault: str, events: list[str]) -> None:
    """What arrives of two filled orders, and in which order."""
    client.fault(f"stream: {fault}")
    client.place("a")
    client.place("b")
    assert told(stream, len(events)) == events


def test_reordered_last_event_arrives(client: Client, stream: ClientConnection) -> None:
    """An event that waits for a successor is sent when none comes."""
    client.fault("stream: reorder event=fill ms=50")
    client.place("a")
    assert told(stream, 2) == ["a new", "a fill"]


def test_delay(client: Client, stream: ClientConnection) -> None:
    """The delay is there."""
    client.fault("stream: delay ms=100 event=fill")
    begun = time.monotonic()
    client.place("a")
    assert told(stream, 2) == ["a new", "a fill"]
    assert time.monotonic() - begun > 0.1


def test_silence(client: Client, stream: ClientConnection) -> None:
    """Connected, pings are answered, nothing is said; it ends with the rule."""
    rule = client.fault("stream: silence")
    client.place("a")
    assert stream.ping().wait(2)
    stream.send('{"action":"listen","data":{"streams":["trade_updates"]}}')
    with pytest.raises(TimeoutError):
        stream.recv(timeout=0.05)
    requests.delete(f"{client.url}/admin/faults/{rule}", timeout=PATIENCE)
    client.place("b")
    assert told(stream, 2) == ["b new", "b fill"]


@pytest.mark.parametrize(
    ("fault", "events", "code"),
    [
        ("event=fill", ["a new"], 1011),
        ("event=fill when=after code=1001", ["a new", "a fill"], 1001),
        ("event=fill how=reset", ["a new"], None),
        ("event=fill how=reset when=after", ["a new", "a fill"], None),
    ],
)
def test_disconnects(
    client: Client, stream: ClientConnection, fault: str, events: list[str], code: int | None
) -> None:
    """Before or after an event, with a close frame or a reset."""
    client.fault(f"stream: disconnect {fault}")
    client.place("a")
    assert told(stream, len(events)) == events
    with pytest.raises(ConnectionClosed) as closed:
        stream.recv(timeout=15)
    assert (closed.value.rcvd.code if closed.value.rcvd else None) == code
    assert client.held() == ["a"]


@pytest.mark.parametrize("status", [429, 503])
def test_refused_handshake(exchange: Running, client: Client, status: int) -> None:
    """The first attempt is refused, the second is not."""
    requests.post(
        f"{client.url}/admin/faults",
        json={"target": "stream", "kind": "refuse", "status": status, "next": 1},
        timeout=PATIENCE,
    )
    with pytest.raises(InvalidStatus) as refused, connect(exchange.stream_url, open_timeout=5):
        pass
    assert refused.value.response.status_code == status
    with connect(exchange.stream_url, open_timeout=5):
        pass


# -- orders ----------------------------------------------------------------------------------------


def test_market_data_faults(exchange: Running, client: Client) -> None:
    """The same rules, on the stream of quotes: one comes twice, then the line is cut."""
    client.fault("data: duplicate event=q symbol=KO next=1")
    client.fault("data: disconnect event=q symbol=KO skip=1")
    with connect(exchange.data_stream_url(), open_timeout=5) as connection:
        connection.send(json.dumps({"action": "auth", "key": client.key, "secret": "s"}))
        connection.send('{"action":"subscribe","quotes":["KO"]}')
        quotes = []
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                frame = json.loads(connection.recv(timeout=15))
                quotes += [(one["t"], one["bp"]) for one in frame if one["T"] == "q"]
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1011
    assert len(quotes) == 3
    assert quotes[0] == quotes[1] != quotes[2]


def test_refused_market_data(exchange: Running, client: Client) -> None:
    """The handshake too."""
    client.fault("data: refuse status=503 next=1")
    keys = {"APCA-API-KEY-ID": client.key, "APCA-API-SECRET-KEY": "s"}
    url = exchange.data_stream_url()
    with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=keys):
        pass
    assert refused.value.response.status_code == 503


def test_stuck_cancel(client: Client) -> None:
    """A cancel hangs until it is released."""
    client.fault("orders: stuck_cancel symbol=NVDA")
    order = f"/v2/orders/{client('POST', '/v2/orders', json=LIMIT).json()['id']}"
    assert client("DELETE", order).status_code == 204
    assert client("GET", order).json()["status"] == "pending_cancel"
    released = requests.post(f"{client.url}/admin/release-cancels", timeout=PATIENCE)
    assert released.json() == {"released": 1}
    assert client("GET", order).json()["status"] == "canceled"


def test_slow_cancel(client: Client) -> None:
    """A cancel takes its time."""
    client.fault("orders: slow_cancel ms=100")
    order = f"/v2/orders/{client('POST', '/v2/orders', json=LIMIT).json()['id']}"
    client("DELETE", order)
    assert client("GET", order).json()["status"] == "pending_cancel"
    eventually(lambda: client("GET", order).json()["status"] == "canceled")


def test_rejection_after_acceptance(client: Client, stream: ClientConnection) -> None:
    """POST answers 200, the stream says rejected."""
    client.fault("orders: reject next=1")
    assert client.place("a").json()["status"] == "pending_new"
    assert told(stream, 1) == ["a rejected"]
    assert client.place("b").status_code == 200
    assert told(stream, 2) == ["b new", "b fill"]
