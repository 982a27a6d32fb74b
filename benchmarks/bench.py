"""One run's surroundings: a Redis, a broker, and any pipeline started between the two."""

import contextlib
import os
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks import broker_data
from benchmarks.limits import NO_LIMITS
from benchmarks.pipelines import GROUP
from benchmarks.processes import BrokerClient, Child, Failed, broker, redis_server

PIPELINES = ("floor", "reference", "service", "service-fsync")
SIGNAL_DEADLINE = 30.0
_POLL = 0.01


@dataclass(frozen=True)
class Bench:
    """Where everything of one run is."""

    directory: Path
    redis_port: int
    redis: Any
    """A redis-py client; Any, for its annotations allow for every protocol and decoding."""
    broker: BrokerClient
    tickers: list[str]
    pipeline_cpu: int | None
    service_env: Mapping[str, str]

    def new_stream(self, name: str) -> str:
        """An empty stream with our group at its beginning."""
        self.redis.flushall()
        self.redis.xgroup_create(name, GROUP, id="0", mkstream=True)
        return name

    def publish(self, stream: str, tickers: Sequence[str]) -> None:
        """Put minimal signals into the stream, fast."""
        with self.redis.pipeline(transaction=False) as pipe:
            for ticker in tickers:
                pipe.xadd(stream, {"ticker": ticker, "direction": "b"})
            pipe.execute()

    @contextlib.contextmanager
    def running(self, pipeline: str, stream: str, workers: int) -> Iterator[Child]:
        """The pipeline as a process; floor and reference are ready on entry."""
        is_service = pipeline.startswith("service")
        with tempfile.TemporaryDirectory(dir=self.directory, prefix=f"{pipeline}-") as place:
            directory = Path(place)
            env: Mapping[str, str] = {}
            if is_service:
                command = ["-m", "solution", "-w", str(workers)]
                env = self._service_env(directory, stream, fsync=pipeline.endswith("fsync"))
            else:
                command = ["-m", "benchmarks.pipelines", pipeline, "--stream", stream]
                command += ["--redis-port", str(self.redis_port), "--workers", str(workers)]
                command += ["--broker-port", str(self.broker.port)]
            child = Child(
                pipeline,
                command,
                directory,
                cpu=self.pipeline_cpu,
                env=env,
                announces=not is_service,
            )
            with child:
                if not is_service:
                    child.ready()
                yield child

    def await_posts(self, child: Child, count: int, deadline: float) -> None:
        """Return once the broker has seen so many POSTs since its last reset.

        Raises:
            Failed: they did not come in time, or the pipeline ended.
        """
        end = time.monotonic() + deadline
        while (seen := self.broker.count()) < count:
            child.check()
            if time.monotonic() > end:
                raise child.failed(f"sent {seen} orders of {count} in time;{self._last_words()}")
            time.sleep(_POLL)

    def _last_words(self) -> str:
        """Why signals did not become orders, as far as ``executions`` tells."""
        found = self.redis.xrevrange("executions", count=200)
        reasons = {f.get(b"reason", b""): f.get(b"message", b"") for _, f in found}
        reasons.pop(b"", None)
        return "".join(f"\n  {k.decode()}: {v.decode()}" for k, v in reasons.items())

    def _service_env(self, directory: Path, stream: str, *, fsync: bool) -> dict[str, str]:
        """The service with everything on, and no limit that could refuse an order."""
        return {
            "ALPACA_API_KEY": "bench",
            "ALPACA_SECRET_KEY": "bench",
            "ALPACA_TRADING_URL": self.broker.url,
            "ALPACA_DATA_URL": self.broker.url,
            "ALPACA_STREAM_URL": self.broker.stream_url,
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "STREAMS": stream,
            "LEDGER_URL": f"sqlite:///{directory}/ledger.db",
            "LEDGER_FSYNC_BEFORE_POST": "true" if fsync else "false",
            "RATE_LIMIT_PER_MINUTE": "0",
            "SYMBOLS": ",".join([*self.tickers, broker_data.WARM_UP]),
            "SIZING": "fixed_qty",
            "QTY": "1",
            **NO_LIMITS,
            "MAX_QUOTE_AGE": "0",
            "KILL_SWITCH_FILE": str(directory / "kill"),
            "LOG_DIR": str(directory / "logs"),
            **self.service_env,
        }


@contextlib.contextmanager
def bench(asked: Namespace) -> Iterator[Bench]:
    """Start Redis and broker as the arguments ask; end them at the end."""
    beside, alone = None, None
    if asked.pin:
        cpus = sorted(os.sched_getaffinity(0))
        beside, alone = cpus[0], cpus[-1]
        os.sched_setaffinity(0, {beside})
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="signalpaca-bench-"))
        directory = Path(place)
        port = stack.enter_context(redis_server(directory, aof=asked.aof, cpu=beside))
        client = stack.enter_context(redis.Redis(port=port, socket_timeout=30.0))
        served = stack.enter_context(broker(directory, tickers=asked.tickers, cpu=beside))
        tickers = broker_data.tickers(asked.tickers)
        env = dict(item.split("=", 1) for item in asked.env)
        yield Bench(directory, port, client, served, tickers, alone, env)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments that every benchmark has."""
    parser.add_argument(
        "--pipelines",
        type=lambda text: tuple(text.split(",")),
        default=PIPELINES,
        help=f"comma-separated, of {', '.join(PIPELINES)}",
    )
    parser.add_argument("--tickers", type=int, default=100, help="how many assets are traded")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument(
        "--pin", action="store_true", help="pipeline on the last CPU, everything else on the first"
    )
    parser.add_argument("--aof", action="store_true", help="Redis keeps an append-only file")
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a setting of the service"
    )


def check_pipelines(names: Sequence[str]) -> None:
    """Raise Failed for a name that does not exist."""
    unknown = [name for name in names if name not in PIPELINES]
    if unknown:
        raise Failed(f"no such pipeline: {', '.join(unknown)}; there are {', '.join(PIPELINES)}")
