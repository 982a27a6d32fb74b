"""The service as a process among a real Redis and a real exchange, and an oracle over all three."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import redis

from paper_exchange.testing import Running
from solution.domain.orders import client_order_id, deployment_id
from solution.domain.records import TERMINAL, Intent
from solution.ledger import open_reader
from solution.ui.snapshot import read_all
from tests.helpers import forked
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
GROUP = "solution"
KEY, SECRET = "KEY-CANARY", "SECRET-CANARY"
NO_LIMITS = dict.fromkeys(
    (
        *("MAX_POSITION_PCT", "MAX_ORDER_NOTIONAL", "MAX_GROSS_EXPOSURE_PCT", "MAX_TRADES_PER_DAY"),
        *("MAX_ORDERS_PER_MINUTE_PER_TICKER", "MAX_DAILY_LOSS_PCT", "MAX_FLIPS"),
        *("MAX_SPREAD_BPS", "PRICE_COLLAR_PCT", "CIRCUIT_BREAKER_FAILURES"),
    ),
    "0",
)
"""For tests of something else: nothing stops a signal but what they make stop it."""
_OURS = ("ALPACA_", "APCA_", "REDIS_", "STREAMS", "LEDGER_", "KILL_SWITCH", "SIGNAL_HMAC")

Fields = Mapping[Any, Any]


class Service:
    """One ``python -m solution``; what it prints goes to a file.

    Args:
        env: settings, on top of this process's environment without its own settings.
        directory: where it runs.
        before: a program and arguments to run it under, such as a shell with limits; without,
            it is forked (:mod:`tests.helpers.forked`).
    """

    def __init__(
        self,
        env: Mapping[str, str],
        directory: Path,
        *,
        workers: int = 4,
        before: Sequence[str] = (),
    ) -> None:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(_OURS)}
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / f"service-{time.monotonic_ns()}.log"
        words, whole = ("-w", str(workers)), {**kept, "PYTHONPATH": str(ROOT), **env}
        self.process: subprocess.Popen[bytes] | forked.Forked
        with self._log.open("wb") as out:
            if not before:
                self.process = forked.Forked(words, env=whole, cwd=directory, out=out, err=out)
                return
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "solution", *words],
                cwd=directory,
                env=whole,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # a Ctrl-C at the terminal is for pytest alone
            )

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def await_start(self) -> "Service":
        """Until it listens; fails with its output if it ends instead."""
        assert eventually(
            lambda: "INFO listening streams=" in self.text or self.process.poll() is not None, 20
        )
        assert self.process.poll() is None, self.text
        return self

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def wait(self, seconds: float = 20.0) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def refusal(service: Service, code: int, prefix: str, seconds: float = 20.0) -> str:
    """The one line a service ends with, the last that it prints."""
    assert service.wait(seconds) == code, service.text
    lines = service.text.splitlines()
    assert [line for line in lines if line.startswith(prefix)] == lines[-1:], service.text
    assert "Traceback" not in service.text
    assert "SECRET-CANARY" not in service.text
    return lines[-1]


@dataclass
class World:
    """One account at one exchange, one Redis, one ledger, and services that come and go."""

    redis_server: RedisServer
    exchange: Running
    directory: Path
    trading_url: str
    settings: dict[str, str] = field(default_factory=dict)
    proxy: Any = None

    def __post_init__(self) -> None:
        self.redis = redis.Redis.from_url(self.redis_server.url)
        self.services: list[Service] = []
        self.unseen: list[Service] = []
        self.ledger_path = self.directory / "ledger.db"

    # --- services -------------------------------------------------------------------------

    def env(self, **changes: str) -> dict[str, str]:
        """Settings of a service in this world; caps are off, and what faults would trip."""
        return {
            "ALPACA_API_KEY": KEY,
            "ALPACA_SECRET_KEY": SECRET,
            "ALPACA_TRADING_URL": self.trading_url,
            "ALPACA_DATA_URL": self.exchange.url,
            "REDIS_URL": self.redis_server.url,
            "LEDGER_URL": f"sqlite:///{self.ledger_path}",
            "LOG_DIR": "",
            "RATE_LIMIT_PER_MINUTE": "0",
            "SIZING": "fixed_qty",
            "QTY": "1",
            **NO_LIMITS,
            **self.settings,
            **changes,
        }

    def launch(self, *, workers: int = 4, before: Sequence[str] = (), **changes: str) -> Service:
        """Start a service and do not wait for it."""
        service = Service(self.env(**changes), self.directory, workers=workers, before=before)
        self.services.append(service)
        return service

    def start(self, *, workers: int = 4, before: Sequence[str] = (), **changes: str) -> Service:
        """Start a service and wait until it listens."""
        service = self.launch(workers=workers, before=before, **changes).await_start()
        self.unseen.append(service)
        return service

    def command(
        self, *words: str, timeout: float = 60.0, **changes: str
    ) -> "subprocess.CompletedProcess[str]":
        """``signalpaca WORDS…`` with the service's settings, to its end."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), **self.env(**changes)}
        self.directory.mkdir(parents=True, exist_ok=True)
        self._await_status()
        return forked.run(words, env=env, cwd=self.directory, timeout=timeout)

    def _await_status(self) -> None:
        """A service shows itself a moment after it listens; commands would say that none runs.

        Where it may not, or cannot, the commands are to say so.
        """
        for service in self.unseen:
            eventually(functools.partial(self._shows, service), 5.0)
        self.unseen.clear()

    def _shows(self, service: Service) -> bool:
        if service.process.poll() is not None:
            return True
        try:
            shown = read_all(self.redis, "*").values()
        except redis.RedisError:
            return True  # the command has to do without it, too
        return any(one.get("pid") == service.process.pid for one in shown)

    def end(self) -> None:
        """End whatever still runs."""
        for service in self.services:
            if service.process.poll() is None:
                service.kill()
        self.redis.close()

    # --- signals --------------------------------------------------------------------------

    def publish(self, ticker: str = "NVDA", direction: str = "b", **fields: str) -> str:
        """One signal; returns its entry id."""
        return self.publish_raw({"ticker": ticker, "direction": direction, **fields})

    def publish_raw(self, fields: Fields, stream: str = "nvda") -> str:
        """One entry with exactly these fields."""
        entry_id: Any = self.redis.xadd(stream, dict(fields))
        return str(entry_id.decode())

    def redis_ms(self) -> int:
        """Redis's clock, which makes the entry ids."""
        seconds, micros = self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def pending(self, stream: str = "nvda") -> int:
        """Entries delivered and not acknowledged."""
        summary: Any = self.redis.xpending(stream, GROUP)
        return int(summary["pending"])

    def events(self) -> list[dict[str, str]]:
        """Everything told, each event once (the stream may repeat one), in order."""
        rows: Any = self.redis.xrange("executions")
        told = {}
        for _, fields in rows:
            event = {name.decode(): value.decode() for name, value in fields.items()}
            told[int(event["event_id"])] = event
        return [told[number] for number in sorted(told)]

    def told(self) -> dict[str, list[str]]:
        """Event names by entry id, in order; a final one ends in ``!``."""
        found: dict[str, list[str]] = defaultdict(list)
        for event in self.events():
            found[event.get("entry_id", "")].append(event["event"] + "!" * (event["final"] == "1"))
        return found

    def final(self, entry_id: str) -> dict[str, str]:
        """The final event of one entry."""
        found = [e for e in self.events() if e.get("entry_id") == entry_id and e["final"] == "1"]
        assert len(found) == 1, f"{len(found)} final events of {entry_id}"
        return found[0]

    def ended(self, entry_ids: Sequence[str]) -> bool:
        """Whether each of them has been told to its end."""
        finals = {e.get("entry_id") for e in self.events() if e["final"] == "1"}
        return finals.issuperset(entry_ids)

    def await_ends(self, entry_ids: Sequence[str], seconds: float = 20.0) -> None:
        """Until each has its final event and nothing is pending; fails with what is missing."""
        done = eventually(lambda: self.ended(entry_ids) and not self.pending(), seconds)
        told = self.told()
        missing = {e: told.get(e) for e in entry_ids if not (told.get(e) or [""])[-1].endswith("!")}
        assert done, f"pending {self.pending()}, not at their end: {missing}"

    # --- the other witnesses --------------------------------------------------------------

    def admin(self, path: str, body: object = None) -> Any:
        """Ask the exchange itself."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.exchange.url}/admin/{path}", data)  # noqa: S310  # our own exchange
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own exchange
            return json.load(answer)

    def orders(self) -> list[dict[str, Any]]:
        """Every order at the exchange."""
        found: list[dict[str, Any]] = self.admin("orders")
        return found

    def posts(self) -> Counter[str]:
        """How many POSTs the exchange saw, by client_order_id."""
        entries = self.admin("log")["entries"]
        return Counter(
            str(e["client_order_id"])
            for e in entries
            if e["method"] == "POST" and e["path"] == "/v2/orders"
        )

    def rows(self) -> dict[str, Intent]:
        """The ledger's rows by client_order_id."""
        with open_reader(self.env()["LEDGER_URL"]) as reader:
            return {row.client_order_id: row for row in reader.list_intents(100_000)}

    def coid(self, signal_id: str) -> str:
        """The id that the order of a signal with this signal_id will have."""
        account = self.broker("account")["id"]
        return client_order_id(deployment_id(account, GROUP), f"nvda|id:{signal_id}")

    def broker(self, path: str, body: object = None) -> Any:
        """A request to the exchange with the account's own keys."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
        request = urllib.request.Request(f"{self.exchange.url}/v2/{path}", data, headers)  # noqa: S310  # our own exchange
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own exchange
            return json.load(answer)

    def place(self, symbol: str, signal_id: str, **fields: str) -> dict[str, Any]:
        """A market order that stands at the exchange under the id that a signal's will have."""
        body = {"symbol": symbol, "side": "buy", "type": "market", "time_in_force": "ioc"}
        order: dict[str, Any] = self.broker(
            "orders", {**body, **fields, "client_order_id": self.coid(signal_id)}
        )
        return order

    def unsent(self) -> list[tuple[str, str, str]]:
        """Entry id, reason and message of every final event without an order."""
        return [
            (event.get("entry_id", ""), event.get("reason", ""), event.get("message", ""))
            for event in self.events()
            if event["final"] == "1" and "order_id" not in event
        ]

    # --- the oracle -----------------------------------------------------------------------

    def check(self, entry_ids: Sequence[str], orders: int | None = None) -> None:
        """Invariants I1 to I4 over stream, ledger and broker.

        Args:
            entry_ids: everything published.
            orders: how many orders there must be at the broker; one per entry by default.
        """
        assert self.pending() == 0
        finals = Counter(e.get("entry_id", "") for e in self.events() if e["final"] == "1")
        assert finals == Counter(entry_ids), "final=1 must stand once on every entry"
        at_broker = {o["client_order_id"]: o for o in self.orders()}
        wanted = len(entry_ids) if orders is None else orders
        assert len(at_broker) == wanted, self.unsent()
        rows = self.rows()
        with open_reader(self.env()["LEDGER_URL"]) as reader:
            filled: dict[str, Decimal] = defaultdict(Decimal)
            for trade in reader.list_trades(limit=1_000_000):
                filled[trade.client_order_id] += trade.qty
        for coid, order in at_broker.items():
            row = rows[coid]
            assert row.state in TERMINAL, row
            assert row.status == order["status"], (row, order)
            assert row.filled_qty == Decimal(order["filled_qty"]), (row, order)
            assert filled[coid] == row.filled_qty, row
        told = {e["client_order_id"]: e["filled_qty"] for e in self.events() if "filled_qty" in e}
        for coid, order in at_broker.items():
            assert Decimal(told[coid]) == Decimal(order["filled_qty"])


@contextlib.contextmanager
def world(
    directory: Path,
    *options: str,
    aof: bool = False,
    proxy: Callable[[str], contextlib.AbstractContextManager[Any]] | None = None,
    **settings: Any,
) -> Iterator[World]:
    """A Redis, an exchange started with ``options``, and nothing running yet.

    Args:
        proxy: given the exchange's URL, a context manager of what stands before it; it has ``url``.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RedisServer(directory / "redis", aof=aof))
        exchange = stack.enter_context(
            forked.exchange(directory / "exchange", "--rate-limit", "0", *options)
        )
        before = stack.enter_context(proxy(exchange.url)) if proxy else None
        url = before.url if before else exchange.url
        made = World(server, exchange, directory / "service", url, settings, before)
        stack.callback(made.end)
        yield made
