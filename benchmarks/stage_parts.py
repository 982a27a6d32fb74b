"""The service's own objects, joined as app.py joins them, for one thread to call stage by stage."""

import io
import logging
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from itertools import count as numbers
from itertools import cycle, islice
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks import broker_data
from benchmarks.bench import Bench
from benchmarks.processes import Failed
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.book.prices import PriceBook, Quote
from solution.clock import Deadline, SystemClock
from solution.domain.records import Change, EntryRef, Intent
from solution.domain.signal import parse
from solution.feeds.stream_group import StreamGroup
from solution.feeds.trade_updates import TradeUpdates
from solution.ledger.outbox import OutboxPublisher
from solution.ledger.rows import event_fields
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store
from solution.log_records import RedactionFilter
from solution.log_sinks import ConsoleHandler, JsonFileHandler
from solution.logs import EnqueueHandler, LogQueue
from solution.rate_limiter import Priority, RateLimiter
from solution.redis_client import make_client
from solution.runtime.lanes import Lanes
from solution.security import Redactor
from solution.trading.compose import PipelineRules
from solution.trading.desk import TradingDesk
from solution.trading.duplicates import Duplicates
from solution.trading.gates.view import GateRules
from solution.trading.kill_switch import KillSwitch
from solution.trading.pipeline import Pipeline
from solution.trading.plan import SizingRules
from solution.trading.schedule import Schedule
from solution.trading.states import TradingStates
from solution.trading.tracker import OrderTracker
from solution.trading.turnstile import Turnstile
from solution.trading.work import FreeLane, Lane, Work

GROUP = "solution"
STREAM = "stages"
BATCH = 256
_NEVER_TOO_OLD = 3600.0
_PRICE = Decimal(broker_data.PRICE)
_FIELDS = ((b"ticker", b"AAA"), (b"direction", b"b"))


