"""The rate budget over more than two full windows, with the exchange as the witness.

400 signals over 100 tickers wait at once, the exchange allows 200 requests in any 60 seconds.
Counted from the exchange's own request log: refusals (429), the most requests in any 60 s, how much
of a window's capacity carried orders, how many requests an order took, and whether the orders went
out in stream order. Takes about two and a half minutes: ``python -m benchmarks.rate_limit``.

What order can be promised: signals of one ticker go out strictly in the order of the stream. Across
tickers they are taken first come first served; what a worker has taken and not sent yet may be
overtaken by what the others take meanwhile, however long it is in that worker's hands. So when an
order goes out, no more earlier signals are still unsent than there are workers. (How far behind one
comes out in the end has no bound: while its worker is slow the others may send a whole burst.) A
signal also waits for the order before it in its own ticker, which has ended by then where there are
many more tickers than workers.
"""

import bisect
import http.client
import itertools
import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import redis

from benchmarks.limits import NO_LIMITS
from benchmarks.processes import Child, Failed, redis_server
from benchmarks.report import goals, machine, write

WINDOW = 60.0
WINDOW_USED_PCT = 93.0
REQUESTS_PER_ORDER = 1.1


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
        published = [
            (client.xadd("bench", {"ticker": ticker, "direction": "b"}).decode(), ticker)
            for ticker in itertools.islice(itertools.cycle(tickers), signals)
        ]
        env = environment(url, port, folder)
        with Child(
            "service", ["-m", "solution", "-w", str(workers)], folder, env=env, announces=False
        ) as service:
            await_end(client, service, signals, WINDOW * (2 + signals / limit))
        finals = [f for _, f in client.xrange("executions") if f[b"final"] == b"1"]
        seen = ask(url, "/admin/log?limit=100000")["entries"]
        # Prices are asked from the data API, which has a limit of its own.
        log = [entry for entry in seen if not entry["path"].startswith("/v2/stocks/")]
        client.close()
    return evaluate(log, finals, published, limit=limit, workers=workers)


def environment(url: str, port: int, folder: Path) -> dict[str, str]:
    """The service with everything at its default but the size of an order and its limits."""
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
        **NO_LIMITS,
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
    log: list[dict[str, Any]],
    finals: list[dict[bytes, bytes]],
    published: Sequence[tuple[str, str]],
    *,
    limit: int,
    workers: int,
) -> dict[str, Any]:
    """Figures from the exchange's log alone; the finals only name each order's signal.

    Args:
        published: entry id and ticker of each signal, in the order of the stream.
    """
    posts = [r for r in log if r["method"] == "POST" and r["path"] == "/v2/orders"]
    posts.sort(key=lambda r: r["arrived"])
    place = {entry_id: n for n, (entry_id, _) in enumerate(published)}
    place_of = {f.get(b"client_order_id"): place[f[b"entry_id"].decode()] for f in finals}
    places = [place_of.get(r["client_order_id"].encode()) for r in posts]
    order = [place for place in places if place is not None]
    orders = len({r["client_order_id"] for r in posts})
    return {
        "limit": limit,
        "workers": workers,
        "signals": len(published),
        "orders": orders,
        "unexplained": len(posts) - len(order),
        "filled": sum(f[b"event"] == b"fill" for f in finals),
        "refused_429": sum(r["status"] == 429 for r in log),
        "most_requests_in_60s": most_in_window(counted(log)),
        "orders_per_window_pct": 100.0 * per_window(posts, limit),
        "requests_per_order": len(log) / max(1, orders),
        "out_of_turn": out_of_turn(order, [ticker for _, ticker in published]),
        "overtaken": overtaken(order),
        "requests": len(log),
        "seconds": max(r["arrived"] for r in log) - min(r["arrived"] for r in log),
    }


def counted(log: list[dict[str, Any]]) -> list[float]:
    """When the exchange counted each request, in seconds; what it refuses it does not count."""
    return sorted(datetime.fromisoformat(r["at"]).timestamp() for r in log if r["status"] != 429)


def most_in_window(times: Sequence[float]) -> int:
    """The largest number of requests in any 60 seconds."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most


def per_window(posts: list[dict[str, Any]], limit: int) -> float:
    """Orders in the first full window after the first order, as a share of the limit."""
    start = posts[0]["arrived"] if posts else 0.0
    return sum(r["arrived"] - start < WINDOW for r in posts) / limit


def out_of_turn(order: Sequence[int], tickers: Sequence[str]) -> int:
    """How many signals went out after a later one of their own ticker.

    Args:
        order: each signal's place in the stream, in the order of sending.
        tickers: by place in the stream.
    """
    newest: dict[str, int] = {}
    found = 0
    for place in order:
        last = newest.setdefault(tickers[place], place)
        found += place < last
        newest[tickers[place]] = max(place, last)
    return found


def overtaken(order: Sequence[int]) -> int:
    """The most earlier signals that were still unsent when one went out."""
    sent: list[int] = []
    most = 0
    for place in dict.fromkeys(order):
        most = max(most, place - bisect.bisect(sent, place))
        bisect.insort(sent, place)
    return most


def judged(result: dict[str, Any]) -> list[tuple[str, bool]]:
    """Each goal and whether it is met."""
    limit, workers = result["limit"], result["workers"]
    return [
        ("no 429", result["refused_429"] == 0),
        (f"never more than {limit} requests in 60 s", result["most_requests_in_60s"] <= limit),
        (
            f"at least {WINDOW_USED_PCT:g} % of a window carries orders",
            result["orders_per_window_pct"] >= WINDOW_USED_PCT,
        ),
        (
            f"at most {REQUESTS_PER_ORDER:g} requests per order",
            result["requests_per_order"] <= REQUESTS_PER_ORDER,
        ),
        (
            "every signal traded, once",
            result["filled"] == result["orders"] == result["signals"] and not result["unexplained"],
        ),
        ("each ticker strictly in stream order", result["out_of_turn"] == 0),
        (
            f"no order overtakes more signals than the {workers} workers have in hand",
            result["overtaken"] <= workers,
        ),
    ]


def report(result: dict[str, Any]) -> str:
    """For people."""
    rows = [f"{name:28} {value:.2f}" for name, value in result.items()]
    return "\n".join([*rows, goals(judged(result))])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
