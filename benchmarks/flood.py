"""A flood: ``python -m benchmarks.flood``.

100,000 signals are published at once to a running service with a limit of 200 requests a minute and
an age limit of 60 s. Measured: how much its resident memory grows, and whether every signal is
accounted for in the end: traded, or ended with a reason, in the ledger and on ``executions``, with
nothing pending. Half-way the kill switch is thrown and lifted again; measured is the last order
after it. Takes about two minutes.
"""

import itertools
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from benchmarks.processes import Child, Failed, redis_server
from benchmarks.rate_limit import ask, environment
from benchmarks.report import goals, machine, write
from benchmarks.startup import resident_mb
from solution.ledger import open_reader

GROWTH_MB = 50.0
KILL_S = 0.1
PATIENCE = 600.0


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--signals", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signalpaca-flood-") as folder:
        result = measure(asked.signals, asked.workers, Path(folder))
    met = [
        (f"memory grows by less than {GROWTH_MB:g} MB", result["growth_mb"] < GROWTH_MB),
        ("every signal has one row or dead letter", result["accounted"] == asked.signals),
        ("every signal was told one end", result["told_once"]),
        ("nothing is pending", result["pending"] == 0),
        (f"no order later than {KILL_S:g} s after the kill", result["last_order_s"] <= KILL_S),
    ]
    for name, value in result.items():
        print(f"{name:>14}  {value}")
    print(goals(met))
    write("flood", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


def measure(signals: int, workers: int, folder: Path) -> dict[str, Any]:
    """Publish everything at once, throw the switch, wait for the end, count."""
    tickers = [f"T{a}{b}" for a, b in itertools.product("ABCDEFGHIJ", repeat=2)]
    exchange = ["-m", "paper_exchange", "--port", "0", "--cash", "1000000000"]
    exchange += ["--symbols", ",".join(tickers)]
    switch = folder / "kill"
    with redis_server(folder) as port, Child("exchange", exchange, folder) as broker:
        url = broker.ready().rsplit(" ", 1)[-1]
        env = environment(url, port, folder) | {
            "MAX_QUEUE_WAIT": "30",
            "KILL_SWITCH_FILE": str(switch),
            "EXECUTIONS_MAXLEN": str(10 * signals),
        }
        client = redis.Redis(port=port, protocol=2)
        command = ["-m", "solution", "-w", str(workers)]
        with Child("service", command, folder, env=env, announces=False) as service:
            publish(client, tickers, 1)
            await_ends(client, service, 1)
            before, began = resident_mb(service.process.pid), time.monotonic()
            published = publish(client, tickers, signals - 1)
            switch.touch()
            thrown = time.monotonic()
            time.sleep(1.0)
            switch.unlink()
            peak = await_ends(client, service, signals)
            seconds = time.monotonic() - began
        posts = [r for r in ask(url, "/admin/log?limit=100000")["entries"] if r["method"] == "POST"]
        counted = count(f"sqlite:///{folder}/ledger.db")
        finals = Counter(f[b"entry_id"] for f in ends(client))
        pending = client.xpending("bench", "solution")["pending"]
        client.close()
    between = [r["arrived"] - thrown for r in posts if 0 < r["arrived"] - thrown < 1.0]
    return {
        "signals": signals,
        "published_s": round(published, 2),
        "ended_s": round(seconds, 1),
        "before_mb": round(before, 1),
        "growth_mb": round(peak - before, 1),
        "last_order_s": round(max(between, default=0.0), 4),
        "accounted": sum(counted.values()),
        **counted,
        "told_once": len(finals) == signals and set(finals.values()) == {1},
        "pending": pending,
    }


def publish(client: "redis.Redis", tickers: list[str], count: int) -> float:
    """Publish so many signals as fast as Redis takes them; returns the seconds it took."""
    began = time.monotonic()
    names = itertools.cycle(tickers)
    for start in range(0, count, 5_000):
        with client.pipeline(transaction=False) as pipeline:
            for ticker in itertools.islice(names, min(5_000, count - start)):
                pipeline.xadd("bench", {"ticker": ticker, "direction": "b"})
            pipeline.execute()
    return time.monotonic() - began


def await_ends(client: "redis.Redis", service: Child, signals: int) -> float:
    """Until each signal has its final event; returns the service's largest resident megabytes."""
    until, peak, last, found = time.monotonic() + PATIENCE, 0.0, b"-", 0
    while found < signals:
        service.check()
        if time.monotonic() > until:
            raise service.failed(f"only {found} of {signals} signals ended")
        peak = max(peak, resident_mb(service.process.pid))
        page = client.xrange("executions", min=last, count=20_000)
        found += sum(fields[b"final"] == b"1" for _, fields in page)
        last = b"(" + page[-1][0] if page else last
        time.sleep(0.1)
    return peak


def ends(client: "redis.Redis") -> list[dict[bytes, bytes]]:
    """Every final event."""
    return [fields for _, fields in client.xrange("executions") if fields[b"final"] == b"1"]


def count(url: str) -> dict[str, int]:
    """Rows by state, and dead letters."""
    with open_reader(url) as reader:
        states = {str(state): number for state, number in reader.counts_by_state().items()}
        return {**states, "dead_letters": reader.count_dead_letters()}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
