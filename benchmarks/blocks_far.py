"""Small blocks in quick succession at a broker far away: nothing lost, and no falling behind.

    python benchmarks/blocks_far.py [--latency-ms 98] [--blocks 300] [--size 5] [--interval 0.1]

The broker answers each POST after its latency and tells of the fill at the same moment, over the
other connection, so that news and answer overtake each other. Counted at the end: orders at the
broker, fills and final events on ``executions``, and the positions that they add up to.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import broker_data, report
from benchmarks.bench import SIGNAL_DEADLINE, Bench, add_arguments, bench
from benchmarks.block_sources import fields_of
from benchmarks.processes import Child, Failed
from benchmarks.throughput import await_end

Events = list[dict[str, str]]


def run(place: Bench, asked: argparse.Namespace) -> dict[str, Any]:
    """Publish all blocks on time, wait for every end, count."""
    stream = place.new_stream("blocks")
    with place.running("service", stream, asked.workers) as child:
        place.redis.xadd(stream, {"ticker": broker_data.WARM_UP, "direction": "b"})
        await_end(place, child, stream, 1)
        place.broker.delay(asked.latency_ms)
        place.broker.reset()
        returned = publish(place, child, stream, asked)
        count = asked.blocks * asked.size
        place.await_posts(child, count, SIGNAL_DEADLINE)
        await_end(place, child, stream, count + 1)
    arrived = {coid: at for at, _, coid, _ in place.broker.log()}
    events = [
        {name.decode(): value.decode() for name, value in fields.items()}
        for _, fields in place.redis.xrange("executions")
    ]
    ours = [e for e in events if e["ticker"] != broker_data.WARM_UP]
    return {
        "signals": count,
        "orders": place.broker.count(),
        "ids": len(arrived),
        **counted(ours),
        "positions_agree": added_up(ours) == at_broker(place),
        "lags": lags(returned, ours, arrived),
    }


def publish(place: Bench, child: Child, stream: str, asked: argparse.Namespace) -> list[int]:
    """One block after the other at a fixed rate; when the strategy returned each."""
    tickers = itertools.cycle(place.tickers)
    start, returned = time.monotonic(), []
    for number in range(asked.blocks):
        time.sleep(max(0.0, start + number * asked.interval - time.monotonic()))
        child.check()
        returned.append(time.monotonic_ns())
        with place.redis.pipeline(transaction=True) as pipe:
            for one in range(asked.size):
                pipe.xadd(stream, fields_of(next(tickers), f"block-{number}-{one}"))
            pipe.execute()
    return returned


def counted(events: Events) -> dict[str, Any]:
    """How many fills and ends there are, and whether each signal has one of either."""
    fills = Counter(e["signal_id"] for e in events if e["event"] == "fill")
    ends = Counter(e["signal_id"] for e in events if e["final"] == "1")
    once = set(fills.values()) | set(ends.values()) == {1}
    return {"fills": fills.total(), "ends": ends.total(), "each_once": once}


def added_up(events: Events) -> dict[str, Decimal]:
    """Shares by ticker, as the fills on ``executions`` tell; all were bought."""
    held: dict[str, Decimal] = {}
    for one in events:
        if one["event"] == "fill":
            held[one["ticker"]] = held.get(one["ticker"], Decimal(0)) + Decimal(one["filled_qty"])
    return held


def at_broker(place: Bench) -> dict[str, Decimal]:
    """Shares by ticker at the broker."""
    return {one["symbol"]: Decimal(one["qty"]) for one in place.broker.positions()}


def lags(returned: list[int], events: Events, arrived: dict[str, int]) -> list[float]:
    """Per block: milliseconds from its return to its last order's arrival."""
    latest = [0] * len(returned)
    for coid, signal_id in {e["client_order_id"]: e["signal_id"] for e in events}.items():
        block = int(signal_id.split("-")[1])
        latest[block] = max(latest[block], arrived[coid])
    return [round((at - left) / 1e6, 2) for left, at in zip(returned, latest, strict=True)]


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """The run's result as written to JSON."""
    facts = report.machine()
    with bench(asked) as place:
        found = run(place, asked)
    behind = found.pop("lags")
    terms = ("latency_ms", "blocks", "size", "interval", "workers")
    return {
        "benchmark": "blocks_far",
        "machine": facts,
        **{name: getattr(asked, name) for name in terms},
        **found,
        "lag_median_ms": report.percentile(sorted(behind), 0.5),
        "lag_max_ms": max(behind),
        "lag_last_ms": behind[-1],
    }


def shown(result: dict[str, Any]) -> str:
    """What was counted, and the goals."""
    keys = ("signals", "orders", "ids", "fills", "ends", "positions_agree")
    keys += ("lag_median_ms", "lag_max_ms", "lag_last_ms")
    count = result["signals"]
    met = [
        ("one order per signal", result["orders"] == result["ids"] == count),
        ("no fill lost, none told twice", result["fills"] == count and result["each_once"]),
        ("positions as at the broker", result["positions_agree"]),
        ("the last block not behind", result["lag_last_ms"] <= result["interval"] * 1000),
    ]
    lines = [f"{name:>15}  {result[name]}" for name in keys]
    return "\n".join(lines) + "\n\n" + report.goals(met)


def main() -> int:
    """Read the arguments, measure, show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.set_defaults(tickers=25)
    parser.add_argument("--latency-ms", type=float, default=98.0)
    parser.add_argument("--blocks", type=int, default=300)
    parser.add_argument("--size", type=int, default=5, help="orders per block")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between blocks")
    parser.add_argument("--workers", type=int, default=8)
    asked = parser.parse_args()
    try:
        result = measure(asked)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    print(shown(result))
    print(f"\n{report.write('blocks_far', result, asked.json).name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
