"""How soon an unclear POST is resolved, and whether rightly: ``python -m benchmarks.unclear``.

The answer to every order's first POST is lost, at a broker that is well otherwise
(:mod:`benchmarks.forgetful`): a third of the orders was accepted, a third was accepted without the
order stream telling of it, a third never arrived. Measured, by the history in the ledger: from the
unclear answer to the state that the broker knows, be it heard, looked up, or sent again. In the end
no order may stand otherwise in the ledger than at the broker, and none may have been sent twice
that was there.
"""

import itertools
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks import broker_data
from benchmarks.flood import await_ends
from benchmarks.forgetful import FATES
from benchmarks.processes import Child, Failed, redis_server
from benchmarks.rate_limit import ask, environment
from benchmarks.report import goals, machine, percentile, table, write
from solution.domain.records import Note, State
from solution.ledger import open_reader

P99_S = 5.0
A_SECOND = 25
TICKERS = 100
"""Four seconds between two signals of a ticker: the first one's lane is free again by then."""
RESOLVED = ("answered", "adopted")
"""Kinds of the lines in an order's history with which the broker is known to have it."""


@dataclass(frozen=True)
class Known:
    """What the broker knows of one order.

    Args:
        there: whether it has the order.
        posts: how often it was sent, ``bodies`` in how many versions.
    """

    fate: str
    there: bool
    posts: int
    bodies: int


@dataclass(frozen=True)
class Settled:
    """What the ledger says of one order; times in ms, None where its history has no such line."""

    state: str
    unclear_ms: int | None
    resolved_ms: int | None


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=600)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signalpaca-unclear-") as folder:
        known, settled = measure(asked.orders, asked.workers, Path(folder))
    result = evaluate(known, settled, orders=asked.orders)
    met = judged(result)
    rows = [[fate, *result["by_fate"][fate].values()] for fate in FATES]
    print(table(["first POST", "orders", "median s", "p99 s", "max s"], rows))
    print(goals(met))
    write("unclear", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


def evaluate(
    known: Mapping[str, Known], settled: Mapping[str, Settled], *, orders: int
) -> dict[str, Any]:
    """The figures, from what broker and ledger say under each client_order_id."""
    took: dict[str, list[float]] = {fate: [] for fate in FATES}
    for coid, order in known.items():
        row = settled.get(coid)
        if row is not None and row.unclear_ms is not None and row.resolved_ms is not None:
            took[order.fate].append((row.resolved_ms - row.unclear_ms) / 1000)
    every = sorted(itertools.chain(*took.values()))
    return {
        "orders": orders,
        "resolved": len(every),
        "p99_s": percentile(every, 0.99) if every else None,
        "otherwise": sum(_otherwise(order, settled.get(coid)) for coid, order in known.items())
        + len(settled.keys() - known.keys()),
        "sent_twice": sum(o.posts > (2 if o.fate == "unseen" else 1) for o in known.values()),
        "changed": sum(order.bodies > 1 for order in known.values()),
        "by_fate": {fate: _figures(sorted(times)) for fate, times in took.items()},
    }


def judged(result: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """What is promised, and whether it was kept."""
    p99 = result["p99_s"]
    return [
        ("every unclear POST was resolved", result["resolved"] == result["orders"]),
        (f"within {P99_S:g} s (p99)", p99 is not None and p99 < P99_S),
        ("none stands otherwise than the broker says", result["otherwise"] == 0),
        ("none that was there was sent again", result["sent_twice"] == 0),
        ("what was sent again was the same body", result["changed"] == 0),
    ]


def _otherwise(order: Known, row: Settled | None) -> bool:
    """The broker fills whatever it has: anything else in the ledger was a guess."""
    return row is None or (row.state == State.FILLED) is not order.there


def _figures(ordered: Sequence[float]) -> dict[str, Any]:
    def at(share: float) -> float | None:
        return round(percentile(ordered, share), 3) if ordered else None

    return {"orders": len(ordered), "median_s": at(0.5), "p99_s": at(0.99), "max_s": at(1.0)}


def measure(orders: int, workers: int, folder: Path) -> tuple[dict[str, Known], dict[str, Settled]]:
    """Publish steadily, wait for the ends, ask both sides."""
    command = ["-m", "benchmarks.forgetful", "--tickers", str(TICKERS)]
    with redis_server(folder) as port, Child("broker", command, folder) as broker:
        url = f"http://127.0.0.1:{broker.ready().rsplit(' ', 1)[-1]}"
        env = environment(url, port, folder) | {
            "ALPACA_STREAM_URL": url.replace("http:", "ws:") + "/stream",
            "RATE_LIMIT_PER_MINUTE": "0",
        }
        client = redis.Redis(port=port, protocol=2)
        line = ["-m", "solution", "-w", str(workers)]
        with Child("service", line, folder, env=env, announces=False) as service:
            publish(client, orders)
            await_ends(client, service, orders)
        found = {coid: Known(**of) for coid, of in ask(url, "/bench/unclear").items()}
        client.close()
    return found, rows(env["LEDGER_URL"], orders)


def publish(client: "redis.Redis", orders: int) -> None:
    """So many signals, evenly spread over time and tickers."""
    names = itertools.cycle(broker_data.tickers(TICKERS))
    began = time.monotonic()
    for number, ticker in enumerate(itertools.islice(names, orders)):
        time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
        client.xadd("bench", {"ticker": ticker, "direction": "b"})


def rows(ledger: str, most: int) -> dict[str, Settled]:
    """Every order of the ledger."""
    with open_reader(ledger) as reader:
        return {
            row.client_order_id: settled(str(row.state), reader.notes(row.client_order_id))
            for row in reader.list_intents(2 * most)
        }


def settled(state: str, notes: Sequence[Note]) -> Settled:
    """The two moments in an order's history that count."""
    unclear = next((note.at_ms for note in notes if note.kind == "unknown"), None)
    resolved = next((note.at_ms for note in notes if note.kind in RESOLVED), None)
    return Settled(state, unclear, resolved)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
