"""What each stage of the service costs per signal, one at a time, with the service's own objects.

    python benchmarks/stages.py [--count 2000] [--postgres]

One thread, warm caches, nothing else running in the process: the floor of each stage. In the
running service the same code waits for the GIL and for cold caches as well; latency.py has that.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.bench import add_arguments, bench
from benchmarks.processes import Failed
from benchmarks.stage_parts import BATCH, STREAM, Parts
from solution.ledger import open_ledger
from solution.ledger.store import Store

_ROUNDS = 5

Call = Callable[[int], object]


@dataclass(frozen=True)
class Stage:
    """One measured stage.

    Args:
        name: as shown.
        prepare: called before the clock starts, with how many calls will follow.
        call: the stage, with the number of the signal.
        per_call: how many signals one call serves.
        after: not on the way from XADD to POST.
    """

    name: str
    prepare: Callable[[int], object]
    call: Call
    per_call: int = 1
    after: bool = False


def stages(parts: Parts) -> Iterator[Stage]:
    """All stages in the order a signal meets them."""

    def nothing(count: int) -> None:
        del count

    yield Stage("read: XREADGROUP of one entry", parts.publish_all, parts.read)
    yield Stage("parse and digest the signal", nothing, parts.parse)
    yield Stage("lane: put, take, done", nothing, parts.through_lane)
    yield Stage("known before? (ledger look-up)", nothing, parts.find)
    yield Stage("gates, size, reservation, body", parts.release_all, parts.decide)
    yield Stage("expect (tracker)", parts.new_intents, parts.expect)
    yield Stage("row before POST", parts.new_intents, parts.begin)
    yield Stage("row before POST, with fsync", parts.new_intents, parts.begin_synced)
    yield Stage("POST and its answer", parts.new_intents, parts.post, after=True)
    yield Stage("merge the answer", parts.expect_all, parts.answered, after=True)
    yield Stage("read and merge new and fill", parts.answer_all, parts.news, after=True)
    yield Stage("log line: hand over", nothing, parts.log_line, after=True)
    yield Stage("log line: two formats, file", nothing, parts.write_line, after=True)
    yield Stage("outcomes, commit of 256 signals", parts.batches, parts.apply, BATCH, after=True)
    yield Stage("outcomes, commit of 1 signal", parts.changes, parts.apply, after=True)
    yield Stage("executions, XACK, 256 signals", parts.batches, parts.publish, BATCH, after=True)
    yield Stage("executions, XACK, 1 signal", parts.changes, parts.publish, after=True)


def postgres_stages(parts: Parts) -> Iterator[Stage]:
    """The durable steps once more, with the ledger in a PostgreSQL of this machine."""

    def nothing(count: int) -> None:
        del count

    yield Stage("PostgreSQL: ledger look-up", nothing, parts.find)
    yield Stage("PostgreSQL: row before POST", parts.new_intents, parts.begin)
    yield Stage("PostgreSQL: the same with fsync", parts.new_intents, parts.begin_synced)
    yield Stage("PostgreSQL: commit of 256 signals", parts.batches, parts.apply, BATCH, after=True)
    yield Stage("PostgreSQL: commit of 1 signal", parts.changes, parts.apply, after=True)


@contextmanager
def postgres_ledgers() -> Iterator[tuple[Store, Store]]:
    """One ledger as it comes, one with the row before the POST on disk, in one server."""
    from torture.postgres_server import PostgresServer

    with PostgresServer(fsync=True) as server, ExitStack() as stack:
        plain = open_ledger(server.create())
        stack.callback(plain.close)
        synced = open_ledger(server.create(), fsync_before_post=True)
        stack.callback(synced.close)
        yield plain, synced


def timed(stage: Stage, count: int) -> dict[str, Any]:
    """Median over a few rounds of the time per signal."""
    calls = max(1, count // stage.per_call // _ROUNDS)
    stage.prepare(calls * _ROUNDS)
    wall, cpu = [], []
    for one in range(_ROUNDS):
        cpu_start, start = time.thread_time_ns(), time.perf_counter_ns()
        for number in range(one * calls, (one + 1) * calls):
            stage.call(number)
        wall.append((time.perf_counter_ns() - start) / calls / stage.per_call / 1000)
        cpu.append((time.thread_time_ns() - cpu_start) / calls / stage.per_call / 1000)
    return {
        "stage": stage.name,
        "before_post": not stage.after,
        "wall_us": round(statistics.median(wall), 1),
        "cpu_us": round(statistics.median(cpu), 1),
    }


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All stages; the result as written to JSON."""
    facts = report.machine()
    with ExitStack() as stack:
        place = stack.enter_context(bench(asked))
        place.new_stream(STREAM)
        parts = stack.enter_context(Parts(place))
        rows = [timed(stage, asked.count) for stage in stages(parts)]
        if asked.postgres:
            parts.use(*stack.enter_context(postgres_ledgers()))
            rows += [timed(stage, asked.count) for stage in postgres_stages(parts)]
    return {"benchmark": "stages", "machine": facts, "count": asked.count, "stages": rows}


def shown(result: dict[str, Any]) -> str:
    """The result as a table."""
    rows = [
        [one["stage"], "yes" if one["before_post"] else "", one["wall_us"], one["cpu_us"]]
        for one in result["stages"]
    ]
    return report.table(["stage, µs per signal", "before POST", "wall", "CPU"], rows)


def main() -> int:
    """Read the arguments, measure, show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--count", type=int, default=2000, help="signals per stage")
    parser.add_argument(
        "--postgres", action="store_true", help="also on a PostgreSQL started for this (dev extra)"
    )
    asked = parser.parse_args()
    try:
        result = measure(asked)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    print(shown(result))
    print(f"\n{report.write('stages', result, asked.json).name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
