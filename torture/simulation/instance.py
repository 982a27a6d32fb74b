"""One life of the service: the product's own wiring, with the outside world replaced.

What is replaced, and nothing else: the HTTP transports, the client that Redis is reached by, the
websocket, the threads (each service's ``step`` is called instead), waiting, and SQLite's memory.
"""

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from unittest import mock

from solution import app, startup
from solution.assembly import Assembly
from solution.config import Settings, load_settings
from solution.errors import BrokerError, NotSent, OutcomeUnknown, StartupError
from solution.feeds.trade_updates import TradeUpdates
from solution.http_common import Response
from solution.ledger.lease import wait_for_lease
from solution.ledger.sqlite import SqliteLedger
from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.trading.turnstile import Turnstile
from torture.simulation.clock import InstantStop, SimClock
from torture.simulation.exchange import SYMBOLS
from torture.simulation.storage import Storage

GROUP = "solution"
STREAMS = ("alpha", "beta")
MAX_AGE = 30.0


class Outside(Protocol):
    """What a life of the service needs of the world around it."""

    clock: SimClock
    storage: Storage
    settings: Settings

    def http(self, method: str, target: str, body: bytes | None) -> Response: ...
    def redis(self) -> Any: ...


@cache
def folder() -> Path:
    """Where the kill switch's file and the asset list lie; goes with the process."""
    path = tempfile.mkdtemp(prefix="simulation-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@cache
def settings() -> Settings:
    """One account, two streams, no budget, prices that hold all day."""
    return load_settings(
        {
            "ALPACA_API_KEY": "KEY",
            "ALPACA_SECRET_KEY": "SECRET",
            "ALPACA_TRADING_URL": "http://127.0.0.1:9",
            "ALPACA_DATA_URL": "http://127.0.0.1:9",
            "ALPACA_STREAM_URL": "ws://127.0.0.1:9/stream",
            "RATE_LIMIT_PER_MINUTE": "0",
            "STREAMS": ",".join(STREAMS),
            "CONSUMER_GROUP": GROUP,
            "LEDGER_URL": f"sqlite:///{folder()}/unused.db",
            # One that no schedule delists: a start refuses a configured symbol that is not listed.
            "SYMBOLS": SYMBOLS[-1],
            "SIZING": "fixed_qty",
            "QTY": "3",
            "MAX_SIGNAL_AGE": str(MAX_AGE),
            "MAX_PRICE_AGE": "3600",
            "MAX_QUOTE_AGE": "0",
            "MAX_POSITION_PCT": "1",
            "MAX_ORDER_NOTIONAL": "1000000",
            "CIRCUIT_BREAKER_FAILURES": "0",
            "MAX_FLIPS": "0",
            "RESEND_UNKNOWN": "true",
            "KILL_SWITCH_FILE": str(folder() / "kill"),
            "RETENTION_DAYS": "0",
            "INSTANCE_NAME": "sim",
        },
        environ={},
        env_file=None,
    )


class _Transport:
    """Either of the two ways out, for both of their signatures."""

    outside: "Outside"

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        self._closed = False

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        before_send: Callable[[], None] | None = None,
        params: Mapping[str, str] | None = None,
        **_options: Any,
    ) -> Response:
        if self._closed:
            raise NotSent("closed")
        if before_send is not None:
            before_send()
        query = "&".join(f"{name}={_quoted(text)}" for name, text in (params or {}).items())
        return self.outside.http(method, f"{path}?{query}" if query else path, body)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        before_send: Callable[[], None] | None = None,
    ) -> None:
        self._answer: Response | BrokerError
        try:
            self._answer = self.request(method, path, body, before_send=before_send)
        except OutcomeUnknown as e:
            self._answer = e  # nobody knows before the answer is awaited
        self.awaiting = True

    def receive(self) -> Response:
        self.awaiting = False
        if isinstance(self._answer, BrokerError):
            raise self._answer
        return self._answer

    answering = ready = True
    awaiting = False

    def connect(self) -> None:
        """There is no connection."""

    def close(self) -> None:
        self._closed = True


def _quoted(text: str) -> str:
    return str(text).replace("+", "%2B").replace("&", "%26")


class _Stream:
    """The order stream without a socket; the world feeds it."""

    def __init__(
        self, _url: str, conversation: TradeUpdates, **callbacks: Callable[..., None]
    ) -> None:
        self._conversation = conversation
        self._on_updates = callbacks["on_updates"]
        self._on_connected = callbacks["on_connected"]
        self.connected = False

    @property
    def delivers(self) -> bool:
        return self.connected

    def connect(self) -> None:
        self.connected = True
        self._on_connected()

    def disconnect(self) -> None:
        self.connected = False

    def hear(self, message: bytes) -> None:
        if self.connected:
            updates = self._conversation.receive(message)
            if updates:
                self._on_updates(updates)


class _Pool:
    """The workers without threads: one call of ``work`` is one turn of one worker."""

    def __init__(self, _workers: int, work: Callable[[threading.Event], None], **_: Any) -> None:
        self.work = work


