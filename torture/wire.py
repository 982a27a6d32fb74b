"""The broker on the wire: HTTP and the order stream, telling the truth as badly as it is told to.

One asyncio loop in a thread of its own. What the book knows is read by the oracle from outside.
"""

import asyncio
import contextlib
import functools
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
import uvloop

from benchmarks import broker_data
from benchmarks.broker_websocket import Conversation, accept, frame
from torture.book import Book, Lookup, Order, asset_id
from torture.budget import Budget
from torture.faults import GOOD, Fault, ask_fault, event_fate, post_fault

_HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"
_TOO_MANY = b'{"code":42910000,"message":"too many requests"}'
_RST = struct.pack("ii", 1, 0)


class Broker:
    """A broker that can be told to misbehave; a context manager.

    Args:
        seed: of every fate.
        symbols: what it lists.
        held: shares at first, by symbol.
        far: symbols whose limits never fill.
        budget: counts requests of the trading API, None for no limit.
    """

    def __init__(
        self,
        seed: str,
        symbols: list[str],
        held: Mapping[str, Decimal],
        far: Collection[str] = (),
        budget: Budget | None = None,
    ) -> None:
        self.seed = seed
        self.faulty = True
        self.counts: Counter[str] = Counter()
        self.clients: set[Connection] = set()
        self.listeners: set[Connection] = set()
        self._symbols = symbols
        self._loop = uvloop.new_event_loop()
        self._asked = 0
        self._kept: list[bytes] = []
        self.book = Book(seed, held, self.later, self._tell, far)
        self.budget = budget
        self.url = ""

    # --- life -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="broker", daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise TimeoutError("the broker did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]  # uvloop's stub
        ready.set()
        self._loop.run_forever()
        server.close()
        for client in list(self.clients):
            client.transport.abort()
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()

    def later(self, seconds: float, run: Callable[[], None]) -> None:
        """Run something in this broker's thread."""
        self._loop.call_later(seconds, run)

    def call(self, run: Callable[[], object]) -> None:
        """The same, at once and from another thread; returns when it is done."""
        done = threading.Event()

        def wrapped() -> None:
            try:
                run()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(wrapped)
        done.wait(10)

    def heal(self) -> None:
        """No more faults; streams that were silenced are closed, as a broker's restart would."""

        def run() -> None:
            self.faulty = False
            self._kept.clear()
            for listener in list(self.listeners):
                if listener.silent:
                    listener.transport.close()

        self.call(run)

    def cut_streams(self) -> None:
        """End every websocket."""
        self.call(self._cut)

    def _cut(self) -> None:
        for listener in list(self.listeners):
            listener.transport.close()

    # --- orders ---------------------------------------------------------------------------

    def post(self, client: "Connection", body: bytes, by: int) -> None:
        """An order came in, from so manyeth life."""
        asked = orjson.loads(body)
        key, attempt = self.book.arrived(asked)
        fault = post_fault(self.seed, key, attempt) if self.faulty else GOOD
        self.counts[f"POST: {fault.name}"] += 1
        self.book.note(asked, body, fault.name, by)
        answer = (0, b"")
        if fault.late:
            self.later(fault.late, functools.partial(self._accept_late, asked))
        elif fault.accepts:
            status, shown = self.book.accept(asked)
            answer = status, orjson.dumps(shown)
        self._serve(client, fault, answer)

    def _accept_late(self, asked: dict[str, Any]) -> None:
        self.book.accept(asked)

    def ask(self, client: "Connection", method: str, path: str, query: str, by: int) -> None:
        """Anything else that is asked for, by so manyeth life."""
        about_orders = path.startswith("/v2/orders")
        fault = GOOD
        if self.faulty and about_orders:
            self._asked += 1
            fault = ask_fault(self.seed, self._asked)
            self.counts[fault.name if fault.bad else "question: good"] += 1
        if method == "GET" and about_orders:
            self._note_lookup(path, query, by, answered=fault.accepts and fault.answer == "true")
        answer = (0, b"")
        if fault.accepts:
            answer = self._answer_to(method, path, query)
        self._serve(client, fault, answer)

    def _note_lookup(self, path: str, query: str, by: int, *, answered: bool) -> None:
        asked = _parameters(query)
        if path == "/v2/orders:by_client_order_id":
            about = asked["client_order_id"]
        elif path == "/v2/orders" and asked.get("status") == "all":
            about = ""
        else:
            return
        self.book.lookups.append(Lookup(time.monotonic(), about, by, answered))

    def _serve(self, client: "Connection", fault: Fault, answer: tuple[int, bytes]) -> None:
        if fault.delay:
            self.later(fault.delay, lambda: client.say_as(fault.answer, *answer))
        else:
            client.say_as(fault.answer, *answer)

    def _answer_to(self, method: str, path: str, query: str) -> tuple[int, bytes]:
        asked = _parameters(query)
        if method == "DELETE":
            return self._cancel(path)
        simple: dict[str, Callable[[], bytes]] = {
            "/v2/account": self._account,
            "/v2/clock": broker_data.market_clock,
            "/v2/assets": self._assets,
            "/v2/positions": self._positions,
            "/v2/orders": lambda: self._list(asked),
        }
        if path in simple:
            return 200, simple[path]()
        if path.startswith("/v2/stocks/"):
            kind = path.removeprefix("/v2/stocks/").removesuffix("/latest")
            return 200, broker_data.prices(asked["symbols"].split(","), kind)
        if path.startswith("/v2/account/activities"):
            return 200, b"[]"
        if path == "/v2/orders:by_client_order_id":
            return _found(self.book.find(asked["client_order_id"]))
        return _found(self.book.by_id(unquote(path.rpartition("/")[2])))

    def _cancel(self, path: str) -> tuple[int, bytes]:
        done = self.book.cancel(unquote(path.rpartition("/")[2]))
        if done is None:
            return 404, b'{"code":40410000,"message":"order not found"}'
        if not done:
            return 422, b'{"code":42210000,"message":"order is not cancelable"}'
        return 204, b""

    def _assets(self) -> bytes:
        ids = {symbol: asset_id(symbol).encode() for symbol in self._symbols}
        return broker_data.assets(ids)

    def _positions(self) -> bytes:
        ids = {symbol: asset_id(symbol).encode() for symbol in self._symbols}
        held = {s.encode(): int(q) for s, q in self.book.held.items() if q}
        rows = orjson.loads(broker_data.positions(held, ids))
        for row in rows:
            row["qty_available"] = f"{self.book.available(row['symbol']):f}"
        return orjson.dumps(rows)

    def _account(self) -> bytes:
        money = {"cash": f"{self.book.cash:f}", "buying_power": f"{self.book.buying_power():f}"}
        return orjson.dumps({**orjson.loads(broker_data.account()), **money})

    def _list(self, asked: dict[str, str]) -> bytes:
        only_open = asked.get("status", "open") == "open"
        rows = self.book.listed(only_open=only_open, after=asked.get("after"))
        if asked.get("direction", "desc") == "desc":
            rows.reverse()
        return orjson.dumps([order.shown() for order in rows[: int(asked.get("limit", "50"))]])

    # --- the stream -----------------------------------------------------------------------

    def _tell(self, order: str, event: str, content: dict[str, Any]) -> None:
        if not self.listeners:
            return
        message = frame(orjson.dumps({"stream": "trade_updates", "data": content}))
        fate = event_fate(self.seed, order, event) if self.faulty else "sent"
        self.counts[f"event: {fate}"] += 1
        self._deliver(message, fate)

    def _deliver(self, message: bytes, fate: str) -> None:
        if fate == "reordered":
            self._kept.append(message)
        elif fate == "delayed":
            self.later(0.15, lambda: self._push(message))
        elif fate == "disconnected":
            self._cut()
        elif fate == "silent from here":
            for listener in self.listeners:
                listener.silent = True
        elif fate != "dropped":
            kept, self._kept = self._kept, []
            self._push(b"".join([message, *([message] if fate == "doubled" else []), *kept]))

    def _push(self, messages: bytes) -> None:
        for listener in self.listeners:
            if not listener.silent:
                listener.transport.write(messages)


