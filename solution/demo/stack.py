"""The demo's four programs: started in order, ended in order, whatever happens."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from solution.clock import Deadline
from solution.demo.processes import DemoError, Process, end_all
from solution.demo.redis_server import Choice, Redis, start
from solution.ui.reading import part
from solution.ui.snapshot import read_all

STREAM, GROUP = "signals", "demo"
GENERATOR = "generator"
KEYS = ("demo-key", "demo-secret")
SYMBOLS = ("NVDA", "AAPL", "MSFT", "AMD", "TSLA")
SHARES = 10
READY_WITHIN = 15.0
SERVICE_STOPS_WITHIN = 10.0
ALPACAS_LIMIT = 200
PACE = 3.0
"""Signals per second; about seven in ten become orders, so 200 requests a minute suffice."""
_EXCHANGE_READY = r"listening on (http://\S+)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the generator publishes, and how fast."""

    signals: int
    seconds: float
    seed: int
    workers: int

    @property
    def rate(self) -> float:
        """Signals per second."""
        return self.signals / self.seconds

    @property
    def limit(self) -> int:
        """The exchange's requests per minute: Alpaca's, unless the pace asks for more."""
        if self.rate <= PACE * 1.01 or self.signals < ALPACAS_LIMIT * 3 // 4:
            return ALPACAS_LIMIT
        return max(ALPACAS_LIMIT, round(self.rate * 60 * 1.5))


class Stack:
    """Use as a context manager: leaving it ends every program that runs."""

    def __init__(self, choice: Choice, plan: Plan, folder: Path) -> None:
        self._choice = choice
        self._plan = plan
        self._folder = folder
        self._started: list[Process] = []
        self.exchange_url = ""
        self.redis: Redis
        self.service: Process
        self.generator: Process

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            end_all(self._started, 2.0)
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        end_all(self._started, 2.0)

    def _start(self) -> None:
        plan = self._plan
        exchange = self._run("exchange", self._exchange_command(), {})
        self.redis = start(self._choice, self._folder)
        self._started.append(self.redis.process)
        self.exchange_url = exchange.await_line(_EXCHANGE_READY, Deadline(READY_WITHIN))
        settings = self.settings()
        self.service = self._run(
            "service", ("python", "-m", "solution", "-w", str(plan.workers)), settings
        )

    def settings(self) -> dict[str, str]:
        """The service's settings, as environment variables."""
        return {
            "ALPACA_API_KEY": KEYS[0],
            "ALPACA_SECRET_KEY": KEYS[1],
            "ALPACA_TRADING_URL": self.exchange_url,
            "ALPACA_DATA_URL": self.exchange_url,
            "REDIS_URL": self.redis.url,
            "STREAMS": STREAM,
            "CONSUMER_GROUP": GROUP,
            "INSTANCE_NAME": "demo",
            "LEDGER_URL": f"sqlite:///{(self._folder / 'ledger.db').absolute()}",
            "LOG_DIR": str(self._folder / "logs"),
            "SYMBOLS": ",".join(SYMBOLS),
            "SIZING": "fixed_qty",
            "QTY": str(SHARES),
            "MAX_FLIPS": "0",  # its signals are random, so sides change all the time
            "RATE_LIMIT_PER_MINUTE": str(self._plan.limit),
        }

    def start_generator(self) -> None:
        """From now on signals come."""
        self.generator = self._run(GENERATOR, self._generator_command(), {})

    def check_alive(self) -> None:
        """The three that must not end before we end them.

        Raises:
            DemoError: one has.
        """
        for process in self._started:
            if process.name != GENERATOR and process.code is not None:
                raise DemoError(process.complaint(f"ended by itself (exit code {process.code})"))

    def is_ready(self, client: "redis.Redis") -> bool:
        """Whether the service reads signals and hears the broker.

        Raises:
            DemoError: a program has ended.
        """
        self.check_alive()
        with contextlib.suppress(redis.RedisError):
            found = read_all(client, GROUP).values()
            return any(
                part(one, "redis").get("connected") and part(one, "stream").get("connected")
                for one in found
            )
        return False

    def stop_service(self, seconds: float = SERVICE_STOPS_WITHIN) -> int | None:
        """SIGTERM; its exit code, None when it had to be killed."""
        self.service.terminate()
        code = self.service.join(Deadline(seconds))
        if code is None:
            self.service.end(Deadline(0.1))
        return code

    def _run(self, name: str, command: Sequence[str], settings: dict[str, str]) -> Process:
        process = Process(name, command, self._folder, settings)
        self._started.append(process)
        return process

    def _exchange_command(self) -> Sequence[str]:
        plan = self._plan
        options = {
            "--port": "0",
            "--seed": str(plan.seed),
            "--rate-limit": str(plan.limit),
            # A lively market: prices that move within a minute, fills that take a moment or come
            # in parts.
            "--volatility": "3",
            "--fill-delay-ms": "5",
            "--partial-fill-rate": "0.05",
        }
        return ("python", "-m", "paper_exchange", *_flat(options))

    def _generator_command(self) -> Sequence[str]:
        plan = self._plan
        interval = max(0.001, min(0.05, 1 / (2 * plan.rate)))
        options = {
            "--probability": f"{min(1.0, plan.rate * interval):.6f}",
            "--interval": f"{interval:.6f}",
            "--count": str(plan.signals),
            "--seed": str(plan.seed),
            "--symbols": ",".join(SYMBOLS),
            "--redis-url": self.redis.url,
            "--stream": STREAM,
        }
        flags = ("--always", "--signal-ids")
        return ("python", "-m", "signal_generator", "random", *flags, *_flat(options))


def _flat(options: dict[str, str]) -> list[str]:
    return [word for pair in options.items() for word in pair]
