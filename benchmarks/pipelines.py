"""What the service is compared with: two pipelines that move a signal and do nothing else.

* ``floor``: raw Redis socket → ``queue.Queue`` → raw HTTP socket, no parsing beyond splitting out
  what the POST needs. No Python program with one thread hop can be faster.
* ``reference``: redis-py → ``queue.Queue`` → ``requests``, as one would write it in half an hour.

Neither validates, sizes, records, follows or acknowledges anything.
"""

import argparse
import queue
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GROUP = "solution"
COUNT = 100
BLOCK_MS = 1000
_HEAD_TOKENS = 5
_ENTRY_TOKENS = 12  # of an entry with exactly the fields ticker and direction


@dataclass(frozen=True)
class Target:
    """Where signals come from and where orders go."""

    redis_port: int
    broker_port: int
    stream: str
    workers: int


Entry = tuple[bytes, bytes]
"""Entry id and ticker."""
Source = Callable[["queue.Queue[Entry]", threading.Event], None]
Sink = Callable[["queue.Queue[Entry]"], None]


def floor_source(target: Target) -> Source:
    """Read the group over a raw socket."""
    parts = ["XREADGROUP", "GROUP", GROUP, "floor", "COUNT", str(COUNT), "BLOCK", str(BLOCK_MS)]
    parts += ["STREAMS", target.stream, ">"]
    request = _resp(parts)

    def run(entries: "queue.Queue[Entry]", stop: threading.Event) -> None:
        with socket.create_connection(("127.0.0.1", target.redis_port), timeout=10.0) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not stop.is_set():
                link.sendall(request)
                for entry in _read_entries(link):
                    entries.put(entry)

    return run


def _resp(parts: list[str]) -> bytes:
    encoded = [b"$%d\r\n%b\r\n" % (len(p.encode()), p.encode()) for p in parts]
    return b"*%d\r\n%b" % (len(parts), b"".join(encoded))


def _read_entries(link: socket.socket) -> list[Entry]:
    data = b""
    while True:
        received = link.recv(262_144)
        if not received:
            return []
        data += received
        if data.startswith((b"*-1", b"_\r\n")):
            return []
        tokens = data.split(b"\r\n")
        if len(tokens) <= _HEAD_TOKENS:
            continue
        count = int(tokens[4][1:])
        if len(tokens) == _HEAD_TOKENS + _ENTRY_TOKENS * count + 1:
            starts = range(_HEAD_TOKENS, len(tokens) - 1, _ENTRY_TOKENS)
            return [(tokens[at + 2], tokens[at + 7]) for at in starts]


def floor_sink(target: Target) -> Sink:
    """POST over a raw, persistent socket."""
    head = (
        f"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1:{target.broker_port}\r\n"
        "Accept: application/json\r\nAPCA-API-KEY-ID: bench\r\nAPCA-API-SECRET-KEY: bench\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    body = (
        b'{"symbol":"%b","side":"buy","type":"market","time_in_force":"ioc","qty":"1",'
        b'"client_order_id":"%b"}'
    )

    def run(entries: "queue.Queue[Entry]") -> None:
        with socket.create_connection(("127.0.0.1", target.broker_port), timeout=10.0) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                entry_id, ticker = entries.get()
                if not entry_id:
                    return
                content = body % (ticker, entry_id)
                link.sendall(b"%b%d\r\n\r\n%b" % (head, len(content), content))
                _read_answer(link)

    return run


def _read_answer(link: socket.socket) -> None:
    data = link.recv(65_536)
    end = data.index(b"\r\n\r\n") + 4
    length = int(data[data.index(b"Content-Length: ") + 16 : end - 4])
    while len(data) < end + length:
        data += link.recv(65_536)


def reference_source(target: Target) -> Source:
    """Read the group with redis-py."""
    import redis

    def run(entries: "queue.Queue[Entry]", stop: threading.Event) -> None:
        client = redis.Redis(port=target.redis_port, socket_timeout=10.0)
        while not stop.is_set():
            found = client.xreadgroup(
                GROUP, "reference", {target.stream: ">"}, count=COUNT, block=BLOCK_MS
            )
            for entry_id, fields in _entries_of(found):
                entries.put((entry_id, fields[b"ticker"]))

    return run


def _entries_of(found: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """One stream's entries from the answer in any of the shapes that redis-py gives it."""
    if not found:
        return []
    if isinstance(found, dict):
        (batches,) = found.values()
        return [entry for batch in batches for entry in batch]
    return list(found[0][1])


def reference_sink(target: Target) -> Sink:
    """POST with requests, a session per thread."""
    import requests

    url = f"http://127.0.0.1:{target.broker_port}/v2/orders"
    headers = {"APCA-API-KEY-ID": "bench", "APCA-API-SECRET-KEY": "bench"}

    def run(entries: "queue.Queue[Entry]") -> None:
        with requests.Session() as session:
            while True:
                entry_id, ticker = entries.get()
                if not entry_id:
                    return
                order = {
                    "symbol": ticker.decode(),
                    "side": "buy",
                    "type": "market",
                    "time_in_force": "ioc",
                    "qty": "1",
                    "client_order_id": entry_id.decode(),
                }
                session.post(url, json=order, headers=headers, timeout=10.0).json()

    return run


KINDS: dict[str, tuple[Callable[[Target], Source], Callable[[Target], Sink]]] = {
    "floor": (floor_source, floor_sink),
    "reference": (reference_source, reference_sink),
}


def run(kind: str, target: Target) -> None:
    """Run one pipeline until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    make_source, make_sink = KINDS[kind]
    source, sink = make_source(target), make_sink(target)
    entries: queue.Queue[Entry] = queue.Queue()
    workers = [
        threading.Thread(target=sink, args=(entries,), daemon=True) for _ in range(target.workers)
    ]
    reader = threading.Thread(target=source, args=(entries, stop), daemon=True)
    for thread in (*workers, reader):
        thread.start()
    print("ready", flush=True)
    stop.wait()
    for _ in workers:
        entries.put((b"", b""))
    for thread in (*workers, reader):
        thread.join(2.0)


def main() -> None:
    """Read the arguments and run; the consumer group exists already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    target = Target(asked.redis_port, asked.broker_port, asked.stream, asked.workers)
    run(asked.kind, target)


if __name__ == "__main__":
    main()
