"""Builds the service from its settings, starts it, and stops it in order.

Start:  ledger → Redis → broker → recovery → writer, publisher, stream, watch, keeper, prices
        → workers → listener (which reads what is pending before anything new)
Stop:   listener → workers → orders in hand get their end → the rest, writer and publisher last
"""

import functools
import gc
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import redis

from solution import startup
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.book.prices import PriceBook
from solution.clock import Clock, Deadline, SystemClock
from solution.config import Settings
from solution.domain.records import EntryRef, State
from solution.errors import LedgerBusy, LedgerError, StartupError
from solution.feeds.price_poller import FETCH_NOW_SECONDS, PricePoller
from solution.feeds.signal_listener import ListenerPorts, ListenerRules, SignalListener
from solution.feeds.trade_stream import TradeStream
from solution.feeds.trade_updates import TradeUpdates
from solution.intake import Intake
from solution.ledger.outbox import OutboxPublisher
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.writer import OutcomeWriter
from solution.rate_limiter import RateLimiter
from solution.redis_client import make_client
from solution.runtime.lanes import Lanes
from solution.runtime.pool import WorkerPool
from solution.runtime.service import Fatal, Runnable, stop_in_order
from solution.runtime.supervisor import Supervisor
from solution.trading import recovery
from solution.trading.compose import PipelineRules
from solution.trading.desk import TradingDesk
from solution.trading.gates.view import GateRules
from solution.trading.kill_switch import KillSwitch
from solution.trading.pipeline import Pipeline
from solution.trading.reconcile import AccountKeeper
from solution.trading.schedule import Schedule
from solution.trading.sizing import SizingRules
from solution.trading.submit import Submitter
from solution.trading.tracker import OrderTracker
from solution.trading.watch import OrderWatch
from solution.trading.work import Work
from solution.trading.worker import worker
from solution.ui.picture import Parts, picture
from solution.ui.snapshot import StatusPublisher

log = logging.getLogger(__name__)

STOP_WITHIN = 9.0
"""Seconds; SIGTERM promises ten."""
WRITE_WITHIN = 2.5
"""Of these seconds, those that are kept for the writer and the publisher, whatever hangs."""
STREAM_WITHIN = 0.3
"""Seconds that the first order waits for the order stream at most."""
ENDS_WITHIN = 2.5
"""Seconds that orders which end at once (IOC, market) get for it when the service stops."""


