"""What the local exchange can take: ``python -m benchmarks.exchange``.

Orders a second over 16 connections beside a server that only reads JSON and answers an order (the
reference, with the same client, in turn), each with the CPU share of the server's process; the
latency at 500 orders a second on a fixed schedule; and the time from the start of the process to
its ready line. One trade_updates listener is connected throughout and must get two events an
order. The server has one CPU, the client the other.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from benchmarks.processes import ROOT, Child, Failed
from benchmarks.report import goals, machine, percentile, table, write

POSTS_PER_SECOND = 1500.0
P99_MS = 5.0
START_S = 1.0
PACE = 500
_EXCHANGE = ("-m", "paper_exchange", "--port", "0", "--rate-limit", "0", "--cash", "1000000000")
_BARE = ("-m", "benchmarks.exchange_bare")


def main() -> int:
    """Run and report; 0 when all goals are met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each leg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--option", action="append", default=[], help="of the exchange, repeatable")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="signalpaca-exchange-") as folder:
        place = Path(folder)
        command = [*_EXCHANGE, *asked.option]
        starts = [_start(place, command) for _ in range(5)]
        legs: dict[str, list[dict[str, Any]]] = {"exchange": [], "bare": [], "paced": []}
        for _ in range(asked.rounds):
            legs["bare"].append(_leg(place, list(_BARE), cpus, asked.seconds, listen=False))
            legs["exchange"].append(_leg(place, command, cpus, asked.seconds))
            legs["paced"].append(_leg(place, command, cpus, asked.seconds, rate=PACE))
    return _report(starts, legs, asked.json)


def _start(folder: Path, command: list[str]) -> float:
    began = time.monotonic()
    with Child("start", command, folder) as child:
        child.ready()
        return time.monotonic() - began


def _leg(
    folder: Path,
    command: list[str],
    cpus: list[int],
    seconds: float,
    *,
    rate: float = 0,
    listen: bool = True,
) -> dict[str, Any]:
    """One run of the client against a fresh server.

    Raises:
        Failed: an order was refused, or an event did not come.
    """
    with Child("server", command, folder, cpu=cpus[-1]) as server:
        port = server.ready().rpartition(":")[2]
        line = [sys.executable, "-m", "benchmarks.exchange_load", "--port", port]
        line += ["--seconds", str(seconds), "--rate", str(rate), *(["--listen"] if listen else [])]
        before = server.cpu_seconds()
        client = subprocess.Popen(line, stdout=subprocess.PIPE, cwd=ROOT)
        os.sched_setaffinity(client.pid, {cpus[0]})
        said, _ = client.communicate(timeout=seconds + 60)
        if client.returncode:
            raise Failed(f"the client ended with {client.returncode}")
        run: dict[str, Any] = orjson.loads(said)
        run["cpu_share"] = (server.cpu_seconds() - before) / run["seconds"]
    if run["refused"] or (listen and run["events"] != 2 * run["requests"]):
        raise Failed(
            f"{run['refused']} refused, {run['events']} events of {run['requests']} orders"
        )
    return run


def _report(starts: list[float], legs: dict[str, list[dict[str, Any]]], also: Path | None) -> int:
    rows, figures = [], {}
    for name, runs in legs.items():
        rates = [run["requests"] / run["seconds"] for run in runs]
        tails = [1000 * percentile(run["latencies"], 0.99) for run in runs]
        middles = [1000 * percentile(run["latencies"], 0.5) for run in runs]
        cpu = median(run["cpu_share"] for run in runs)
        rows.append((name, median(rates), max(rates), median(middles), median(tails), cpu))
        figures[name] = {"per_s": rates, "p50_ms": middles, "p99_ms": tails, "cpu_share": cpu}
    print(table(("", "POST/s", "best", "p50 ms", "p99 ms", "CPU share"), rows))
    ratio = median(figures["exchange"]["per_s"]) / median(figures["bare"]["per_s"])
    print(f"{ratio:.2f} of what the bare handler takes; ready after {median(starts):.2f} s")
    met = [
        (f"at least {POSTS_PER_SECOND:,.0f} POST/s", rows[0][1] >= POSTS_PER_SECOND),
        (f"p99 below {P99_MS:g} ms at {PACE}/s", median(figures["paced"]["p99_ms"]) < P99_MS),
        (f"ready within {START_S:g} s", median(starts) < START_S),
    ]
    print(goals(met))
    result = {"machine": machine(), "start_s": starts, "legs": figures}
    write("exchange", result, also)
    return 0 if all(ok for _, ok in met) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"error: {failed}")
