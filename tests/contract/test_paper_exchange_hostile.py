"""Clumsy and hostile clients: each ends in a clean refusal, and nobody else notices."""

import base64
import contextlib
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from paper_exchange.testing import Running, running
from tests.contract.raw_http import PATIENCE

AUTH = b"Host: x\r\nAPCA-API-KEY-ID: k\r\nAPCA-API-SECRET-KEY: s\r\n"
CLOSE = AUTH + b"Connection: close\r\n\r\n"
CLOCK = b"GET /v2/clock HTTP/1.1\r\n" + AUTH + b"\r\n"
UPGRADE = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
POST = b"POST /v2/orders HTTP/1.1\r\n"
#: Seconds; the exchange under test is impatient.
DEADLINE, KEEP_ALIVE = 0.4, 0.5
#: How long a bystander may wait for an answer, on a machine that has other things to do.
TOLERABLE = 1.0
Address = tuple[str, int]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One exchange for the file. After all of it: nothing on stderr, and a clean exit."""
    options = ["--client-timeout", str(DEADLINE), "--keep-alive", str(KEEP_ALIVE)]
    with running("--rate-limit", "0", *options, capture_errors=True) as started:
        yield started
        started.process.terminate()
        assert started.process.wait(5) == 0
        assert started.errors() == ""


@pytest.fixture
def address(exchange: Running) -> Address:
    """Where it listens."""
    host, _, port = exchange.url.removeprefix("http://").partition(":")
    return host, int(port)


@dataclass
class Bystander:
    """Somebody who sends one request after another, and how long each took."""

    url: str
    waits: list[float] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until it is over."""
        headers = {"APCA-API-KEY-ID": "bystander", "APCA-API-SECRET-KEY": "s"}
        with requests.Session() as session:
            while not self._over.is_set():
                begun = time.monotonic()
                answer = session.get(f"{self.url}/v2/account", headers=headers, timeout=5)
                self.waits.append(time.monotonic() - begun)
                self.statuses.add(answer.status_code)

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()


@pytest.fixture
def bystander(exchange: Running) -> Iterator[Bystander]:
    """Asks during the whole test, and must be served as if nothing happened."""
    somebody = Bystander(exchange.url)
    thread = threading.Thread(target=somebody.run)
    thread.start()
    yield somebody
    somebody.stop()
    thread.join(10)
    assert somebody.statuses == {200}
    assert max(somebody.waits) < TOLERABLE


def dial(address: Address, *, window: int = 0) -> socket.socket:
    """A connection, optionally with a small window."""
    raw = socket.socket()
    raw.settimeout(5)
    if window:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    raw.connect(address)
    return raw


