"""A block of orders: from the strategy's ``return`` to each POST's arrival at the broker.

    python benchmarks/blocks.py [--blockpaca PYTHON] [--sizes 50,2000] [--workers 8] [--rounds 3]

Floor, reference, service and blockpaca take turns within one run, so that they meet the same
machine. ``PYTHON`` is an interpreter that has blockpaca 0.1.2; without it that one is left out.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.bench import SIGNAL_DEADLINE, Bench, add_arguments, bench, check_pipelines
from benchmarks.block_sources import BLOCKPACA, Source, blockpaca, cpu_of_group, publishing
from benchmarks.processes import Failed

GOAL_SHARE = 0.5
GOAL_SIZE = 50
PIPELINES = ("floor", "reference", "service")
_WARM_UPS = 3
_SLOWEST_PER_SECOND = 100.0


@dataclass
class Samples:
    """What one pipeline did with blocks of one size, in all its turns."""

    blocks: list[list[int]] = field(default_factory=list)
    """Per block: nanoseconds from the return to each arrival, ascending."""
    cpu_seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        each = sorted(ns / 1e6 for block in self.blocks for ns in block)
        first = sorted(block[0] / 1e6 for block in self.blocks)
        last = sorted(block[-1] / 1e6 for block in self.blocks)
        rates = sorted(len(block) / block[-1] * 1e9 for block in self.blocks)
        return {
            "blocks": len(self.blocks),
            "first_ms": round(report.percentile(first, 0.5), 2),
            "each_p50_ms": round(report.percentile(each, 0.5), 2),
            "each_p99_ms": round(report.percentile(each, 0.99), 2),
            "last_ms": round(report.percentile(last, 0.5), 2),
            "last_max_ms": round(last[-1], 2),
            "orders_per_s": round(report.percentile(rates, 0.5), 1),
            "cpu_us_per_order": round(self.cpu_seconds / len(each) * 1e6, 1),
        }


def turn(place: Bench, name: str, size: int, asked: argparse.Namespace, into: Samples) -> None:
    """One pipeline: started, warmed up, measured, ended."""
    place.broker.reset()
    count = asked.blocks if size <= GOAL_SIZE else asked.large_blocks
    with started(place, name, asked) as source:
        before = place.broker.count()
        sizes = [size] * (_WARM_UPS + count)
        for number, one in enumerate(sizes):
            if number == _WARM_UPS:
                cpu = cpu_of_group(source.child)
            source.block(one)
            # Nobody asks the broker while a block is on its way, but at its end.
            time.sleep(asked.pause)
            deadline = SIGNAL_DEADLINE + size / _SLOWEST_PER_SECOND
            place.await_posts(source.child, before + size * (number + 1), deadline)
            time.sleep(asked.pause)
        into.cpu_seconds += cpu_of_group(source.child) - cpu
        arrivals = sorted(entry[0] for entry in place.broker.log()[before:])
        if len(arrivals) != size * len(sizes):
            raise Failed(f"{name}: {len(arrivals)} orders for {size * len(sizes)} signals")
        for number, left in enumerate(source.returned()):
            if number >= _WARM_UPS:
                block = arrivals[size * number : size * (number + 1)]
                into.blocks.append([arrived - left for arrived in block])


def started(place: Bench, name: str, asked: argparse.Namespace) -> AbstractContextManager[Source]:
    """The pipeline and its strategy."""
    if name == BLOCKPACA:
        return blockpaca(place, asked.blockpaca, asked.blockpaca_workers)
    return publishing(place, name, asked.workers)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Run all pipelines in turns; the result as written to JSON."""
    check_pipelines(asked.pipelines)
    facts = report.machine()
    names = [*asked.pipelines, *([BLOCKPACA] if asked.blockpaca else [])]
    samples = {(size, name): Samples() for size in asked.sizes for name in names}
    with bench(asked) as place:
        for number in range(asked.rounds):
            for (size, name), into in samples.items():
                print(f"round {number + 1} of {asked.rounds}: {size}, {name}", file=sys.stderr)
                turn(place, name, size, asked, into)
    rows = []
    for (size, name), one in samples.items():
        found = {"size": size, "pipeline": name, **one.summary()}
        if asked.blockpaca:
            base = samples[size, BLOCKPACA].summary()
            keys = ("each_p50_ms", "last_ms", "orders_per_s")
            found["ratio_to_blockpaca"] = {key: round(found[key] / base[key], 3) for key in keys}
        rows.append(found)
    return {
        "benchmark": "blocks",
        "machine": facts,
        "workers": asked.workers,
        "rounds": asked.rounds,
        "pinned": asked.pin,
        "tickers": asked.tickers,
        "compared_with_blockpaca": bool(asked.blockpaca),
        "rows": rows,
    }


def shown(result: dict[str, Any]) -> str:
    """The result as a table, and the goals."""
    keys = ("first_ms", "each_p50_ms", "each_p99_ms", "last_ms", "last_max_ms")
    header = ["return → POST, ms", "orders", "blocks", "first", "each p50", "p99", "last"]
    header += ["last max", "orders/s", "CPU µs", "p50 ÷ blockpaca", "rate ÷ blockpaca"]
    rows = []
    for one in result["rows"]:
        ratios = one.get("ratio_to_blockpaca", {})
        row = [one["pipeline"], one["size"], one["blocks"], *(one[key] for key in keys)]
        row += [one["orders_per_s"], one["cpu_us_per_order"]]
        rows.append([*row, ratios.get("each_p50_ms"), ratios.get("orders_per_s")])
    text = report.table(header, rows)
    if not result["compared_with_blockpaca"]:
        return f"{text}\n\nwithout blockpaca: --blockpaca names an interpreter that has it"
    return text + "\n\n" + report.goals(_goals(result["rows"]))


def _goals(rows: Sequence[dict[str, Any]]) -> list[tuple[str, bool]]:
    found = []
    for one in rows:
        if one["pipeline"] != "service":
            continue
        ratios = one["ratio_to_blockpaca"]
        if one["size"] <= GOAL_SIZE:
            text = f"{one['size']} orders: median ≤ {GOAL_SHARE:g} × blockpaca's"
            found.append((text, ratios["each_p50_ms"] <= GOAL_SHARE))
        else:
            text = f"{one['size']:,} orders: at least blockpaca's rate"
            found.append((text, ratios["orders_per_s"] >= 1.0))
    return found


def main() -> int:
    """Read the arguments, measure, show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.set_defaults(pipelines=PIPELINES, tickers=25)
    parser.add_argument("--blockpaca", metavar="PYTHON", help="an interpreter that has blockpaca")
    parser.add_argument(
        "--blockpaca-workers", type=int, default=0, help="its processes; 0 leaves them to it"
    )
    parser.add_argument(
        "--sizes",
        type=lambda text: tuple(int(part) for part in text.split(",")),
        default=(GOAL_SIZE, 2000),
        help="orders per block, comma-separated",
    )
    parser.add_argument("--blocks", type=int, default=10, help="per turn, of up to 50 orders")
    parser.add_argument("--large-blocks", type=int, default=1, help="per turn, of more orders")
    parser.add_argument("--rounds", type=int, default=3, help="turns per pipeline and size")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds before the end is asked")
    asked = parser.parse_args()
    try:
        result = measure(asked)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    print(shown(result))
    print(f"\n{report.write('blocks', result, asked.json).name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
