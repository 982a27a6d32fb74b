"""How soon the listener is back when Redis is: ``python -m benchmarks.redis_recovery``.

Two figures, of the service's own listener over a real redis-server, without broker and ledger:

- *ready again → first new signal read*: Redis is killed (``kill -9``), stays away for a random
  while, and starts again with its append-only file. The clock starts at its first ``PONG``, and a
  signal is published at once; it stops when the listener hands that signal on.
- *hung → noticed*: Redis is paused (SIGSTOP) while the listener waits in its blocking read. The
  clock stops when the listener says so.
"""

import contextlib
import logging
import random
import signal
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import redis

from benchmarks.processes import Child, Failed, answers_ping, free_port, redis_command
from benchmarks.report import goals, machine, percentile, table, write
from solution.clock import Deadline, SystemClock
from solution.domain.records import EntryRef
from solution.errors import SignalError
from solution.feeds.arrival import Arrival, Fields
from solution.feeds.reading import Reading
from solution.feeds.signal_listener import ListenerPorts, ListenerRules, SignalListener
from solution.ledger.sqlite import SqliteLedger
from solution.redis_client import make_client
from solution.trading.turnstile import Turnstile

STREAM, GROUP = "bench", "recovery"
BUY: dict[Any, Any] = {"ticker": "NVDA", "direction": "b"}
P99_S, MOST_S, NOTICED_S = 0.5, 2.0, 5.0
PATIENCE_S = 30.0


class Asset:
    """What the listener asks of an asset."""

    id = symbol = "NVDA"
    asset_class = "us_equity"
    tradable = shortable = fractionable = True


class Probe:
    """A listener and the moment at which it handed the last signal on."""

    def __init__(self, port: int) -> None:
        url = f"redis://127.0.0.1:{port}/0"
        self.read_at = 0.0
        self.read = threading.Event()
        ports = ListenerPorts(
            room=lambda: 1000,
            wait_room=lambda _seconds: 1000,
            deliver=self._deliver,
            dead_letter=self._dead_letter,
            acknowledge=lambda _ref: None,
            has_dead_letter=lambda _ref, _fields: False,
            leave_to_row=lambda _ref, _fields: False,
            is_known=lambda _identity: False,
            find_asset=lambda _ticker: Asset(),
            is_dead=lambda _name: True,
            reading=Reading(SqliteLedger("sqlite://"), Turnstile()),
            compare=lambda _lost: lambda: True,
        )
        rules = ListenerRules(streams=(STREAM,), group=GROUP, consumer="bench")
        self.listener = SignalListener(lambda: make_client(url), rules, ports, SystemClock())

    def _deliver(self, arrival: Arrival) -> bool:
        if not arrival.redelivered:
            self.read_at = time.monotonic()
            self.read.set()
        return True

    def _dead_letter(self, ref: EntryRef, _fields: Fields, error: SignalError) -> None:
        sys.stderr.write(f"{ref.entry_id}: {error}\n")


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=40)
    parser.add_argument("--pauses", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    logging.disable(logging.CRITICAL)  # outages are what this is about
    with tempfile.TemporaryDirectory(prefix="signalpaca-recovery-") as folder:
        back = sorted(restarts(Path(folder), asked.restarts, draw))
        noticed = sorted(pauses(Path(folder), asked.pauses, draw))
    met = [
        (f"first new signal read {P99_S} s after Redis is ready (p99)", p99(back) < P99_S),
        (f"and at most {MOST_S:g} s after it", back[-1] < MOST_S),
        (f"a hung Redis noticed within {NOTICED_S:g} s", noticed[-1] < NOTICED_S),
    ]
    rows = [
        [name, len(of), *(round(1000 * x) for x in (median(of), p99(of), of[-1]))]
        for name, of in (("ready again to first read", back), ("hung to noticed", noticed))
    ]
    print(table(["", "times", "median ms", "p99 ms", "max ms"], rows))
    print(goals(met))
    result = {"ready_to_read_s": back, "hung_to_noticed_s": noticed, "seed": asked.seed}
    write("redis-recovery", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


def p99(ordered: Sequence[float]) -> float:
    return percentile(ordered, 0.99)


def restarts(folder: Path, count: int, draw: random.Random) -> Iterator[float]:
    """Seconds from ready to read, once per restart."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(started(folder, port))
        probe = Probe(port)
        stack.callback(probe.listener.stop, Deadline(PATIENCE_S))
        probe.listener.start()
        require(probe.listener.recovered.wait(PATIENCE_S), "the listener does not start")
        for _ in range(count):
            server.process.kill()
            server.process.wait()
            time.sleep(draw.uniform(0.1, 3.0))
            probe.read.clear()
            server = stack.enter_context(started(folder, port))
            ready = time.monotonic()
            with redis.Redis(port=port) as client:
                client.xadd(STREAM, BUY)
            require(probe.read.wait(PATIENCE_S), "the signal was not read")
            yield probe.read_at - ready


def pauses(folder: Path, count: int, draw: random.Random) -> Iterator[float]:
    """Seconds from SIGSTOP until the listener says that Redis is silent."""
    port = free_port()
    with started(folder, port) as server:
        probe = Probe(port)
        probe.listener.start()
        try:
            require(probe.listener.recovered.wait(PATIENCE_S), "the listener does not start")
            for _ in range(count):
                time.sleep(draw.uniform(0.0, 0.6))
                server.process.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                wait_until(lambda: not probe.listener.connected)
                yield time.monotonic() - began
                server.process.send_signal(signal.SIGCONT)
                wait_until(lambda: probe.listener.connected and not probe.listener.trouble)
        finally:
            probe.listener.stop(Deadline(PATIENCE_S))


@contextlib.contextmanager
def started(folder: Path, port: int) -> Iterator[Child]:
    """A redis-server with an append-only file in the folder, once it answers PING."""
    with Child("redis", redis_command(folder, port, aof=True), folder, announces=False) as child:

        def ready() -> bool:
            child.check()
            return answers_ping(port)

        wait_until(ready, tick=0.001)
        yield child


def wait_until(condition: Any, tick: float = 0.005) -> None:
    """Raises Failed when it does not come true."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        require(time.monotonic() < end, "waited in vain")
        time.sleep(tick)


def require(held: bool, what: str) -> None:
    """Raises Failed, a benchmark's word for a run that measured nothing."""
    if not held:
        raise Failed(what)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