def said(raw: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := raw.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def exchange_bytes(address: Address, data: bytes) -> bytes:
    """Send, and read to the end."""
    with dial(address) as raw:
        with contextlib.suppress(ConnectionError):
            raw.sendall(data)
        return said(raw)


def statuses(text: bytes) -> list[int]:
    """The status of each answer."""
    return [int(part[:3]) for part in text.split(b"HTTP/1.1 ")[1:]]


def request(line: bytes, rest: bytes = CLOSE) -> bytes:
    """A request line with its headers."""
    return line + b" HTTP/1.1\r\n" + rest


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400], id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], id="http2"),
        pytest.param(b"GET /v2/clock HTTP/1.0\r\n" + AUTH + b"\r\n", [200], id="http1.0"),
        pytest.param(request(b"FROB /v2/clock"), [400], id="unknown-method"),
        pytest.param(request(b"PROPFIND /v2/clock"), [405], id="other-method"),
        pytest.param(request(b"HEAD /v2/clock"), [405], id="head"),
        pytest.param(request(b"OPTIONS *"), [404], id="asterisk"),
        pytest.param(request(b"CONNECT a:1"), [400], id="connect"),
        pytest.param(request(b"GET http://a/v2/clock"), [200], id="absolute"),
        pytest.param(request(b"GET /v2/clock"), [200], id="connection-close"),
        pytest.param(request(b"GET /v2/\xff\xfe"), [400], id="path-not-ascii"),
        pytest.param(request(b"GET /v2/orders/%zz%ff%00%ed%a0%80"), [422], id="bad-percent"),
        pytest.param(request(b"GET /v2/orders?limit=" + b"9" * 9000), [422], id="endless-number"),
        pytest.param(request(b"GET /v2/clock?" + b"a=b&" * 5_000), [414], id="long-query"),
        pytest.param(request(b"GET /", b"X: y\r\n" * 5000 + b"\r\n"), [431], id="many-headers"),
        pytest.param(
            request(b"GET /", b"X: " + b"y" * 2_000_000 + b"\r\n\r\n"), [431], id="long-header"
        ),
        pytest.param(request(b"GET /", b"X: a\x00b\r\n\r\n"), [400], id="nul-in-header"),
        pytest.param(
            request(b"GET /v2/clock", b"Authorization: Basic /w==\r\nConnection: close\r\n\r\n"),
            [401],
            id="odd-credentials",
        ),
        pytest.param(CLOCK * 60 + request(b"GET /v2/clock"), [200] * 61, id="pipelined"),
        pytest.param(CLOCK + b"nonsense\r\n\r\n", [200], id="nonsense-afterwards"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n" + AUTH + b"\r\nZZ\r\n", [400], id="bad-chunk"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            [400],
            id="two-lengths",
        ),
        pytest.param(POST + b"Content-Length: -3\r\n\r\n", [400], id="negative-length"),
        pytest.param(POST + b"Content-Length: 9" + b"9" * 30 + b"\r\n\r\n", [400], id="no-length"),
        pytest.param(
            POST + b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n",
            [413],
            id="asks-first",
        ),
        pytest.param(
            POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n" + CLOSE + b"{}",
            [100, 422],
            id="continue",
        ),
        pytest.param(request(b"GET /stream", UPGRADE + b"\r\n"), [400], id="websocket-without-key"),
        pytest.param(
            request(b"GET /stream", UPGRADE + KEY + b"X: " + b"y" * 9000 + b"\r\n\r\n"),
            [],
            id="websocket-long-header",
        ),
        pytest.param(request(b"GET /other", UPGRADE + KEY + b"\r\n"), [403], id="websocket-path"),
        pytest.param(
            CLOCK + request(b"GET /stream", UPGRADE + KEY + b"\r\n"), [], id="websocket-pipelined"
        ),
    ],
)
def test_odd_requests(address: Address, data: bytes, expected: list[int]) -> None:
    """An answer or none, and the end of the connection."""
    assert statuses(exchange_bytes(address, data)) == expected


