"""What orders that have ended weigh in the exchange: ``python -m benchmarks.exchange_memory``.

An exchange in a process of its own takes orders over one kept connection, one after the other, each
filled or canceled before its answer leaves: by turns a purchase, a sale, and an order that rests
and is canceled. Reported are its resident memory on the way, its CPU time and the time between
sending a POST and having its answer. Then old orders, executions and ids are asked for, which by
now are on disk, and the state file is started once more. Linux only (``/proc``).

``--keep-closed`` shows what an order in memory weighs, ``--state`` what it costs to keep all over a
restart.
"""

import json
import socket
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from benchmarks.processes import Child
from benchmarks.report import goals, machine, write
from benchmarks.startup import resident_mb

LIMIT_MB = 120.0
STEPS = 5


class Connection:
    """One kept connection; an exchange's answers carry their length."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of one request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAPCA-API-KEY-ID: k\r\n"
        head += f"APCA-API-SECRET-KEY: s\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        headers, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        _, found, rest = headers.lower().partition(b"content-length: ")
        length = int(rest.split(b"\r", 1)[0]) if found else 0
        while len(self._buffer) < length:
            self._receive()
        content, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(headers.split(b" ", 2)[1]), content

    def get(self, path: str) -> Any:
        """A GET's body, and the milliseconds it took."""
        began = time.perf_counter()
        status, content = self.ask("GET", path)
        if status != 200:
            raise SystemExit(f"GET {path} was answered with {status}: {content[:200]!r}")
        return json.loads(content), (time.perf_counter() - began) * 1e3

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _receive(self) -> None:
        data = self._socket.recv(262_144)
        if not data:
            raise SystemExit("the exchange has closed the connection")
        self._buffer += data


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--keep-closed", type=int, default=1_000)
    parser.add_argument("--state", action="store_true", help="with a state file")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signalpaca-memory-") as folder:
        result = measure(asked, Path(folder))
    for name, value in result.items():
        print(f"{name:>22}  {value}")
    met = [
        (f"resident below {LIMIT_MB:g} MB at the end", result["resident_mb"][-1] < LIMIT_MB),
        ("every order is still found", result["found"]),
    ]
    print(goals(met))
    write("exchange_memory", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


def measure(asked: Namespace, folder: Path) -> dict[str, Any]:
    """Send the orders, look for the first ones, and start again where there is a state file."""
    command = ["-m", "paper_exchange", "--port", "0", "--rate-limit", "0"]
    command += ["--keep-closed", str(asked.keep_closed)]
    state = folder / "state.db"
    if asked.state:
        command += ["--state", str(state)]
    with Child("exchange", command, folder) as exchange:
        connection = Connection(exchange.ready().rsplit(" ", 1)[-1])
        connection.ask("POST", "/admin/prices", b'{"KO": "70"}')
        resident, times = [round(resident_mb(exchange.process.pid), 1)], []
        cpu = exchange.cpu_seconds()
        for step in range(STEPS):
            first, last = (asked.orders * n // STEPS for n in (step, step + 1))
            times += [send(connection, number) for number in range(first, last)]
            resident.append(round(resident_mb(exchange.process.pid), 1))
        cpu = exchange.cpu_seconds() - cpu
        result = {
            "orders": asked.orders,
            "keep_closed": asked.keep_closed,
            "state_file": asked.state,
            "resident_mb": resident,
            "cpu_us_per_order": round(cpu / asked.orders * 1e6, 1),
            "post_median_us": round(statistics.median(times) * 1e6, 1),
            "post_p99_us": round(statistics.quantiles(times, n=100)[98] * 1e6, 1),
            "post_max_ms": round(max(times) * 1e3, 2),
            **look(connection, asked.orders),
            "after_looking_mb": round(resident_mb(exchange.process.pid), 1),
        }
        connection.close()
    if asked.state:
        result["state_mb"] = round(state.stat().st_size / 1e6, 1)
        result |= restart(command, folder, asked.orders)
    return result


def send(connection: Connection, number: int) -> float:
    """One order that has ended when this returns; the seconds its POST took."""
    rests = number % 3 == 2
    body: dict[str, str] = {
        "symbol": "KO", "qty": "1", "side": "sell" if number % 3 == 1 else "buy",
        "client_order_id": f"order-{number:08d}", "type": "limit" if rests else "market",
        "time_in_force": "gtc" if rests else "ioc",
    } | ({"limit_price": "1"} if rests else {})  # fmt: skip
    content = json.dumps(body).encode()
    began = time.perf_counter()
    status, answer = connection.ask("POST", "/v2/orders", content)
    took = time.perf_counter() - began
    if status != 200:
        raise SystemExit(f"order {number} was answered with {status}: {answer!r}")
    if rests:
        connection.ask("DELETE", f"/v2/orders/{json.loads(answer)['id']}")
    return took


def look(connection: Connection, orders: int) -> dict[str, Any]:
    """Ask for what has left memory; how long each kind of question takes."""
    by_id = "/v2/orders:by_client_order_id?client_order_id=order-"
    found, times = True, []
    for number in range(0, orders, max(1, orders // 1000)):
        order, took = connection.get(f"{by_id}{number:08d}")
        found = found and order["client_order_id"] == f"order-{number:08d}"
        times.append(took)
    page, oldest_ms = connection.get("/v2/orders?status=all&direction=asc&limit=500")
    found = found and [row["client_order_id"] for row in page[:2]] == [
        "order-00000000",
        "order-00000001",
    ]
    _, newest_ms = connection.get("/v2/orders?status=closed&limit=500")
    _, none_ms = connection.get("/v2/orders?status=closed&symbols=SPY")
    _, fills_ms = connection.get("/v2/account/activities?direction=asc")
    _, history_ms = connection.get("/v2/account/portfolio/history?period=1D")
    return {
        "found": found,
        "lookup_median_ms": round(statistics.median(times), 3),
        "oldest_500_ms": round(oldest_ms, 1),
        "newest_500_ms": round(newest_ms, 1),
        "no_match_ms": round(none_ms, 1),
        "oldest_100_fills_ms": round(fills_ms, 1),
        "portfolio_history_ms": round(history_ms, 1),
    }


def restart(command: list[str], folder: Path, orders: int) -> dict[str, Any]:
    """Start on the file that is there now."""
    began = time.perf_counter()
    with Child("again", command, folder) as exchange:
        connection = Connection(exchange.ready().rsplit(" ", 1)[-1])
        ready = time.perf_counter() - began
        last = f"order-{orders - 1:08d}"
        order, _ = connection.get(f"/v2/orders:by_client_order_id?client_order_id={last}")
        connection.close()
        return {
            "restart_s": round(ready, 2),
            "restart_resident_mb": round(resident_mb(exchange.process.pid), 1),
            "restart_found_last": order["client_order_id"] == last,
        }


if __name__ == "__main__":
    sys.exit(main())