class _Nothing:
    """Stands in for the supervisor: there is no thread to look after."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        """Nothing is kept."""

    def start(self) -> None:
        """Nothing to start."""


class _Limiter(RateLimiter):
    """Waiting for budget moves the clock."""

    def acquire(
        self, priority: Priority, timeout: float, _stop: threading.Event | None = None
    ) -> Slot | None:
        end = self._clock.monotonic() + timeout
        while True:
            slot = self.try_acquire(priority)
            left = end - self._clock.monotonic()
            if slot is not None or left <= 0:
                return slot
            clock: Any = self._clock
            clock.advance(min(left, max(0.001, self.next_free(priority))))


_really_enter = Turnstile.enter


def _enter(self: Turnstile, identity: str, *, alone: bool = False, **_: float) -> bool:
    """Nobody else can leave while we wait: there is one thread."""
    return _really_enter(self, identity, alone=alone, patience=0.0)


def _load_world(
    wrapper: Any, poller: Any, portfolio: Any, _settings: Settings, stop: threading.Event
) -> Any:
    """As :func:`solution.startup.load_world`, one question after the other."""
    try:
        startup.patiently(wrapper.load_assets, stop)
        startup.patiently(lambda: wrapper.refresh_account(Priority.EXIT), stop)
        wrapper.market()
        poller.step()
    except BrokerError as e:
        raise StartupError(str(e)) from e
    account = portfolio.account()
    if account is None:
        raise StartupError("no account")
    return account


class _Parts(Assembly):
    """The product's parts; nothing of it is started as a thread."""

    def services(self) -> list[Any]:
        return []


class Life(app.Trader):
    """A :class:`solution.app.Trader` whose services are stepped by the world.

    Raises:
        StartupError: as the product's start does.
    """

    def __init__(self, outside: Outside, number: int) -> None:
        super().__init__(outside.settings, InstantStop(outside.clock), outside.clock)
        self.number = number
        self.consumer = f"sim-{number}"
        self._outside = outside
        self.epoch = 0
        """The ledger's epoch when this life took it."""

    def begin(self) -> None:
        """Take the ledger, build, recover, and be ready to be stepped."""
        with self._outside.storage.opening(self.number):
            ledger = SqliteLedger("sqlite://", clock=self._outside.clock)
        wait_for_lease(ledger, self.consumer, self._stop)
        self.epoch = self._outside.storage.epoch()
        self._made = self.parts = _Parts(
            self._settings,
            ledger,
            startup.sizing_rules(self._settings),
            consumer=self.consumer,
            stop=self._stop,
            on_fatal=self._on_fatal,
            clock=self._clock,
        )
        self._start()

    # --- steps ----------------------------------------------------------------------------------

    def read(self) -> None:
        self.parts.listening.listener.step()

    def work(self) -> None:
        pool: Any = self.parts.deciding.workers
        pool.work(self._stop)

    def commit(self) -> None:
        self.parts.outcomes.writer.step()

    def publish(self) -> None:
        self.parts.outcomes.publisher.step()

    def look(self) -> None:
        """The order watch, if anything is due."""
        due = self.parts.tracking.schedule.next_at()
        if due is not None and due <= self._clock.monotonic():
            self.parts.tracking.watch.step()

    def renew(self) -> None:
        self.parts.guards.lease.step()

    def keep(self) -> None:
        self.parts.account.keeper.step()

    def hear(self, message: bytes) -> None:
        stream: Any = self.parts.tracking.stream
        stream.hear(message)

    def connect_stream(self) -> None:
        stream: Any = self.parts.tracking.stream
        stream.connect()

    def disconnect_stream(self) -> None:
        stream: Any = self.parts.tracking.stream
        stream.disconnect()

    @property
    def hears(self) -> bool:
        return bool(self.parts.tracking.stream.connected)

    def held(self, symbol: str) -> Decimal:
        """Signed shares by the service's own book."""
        return self.parts.broker.portfolio.view(symbol).qty


@contextmanager
def replaced(outside: Outside) -> Iterator[None]:
    """While a world lives: what the product's modules find in place of sockets and threads."""
    transport = type("Transport", (_Transport,), {"outside": outside})
    with ExitStack() as stack:
        for target, value in (
            ("solution.alpaca_api_client.RequestsTransport", transport),
            ("solution.alpaca_api_client.OrderConnection", transport),
            ("solution.alpaca_api_client.proxy_for", lambda _url: None),
            ("solution.building.tracking.TradeStream", _Stream),
            ("solution.building.deciding.WorkerPool", _Pool),
            ("solution.assembly.Supervisor", _Nothing),
            ("solution.building.broker.RateLimiter", _Limiter),
            ("solution.assembly.make_client", lambda _url: outside.redis()),
            ("solution.trading.turnstile.Turnstile.enter", _enter),
            ("solution.app.gc", SimpleNamespace(collect=int, freeze=int, set_threshold=int)),
            ("solution.startup.load_world", _load_world),
            ("solution.trading.worker.TAKE_TIMEOUT", 0.0),
            ("solution.runtime.rush.PACE", 0.0),
        ):
            stack.enter_context(mock.patch(target, value))
        yield
