"""A client that costs little: kept-alive connections that POST orders, and one listener.

Run by ``benchmarks.exchange`` as a process of its own; prints one JSON object.
``--rate 0`` sends as fast as answers come, over all connections; another rate
sends on a fixed schedule, and a latency counts from the moment the schedule named.
"""

import asyncio
import base64
import os
import time
from argparse import ArgumentParser, Namespace
from typing import cast

import orjson
import uvloop

_KEYS = "APCA-API-KEY-ID: bench\r\nAPCA-API-SECRET-KEY: bench\r\n"
_DEADLINE = 30.0


def request(number: int) -> bytes:
    """A market IOC for one share, in turn bought and sold, as a client would send it."""
    side = "sell" if number % 2 else "buy"
    body = (
        f'{{"symbol":"NVDA","qty":"1","side":"{side}","type":"market",'
        f'"time_in_force":"ioc","client_order_id":"bench-{os.getpid()}-{number}"}}'
    )
    return (
        f"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n{_KEYS}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection(asyncio.Protocol):
    """One request at a time; ``answered`` is resolved with the answer's status."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._data = b""
        self._answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """A waiting request fails."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        """Resolve the request once its answer is complete."""
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length and self._answered is not None:
            self._data = b""
            self._answered.set_result(int(head[9:12]))

    def ask(self, data: bytes) -> asyncio.Future[int]:
        """Send a request; the future holds the status."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._answered


class Listener(asyncio.Protocol):
    """Subscribes to trade_updates over a bare socket and counts frames."""

    def __init__(self) -> None:
        self.frames = 0
        self._data = bytearray()
        self._transport: asyncio.Transport
        self._upgraded = False
        self.listening = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade"
            f"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count whole frames; server frames are not masked."""
        self._data += data
        if not self._upgraded:
            if b"\r\n\r\n" not in self._data:
                return
            self._upgraded = True
            self._data = bytearray(self._data.partition(b"\r\n\r\n")[2])
            self._say({"action": "auth", "key": "bench", "secret": "bench"})
            self._say({"action": "listen", "data": {"streams": ["trade_updates"]}})
        view, at = self._data, 0
        while len(view) - at >= 2:
            size, start = view[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(view[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(view[at + 2 : at + 10]), at + 10
            if len(view) < start + size:
                break
            at = start + size
            self.frames += 1
        del view[:at]
        if self.frames >= 2:
            self.listening.set()

    def _say(self, message: object) -> None:
        text = orjson.dumps(message)
        # A mask of zeros is a mask.
        self._transport.write(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)


async def _flood(links: list[Connection], seconds: float) -> tuple[list[float], int]:
    end = time.monotonic() + seconds
    took: list[float] = []
    number = iter(range(1_000_000_000))
    refused = 0

    async def keep_asking(link: Connection) -> None:
        nonlocal refused
        while (sent := time.monotonic()) < end:
            status = await link.ask(request(next(number)))
            refused += status != 200
            took.append(time.monotonic() - sent)

    await asyncio.gather(*(keep_asking(link) for link in links))
    return took, refused


async def _paced(links: list[Connection], seconds: float, rate: float) -> tuple[list[float], int]:
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for link in links:
        free.put_nowait(link)
    took: list[float] = []
    refused = 0

    async def ask(number: int, due: float) -> None:
        nonlocal refused
        link = await free.get()
        status = await link.ask(request(number))
        refused += status != 200
        took.append(time.monotonic() - due)
        free.put_nowait(link)

    start = time.monotonic() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * rate)):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(ask(number, due))
    return took, refused


async def load(asked: Namespace) -> dict[str, object]:
    """Connect, subscribe, send, count."""
    loop = asyncio.get_running_loop()
    where = ("127.0.0.1", asked.port)
    listener = None
    if asked.listen:
        _, listener = await loop.create_connection(Listener, *where)
        await asyncio.wait_for(listener.listening.wait(), _DEADLINE)
    links = [
        (await loop.create_connection(Connection, *where))[1] for _ in range(asked.connections)
    ]
    began = time.monotonic()
    if asked.rate:
        took, refused = await _paced(links, asked.seconds, asked.rate)
    else:
        took, refused = await _flood(links, asked.seconds)
    elapsed = time.monotonic() - began
    wanted = 2 + 2 * (len(took) - refused)
    deadline = time.monotonic() + _DEADLINE
    while listener and listener.frames < wanted and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return {
        "requests": len(took),
        "refused": refused,
        "seconds": elapsed,
        "latencies": sorted(took),
        "events": listener.frames - 2 if listener else None,
    }


def main() -> None:
    """Run what the arguments ask for."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--listen", action="store_true")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(orjson.dumps(runner.run(load(parser.parse_args()))).decode())


if __name__ == "__main__":
    main()