class Trader:
    """One running service. Building it starts nothing and talks to nobody.

    Args:
        settings: validated.
        stop: set by a signal handler or by a fatal error; :meth:`run` ends then.
    """

    def __init__(
        self, settings: Settings, stop: threading.Event, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._clock: Clock = clock or SystemClock()
        self._fatal: str | None = None
        self._started_ms = self._clock.epoch_ms()
        self.consumer = f"{settings.instance}-{os.getpid()}-{self._started_ms:x}"
        self._services: list[Runnable] = []

    # --- life ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Start, trade until stopped, stop.

        Raises:
            StartupError, ConfigError: before anything was read.
            LedgerError: the ledger failed while running; the message is one line.
        """
        settings = self._settings
        sizing = startup.sizing_rules(settings)
        ledger = self._open_ledger()
        try:
            try:
                startup.check_redis(self._redis, settings)
                self._build(ledger, sizing)
                self._start()
            except StartupError as e:
                if self._stop.is_set():
                    log.info("stopped_while_starting", extra={"detail": str(e)})
                    return
                raise
            try:
                self._stop.wait()
            finally:
                self._shut_down()
        finally:
            ledger.close()
        if self._fatal is not None:
            raise LedgerError(self._fatal)

    def _open_ledger(self) -> SqliteLedger:
        settings = self._settings.ledger
        try:
            return SqliteLedger(settings.url, fsync_before_post=settings.fsync_before_post)
        except LedgerBusy as e:
            raise StartupError(f"another instance trades with this ledger: {e}") from e
        except LedgerError as e:
            raise StartupError(str(e)) from e

    def _redis(self) -> "redis.Redis":
        return make_client(self._settings.redis.url)

    # --- building -----------------------------------------------------------------------------

    def _build(self, ledger: SqliteLedger, sizing: SizingRules) -> None:
        settings, clock = self._settings, self._clock
        self._ledger = ledger
        self.limiter = RateLimiter(settings.rate_limit_per_minute, clock=clock)
        self.portfolio = Portfolio(clock)
        self.prices = PriceBook()
        self._build_broker()
        for symbol in settings.sizing.symbols:
            self.prices.watch(symbol)
        # Before the first request: the broker remembers what was sent before the restart.
        recovery.restore_budget(ledger, self.limiter, clock)
        account_id = startup.load_world(
            self.wrapper, self.poller, self.portfolio, settings, self._stop
        ).id
        recovery.bind_ledger(ledger, account_id, settings.broker.trading_url)
        self.lanes: Lanes[Work] = Lanes(
            settings.queue_size, ordered=settings.orders.ordering == "asset", clock=clock
        )
        self.limiter.subscribe(self.lanes.wake)
        self._build_outcomes()
        self._build_tracking()
        self._build_listener()
        self._deployment = startup.deployment_of(account_id, settings)
        self._build_pipeline(sizing, self._deployment)
        self.status = StatusPublisher(
            self._redis, settings.redis.group, self.consumer, self.snapshot
        )
        self.supervisor = Supervisor(self._all(), on_fatal=self._on_fatal, clock=clock)

    def _build_broker(self) -> None:
        broker, ages = self._settings.broker, self._settings.ages
        self._client = AlpacaAPIClient(
            trading_url=broker.trading_url,
            data_url=broker.data_url,
            key_id=broker.key_id,
            secret_key=broker.secret.reveal(),
            data_feed=broker.data_feed,
            clock=self._clock,
            on_headers=self._observe,
        )
        path = self._settings.ledger.path
        self.wrapper = AlpacaAPIWrapper(
            self._client,
            self.limiter,
            self.portfolio,
            self._clock,
            assets_file=startup.assets_file(path, broker.trading_url),
        )
        self.poller = PricePoller(
            self.prices,
            self._client.snapshots,
            interval=ages.price_poll_interval,
            fetch_soon=functools.partial(self._client.snapshots, within=FETCH_NOW_SECONDS),
            clock=self._clock,
        )

    def _build_outcomes(self) -> None:
        redis_settings = self._settings.redis
        self.publisher = OutboxPublisher(
            self._ledger,
            self._redis,
            group=redis_settings.group,
            acknowledger=self,
            stream=redis_settings.executions_stream,
            maxlen=redis_settings.executions_maxlen,
        )
        self.writer = OutcomeWriter(self._ledger, self.publisher.publish, clock=self._clock)

    def _build_tracking(self) -> None:
        broker = self._settings.broker
        self.schedule = Schedule(lambda: self.stream.connected)
        self.tracker = OrderTracker(self.writer, self.portfolio, self.schedule, self._clock)
        self.watch = OrderWatch(
            self.wrapper,
            self.tracker,
            self.schedule,
            self._clock,
            may_resend=self._settings.orders.resend_unknown,
        )
        self.schedule.wake = self.watch.wake
        self.stream = TradeStream(
            broker.stream_url,
            TradeUpdates(broker.key_id, broker.secret.reveal()),
            on_updates=self.tracker.on_updates,
            on_connected=self._stream_connected,
            clock=self._clock,
        )
        self.keeper = AccountKeeper(self.wrapper, self.portfolio, self._clock)

    def _build_pipeline(self, sizing: SizingRules, deployment: str) -> None:
        settings = self._settings
        rules = PipelineRules(
            deployment=deployment,
            gates=gate_rules(settings),
            sizing=sizing,
            order_type=settings.orders.order_type,
            time_in_force=settings.orders.time_in_force,
            limit_collar_bps=settings.orders.limit_collar_bps,
            dry_run=settings.gates.dry_run,
            ordered=settings.orders.ordering == "asset",
        )
        self.kill = KillSwitch(
            setting=settings.gates.kill_switch, file=settings.gates.kill_switch_file
        )
        self.pipeline = Pipeline(
            rules=rules,
            desk=TradingDesk(
                self.wrapper,
                self.prices,
                self.poller.fetch_now,
                self._clock,
                max_price_age=settings.ages.max_price_age,
            ),
            ledger=self._ledger,
            outcomes=self.writer,
            portfolio=self.portfolio,
            tracker=self.tracker,
            submitter=Submitter(self.wrapper, self._ledger, self.tracker, self.kill.reason),
            kill=self.kill,
            clock=self._clock,
            stop=self._stop,
            redis_ms=self.listener.redis_ms,
        )
        work = worker(self.lanes, self.limiter, self.pipeline)
        self.workers = WorkerPool(settings.workers, work, clock=self._clock)

    def _build_listener(self) -> None:
        redis_settings = self._settings.redis
        self.intake = Intake(self.lanes, self.writer, self._clock)
        rules = ListenerRules(
            streams=redis_settings.streams,
            group=redis_settings.group,
            consumer=self.consumer,
            max_signal_age=self._settings.ages.max_signal_age,
            retention_days=redis_settings.retention_days,
        )
        ports = ListenerPorts(
            room=self.lanes.room,
            wait_room=self.lanes.wait_room,
            deliver=self.intake.deliver,
            dead_letter=self.intake.dead_letter,
            acknowledge=self.intake.acknowledge,
            has_dead_letter=lambda ref: self._ledger.find_dead_letter(ref) is not None,
            has_row=self._has_row,
            is_known=lambda identity: self._ledger.find(identity) is not None,
            find_asset=self.wrapper.find,
            # The ledger's lock is ours alone, so nobody else trades for this group and account.
            is_dead=lambda _consumer: True,
        )
        self.listener = SignalListener(self._redis, rules, ports, self._clock)

    def _all(self) -> list[Runnable]:
        """In the order of starting; stopping goes the other way, but for the listener."""
        return [
            self.publisher,
            self.writer,
            self.stream,
            self.watch,
            self.keeper,
            self.poller,
            self.workers,
            self.listener,
            self.status,
        ]

    # --- starting and stopping ------------------------------------------------------------------

    def _start(self) -> None:
        settings = self._settings
        startup.log_world(self.portfolio, self.prices, settings.sizing.symbols)
        self._positions_at_start = self.portfolio.quantities()
        recovery.restore(
            ledger=self._ledger,
            tracker=self.tracker,
            portfolio=self.portfolio,
            schedule=self.schedule,
            clock=self._clock,
        )
        self.pipeline.recovered(
            recovery.newest_sent(self._ledger, self._clock.epoch_ms()),
            startup.unclaimed_orders(
                self._ledger, self.wrapper, self._deployment, self._clock, self._stop
            ),
        )
        for service in self._all():
            if service is self.workers:
                # The first orders' fills come by stream, too; a stream that is slow is polled for.
                self._await(lambda: self.stream.connected, STREAM_WITHIN)
            service.start()
        self.supervisor.start()
        # What stands now stands until the end: collections need not look at it again and again.
        gc.collect()
        gc.freeze()
        log.info(
            "started",
            extra={
                "mode": startup.mode_of(settings),
                "workers": settings.workers,
                "group": settings.redis.group,
                "kill_switch_file": str(settings.gates.kill_switch_file),
                "host": socket.gethostname(),
            },
        )

    def _shut_down(self) -> None:
        """Reading ends first, writing last; what was never taken stays pending in Redis."""
        deadline = Deadline(STOP_WITHIN - WRITE_WITHIN, self._clock)
        log.info("stopping", extra={"waiting": self.lanes.waiting, "open": len(self.tracker)})
        left = stop_in_order([self.supervisor, self.listener], deadline)
        self.lanes.close()
        left += stop_in_order([self.workers], deadline)
        self._await_ends(Deadline(min(ENDS_WITHIN, deadline.left()), self._clock))
        self.wrapper.closing.set()
        left += stop_in_order(
            [self.watch, self.keeper, self.poller, self.stream, self.status], deadline
        )
        writing = Deadline(WRITE_WITHIN + deadline.left(), self._clock)
        left += stop_in_order([self.writer, self.publisher], writing)
        self._client.close()
        self._log_position_change()
        if left:
            log.error("did_not_stop", extra={"threads": ", ".join(left)})
        log.info("stopped", extra={"open": len(self.tracker), "parked": len(self.lanes.drain())})

    def _await_ends(self, deadline: Deadline) -> None:
        """IOC and market orders in hand end within moments; resting ones are found again."""
        self._await(
            lambda: not any(t.keeps_lane for t in self.tracker.open_orders()), deadline.left()
        )

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        """Until it holds, at most so long."""
        deadline, tick = Deadline(seconds, self._clock), threading.Event()
        while not deadline.passed() and not condition():
            tick.wait(0.01)

    def _log_position_change(self) -> None:
        before, after = self._positions_at_start, self.portfolio.quantities()
        for symbol in sorted({*before, *after}):
            change = after.get(symbol, Decimal(0)) - before.get(symbol, Decimal(0))
            if change:
                log.info("position_change", extra={"symbol": symbol, "change": f"{change:+f}"})

    def _on_fatal(self, service: Runnable, error: Fatal) -> None:
        self._fatal = f"{service.name}: {error}"
        self._stop.set()

    # --- what others call -------------------------------------------------------------------------

    def _observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Each trading-API answer (the wrapper is built after the client that calls this)."""
        self.wrapper.observe(status, headers)

    def released(self, refs: Iterable[EntryRef]) -> None:
        """Acknowledged in Redis (called by the publisher)."""
        self.listener.released(refs)

    def _has_row(self, ref: EntryRef) -> bool:
        """Rare, and over all rows: asked only for an entry whose content is gone from Redis."""
        path = self._ledger.path
        if path is None:
            return False
        with SqliteLedger.open_reader(path) as reader:
            found = reader.find_intents(ref.entry_id)
        return any((row.stream, row.entry_id) == (ref.stream, ref.entry_id) for row in found)

    def _stream_connected(self) -> None:
        """No replay on this stream: every open order is asked for once."""
        # Those not accepted yet wait for their answer or are being looked up; a poll would adopt
        # what it finds without comparing.
        open_ids = [
            t.intent.client_order_id
            for t in self.tracker.open_orders()
            if t.progress.state is State.OPEN
        ]
        self.schedule.poll_now(open_ids, self._clock.monotonic())

    def snapshot(self) -> Mapping[str, Any]:
        """What ``status`` and ``top`` show; from memory only."""
        return picture(
            Parts(
                ledger=startup.ledger_name(self._settings),
                instance=self.consumer,
                started_ms=self._started_ms,
                mode=startup.mode_of(self._settings),
                kill_switch=self.kill,
                workers=self.workers,
                services=self._all(),
                limiter=self.limiter,
                lanes=self.lanes,
                portfolio=self.portfolio,
                prices=self.prices,
                tracker=self.tracker,
                listener=self.listener,
                stream=self.stream,
                publisher=self.publisher,
                writer=self.writer,
                intake=self.intake,
                wrapper=self.wrapper,
                clock=self._clock,
            )
        )


def gate_rules(settings: Settings) -> GateRules:
    """The gates' settings."""
    gates, ages = settings.gates, settings.ages
    return GateRules(
        allow_short=gates.allow_short,
        allow_extended_hours=gates.allow_extended_hours,
        queue_when_closed=gates.queue_when_closed,
        allowed_symbols=gates.allowed_symbols,
        denied_symbols=gates.denied_symbols,
        max_signal_age=ages.max_signal_age,
        max_queue_wait=ages.max_queue_wait,
        max_price_age=ages.max_price_age,
        max_quote_age=ages.max_quote_age,
        max_order_qty=settings.sizing.max_order_qty or Decimal(0),
    )
