"""A broker that misbehaves by script: a proxy in front of a real exchange.

The exchange behind it keeps the books and its own log of requests; the proxy decides, order by
order, what of a request arrives there and what of the answer comes back. Faults are scripted per
symbol, so that many of them can be tried in one run::

    broker.on_post("NVDA", accept_then(drop()), status(500))
    broker.hide("AAPL", until_posts=2)  # lookups find nothing
    broker.on_stream("MSFT", twice)
"""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.helpers.fault_http_server import Seen, Talk, head, read_request, reset

JOIN_DEADLINE = 5.0
_PEEK = 65_536
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"}


@dataclass(frozen=True)
class Answer:
    """What the exchange said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def message(self, *, keep: int | None = None) -> bytes:
        """As bytes; with ``keep`` the body is cut off after so many, though announced in full."""
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
        headers["Content-Length"] = str(len(self.body))
        if self.status == 204:
            del headers["Content-Length"]
        return head(self.status, headers) + self.body[:keep]


@dataclass
class Request:
    """One request on its way through the proxy."""

    broker: "FaultBroker"
    talk: Talk
    seen: Seen
    upstream: http.client.HTTPConnection

    def forward(self) -> Answer:
        """Hand it to the exchange and wait for the answer."""
        return self.broker.ask(self.seen, self.upstream)

    def send(self, message: bytes) -> None:
        self.talk.sock.sendall(message)

    @property
    def body(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.seen.body)
        return decoded


Fault = Callable[[Request], bool]
"""Serves one request; returns whether the connection stays open."""


@dataclass(frozen=True)
class Unread:
    """A fault that strikes before the request is read."""

    strike: Callable[[Talk], None]


# --- faults of an answer ------------------------------------------------------------------


def honest(request: Request) -> bool:
    """The exchange's own answer."""
    request.send(request.forward().message())
    return True


def drop() -> Fault:
    """The connection ends without an answer."""
    return lambda _: False


def reset_unread() -> Unread:
    """A TCP reset while the request waits unread."""
    return Unread(lambda talk: reset(talk.sock))


def status(code: int, body: object = b"", **headers: str) -> Fault:
    """An answer of the machines in between: JSON for an object, HTML for bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Answer(code, {"Content-Type": kind, **names}, content)

    def run(request: Request) -> bool:
        request.send(answer.message())
        return True

    return run


def silence() -> Fault:
    """Never answers."""

    def run(request: Request) -> bool:
        request.talk.stopping.wait()
        return False

    return run


def cut_off(request: Request) -> bool:
    """Accepted, and the answer ends in the middle of its JSON."""
    answer = request.forward()
    request.send(answer.message(keep=len(answer.body) // 2))
    return False


def accept_then(fault: Fault) -> Fault:
    """The exchange takes the order; the client gets the fault instead of the answer."""

    def run(request: Request) -> bool:
        request.forward()
        return fault(request)

    return run


def late(seconds: float) -> Fault:
    """HTTP 504 at once, and the exchange gets the order only after so many seconds."""

    def run(request: Request) -> bool:
        request.broker.later(seconds, request.seen)
        return status(504, b"<html>Gateway Time-out</html>")(request)

    return run


def slow_answer(seconds: float) -> Fault:
    """Taken at once, answered late: the order's events come first."""

    def run(request: Request) -> bool:
        answer = request.forward()
        request.talk.stopping.wait(seconds)
        request.send(answer.message())
        return True

    return run


# --- faults of the stream -----------------------------------------------------------------

Policy = Callable[[list[bytes], str, bytes], list[bytes]]
"""Given what was kept back so far, the event's name and its frame: what goes out now."""


def once(_kept: list[bytes], _event: str, frame: bytes) -> list[bytes]:
    """As it comes."""
    return [frame]


def twice(_kept: list[bytes], _event: str, frame: bytes) -> list[bytes]:
    """Every message two times."""
    return [frame, frame]


def never(_kept: list[bytes], _event: str, _frame: bytes) -> list[bytes]:
    """Nothing of this symbol."""
    return []


def backwards(kept: list[bytes], event: str, frame: bytes) -> list[bytes]:
    """All of it in reverse once the fill is there, and the fill again at the end."""
    kept.insert(0, frame)
    if event != "fill":
        return []
    out, kept[:] = [*kept, frame], []
    return out