def resident_kib(exchange: Running) -> int:
    """The largest resident size of the exchange so far."""
    status = Path(f"/proc/{exchange.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_large_bodies(exchange: Running, address: Address, bystander: Bystander) -> None:
    """413 for ten megabytes in one piece or in chunks, none of it kept, none of it believed."""
    before = resident_kib(exchange)
    block = b"x" * 1_000_000
    whole = POST + b"Content-Length: 10000000\r\n" + CLOSE + block * 10
    chunk = b"F4240\r\n" + block + b"\r\n"
    chunked = POST + b"Transfer-Encoding: chunked\r\n" + CLOSE + chunk * 10 + b"0\r\n\r\n"
    for data in (whole, chunked):
        assert statuses(exchange_bytes(address, data)) == [413]
    endless = POST + b"Transfer-Encoding: chunked\r\n" + AUTH + b"\r\n" + chunk * 60
    assert statuses(exchange_bytes(address, endless)) in ([413], [])
    assert resident_kib(exchange) - before < 8_000
    log = requests.get(f"{exchange.url}/admin/log", timeout=5).json()["entries"]
    refused = [(e["status"], e["taken"]) for e in log if e["path"] == "/v2/orders"][-2:]
    assert refused == [(413, False)] * 2


def test_a_body_that_breaks_off_is_not_acted_on(exchange: Running, address: Address) -> None:
    """A client that leaves in the middle of a request has not made it."""
    order = b'{"symbol":"KO","qty":"1","side":"buy","type":"market","time_in_force":"ioc"}'
    with dial(address) as raw:
        raw.sendall(
            POST + AUTH.replace(b"k\r", b"broken\r") + b"Content-Length: 99\r\n\r\n" + order
        )
    orders = requests.get(f"{exchange.url}/admin/orders", timeout=5).json()
    assert not [one for one in orders if one["key_id"] == "broken"]


#: What is sent at first, and again and again; the answers; the time until the end.
SLOW: dict[str, tuple[bytes, bytes, list[int], float]] = {
    "silent": (b"", b"", [], KEEP_ALIVE),
    "head": (b"GET /v2/clo", b"c", [408], DEADLINE),
    "header": (POST + b"X: ", b"y", [408], DEADLINE),
    "body": (POST + AUTH + b"Content-Length: 999\r\n\r\n", b"{", [408], DEADLINE),
    "second request": (CLOCK + b"GET /", b"x", [200, 408], DEADLINE),
    "blank lines": (b"\r\n", b"\r\n", [], KEEP_ALIVE),
    "blank lines afterwards": (CLOCK, b"\r\n", [200], KEEP_ALIVE),
}


@dataclass
class Dribble:
    """A connection on which a little is sent every now and then."""

    raw: socket.socket
    more: bytes
    begun: float = field(default_factory=time.monotonic)
    got: bytes = b""
    took: float | None = None

    def step(self) -> None:
        """Read what there is, and send a little."""
        try:
            part = self.raw.recv(65_536)
            self.got += part
            if not part:
                self.took = time.monotonic() - self.begun
            self.raw.sendall(self.more)
        except TimeoutError:
            self.raw.sendall(self.more)
        except ConnectionError:
            self.took = self.took or time.monotonic() - self.begun


def test_slow_loris(address: Address, bystander: Bystander) -> None:
    """However a client dribbles, its time is limited."""
    with contextlib.ExitStack() as stack:
        slow = {}
        for name, (first, more, _, _) in SLOW.items():
            raw = stack.enter_context(dial(address))
            raw.sendall(first)
            raw.settimeout(0.01)
            slow[name] = Dribble(raw, more)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any(one.took is None for one in slow.values()):
            for one in slow.values():
                if one.took is None:
                    one.step()
    assert {name: statuses(one.got) for name, one in slow.items()} == {
        name: expected for name, (_, _, expected, _) in SLOW.items()
    }
    for name, (_, _, _, limit) in SLOW.items():
        took = slow[name].took
        assert took is not None, name
        assert took > limit * 0.9, name


def test_a_thousand_idle_connections(address: Address, bystander: Bystander) -> None:
    """All are let in, all are closed when their time is over."""
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(dial(address)) for _ in range(1000)]
        deadline = time.monotonic() + 4
        still = set(idle)
        while still and time.monotonic() < deadline:
            still -= {raw for raw in readable(still) if raw.recv(1) == b""}
        assert not still


def readable(sockets: set[socket.socket]) -> set[socket.socket]:
    """Which can be read; ``select`` itself is limited to 1,024 descriptors."""
    poll = select.poll()
    by_number = {raw.fileno(): raw for raw in sockets}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return {by_number[number] for number, _ in poll.poll(200)}


def is_cut(raw: socket.socket, within: float) -> bool:
    """Whether the other side resets a connection, without reading from it."""
    poll = select.poll()
    poll.register(raw, select.POLLHUP | select.POLLERR)
    return bool(poll.poll(within * 1000))


