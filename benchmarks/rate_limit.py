"""The rate budget over more than two full windows, with the exchange as the witness.

400 signals over many tickers wait at once, the exchange allows 200 requests in any 60 seconds.
Counted from the exchange's own request log: refusals (429), the most requests in any 60 s, how
much of a window's capacity carried orders, and whether the orders went out in stream order. Takes
about two and a half minutes: ``python -m benchmarks.rate_limit``.
"""

import http.client
import itertools
import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import redis

from benchmarks.processes import Child, Failed, redis_server
from benchmarks.report import goals, machine, write

WINDOW = 60.0


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--signals", type=int, default=400)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--tickers", type=int, default=100)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    tickers = [f"T{a}{b}" for a, b in itertools.product("ABCDEFGHIJ", repeat=2)][: asked.tickers]
    with tempfile.TemporaryDirectory(prefix="signalpaca-rate-") as folder:
        result = measure(asked.signals, asked.limit, tickers, asked.workers, Path(folder))
    print(report(result))
    write("rate_limit", {"machine": machine(), **result}, asked.json)
    return 0 if all(met for _, met in judged(result)) else 1


def measure(
    signals: int, limit: int, tickers: list[str], workers: int, folder: Path
) -> dict[str, Any]:
    """Publish everything at once, wait for the end, read the exchange's log."""
    exchange = ["-m", "paper_exchange", "--port", "0", "--rate-limit", str(limit)]
    exchange += ["--symbols", ",".join(tickers), "--cash", "1000000000"]
    with redis_server(folder) as port, Child("exchange", exchange, folder) as broker:
        url = broker.ready().rsplit(" ", 1)[-1]
        client = redis.Redis(port=port, protocol=2)
        ids = [
            client.xadd("bench", {"ticker": tickers[i % len(tickers)], "direction": "b"}).decode()
            for i in range(signals)
        ]
        env = environment(url, port, folder)
        with Child(
            "service", ["-m", "solution", "-w", str(workers)], folder, env=env, announces=False
        ) as service:
            await_end(client, service, signals, WINDOW * (2 + signals / limit))
        finals = [f for _, f in client.xrange("executions") if f[b"final"] == b"1"]
        log = ask(url, "/admin/log?limit=100000")["entries"]
        client.close()
    return evaluate(log, finals, ids, limit)


def environment(url: str, port: int, folder: Path) -> dict[str, str]:
    """The service with everything at its default but the size of an order."""
    return {
        "ALPACA_API_KEY": "PKBENCHMARK",
        "ALPACA_SECRET_KEY": "none",
        "ALPACA_TRADING_URL": url,
        "ALPACA_DATA_URL": url,
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "STREAMS": "bench",
        "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "LOG_DIR": str(folder / "logs"),
        "SIZING": "fixed_qty",
        "QTY": "1",
    }


def await_end(client: "redis.Redis", service: Child, signals: int, seconds: float) -> None:
    """Until each signal has its final event; fails when the time is over."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        service.check()
        finals = sum(f[b"final"] == b"1" for _, f in client.xrange("executions"))
        if finals >= signals:
            return
        time.sleep(1.0)
    raise service.failed(f"only {finals} of {signals} signals ended")


def ask(url: str, path: str) -> Any:
    """GET from the exchange's admin endpoints."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def evaluate(
    log: list[dict[str, Any]], finals: list[dict[bytes, bytes]], ids: list[str], limit: int
) -> dict[str, Any]:
    """Figures from the exchange's log alone; the finals only name each order's signal."""
    arrived = sorted(r["arrived"] for r in log)
    posts = [r for r in log if r["method"] == "POST" and r["path"] == "/v2/orders"]
    posts.sort(key=lambda r: r["arrived"])
    signal_of = {f.get(b"client_order_id", b"").decode(): f[b"entry_id"].decode() for f in finals}
    order = [ids.index(signal_of[r["client_order_id"]]) for r in posts]
    return {
        "signals": len(ids),
        "orders": len({r["client_order_id"] for r in posts}),
        "filled": sum(f[b"event"] == b"fill" for f in finals),
        "refused_429": sum(r["status"] == 429 for r in log),
        "most_requests_in_60s": most_in_window(arrived),
        "orders_per_window_pct": 100.0 * per_window(posts, limit),
        "out_of_order_by": max(
            (max(order[:n]) - order[n] for n in range(1, len(order))), default=0
        ),
        "requests": len(log),
        "seconds": arrived[-1] - arrived[0],
    }


def most_in_window(arrived: list[float]) -> int:
    """The largest number of requests in any 60 seconds."""
    most = first = 0
    for last, at in enumerate(arrived):
        while at - arrived[first] >= WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most


def per_window(posts: list[dict[str, Any]], limit: int) -> float:
    """Orders in the first full window after the first order, as a share of the limit."""
    start = posts[0]["arrived"]
    return sum(r["arrived"] - start < WINDOW for r in posts) / limit


def judged(result: dict[str, Any]) -> list[tuple[str, bool]]:
    """Each goal and whether it is met."""
    return [
        ("no 429", result["refused_429"] == 0),
        ("never more than the limit in 60 s", result["most_requests_in_60s"] <= 200),
        ("at least 93 % of a window carries orders", result["orders_per_window_pct"] >= 93.0),
        ("every signal traded, once", result["filled"] == result["orders"] == result["signals"]),
        ("in order, but for workers side by side", result["out_of_order_by"] <= 16),
    ]


def report(result: dict[str, Any]) -> str:
    """For people."""
    rows = [f"{name:28} {value:.1f}" for name, value in result.items()]
    return "\n".join([*rows, goals(judged(result))])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