@dataclass
class FaultBroker:
    """The proxy; a context manager. ``posts`` is its own log of orders as they arrived."""

    upstream_url: str
    posts: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    account_changes: dict[str, Any] = field(default_factory=dict)
    stream_open: bool = True

    def __post_init__(self) -> None:
        parts = urlsplit(self.upstream_url)
        self._upstream = (str(parts.hostname), int(parts.port or 80))
        self._stopping = threading.Event()
        self._mutex = threading.Lock()
        self._post: dict[str, deque[Fault | Unread]] = defaultdict(deque)
        self._lookup: dict[str, deque[Fault]] = defaultdict(deque)
        self._hidden: dict[str, int] = {}
        self._policies: dict[str, Policy] = {}
        self._kept: dict[str, list[bytes]] = defaultdict(list)
        self._symbols: dict[str, str] = {}
        self._socks: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0

    # --- scripting ------------------------------------------------------------------------

    def on_post(self, symbol: str, *faults: Fault | Unread) -> None:
        """What happens to this symbol's next orders, one after the other; then all is well."""
        with self._mutex:
            self._post[symbol].extend(faults)

    def on_lookup(self, symbol: str, *faults: Fault) -> None:
        """The same for lookups of its orders by client_order_id."""
        with self._mutex:
            self._lookup[symbol].extend(faults)

    def hide(self, symbol: str, until_posts: int) -> None:
        """Its orders are found by nobody until so many POSTs of it have come."""
        self._hidden[symbol] = until_posts

    def on_stream(self, symbol: str, policy: Policy) -> None:
        """What becomes of this symbol's events."""
        self._policies[symbol] = policy

    def posts_of(self, symbol: str) -> list[dict[str, Any]]:
        """The bodies that arrived, in order."""
        with self._mutex:
            return [body for _, body in self.posts if body["symbol"] == symbol]

    def times_of(self, symbol: str) -> list[float]:
        """When they arrived, monotonic seconds."""
        with self._mutex:
            return [at for at, body in self.posts if body["symbol"] == symbol]

    # --- life -----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its base URL; the port stays the same over close() and open()."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen (again)."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept, self._listener)

    def close(self) -> None:
        """Refuse connections and end those there are: the broker is down."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._end(self._socks)

    def cut_streams(self) -> None:
        """End the websockets; new ones are refused while ``stream_open`` is False."""
        self._end(self._streams)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self.close()
        for thread in self._threads:
            thread.join(JOIN_DEADLINE)

    def later(self, seconds: float, seen: Seen) -> None:
        """Hand a request to the exchange after a while."""

        def run() -> None:
            self._stopping.wait(seconds)
            upstream = http.client.HTTPConnection(*self._upstream, timeout=JOIN_DEADLINE)
            with contextlib.closing(upstream):
                self.ask(seen, upstream)

        self._start(run)

    def ask(self, seen: Seen, upstream: http.client.HTTPConnection) -> Answer:
        """One request to the exchange."""
        headers = {name: value for name, value in seen.headers.items() if name not in _HOP}
        upstream.request(seen.method, seen.path, seen.body or None, headers)
        response = upstream.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())

    # --- inside ---------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="fault-broker", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _end(self, socks: set[socket.socket]) -> None:
        with self._mutex:
            ending = list(socks)
        for sock in ending:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        upstream = http.client.HTTPConnection(*self._upstream, timeout=JOIN_DEADLINE)
        with self._mutex:
            self._socks.add(sock)
        try:
            talk = Talk(sock, self._stopping, 0)
            while not self._stopping.is_set() and self._one(talk, upstream):
                pass
        except (OSError, http.client.HTTPException):
            pass  # the client or the exchange went away
        finally:
            upstream.close()
            sock.close()
            with self._mutex:
                self._socks.discard(sock)

    def _one(self, talk: Talk, upstream: http.client.HTTPConnection) -> bool:
        waiting = talk.sock.recv(_PEEK, socket.MSG_PEEK)
        if not waiting:
            return False
        fault: Fault = honest
        if waiting.startswith(b"POST /v2/orders "):
            scripted = self._post_fault(waiting)
            if isinstance(scripted, Unread):
                scripted.strike(talk)
                return False
            fault = scripted
        seen = read_request(talk, b"")
        if seen is None:
            return False
        if seen.headers.get("upgrade", "").lower() == "websocket":
            self._tunnel(talk.sock, seen)
            return False
        request = Request(self, talk, seen, upstream)
        if seen.method == "POST" and seen.path == "/v2/orders":
            with self._mutex:
                self.posts.append((time.monotonic(), request.body))
                self._symbols[request.body["client_order_id"]] = request.body["symbol"]
            return fault(request)
        return self._other_fault(seen)(request)

    def _post_fault(self, waiting: bytes) -> Fault | Unread:
        """The body is there already: the client sends head and body in one piece."""
        body = json.loads(waiting.partition(b"\r\n\r\n")[2])
        with self._mutex:
            script = self._post[body["symbol"]]
            return script.popleft() if script else honest

    def _other_fault(self, seen: Seen) -> Fault:
        parts = urlsplit(seen.path)
        if parts.path == "/v2/account" and self.account_changes:
            return self._changed_account
        if parts.path == "/v2/orders" and seen.method == "GET":
            return self._listing
        if not parts.path.endswith("by_client_order_id"):
            return honest
        coid = parse_qs(parts.query)["client_order_id"][0]
        with self._mutex:
            symbol = self._symbols.get(coid, "")
            script = self._lookup[symbol]
            if script:
                return script.popleft()
        if self._is_hidden(symbol):
            return status(404, {"code": 40410000, "message": f"order not found for {coid}"})
        return honest

    def _is_hidden(self, symbol: str) -> bool:
        return len(self.posts_of(symbol)) < self._hidden.get(symbol, 0)

    def _listing(self, request: Request) -> bool:
        answer = request.forward()
        shown = [o for o in json.loads(answer.body) if not self._is_hidden(o["symbol"])]
        request.send(Answer(answer.status, answer.headers, json.dumps(shown).encode()).message())
        return True

    def _changed_account(self, request: Request) -> bool:
        answer = request.forward()
        body = json.dumps(json.loads(answer.body) | self.account_changes).encode()
        request.send(Answer(answer.status, answer.headers, body).message())
        return True

    # --- the stream -----------------------------------------------------------------------

    def _tunnel(self, sock: socket.socket, seen: Seen) -> None:
        if not self.stream_open:
            return
        upstream = socket.create_connection(self._upstream, timeout=JOIN_DEADLINE)
        upstream.settimeout(None)
        with self._mutex:
            self._streams |= {sock, upstream}
        lines = [f"{seen.method} {seen.path} HTTP/1.1"]
        # Without extensions frames are plain text that can be read here.
        lines += [f"{n}: {v}" for n, v in seen.headers.items() if n != "sec-websocket-extensions"]
        try:
            upstream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            self._start(self._pump, sock, upstream)
            self._relay(upstream, sock)
        finally:
            with self._mutex:
                self._streams -= {sock, upstream}
            for one in (upstream, sock):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            upstream.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PEEK):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        """From the exchange to the client, frame by frame, as the policies say."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(source)
        handshake, _, data = data.partition(b"\r\n\r\n")
        sink.sendall(handshake + b"\r\n\r\n")
        while True:
            while (size := _frame_size(data)) is None or len(data) < size:
                data += _more(source)
            frame, data = data[:size], data[size:]
            for out in self._judge(frame):
                sink.sendall(out)

    def _judge(self, frame: bytes) -> list[bytes]:
        message = _json_of(frame)
        if message is None or message.get("stream") != "trade_updates":
            return [frame]
        content = message["data"]
        symbol = content["order"]["symbol"]
        policy = self._policies.get(symbol, once)
        return policy(self._kept[symbol], content["event"], frame)


def _more(source: socket.socket) -> bytes:
    data = source.recv(_PEEK)
    if not data:
        raise OSError("the connection ended")
    return data


def _header_size(data: bytes) -> int:
    return {126: 4, 127: 10}.get(data[1] & 0x7F, 2)


def _frame_size(data: bytes) -> int | None:
    """Bytes of the first frame, header included; None while its header is incomplete."""
    if len(data) < 2 or len(data) < _header_size(data):
        return None
    short, header = data[1] & 0x7F, _header_size(data)
    return header + (short if header == 2 else int.from_bytes(data[2:header], "big"))


def _json_of(frame: bytes) -> dict[str, Any] | None:
    if frame[0] & 0x0F not in {1, 2}:
        return None  # ping, pong, close
    decoded = json.loads(frame[_header_size(frame) :])
    return decoded if isinstance(decoded, dict) else None
