"""Joins the parts of one running service; starts nothing.

Building it asks the broker for assets, account, positions and prices: what the parts begin with.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import redis

from solution import startup
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.book.prices import PriceBook
from solution.clock import Clock
from solution.config import Settings
from solution.domain.crypto import in_pair_spelling
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX, client_order_id
from solution.domain.records import EntryRef, State, Trade
from solution.errors import LedgerError
from solution.feeds.price_poller import FETCH_NOW_SECONDS, PricePoller
from solution.feeds.reading import Reading
from solution.feeds.signal_listener import Fields, ListenerPorts, ListenerRules, SignalListener
from solution.feeds.trade_stream import TradeStream
from solution.feeds.trade_updates import TradeUpdates
from solution.intake import Intake
from solution.ledger.file_check import FileCheck
from solution.ledger.lease import LeaseKeeper
from solution.ledger.outbox import OutboxPublisher
from solution.ledger.store import Store
from solution.ledger.writer import OutcomeWriter
from solution.operations import Operations
from solution.rate_limiter import RateLimiter
from solution.redis_client import make_client
from solution.runtime.lanes import Lanes
from solution.runtime.pool import WorkerPool
from solution.runtime.rush import Rush
from solution.runtime.service import Fatal, Runnable
from solution.runtime.supervisor import Supervisor
from solution.security import Redactor
from solution.trading import recovery
from solution.trading.compose import Composer, PipelineRules
from solution.trading.desk import TradingDesk
from solution.trading.duplicates import Duplicates
from solution.trading.exit_saga import ExitSaga
from solution.trading.flatten_build import FlattenParts, FlattenRules, flatten_service
from solution.trading.kill_switch import KillSwitch
from solution.trading.legs import LegFinder
from solution.trading.looker import another_account
from solution.trading.loss_check import LossCheck
from solution.trading.open_orders import OpenOrders
from solution.trading.orphans import Orphans
from solution.trading.permission import Permission
from solution.trading.pipeline import Pipeline
from solution.trading.plan import SizingRules
from solution.trading.reconcile import AccountKeeper, Duties
from solution.trading.schedule import Schedule
from solution.trading.states import StateKeeper, TradingStates
from solution.trading.submit import Submitter
from solution.trading.tracker import OrderTracker
from solution.trading.trips import Trips
from solution.trading.turnstile import Turnstile
from solution.trading.watch import OrderWatch
from solution.trading.work import Work
from solution.trading.worker import worker
from solution.ui.picture import Parts, picture
from solution.ui.recent import LastTold
from solution.ui.snapshot import StatusPublisher


class Assembly:
    """Every part of the service, built from its settings and an open ledger.

    Args:
        settings: validated.
        ledger: its lease is ours.
        sizing: the sizing policy.
        consumer: this instance's name in the consumer group; new at each start.
        stop: ends waiting within parts.
        on_fatal: called when a part cannot go on.
        clock: of all parts.
        mode: which mode runs, for ``status``; empty = as the settings say.

    Raises:
        StartupError: the broker or the account is not as it must be, or lists no such ticker.
    """

    # --- building -----------------------------------------------------------------------------

    def __init__(  # noqa: PLR0913 - what a start has, each used here
        self,
        settings: Settings,
        ledger: Store,
        sizing: SizingRules,
        *,
        consumer: str,
        stop: threading.Event,
        on_fatal: Callable[[Runnable, Fatal], None],
        clock: Clock,
        mode: str = "",
    ) -> None:
        self._settings, self._clock, self._stop = settings, clock, stop
        self._started_ms = clock.epoch_ms()
        self.consumer = consumer
        self._mode = mode or startup.mode_of(settings)
        self.ledger = ledger
        self._redactor = Redactor(settings.secrets)
        self.limiter = RateLimiter(
            settings.rate_limit_per_minute, ceiling=settings.rate_limit_ceiling, clock=clock
        )
        strategies = [name for name, _ in settings.limits.strategy_caps]
        self.portfolio = Portfolio(clock, strategies)
        self.prices = PriceBook()
        self._build_broker()
        for symbol in settings.sizing.symbols:
            self.prices.watch(in_pair_spelling(symbol))
        # Before the first request: the broker remembers what was sent before the restart.
        recovery.restore_budget(ledger, self.limiter, clock)
        account_id = startup.load_world(
            self.wrapper, self.poller, self.portfolio, settings, self._stop
        ).id
        self._settings = settings = startup.in_broker_spelling(settings, self.wrapper.find)
        for symbol in settings.sizing.symbols:
            self.prices.watch(symbol)
        recovery.bind_ledger(ledger, account_id, settings.broker.trading_url)
        self.lanes: Lanes[Work] = Lanes(
            settings.queue_size, ordered=settings.orders.ordering == "asset", clock=clock
        )
        self.limiter.subscribe(self.lanes.wake)
        self.rush = Rush(self.lanes.pressing, self.lanes.staffed, clock)
        self._turnstile = Turnstile()
        self.duplicates = Duplicates(settings.gates.duplicate_window)
        self.states = TradingStates(ledger, clock)
        self.halts = self.states.halts
        self.state_keeper = StateKeeper(self.states, clock, also=self._read_again)
        self.lease = LeaseKeeper(ledger, clock)
        self.wrapper.fence = self.lease.check
        self.file_check = FileCheck(ledger.path, clock) if ledger.path else None
        self._build_outcomes()
        self._build_tracking()
        self._build_listener()
        self.deployment = startup.deployment_of(account_id, settings)
        self._build_pipeline(sizing, self.deployment, account_id)
        self.operations = Operations(
            settings,
            ledger=self.ledger,
            states=self.states,
            kill_switch=self.kill,
            wrapper=self.wrapper,
            tracker=self.tracker,
            submitter=self.submitter,
            outcomes=self.writer,
            deployment=self.deployment,
            connect=self.connect,
            clock=clock,
        )
        self._build_flatten()
        self.status = StatusPublisher(self.connect, settings.redis.group, self.consumer, self._told)
        # A command waits for what it changes.
        self.states.on_change = self.operations.kills.on_change = self.status.wake
        self.supervisor = Supervisor(self.services(), on_fatal=on_fatal, clock=clock)

    def _build_broker(self) -> None:
        broker, ages = self._settings.broker, self._settings.ages
        self.client = AlpacaAPIClient(
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
            self.client,
            self.limiter,
            self.portfolio,
            self._clock,
            assets_file=startup.assets_file(path, broker.trading_url),
        )
        self.poller = PricePoller(
            self.prices,
            self.client.snapshots,
            interval=ages.price_poll_interval,
            fetch_soon=functools.partial(self.client.snapshots, within=FETCH_NOW_SECONDS),
            clock=self._clock,
        )

    def _build_outcomes(self) -> None:
        redis_settings = self._settings.redis
        self.publisher = OutboxPublisher(
            self.ledger,
            self.connect,
            group=redis_settings.group,
            acknowledger=self,
            stream=redis_settings.executions_stream,
            maxlen=redis_settings.executions_maxlen,
        )
        self.last_told = LastTold(self.publisher.publish)
        self.writer = OutcomeWriter(self.ledger, self.last_told.publish, clock=self._clock)
        for waits in (self.publisher, self.writer):
            waits.give_way = self.rush.giving_way()

    def _build_tracking(self) -> None:
        broker = self._settings.broker
        self.schedule = Schedule(lambda: self.stream.delivers)
        self.tracker = OrderTracker(
            self.writer,
            self.portfolio,
            self.schedule,
            self._clock,
            find_row=self.ledger.find_by_client_order_id,
            booked=self._booked,
        )
        self.trips = Trips(
            self._settings.limits,
            self._settings.breaker,
            ledger=self.ledger,
            states=self.states,
            halts=self.halts,
            book=self.portfolio,
            clock=self._clock,
            on_its_way=lambda coid: self.tracker.get(coid) is not None,
            trades_since=self._trades_since,
        )
        self.tracker.on_rejected = self.trips.circuit.rejected
        self.tracker.on_executed = self.trips.flips.executed
        self.watch = OrderWatch(
            self.wrapper,
            self.tracker,
            self.schedule,
            self._clock,
            may_resend=self._settings.orders.resend_unknown,
            max_signal_age=self._settings.ages.max_signal_age,
            on_conflict=self.halts.halt,
        )
        self.schedule.wake = self.watch.wake
        self.stream = TradeStream(
            broker.stream_url,
            TradeUpdates(broker.key_id, broker.secret.reveal()),
            on_updates=self.tracker.on_updates,
            on_connected=self._stream_connected,
            clock=self._clock,
        )
        self.stream.give_way = self.rush.giving_way()
        self.stream.on_failing = self.trips.stream_failing
        open_orders = OpenOrders(
            self.wrapper,
            self.tracker,
            self.schedule,
            self._clock,
            is_ours=self._is_ours,
            has_row=lambda coid: self.ledger.find_by_client_order_id(coid) is not None,
            on_stranger=lambda order: self.orphans().stranger(order),
        )
        self.loss_check = LossCheck(
            ledger=self.ledger,
            unclaimed=self._unclaimed_since,
            settle=self.settle,
            clock=self._clock,
        )
        duties = Duties(
            self.portfolio,
            self.tracker,
            self.schedule,
            self._clock,
            errands=(
                self.trips.day_watch.step,
                self.loss_check.step,
                LegFinder(self.wrapper, self.tracker).step,
                open_orders.step,
            ),
            equity=self.ledger,
        )
        self.keeper = AccountKeeper(
            self.wrapper,
            self.portfolio,
            self._clock,
            duties,
            watched=self.trips.day_watch.limited,
        )
        self.loss_check.wake = self.keeper.wake

    def _build_pipeline(self, sizing: SizingRules, deployment: str, account_id: str) -> None:
        settings = self._settings
        self.rules = rules = PipelineRules(
            deployment=deployment,
            account_id=account_id,
            gates=startup.gate_rules(settings),
            # Made before the broker was asked, so that a function that is missing is told at once.
            sizing=replace(
                sizing,
                weights=dict(settings.sizing.weights),
                symbols=settings.sizing.symbols,
                ticker_caps=dict(settings.limits.ticker_caps),
            ),
            order_type=settings.orders.order_type,
            time_in_force=settings.orders.time_in_force,
            limit_collar_bps=settings.orders.limit_collar_bps,
            dry_run=settings.gates.dry_run,
            ordered=settings.orders.ordering == "asset",
        )
        self.kill = KillSwitch(
            setting=settings.gates.kill_switch, file=settings.gates.kill_switch_file
        )
        saga = ExitSaga(
            self.wrapper,
            self.tracker,
            f"{CLIENT_ORDER_ID_PREFIX}-{deployment}-",
            self._clock,
            self._stop,
        )
        self.desk = TradingDesk(
            self.wrapper,
            self.prices,
            self.poller.fetch_now,
            self._clock,
            max_price_age=settings.ages.max_price_age,
        )
        self.submitter = Submitter(
            self.wrapper,
            self.ledger,
            self.tracker,
            Permission(self.kill, self.states).denial,
            self.lease.check,
            self._clock,
            self.trips.circuit,
        )
        self.submitter.leaving = self.rush.over
        self.submitter.give_way = self.rush.after_answer
        self.pipeline = Pipeline(
            rules=rules,
            desk=self.desk,
            ledger=self.ledger,
            outcomes=self.writer,
            portfolio=self.portfolio,
            tracker=self.tracker,
            submitter=self.submitter,
            kill=self.kill,
            clock=self._clock,
            stop=self._stop,
            redis_ms=self.listener.redis_ms,
            states=self.states,
            saga=saga if settings.orders.exit_cancels_resting else None,
            turnstile=self._turnstile,
            starved=self.lanes.starved,
            duplicates=self.duplicates,
            tripping=self.trips,
        )
        work = worker(self.lanes, self.limiter, self.pipeline, self.rush)
        self.workers = WorkerPool(settings.workers, work, clock=self._clock)

    def _build_flatten(self) -> None:
        settings = self._settings
        self.flattener = flatten_service(
            FlattenParts(
                wrapper=self.wrapper,
                desk=self.desk,
                ledger=self.ledger,
                portfolio=self.portfolio,
                tracker=self.tracker,
                submitter=self.submitter,
                limiter=self.limiter,
                states=self.states,
                stopped=self._no_exits,
                live=lambda: another_account(self.rules.account_id, self.portfolio.account()),
                is_ours=self._is_ours,
                clock=self._clock,
            ),
            FlattenRules(
                deployment=self.deployment,
                exclusive=settings.broker.exclusive_account,
                allow_extended=settings.gates.allow_extended_hours,
                max_price_age=settings.ages.max_price_age,
                before_close=settings.end_of_session.before_close
                if settings.end_of_session.liquidate
                else None,
                dry_run=settings.gates.dry_run,
            ),
        )

    def _no_exits(self, symbol: str) -> str | None:
        """Why not even a position may be closed now, but for a person's request."""
        found = self.states.denied(symbol, opens=False)
        return self.kill.reason() or (found.message if found else None)

    def _is_ours(self, client_order_id: str) -> bool:
        return client_order_id.startswith(f"{CLIENT_ORDER_ID_PREFIX}-{self.deployment}-")

    def _build_listener(self) -> None:
        redis_settings = self._settings.redis
        self.intake = Intake(
            self.lanes, self.writer, self._clock, ledger=self.ledger, tracker=self.tracker
        )
        rules = ListenerRules(
            streams=redis_settings.streams,
            group=redis_settings.group,
            consumer=self.consumer,
            max_signal_age=self._settings.ages.max_signal_age,
            retention_days=redis_settings.retention_days,
            verifier=self._settings.intake.verifier(),
        )
        ports = ListenerPorts(
            room=self.lanes.room,
            wait_room=self.lanes.wait_room,
            deliver=self.intake.deliver,
            dead_letter=self.intake.dead_letter,
            acknowledge=self.intake.acknowledge,
            has_dead_letter=self._has_dead_letter,
            leave_to_row=self.intake.leave_to_row,
            is_known=self._is_known,
            find_asset=self.wrapper.find,
            is_dead=self._is_dead,
            reading=Reading(self.ledger, self._turnstile),
            compare=self.loss_check.ask,
        )
        self.listener = SignalListener(self.connect, rules, ports, self._clock)

    def _is_dead(self, _consumer: str) -> bool:
        """While the lease is ours nobody else trades for this group and account.

        A process that slept through a takeover must not take the new one's entries, and forgetting
        its consumer would drop what it has in hand.
        """
        try:
            self.lease.check()
        except LedgerError:
            return False
        return True

    def services(self) -> list[Runnable]:
        """In the order of starting; stopping goes the other way, but for the listener."""
        return [
            self.lease,
            self.state_keeper,
            self.publisher,
            self.writer,
            self.stream,
            self.watch,
            self.keeper,
            self.operations.kills,
            self.operations.control,
            self.poller,
            self.flattener,
            self.workers,
            self.listener,
            *([self.file_check] if self.file_check else []),
            # Last: its first picture, shown for a second, calls nothing dead that only comes later.
            self.status,
        ]

    def orphans(self) -> Orphans:
        """What gives orders without a row one."""
        streams = self._settings.redis.streams
        return Orphans(
            composer=Composer(self.rules),
            ledger=self.ledger,
            tracker=self.tracker,
            portfolio=self.portfolio,
            halts=self.halts,
            clock=self._clock,
            recent=lambda since_ms: startup.recent_entries(self.connect, streams, since_ms),
            find_asset=self.wrapper.find,
            undecided_ms=self.rules.gates.undecided_ms,
        )

    def restore_counts(self) -> None:
        """What orders before this process have used up of the limits, and said already."""
        settings = self._settings
        strategies = bool(settings.limits.strategy_caps)
        window_ms = int(settings.gates.duplicate_window * 1000)
        with self.ledger.open_reader() as reader:
            recovery.restore_counts(reader, self.portfolio, self._clock, strategies=strategies)
            if window_ms:
                since_ms = self._clock.epoch_ms() - window_ms
                self.duplicates.restore(reader.contents_since(since_ms))

    # --- what others call -------------------------------------------------------------------------

    def _observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Each trading-API answer (the wrapper is built after the client that calls this)."""
        self.wrapper.observe(status, headers)

    def released(self, refs: Iterable[EntryRef]) -> None:
        """Acknowledged in Redis (called by the publisher)."""
        self.listener.released(refs)

    def _has_dead_letter(self, ref: EntryRef, fields: Fields | None) -> bool:
        letter = self.ledger.find_dead_letter(ref)
        return letter is not None and letter.is_of(fields)

    def _read_again(self) -> None:
        """What people change in the ledger beside the running service."""
        self.trips.circuit.refresh()

    def _trades_since(self, since: datetime) -> list[Trade]:
        with self.ledger.open_reader() as reader:
            return reader.trades_since(since.isoformat())

    def _booked(self, client_order_id: str) -> list[Trade]:
        """Executions on record: asked at start and for news of orders long ended, so rarely."""
        with self.ledger.open_reader() as reader:
            return reader.list_trades(client_order_id, limit=100_000)

    def _unclaimed_since(self, since_ms: int) -> Mapping[str, Mapping[str, Any]]:
        return recovery.unclaimed(self.ledger, self.wrapper, self.deployment, self._clock, since_ms)

    def settle(self, unclaimed: Mapping[str, Mapping[str, Any]]) -> None:
        """Give orders without a row one each; see :func:`solution.trading.recovery.unclaimed`."""
        self.orphans().settle(unclaimed)
        recovery.settled(self.ledger)

    def _is_known(self, identity: str) -> bool:
        coid = client_order_id(self.deployment, identity)
        return self.ledger.find(identity, coid) is not None

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
                mode=self._mode,
                streams=self._settings.redis.streams,
                executions=self._settings.redis.executions_stream,
                broker=self._settings.broker.trading_url,
                kill_switch=self.kill,
                workers=self.workers,
                services=self.services(),
                limiter=self.limiter,
                lanes=self.lanes,
                portfolio=self.portfolio,
                prices=self.prices,
                tracker=self.tracker,
                last_told=self.last_told,
                listener=self.listener,
                stream=self.stream,
                publisher=self.publisher,
                writer=self.writer,
                intake=self.intake,
                wrapper=self.wrapper,
                states=self.states,
                trips=self.trips,
                kills=self.operations.kills,
                control=self.operations.control,
                flattening=self.flattener.under_way,
                epoch=self.ledger.epoch,
                clock=self._clock,
            )
        )

    def _told(self) -> Mapping[str, Any]:
        """The snapshot as it may leave this machine: it quotes a broker, Redis and the system."""
        told: Mapping[str, Any] = self._redactor.values(self.snapshot())
        return told

    def connect(self) -> "redis.Redis":
        """A new client of the configured Redis."""
        return make_client(self._settings.redis.url)
