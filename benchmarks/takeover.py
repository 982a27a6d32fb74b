"""Dead instances and their standbys: ``python -m benchmarks.takeover``.

Signals are published all the time. The active instance is killed (``kill -9``) and its standby
takes over, again and again. Measured: from the kill to the first order of the new instance, as the
exchange saw it. With ``--no-standby`` a new process is started after each kill instead: from a
crash to trading again. In the end every signal must have one end and no signal two orders.
"""

import itertools
import signal
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from benchmarks.flood import count, ends
from benchmarks.processes import Child, Failed, redis_server
from benchmarks.rate_limit import ask, environment
from benchmarks.report import goals, machine, percentile, write

STANDBY_S = 5.0
RESTART_S = 3.0
TICKERS = ("F", "BAC", "C", "CSCO", "INTC", "PFE", "T", "KO")


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--no-standby", action="store_true")
    parser.add_argument(
        "--ledger",
        help="LEDGER_URL, or postgres for a server of its own; by default a new SQLite file",
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="signalpaca-takeover-") as folder,
        ledger_of(asked.ledger) as ledger,
    ):
        result = measure(asked.count, Path(folder), ledger, standby=not asked.no_standby)
    limit = RESTART_S if asked.no_standby else STANDBY_S
    met = [
        (f"trading again within {limit:g} s (max)", result["max_s"] < limit),
        ("no signal lost, every one told one end", result["lost"] == 0),
        ("no signal with two orders", result["duplicates"] == 0),
        ("nothing is pending", result["pending"] == 0),
    ]
    for name, value in result.items():
        print(f"{name:>14}  {value}")
    print(goals(met))
    write("takeover", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


@contextmanager
def ledger_of(asked: str | None) -> Iterator[str | None]:
    """The LEDGER_URL that was asked for."""
    if asked != "postgres":
        yield asked
        return
    from torture.postgres_server import PostgresServer

    with PostgresServer(fsync=True) as server:
        yield server.create()


def measure(kills: int, folder: Path, ledger: str | None, *, standby: bool) -> dict[str, Any]:
    """Kill, wait for the next order, and again; then count."""
    exchange = ["-m", "paper_exchange", "--port", "0", "--rate-limit", "0", "--cash", "1000000000"]
    url_of_ledger = ledger or f"sqlite:///{folder}/ledger.db"
    with redis_server(folder, aof=True) as port, Child("exchange", exchange, folder) as broker:
        url = broker.ready().rsplit(" ", 1)[-1]
        env = environment(url, port, folder) | {
            "LEDGER_URL": url_of_ledger,
            "LOG_DIR": "",
            "RATE_LIMIT_PER_MINUTE": "0",
            "EXECUTIONS_MAXLEN": "10000000",  # all ends are counted afterwards
        }
        client = redis.Redis(port=port, protocol=2)
        with ExitStack() as stack:
            instances = Instances(folder, env, stack)
            producer = Producer(port)
            stack.callback(producer.end)
            took = [took_over(instances, url, standby=standby) for _ in range(kills)]
            published = producer.end()
            finals = await_ends(client, instances.active, len(published))
        orders = ask(url, "/admin/orders")
        pending = client.xpending("bench", "solution")["pending"]
        client.close()
    took.sort()
    once = sum(1 for entry in published if finals[entry] == 1)
    per_id = Counter(order["client_order_id"] for order in orders)
    for entry in published:
        if finals[entry] != 1:
            print(f"{entry.decode()} has {finals[entry]} ends", file=sys.stderr)
    return {
        "kills": kills,
        "signals": len(published),
        "median_s": round(percentile(took, 0.5), 3),
        "p99_s": round(percentile(took, 0.99), 3),
        "max_s": round(took[-1], 3),
        "orders": len(orders),
        "lost": len(published) - once,
        "duplicates": sum(n - 1 for n in per_id.values())
        + max(0, len(per_id) - count(url_of_ledger).get("FILLED", 0)),
        "pending": pending,
    }


class Instances:
    """The active instance and, where wanted, its standby."""

    def __init__(self, folder: Path, env: dict[str, str], stack: ExitStack) -> None:
        self._folder = folder
        self._env = env
        self._stack = stack
        self._numbers = itertools.count()
        self.active = self.start()

    def start(self) -> Child:
        """One more process."""
        name = f"service-{next(self._numbers)}"
        command = ["-m", "solution", "-w", "4"]
        child = Child(name, command, self._folder, env=self._env, announces=False)
        return self._stack.enter_context(child)

    def await_standby(self) -> Child:
        """A second process that has loaded everything and waits."""
        child = self.start()
        await_text(child, "standby")
        return child


def took_over(instances: Instances, url: str, *, standby: bool) -> float:
    """Seconds from a kill to the first order after it."""
    await_text(instances.active, "signal_ended")
    waiting = instances.await_standby() if standby else None
    seen = ask(url, "/admin/log?limit=1")["count"]
    instances.active.process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    instances.active.process.wait()
    instances.active = waiting or instances.start()
    until = killed + 20.0
    while time.monotonic() < until:
        instances.active.check()
        log = ask(url, f"/admin/log?since={seen}")["entries"]
        # Ten milliseconds: what was on its way when the process died arrives within them.
        later = [e["arrived"] for e in log if e["method"] == "POST"]
        after = [arrived for arrived in later if arrived > killed + 0.01]
        if after:
            return min(after) - killed
        time.sleep(0.02)
    raise instances.active.failed("sent no order within 20 s")


def await_text(child: Child, text: str, seconds: float = 20.0) -> None:
    """Until the process has printed it."""
    until = time.monotonic() + seconds
    while text not in child.log.read_text(errors="replace"):
        child.check()
        if time.monotonic() > until:
            raise child.failed(f"did not print {text!r} within {seconds:g} s")
        time.sleep(0.01)


class Producer:
    """Publishes forty signals a second from a thread, until told to end."""

    def __init__(self, port: int) -> None:
        self._client = redis.Redis(port=port, protocol=2)
        self._published: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for ticker in itertools.cycle(TICKERS):
            if self._stop.wait(0.025):
                return
            self._published.append(self._client.xadd("bench", {"ticker": ticker, "direction": "b"}))

    def end(self) -> list[bytes]:
        """Every entry id published."""
        self._stop.set()
        self._thread.join()
        return self._published


def await_ends(client: "redis.Redis", service: Child, signals: int) -> Counter[bytes]:
    """How many final events each entry has, once every one has one (each event counted once)."""
    until = time.monotonic() + 60
    while True:
        service.check()
        told = {fields[b"event_id"]: fields[b"entry_id"] for fields in ends(client)}
        finals = Counter(told.values())
        if len(finals) >= signals or time.monotonic() > until:
            return finals
        time.sleep(0.2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