class Sink:
    """Takes what the tracker decides, knows no signal, and forgets what is acknowledged."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def put(self, change: Change) -> None:
        self.changes.append(change)

    def find(self, identity: str) -> None:
        del identity

    def released(self, refs: Iterable[EntryRef]) -> None:
        del refs


class Collector:
    """Stands where the pipeline sends, and for what it sent: keeps what was decided."""

    in_the_air = True

    def __init__(self) -> None:
        self.intents: list[Intent] = []

    def begin(self, intent: Intent, work: Work, lane: Lane, *, keeps_lane: bool) -> None:
        del work, lane, keeps_lane
        self.intents.append(intent)

    def depart(self, intent: Intent, work: Work, slot: Any, *, hurried: bool = False) -> Any:
        del intent, work, slot, hurried
        return self

    def land(self) -> bool:
        return True


class Parts:
    """Every object that a stage needs; a context manager. Calls take the number of the signal."""

    def __init__(self, place: Bench) -> None:
        self._place = place
        self._clock = SystemClock()
        self._limiter = RateLimiter(0, clock=self._clock)
        self._lanes: Lanes[Work] = Lanes(16, clock=self._clock)
        self._sink = Sink()
        self._collector = Collector()
        self._intents: list[Intent] = []
        self._batches: list[list[Change]] = []
        self._told: list[list[dict[str, str]]] = []
        self._orders: list[tuple[Any, list[bytes]]] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        url = f"redis://127.0.0.1:{self._place.redis_port}/0"
        client = self._open.enter_context(make_client(url))
        self._group = StreamGroup(client, [STREAM], GROUP, "stages")
        self._build_ledgers(url)
        self._build_client()
        self._build_trading()
        self._build_logging()
        self._work = self._work_of(0)
        self.decide(0)
        self._sample = self._collector.intents[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    # --- building ---------------------------------------------------------------------------

    def _build_ledgers(self, url: str) -> None:
        def ledger(name: str, *, fsync: bool) -> SqliteLedger:
            path = self._place.directory / f"{name}.db"
            made = SqliteLedger(f"sqlite:///{path}", fsync_before_post=fsync, clock=self._clock)
            self._open.callback(made.close)
            return made

        self._ledger: Store = ledger("plain", fsync=False)
        self._synced: Store = ledger("synced", fsync=True)
        # Above what the ledger has given out, or the publisher takes them for told already.
        self._numbers = numbers(self._ledger.last_event_id() + 1)
        self._publisher = OutboxPublisher(self._ledger, lambda: make_client(url), group=GROUP)
        self._publisher.on_released = self._sink.released
        self._open.callback(lambda: self._publisher.join(Deadline(1.0)))

    def _build_client(self) -> None:
        broker = self._place.broker
        self._client = AlpacaAPIClient(
            trading_url=broker.url,
            data_url=broker.url,
            key_id="bench",
            secret_key="bench",  # noqa: S106 - the benchmark's broker takes any
            on_headers=lambda status, headers: self._limiter.observe(headers, status),
        )
        self._open.callback(self._client.close)
        self._updates = TradeUpdates("bench", "bench")

    def _build_trading(self) -> None:
        clock = self._clock
        prices = PriceBook()
        now, at = clock.monotonic(), clock.now()
        prices.replace({"AAA": Quote("AAA", _PRICE, _PRICE, _PRICE, at, at, now)})
        self._portfolio = Portfolio(clock)
        self._wrapper = AlpacaAPIWrapper(self._client, self._limiter, self._portfolio, clock)
        self._wrapper.load_assets()
        self._tracker = OrderTracker(self._sink, self._portfolio, Schedule(lambda: True), clock)
        zero = Decimal(0)
        sizing = SizingRules(
            policy="fixed_qty",
            weights={},
            qty=Decimal(1),
            max_position_pct=zero,
            max_order_notional_pct=zero,
        )
        collaborators: dict[str, Any] = {"ledger": self._sink, "submitter": self._collector}
        self._pipeline = Pipeline(
            rules=PipelineRules(
                deployment="bench",
                gates=GateRules(max_quote_age=0.0, max_price_age=_NEVER_TOO_OLD),
                sizing=sizing,
            ),
            desk=TradingDesk(
                self._wrapper, prices, prices.get, clock, max_price_age=_NEVER_TOO_OLD
            ),
            outcomes=self._sink,
            portfolio=self._portfolio,
            tracker=self._tracker,
            kill=KillSwitch(setting=False, file=self._place.directory / "kill"),
            clock=clock,
            stop=threading.Event(),
            redis_ms=clock.epoch_ms,
            states=TradingStates(SqliteLedger("sqlite://"), clock),
            saga=None,
            turnstile=Turnstile(),
            starved=self._lanes.starved,
            duplicates=Duplicates(0),
            **collaborators,
        )
        self.release_all(0)

    def _build_logging(self) -> None:
        redactor = Redactor(["some-secret", "another-secret"])
        self._queue = LogQueue()
        self._handler = EnqueueHandler(self._queue, redactor)
        file = JsonFileHandler(self._place.directory / "logs", "bench", redactor)
        self._open.callback(file.close)
        self._sinks: list[logging.Handler] = [file]
        self._sinks.append(ConsoleHandler(io.StringIO(), redactor, color=False))
        for sink in self._sinks:
            sink.addFilter(RedactionFilter(redactor))

    # --- fresh material, made before the clock starts ---------------------------------------

    def publish_all(self, count: int) -> None:
        """Entries to read."""
        self._place.publish(STREAM, list(islice(cycle(self._place.tickers), count)))

    def release_all(self, count: int) -> None:
        """An account snapshot."""
        del count
        self._wrapper.refresh_account()

    def new_intents(self, count: int) -> None:
        """Decided orders under ids never used before."""
        made = []
        for _ in range(count):
            n = next(self._numbers)
            coid = f"sp-bench-{n:026d}"
            body = orjson.dumps(orjson.loads(self._sample.body) | {"client_order_id": coid})
            entry_id, identity = f"{n}-0", f"{STREAM}\0{n}-0"
            made.append(
                replace(
                    self._sample,
                    entry_id=entry_id,
                    identity=identity,
                    client_order_id=coid,
                    body=body,
                )
            )
        self._intents = made

    def expect_all(self, count: int) -> None:
        """Orders that the tracker waits for, and what the broker would say of each."""
        self.new_intents(count)
        ids = broker_data.asset_ids(["AAA"])
        at = broker_data.Instant()
        self._orders = []
        for n, intent in enumerate(self._intents):
            self.expect(n)
            order = broker_data.order_of(intent.body, next(self._numbers), at.text(), ids)
            answer = orjson.loads(order.body(b"pending_new"))
            self._orders.append((answer, [order.accepted_event(n), order.filled_event(n, n + 1)]))
        self._sink.changes.clear()

    def answer_all(self, count: int) -> None:
        """Orders whose POST was answered."""
        self.expect_all(count)
        for n in range(count):
            self.answered(n)

    def changes(self, count: int) -> None:
        """The three changes of each of so many signals, whose rows are in the ledger."""
        # Enough for the batched stage, which gets the number of batches.
        self.answer_all(count)
        for n in range(count):
            self._ledger.begin(self._intents[n])
            self.news(n)
        made = sorted(self._sink.changes, key=lambda change: change.client_order_id)
        self._hold([made[at : at + 3] for at in range(0, len(made), 3)])

    def batches(self, count: int) -> None:
        """The same, a batch of signals per call."""
        self.changes(count * BATCH)
        singles = self._batches
        self._hold(
            [
                [change for one in singles[at : at + BATCH] for change in one]
                for at in range(0, len(singles), BATCH)
            ]
        )

    def use(self, plain: Store, synced: Store) -> None:
        """Other ledgers from now on, for what is asked of the ledger itself."""
        self._ledger, self._synced = plain, synced

    # --- the stages -------------------------------------------------------------------------

    def read(self, n: int) -> None:
        del n
        for _ in self._group.read_new(1):
            pass

    def parse(self, n: int) -> None:
        parse(STREAM, f"1700000000000-{n}", _FIELDS)

    def through_lane(self, n: int) -> None:
        del n
        self._lanes.put("AAA", self._work, urgent=False)
        taken: Any = self._lanes.take(self._acquire, self._limiter_free, 0.1)
        taken[0].done()
        taken[1].cancel()

    def find(self, n: int) -> None:
        self._ledger.find(f"{STREAM}\0none-{n}")

    def decide(self, n: int) -> None:
        work = self._work if n == 0 else self._work_of(n)
        self._pipeline.run(work, FreeLane(), self._acquire(urgent=False))
        # Open orders of one asset are added up for each decision: here there is never another.
        self._portfolio.released(self._collector.intents[-1].client_order_id)

    def expect(self, n: int) -> None:
        self._tracker.expect(self._intents[n], FreeLane(), self._work, keeps_lane=True)

    def begin(self, n: int) -> None:
        self._ledger.begin(self._intents[n])

    def begin_synced(self, n: int) -> None:
        self._synced.begin(self._intents[n])

    def post(self, n: int) -> None:
        self._client.submit_order(self._intents[n].body)

    def answered(self, n: int) -> None:
        how = ("answered", "HTTP 200 in 8.120 ms")
        self._tracker.answered(self._intents[n].client_order_id, self._orders[n][0], how=how)

    def news(self, n: int) -> None:
        for message in self._orders[n][1]:
            self._tracker.on_updates(self._updates.receive(message))

    def log_line(self, n: int) -> None:
        self._handler.emit(self._record(n))

    def write_line(self, n: int) -> None:
        record = self._handler.prepare(self._record(n))
        for sink in self._sinks:
            sink.handle(record)

    def apply(self, n: int) -> None:
        self._ledger.apply(self._batches[n])

    def publish(self, n: int) -> None:
        acks = [ref for change in self._batches[n] for ref in change.ack]
        numbered = [(next(self._numbers), fields) for fields in self._told[n]]
        self._publisher.publish(numbered, acks)
        if self._publisher.pending < len(numbered):
            raise RuntimeError("the publisher did not take the events")
        if not self._publisher.flush(Deadline(10.0)):
            raise RuntimeError(self._publisher.trouble)

    # --- inside -----------------------------------------------------------------------------

    def _hold(self, batches: list[list[Change]]) -> None:
        """The batches, and what the ledger's commit of each would hand to the publisher."""
        self._batches = batches
        self._told = [
            [event_fields(event) for change in batch for event in change.events]
            for batch in batches
        ]

    def _limiter_free(self, urgent: bool) -> float:
        del urgent
        return 0.0

    def _acquire(self, urgent: bool) -> Any:
        return self._limiter.try_acquire(Priority.EXIT if urgent else Priority.ENTRY)

    def _work_of(self, n: int) -> Work:
        entry_id = f"{self._clock.epoch_ms()}-{n}"
        return Work(
            signal=parse(STREAM, entry_id, _FIELDS),
            asset=self._wrapper.find("AAA") or _missing(),
            ref=EntryRef(STREAM, entry_id),
            received_at=self._clock.monotonic(),
            received_ms=self._clock.epoch_ms(),
        )

    def _record(self, n: int) -> logging.LogRecord:
        extra = {
            "signal_id": f"1700000000000-{n}",
            "symbol": "AAA",
            "client_order_id": "sp-bench-00000000000000000000000000",
            "state": "FILLED",
            "side": "buy",
            "filled_qty": "1",
        }
        logger = logging.getLogger("solution.trading.tracker")
        return logger.makeRecord(
            logger.name, 20, __file__, 1, "signal_ended", (), None, None, extra
        )


def _missing() -> Any:
    raise Failed("the benchmark's broker does not list AAA")
