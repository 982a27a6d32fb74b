"""Orders per second with thousands of signals waiting, for several numbers of workers.

    python benchmarks/throughput.py [--signals 5000] [--workers 1,4,16,64] [--delays 0,40]

The stream is full before a pipeline starts. Counted from the first POST's arrival to the broker's
last answer; for the service also to the last acknowledgement and the last final ``executions``
event. Pipelines take turns for every number of workers, within one run.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.bench import SIGNAL_DEADLINE, Bench, add_arguments, bench, check_pipelines
from benchmarks.pipelines import GROUP
from benchmarks.processes import Child, Failed

GOAL_PER_SECOND = 2000.0
GOAL_WORKERS = 16
GOAL_SHARE = 0.9
_SETTLE_DEADLINE = 30.0
_SLOWEST_PER_SECOND = 100.0
_POLL = 0.02


def leg(place: Bench, pipeline: str, workers: int, delay: float, asked: argparse.Namespace) -> Any:
    """One pipeline with one number of workers, on a full stream."""
    count = signals_of(asked, workers, delay)
    place.broker.reset()
    place.broker.delay(delay)
    stream = place.new_stream("throughput")
    place.publish(stream, list(islice(cycle(place.tickers), count)))
    # The wall clock's distance from the monotonic one: Redis stamps with the former.
    offset = time.time_ns() - time.monotonic_ns()
    slowest = min(_SLOWEST_PER_SECOND, workers / delay * 500 if delay else _SLOWEST_PER_SECOND)
    with place.running(pipeline, stream, workers) as child:
        place.await_posts(child, count, SIGNAL_DEADLINE + count / slowest)
        settled = await_end(place, child, stream, count) if pipeline.startswith("service") else None
        cpu = child.cpu_seconds()
    log = place.broker.log()
    if len(log) != count:
        raise Failed(f"{pipeline}: {len(log)} orders for {count} signals")
    first = min(entry[0] for entry in log)
    last = max(entry[3] for entry in log)
    rate = count / (last - first) * 1e9
    result = {
        "pipeline": pipeline,
        "workers": workers,
        "delay_ms": delay,
        "signals": count,
        "orders_per_s": round(rate, 1),
        "cpu_us_per_signal_with_start": round(cpu / count * 1e6, 1),
    }
    if delay:
        result["share_of_ideal"] = round(rate / (workers / delay * 1000), 4)
        waits = [entry[3] - entry[0] for entry in log]
        result["broker_delay_ms"] = round(sum(waits) / len(waits) / 1e6, 2)
    if settled is not None:
        end = max(last, settled - offset)
        result["settled_per_s"] = round(count / (end - first) * 1e9, 1)
    return result


def signals_of(asked: argparse.Namespace, workers: int, delay: float) -> int:
    """How many signals: all, or as many whole rounds of all workers as the time allows."""
    if not delay:
        return int(asked.signals)
    rounds = asked.seconds / (delay / 1000)
    most = min(asked.signals, workers * rounds)
    return max(1, int(most // workers)) * workers


def await_end(place: Bench, child: Child, stream: str, count: int) -> int:
    """Until every entry is acknowledged and has its final event.

    Returns:
        when that was, in nanoseconds of the wall clock.

    Raises:
        Failed: not in time.
    """
    deadline = time.monotonic() + _SETTLE_DEADLINE
    finals, position, acknowledged, newest = 0, "-", 0, 0
    while True:
        for entry_id, fields in place.redis.xrange("executions", min=position):
            position = f"({entry_id.decode()}"
            if fields.get(b"final") == b"1":
                finals += 1
                newest = int(entry_id.split(b"-")[0]) * 1_000_000
        if not acknowledged and place.redis.xpending(stream, GROUP)["pending"] == 0:
            acknowledged = time.time_ns()
        if acknowledged and finals >= count:
            return max(acknowledged, newest)
        child.check()
        if time.monotonic() > deadline:
            pending = place.redis.xpending(stream, GROUP)["pending"]
            raise child.failed(f"told {finals} ends of {count}, {pending} entries pending")
        time.sleep(_POLL)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All legs; the result as written to JSON."""
    check_pipelines(asked.pipelines)
    facts = report.machine()
    legs: list[dict[str, Any]] = []
    with bench(asked) as place:
        for delay in asked.delays:
            for workers in asked.workers:
                for pipeline in asked.pipelines * asked.rounds:
                    print(f"{delay:g} ms, {workers} workers: {pipeline}", file=sys.stderr)
                    legs.append(leg(place, pipeline, workers, delay, asked))
    return {
        "benchmark": "throughput",
        "machine": facts,
        "pinned": asked.pin,
        "tickers": asked.tickers,
        "legs": legs,
        "median": medians(legs),
    }


def medians(legs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per pipeline, workers and delay: the leg of the median rate, and its ratios."""
    groups: dict[tuple[float, int, str], list[dict[str, Any]]] = {}
    for one in legs:
        key = (one["delay_ms"], one["workers"], one["pipeline"])
        groups.setdefault(key, []).append(one)
    found = {
        key: sorted(group, key=lambda one: float(one["orders_per_s"]))[(len(group) - 1) // 2]
        for key, group in groups.items()
    }
    for (delay, workers, _), one in found.items():
        base = found.get((delay, workers, "reference"))
        if base is not None:
            one["ratio_to_reference"] = round(one["orders_per_s"] / base["orders_per_s"], 3)
    return list(found.values())


def shown(result: dict[str, Any]) -> str:
    """The result as a table, and the goals."""
    header = ["broker ms", "workers", "pipeline", "signals", "orders/s", "settled/s"]
    header += ["÷ reference", "% of workers/delay"]
    rows = []
    for one in result["median"]:
        share = one.get("share_of_ideal")
        row = [f"{one['delay_ms']:g}", one["workers"], one["pipeline"], one["signals"]]
        row += [one["orders_per_s"], one.get("settled_per_s"), one.get("ratio_to_reference")]
        rows.append([*row, None if share is None else f"{share:.1%}"])
    lines = list(_goals(result["median"]))
    return report.table(header, rows) + ("\n\n" + report.goals(lines) if lines else "")


def _goals(rows: Sequence[dict[str, Any]]) -> list[tuple[str, bool]]:
    found = []
    for one in rows:
        if one["pipeline"] != "service":
            continue
        if one["delay_ms"]:
            text = f"≥ 90 % of workers/{one['delay_ms']:g} ms with {one['workers']}"
            found.append((text, one["share_of_ideal"] >= GOAL_SHARE))
        elif one["workers"] == GOAL_WORKERS:
            held = one["settled_per_s"] >= GOAL_PER_SECOND
            found.append((f"≥ {GOAL_PER_SECOND:,.0f} signals/s end to end with 16 workers", held))
            if "ratio_to_reference" in one:
                beside = one["ratio_to_reference"] >= 1.0
                found.append(("at least the reference, with 16 workers", beside))
    return found


def main() -> int:
    """Read the arguments, measure, show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--signals", type=int, default=5000)
    parser.add_argument("--workers", type=_numbers(int), default=(1, 4, 16, 64))
    parser.add_argument("--delays", type=_numbers(float), default=(0.0, 40.0), help="milliseconds")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each; the median counts")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="of a leg with a delay; takes fewer signals"
    )
    asked = parser.parse_args()
    try:
        result = measure(asked)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    print(shown(result))
    print(f"\n{report.write('throughput', result, asked.json).name}", file=sys.stderr)
    return 0


def _numbers(kind: Any) -> Any:
    return lambda text: tuple(kind(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
