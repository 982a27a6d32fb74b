"""From XADD to the POST's arrival at the broker, one signal at a time.

    python benchmarks/latency.py [--seconds 20] [--rate 50] [--rounds 4]

Floor, reference and service take turns within one run, so that they meet the same machine.
"""

import argparse
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import broker_data, report
from benchmarks.bench import SIGNAL_DEADLINE, Bench, add_arguments, bench, check_pipelines
from benchmarks.processes import Child, Failed

_WARM_UPS = 30


@dataclass
class Samples:
    """What one pipeline did in all its turns."""

    nanoseconds: list[int] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        ordered = [ns / 1000 for ns in sorted(self.nanoseconds)]
        return {
            "signals": len(ordered),
            "median_us": round(report.percentile(ordered, 0.5), 1),
            "p90_us": round(report.percentile(ordered, 0.9), 1),
            "p99_us": round(report.percentile(ordered, 0.99), 1),
            "max_us": round(ordered[-1], 1),
            "cpu_us_per_signal": round(self.cpu_seconds / len(ordered) * 1e6, 1),
        }


class Producer:
    """A raw Redis connection: the time is taken right before the bytes leave."""

    def __init__(self, port: int, stream: str) -> None:
        self._link = socket.create_connection(("127.0.0.1", port), timeout=10.0)
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = stream.encode()
        self._before = b"*7\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$1\r\n*\r\n" % (len(name), name)

    def send(self, ticker: str) -> int:
        """Publish one minimal signal; monotonic nanoseconds of its departure."""
        data = self._before + b"$6\r\nticker\r\n$%d\r\n%b\r\n" % (len(ticker), ticker.encode())
        data += b"$9\r\ndirection\r\n$1\r\nb\r\n"
        sent = time.monotonic_ns()
        self._link.sendall(data)
        if not self._link.recv(256).startswith(b"$"):
            raise Failed("Redis refused a signal")
        return sent

    def close(self) -> None:
        self._link.close()


def paced(count: int, rate: float) -> Iterator[int]:
    """Count at a fixed rate, without drift."""
    start = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield number


def turn(place: Bench, pipeline: str, asked: argparse.Namespace, into: Samples) -> None:
    """One pipeline: started, warmed up, measured, ended."""
    place.broker.reset()
    stream = place.new_stream("latency")
    signals = max(1, round(asked.seconds / asked.rounds * asked.rate))
    producer = Producer(place.redis_port, stream)
    try:
        with place.running(pipeline, stream, asked.workers) as child:
            before = warm_up(place, producer, child, asked.rate)
            cpu = child.cpu_seconds()
            tickers = list(islice(cycle(place.tickers), signals))
            sent = [(producer.send(tickers[n]), tickers[n]) for n in paced(signals, asked.rate)]
            place.await_posts(child, before + signals, SIGNAL_DEADLINE)
            into.cpu_seconds += child.cpu_seconds() - cpu
        into.nanoseconds += matched(sent, place.broker.log()[before:])
    finally:
        producer.close()


def warm_up(place: Bench, producer: Producer, child: Child, rate: float) -> int:
    """Signals that are not measured: connections open, caches fill. Returns how many."""
    producer.send(broker_data.WARM_UP)
    place.await_posts(child, 1, SIGNAL_DEADLINE)
    tickers = cycle(reversed(place.tickers))
    for _ in paced(_WARM_UPS, rate):
        producer.send(next(tickers))
    place.await_posts(child, 1 + _WARM_UPS, SIGNAL_DEADLINE)
    return 1 + _WARM_UPS


def matched(sent: Sequence[tuple[int, str]], log: Sequence[tuple[int, str, str, int]]) -> list[int]:
    """Nanoseconds per signal. Signals of one ticker arrive in order, in every pipeline.

    Raises:
        Failed: orders are missing or too many.
    """
    arrivals: dict[str, list[int]] = defaultdict(list)
    for arrived, symbol, _, _ in sorted(log):
        arrivals[symbol].append(arrived)
    departures: dict[str, list[int]] = defaultdict(list)
    for left, ticker in sent:
        departures[ticker].append(left)
    if {t: len(a) for t, a in arrivals.items()} != {t: len(d) for t, d in departures.items()}:
        raise Failed(f"{len(log)} orders for {len(sent)} signals, or for other tickers")
    return [
        arrived - left
        for ticker, times in departures.items()
        for left, arrived in zip(times, arrivals[ticker], strict=True)
    ]


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Run all pipelines in turns; the result as written to JSON."""
    check_pipelines(asked.pipelines)
    facts = report.machine()
    samples = {name: Samples() for name in asked.pipelines}
    with bench(asked) as place:
        for number in range(asked.rounds):
            for name, into in samples.items():
                print(f"round {number + 1} of {asked.rounds}: {name}", file=sys.stderr)
                turn(place, name, asked, into)
    found = {name: one.summary() for name, one in samples.items()}
    for one in found.values():
        one["ratio_to"] = {
            base: {key: round(one[key] / found[base][key], 3) for key in ("median_us", "p99_us")}
            for base in ("floor", "reference")
            if base in found
        }
    return {
        "benchmark": "latency",
        "machine": facts,
        "rate_per_second": asked.rate,
        "workers": asked.workers,
        "rounds": asked.rounds,
        "pinned": asked.pin,
        "pipelines": found,
    }


def shown(result: dict[str, Any]) -> str:
    """The result as a table, and the goals."""
    header = ["XADD → POST, µs", "signals", "median", "p90", "p99", "max", "CPU", "÷ floor"]
    header += ["p99 ÷ floor", "÷ reference"]
    rows = []
    for name, one in result["pipelines"].items():
        ratios = one["ratio_to"]
        row = [name, one["signals"]]
        row += [one[k] for k in ("median_us", "p90_us", "p99_us", "max_us", "cpu_us_per_signal")]
        row.append(ratios.get("floor", {}).get("median_us"))
        row.append(ratios.get("floor", {}).get("p99_us"))
        row.append(ratios.get("reference", {}).get("median_us"))
        rows.append(row)
    text = report.table(header, rows)
    ratios = result["pipelines"].get("service", {}).get("ratio_to", {})
    if {"floor", "reference"} <= ratios.keys():
        floor, reference = ratios["floor"], ratios["reference"]
        lines = [
            ("median ≤ 2.0 × the floor's", floor["median_us"] <= 2.0),
            ("median below the reference's", reference["median_us"] < 1.0),
            ("p99 ≤ 3 × the floor's", floor["p99_us"] <= 3.0),
        ]
        text += "\n\n" + report.goals(lines)
    return text


def main() -> int:
    """Read the arguments, measure, show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--seconds", type=float, default=20.0, help="per pipeline, all rounds")
    parser.add_argument("--rate", type=float, default=50.0, help="signals per second")
    parser.add_argument("--rounds", type=int, default=4, help="turns per pipeline")
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    try:
        result = measure(asked)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    print(shown(result))
    print(f"\n{report.write('latency', result, asked.json).name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