class Connection(asyncio.Protocol):
    """One client: HTTP/1.1 kept alive, or the order stream once upgraded."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._data = b""
        self._stream: Conversation | None = None
        self.silent = False
        self.headers: tuple[str, ...] = ()
        """What the budget says with the answer to the request under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._broker.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._broker.clients.discard(self)
        self._broker.listeners.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._stream is not None:
            self._converse(self._stream, data)
            return
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            size = end + 4 + int(_header(head, b"content-length") or 0)
            if len(self._data) < size:
                return
            body, self._data = self._data[end + 4 : size], self._data[size:]
            self._request(head, body)

    def say_as(self, manner: str, status: int, body: bytes) -> None:
        """Answer truly, or in the manner of a fault."""
        if self.transport.is_closing() or manner == "never":
            return
        if manner == "none":
            self.transport.close()
        elif manner == "reset":
            self._reset()
        elif manner == "cut":
            self.transport.write(_message(status, body)[: -max(1, len(body) // 2)])
            self.transport.close()
        elif manner == "empty":
            self.transport.write(_message(200, b""))
        elif manner == "429":
            self.transport.write(_message(429, _TOO_MANY, ("Retry-After: 0",)))
        elif manner == "true":
            self.transport.write(_message(status, body, self.headers))
        else:
            self.transport.write(_message(int(manner), _HTML))

    def _reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.transport.abort()

    def _request(self, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        url = urlsplit(target)
        if url.path.rstrip("/") == "/stream":
            self._stream = Conversation()
            self.transport.write(accept(_header(head, b"sec-websocket-key")))
            return
        # Each life has a key of its own: KEY-17.
        by = int(_header(head, b"apca-api-key-id").rpartition(b"-")[2] or 0)
        budget = self._broker.budget
        if budget is not None and not url.path.startswith("/v2/stocks/"):
            wait = budget.take(time.monotonic(), by)
            self.headers = budget.headers(time.monotonic(), wait)
            if wait:
                self._broker.counts["request: over the limit"] += 1
                self.transport.write(_message(429, _TOO_MANY, self.headers))
                return
        if method == "POST":
            self._broker.post(self, body, by)
        else:
            self._broker.ask(self, method, url.path, url.query, by)

    def _converse(self, stream: Conversation, data: bytes) -> None:
        answer = stream.receive(data)
        if answer and not self.silent:
            self.transport.write(answer)
        if stream.listening:
            self._broker.listeners.add(self)
        if stream.closed:
            self.transport.close()


def _parameters(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _found(order: Order | None) -> tuple[int, bytes]:
    if order is None:
        return 404, b'{"code":40410000,"message":"order not found"}'
    return 200, orjson.dumps(order.shown())


def _message(status: int, body: bytes, more: tuple[str, ...] = ()) -> bytes:
    if status == 204:
        return "\r\n".join(["HTTP/1.1 204 No Content", *more, "", ""]).encode()
    kind = "text/html" if body is _HTML else "application/json"
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


def _header(head: bytes, name: bytes) -> bytes:
    start = head.lower().find(b"\n" + name + b":")
    if start < 0:
        return b""
    end = head.find(b"\r", start)
    return head[start + len(name) + 2 : end if end >= 0 else len(head)].strip()


def first_post_of(book: Book, life: int) -> float | None:
    """When the first POST of so manyeth life came (monotonic seconds)."""
    return next((post.at for post in list(book.posts) if post.by == life), None)


def now() -> float:
    """The clock of :class:`torture.book.Post`."""
    return time.monotonic()