def test_a_client_that_never_reads_its_answers(address: Address, bystander: Bystander) -> None:
    """It is cut off, with hundreds of large answers waiting."""
    with dial(address, window=4096) as raw:
        raw.settimeout(0.3)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(400):
                raw.sendall(b"GET /v2/assets HTTP/1.1\r\n" + AUTH + b"\r\n")
        assert is_cut(raw, 5)


def mask(data: bytes, opcode: int) -> bytes:
    """One client frame."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + data


def open_stream(address: Address, key: str, *, window: int = 0) -> socket.socket:
    """A websocket by hand that listens to an account."""
    raw = dial(address, window=window)
    token = base64.b64encode(os.urandom(16))
    raw.sendall(
        b"GET /stream HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: " + token + b"\r\n\r\n"
    )
    assert raw.recv(1000).startswith(b"HTTP/1.1 101")
    raw.sendall(mask(json.dumps({"action": "auth", "key": key, "secret": "s"}).encode(), 1))
    raw.sendall(mask(b'{"action":"listen","data":{"streams":["trade_updates"]}}', 1))
    return raw


def test_a_client_that_never_reads_its_stream(address: Address, bystander: Bystander) -> None:
    """It is cut off, while its orders go on being taken."""
    body = b'{"symbol":"KO","qty":"1","side":"buy","type":"market","time_in_force":"ioc"}'
    head = POST + AUTH.replace(b": k\r", b": deaf\r")
    order = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with open_stream(address, "deaf", window=4096) as deaf, dial(address) as sender:
        for _ in range(40):
            sender.sendall(order * 50)
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 50:
                answers += sender.recv(1_000_000)
            if is_cut(deaf, 0):
                return
        assert is_cut(deaf, 5)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(mask(b"x" * 10_000_000, 1), 1009, id="ten-megabytes"),
        pytest.param(mask(b"\xff\xfe", 1), 1007, id="not-utf8"),
        pytest.param(b"\x81\x02{}", 1002, id="unmasked"),
        pytest.param(mask(b"", 3), 1002, id="unknown-opcode"),
        pytest.param(mask(b"x" * 200, 9), 1002, id="long-ping"),
    ],
)
def test_bad_frames(address: Address, bystander: Bystander, frame: bytes, code: int) -> None:
    """The stream is closed with the code for it."""
    with open_stream(address, "k") as raw:
        with contextlib.suppress(ConnectionError):
            raw.sendall(frame)
        assert struct.pack("!H", code) in said(raw)


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[" * 900 + "]" * 900,
        '{"action":' + "[" * 900 + "]" * 900 + "}",
        '{"action":"listen","data":{"streams":[[],{},1,null]}}',
        '{"action":"auth","key":{"a":1},"secret":[]}',
        '{"action":"authenticate","data":"x"}',
        '{"action":"' + "x" * 60_000 + '"}',
        '{"action":"\\ud800"}',
    ],
)
def test_odd_messages(exchange: Running, message: str) -> None:
    """Each is answered briefly, and the stream goes on."""
    with connect(exchange.stream_url, open_timeout=5) as stream:
        stream.send(message)
        answer = stream.recv(timeout=15)
        assert len(answer) < 300
        assert json.loads(answer)["data"]["status"] == "unauthorized"
        stream.send('{"action":"auth","key":"k","secret":"s"}')
        assert json.loads(stream.recv(timeout=15))["data"]["status"] == "authorized"


def test_a_stream_that_is_shouted_at(exchange: Running, bystander: Bystander) -> None:
    """Thousands of messages from one client do not keep others waiting."""
    with connect(exchange.stream_url, open_timeout=5) as stream:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(3000):
                stream.send("{}")
        for _ in range(3000):
            stream.recv(timeout=15)


NESTED: Any = json.loads("[" * 900 + "]" * 900)
ODD_VALUES = [
    "x", "", " ", "٣", "1_0", "NaN", "-Infinity", "1e400", "1e-400", "1e999999999", "-1", "0",
    "0x10", "9" * 5000, "1." + "0" * 5000, "\u0000", "\U0001f4c8", 0, -1, 1.5, 1e300, 5e-324,
    2**64 - 1, True, False, [], {}, [1], {"a": 1}, NESTED,
]  # fmt: skip
FIELDS = [
    "symbol", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price",
    "trail_price", "trail_percent", "extended_hours", "client_order_id", "order_class",
    "take_profit", "stop_loss", "position_intent", "legs",
]  # fmt: skip
ORDER = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def test_wrong_types_in_every_field(exchange: Running) -> None:
    """No value in any field is an internal error."""
    headers = {"APCA-API-KEY-ID": "odd", "APCA-API-SECRET-KEY": "s"}
    with requests.Session() as session:
        session.headers.update(headers)
        resting = {**ORDER, "type": "limit", "limit_price": "1", "time_in_force": "gtc"}
        url = f"{exchange.url}/v2/orders"
        order = f"{url}/{session.post(url, json=resting, timeout=5).json()['id']}"
        for name in FIELDS:
            for value in ODD_VALUES:
                body = json.dumps({**ORDER, name: value})
                assert session.post(url, data=body, timeout=5).status_code < 500, (name, value)
                if name in {"qty", "limit_price", "time_in_force", "trail", "client_order_id"}:
                    changed = session.patch(order, data=json.dumps({name: value}), timeout=5)
                    assert changed.status_code < 500, (name, value)
        for value in ODD_VALUES:
            changed = session.patch(
                f"{exchange.url}/v2/account/configurations",
                data=json.dumps({"max_margin_multiplier": value, "no_shorting": value}),
                timeout=5,
            )
            assert changed.status_code < 500, value


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"qty":' + b"[" * 1000 + b"]" * 1000 + b"}", 422),
        (b'{"symbol":"KO","symbol":"NOPE"}', 422),
        (b'{"qty":1e400}', 400),
        (b'{"qty":NaN}', 400),
        (b'{"symbol":"\\ud800"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"\x00" * 100, 400),
        (b"null", 400),
    ],
)
def test_odd_bodies(exchange: Running, raw: bytes, status: int) -> None:
    """What is not a sane object is a bad request."""
    headers = {"APCA-API-KEY-ID": "odd", "APCA-API-SECRET-KEY": "s"}
    answer = requests.post(f"{exchange.url}/v2/orders", data=raw, headers=headers, timeout=5)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/v2/orders?after=0001-01-01&until=9999-12-31T23:59:59%2B00:00",
        "/v2/orders?limit=%D9%A3",
        "/v2/orders?symbols=" + "," * 5000,
        "/v2/orders:by_client_order_id?client_order_id=%ed%a0%80",
        "/v2/calendar?start=0001-01-01&end=9999-12-31",
        "/v2/account/activities?date=9999-12-31",
        "/v2/account/activities?date=0001-01-01",
        "/v2/account/activities?page_size=1e9",
        "/v2/assets/%00",
        "/v2/positions/%ff?qty=1e999999999",
        "/v2/stocks/%ff/trades/latest",
        "/admin/log?since=" + "9" * 5000,
        "/admin/faults/%ff",
    ],
)
def test_odd_queries(exchange: Running, path: str) -> None:
    """Neither an internal error nor a wait."""
    headers = {"APCA-API-KEY-ID": "odd", "APCA-API-SECRET-KEY": "s"}
    assert requests.get(exchange.url + path, headers=headers, timeout=5).status_code < 500


def test_odd_faults(exchange: Running) -> None:
    """Whatever is wrong with a fault is a sentence."""
    url = f"{exchange.url}/admin/faults"
    with requests.Session() as session:
        for name in ("target", "kind", "ms", "p", "next", "headers", "text", "when"):
            for value in ODD_VALUES:
                body = {"target": "GET /none", "kind": "latency", "ms": 1, name: value}
                answer = session.post(url, data=json.dumps(body), timeout=5)
                assert answer.status_code in {200, 400, 422}, (name, value)
        session.delete(url, timeout=5)
