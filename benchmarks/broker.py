"""A broker that costs as little as possible: one process, one port, fixed answers, real events.

It accepts every order, answers after ``--delay-ms``, then sends ``new`` and ``fill`` over
``/stream``. Each POST's arrival is noted on the monotonic clock, which on Linux is one clock for
all processes, and handed out by ``GET /bench/log``.

Not a simulator: it checks nothing. ``paper_exchange`` does.
"""

import argparse
import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import Callable
from datetime import datetime
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
import uvloop

from benchmarks import broker_data
from benchmarks.broker_websocket import Conversation, accept, frame

_NOT_FOUND = b'{"code":40410000,"message":"not found"}'
_PRICES = {
    "/v2/stocks/snapshots": "snapshots",
    "/v2/stocks/trades/latest": "trades",
    "/v2/stocks/quotes/latest": "quotes",
}


class Broker:
    """Orders, positions and the log of arrivals. An order is filled once it was answered."""

    def __init__(self, symbols: list[str], delay: float) -> None:
        self._ids = broker_data.asset_ids([*symbols, broker_data.WARM_UP])
        self._assets = broker_data.assets(self._ids)
        self._account = broker_data.account()
        self._instant = broker_data.Instant()
        self.delay = delay
        self.listeners: set[Connection] = set()
        self.reset()

    def reset(self) -> None:
        """Forget every order and position."""
        self.log: list[tuple[int, str, str, int]] = []
        self._orders: dict[bytes, broker_data.Order] = {}
        self._held: dict[bytes, int] = {}

    def post(self, connection: "Connection", body: bytes, arrived: int) -> None:
        """An order came in: answer it, now or after the delay."""
        if self.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(self.delay, self._answer, connection, body, arrived)
        else:
            self._answer(connection, body, arrived)

    def _answer(self, connection: "Connection", body: bytes, arrived: int) -> None:
        number = len(self.log)
        order = broker_data.order_of(body, number, self._instant.text(), self._ids)
        connection.say(200, order.body(b"pending_new"))
        coid, symbol = order.client_order_id, order.symbol
        entry = (arrived, symbol.decode(), coid.decode(), time.monotonic_ns())
        self.log.append(entry)
        self._orders[coid] = order
        change = int(order.qty) if order.side == b"buy" else -int(order.qty)
        position = self._held[symbol] = self._held.get(symbol, 0) + change
        if self.listeners:
            news = frame(order.accepted_event(number)) + frame(order.filled_event(number, position))
            for listener in self.listeners:
                listener.write(news)

    def get(self, path: str, query: str) -> tuple[int, bytes]:
        """The answer to a GET; these are rare, so clarity goes first here."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        fixed: dict[str, Callable[[], bytes]] = {
            "/v2/account": lambda: self._account,
            "/v2/assets": lambda: self._assets,
            "/v2/clock": broker_data.market_clock,
            "/v2/positions": lambda: broker_data.positions(self._held, self._ids),
            "/v2/orders": lambda: self._list(asked),
            "/bench/log": lambda: orjson.dumps(self.log),
            "/bench/count": lambda: b"%d" % len(self.log),
        }
        if path in fixed:
            return 200, fixed[path]()
        if path in _PRICES:
            return 200, broker_data.prices(asked["symbols"].split(","), _PRICES[path])
        if path.startswith("/v2/account/activities"):
            return 200, b"[]"
        return self._find(path, asked)

    def _find(self, path: str, asked: dict[str, str]) -> tuple[int, bytes]:
        if path == "/v2/orders:by_client_order_id":
            found = self._orders.get(asked["client_order_id"].encode())
        else:
            wanted = unquote(path.rpartition("/")[2]).encode()
            found = next((o for o in self._orders.values() if o.id == wanted), None)
        return (200, found.body(b"filled")) if found else (404, _NOT_FOUND)

    def _list(self, asked: dict[str, str]) -> bytes:
        if asked.get("status", "open") == "open":
            return b"[]"  # all are filled at once
        after = asked.get("after")
        bound = datetime.fromisoformat(after) if after else None
        rows = [
            order.body(b"filled")
            for order in self._orders.values()
            if bound is None or datetime.fromisoformat(order.at.decode()) > bound
        ]
        if asked.get("direction", "desc") == "desc":
            rows.reverse()
        return b"[%b]" % b",".join(rows[: int(asked.get("limit", "50"))])


class Connection(asyncio.Protocol):
    """One client: HTTP/1.1 kept alive, or the order stream once upgraded."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._data = b""
        self._stream: Conversation | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.write = self._transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._broker.listeners.discard(self)

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic_ns()
        if self._stream is not None:
            self._converse(self._stream, data)
            return
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            length = _content_length(head)
            if len(self._data) < end + 4 + length:
                return
            body = self._data[end + 4 : end + 4 + length]
            self._data = self._data[end + 4 + length :]
            if head.startswith(b"POST /v2/orders "):
                self._broker.post(self, body, arrived)
            else:
                self._other(head)

    def say(self, status: int, body: bytes) -> None:
        """Answer with JSON."""
        self.write(
            b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )

    def drop(self) -> None:
        """End it without an answer."""
        self._transport.close()

    def _other(self, head: bytes) -> None:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        url = urlsplit(target)
        if method == "GET" and url.path.rstrip("/") == "/stream":
            self._stream = Conversation()
            self.write(accept(_header(head, b"sec-websocket-key:")))
        elif method == "GET":
            self.say(*self._broker.get(url.path, url.query))
        elif target == "/bench/reset":
            self._broker.reset()
            self.say(200, b"{}")
        elif url.path == "/bench/delay":
            self._broker.delay = float(url.query) / 1000
            self.say(200, b"{}")
        elif method == "DELETE" and url.path == "/v2/orders":
            self.say(207, b"[]")
        elif method == "DELETE":
            self.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            self.say(404, _NOT_FOUND)

    def _converse(self, stream: Conversation, data: bytes) -> None:
        answer = stream.receive(data)
        if answer:
            self.write(answer)
        if stream.listening:
            self._broker.listeners.add(self)
        if stream.closed:
            self._transport.close()


def _content_length(head: bytes) -> int:
    text = _header(head, b"content-length:")
    return int(text) if text else 0


def _header(head: bytes, name: bytes) -> bytes:
    start = head.lower().find(b"\n" + name)
    if start < 0:
        return b""
    start += 1 + len(name)
    end = head.find(b"\r", start)
    return head[start : end if end >= 0 else len(head)].strip()


async def serve(broker: Broker, port: int) -> None:
    """Serve until SIGTERM or SIGINT; the port is written to standard output once it listens."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Connection(broker), "127.0.0.1", port, backlog=512)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    # A pause of the collector here would be read as latency of the pipeline under test.
    gc.freeze()
    gc.disable()
    await stop.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--tickers", type=int, default=100)
    asked = parser.parse_args()
    broker = Broker(broker_data.tickers(asked.tickers), asked.delay_ms / 1000)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(broker, asked.port))


if __name__ == "__main__":
    main()
