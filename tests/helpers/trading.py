"""The order path in one thread: everything real but the broker, the clock and the threads.

A :class:`Rig` holds the real portfolio, tracker, schedule, watch, submitter, pipeline, lanes and an
in-memory ledger. Signals are published as stream entries; :meth:`Rig.work` does what a worker
does, :meth:`Rig.advance` moves the clock and runs the watch whenever its schedule asks for it.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from solution.book.assets import Asset
from solution.book.positions import Account, Portfolio, Position
from solution.book.prices import Quote
from solution.domain.market import Market
from solution.domain.orders import client_order_id
from solution.domain.reasons import Reason
from solution.domain.records import Change, EntryRef, Intent, Trade
from solution.domain.signal import parse
from solution.domain.stages import split
from solution.errors import BrokerError, NotFound, NotSent
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store
from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.runtime.lanes import Lanes
from solution.runtime.rush import Rush
from solution.trading import recovery
from solution.trading.airspace import Airspace
from solution.trading.breaker import Breaker, BreakerRules
from solution.trading.compose import Composer, PipelineRules
from solution.trading.duplicates import Duplicates
from solution.trading.exit_saga import ExitSaga
from solution.trading.gates.view import Denial, GateRules
from solution.trading.kill_switch import KillSwitch
from solution.trading.orphans import Entry, Orphans
from solution.trading.permission import Permission
from solution.trading.pipeline import Pipeline
from solution.trading.plan import SizingRules
from solution.trading.schedule import Schedule
from solution.trading.states import TradingStates
from solution.trading.submit import Submitter
from solution.trading.tracker import OrderTracker
from solution.trading.turnstile import Turnstile
from solution.trading.watch import OrderWatch
from solution.trading.work import Work
from solution.trading.worker import Supply, Worker
from tests.helpers.clocks import ManualClock
from tests.helpers.restrictions import FakeStates

DEPLOYMENT = "abcdefgh"
STREAM = "nvda"
ASSETS = {
    symbol: Asset(f"asset-{symbol}", symbol, "us_equity", True, True, True)
    for symbol in ("NVDA", "AAPL", "MSFT", "AMD")
}

Answer = Callable[["FakeDesk", dict[str, Any]], Mapping[str, Any]]
"""What a scripted POST does with its decoded body: returns the answer or raises."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """One message of the order stream, as the tracker sees it."""

    event: str
    client_order_id: str
    order_id: str
    symbol: str
    order: Mapping[str, Any]
    qty: Decimal | None = None
    price: Decimal | None = None
    position_qty: Decimal | None = None
    execution_id: str = ""
    previous_execution_id: str = ""
    at: str = "2026-03-04T15:00:00.000Z"


def accept(status: str = "pending_new", **changed: Any) -> Answer:
    """The broker takes the order and says so."""

    def run(desk: "FakeDesk", body: dict[str, Any]) -> Mapping[str, Any]:
        return dict(desk.place(body, status=status, **changed))

    return run


def fill(price: str = "100") -> Answer:
    """The broker takes the order and answers when it is filled."""

    def run(desk: "FakeDesk", body: dict[str, Any]) -> Mapping[str, Any]:
        desk.place(body)
        return dict(desk.fill(body["client_order_id"], price))

    return run


def fail(error: Exception) -> Answer:
    """Nothing reaches the book of the broker; the caller gets this error."""

    def run(_desk: "FakeDesk", _body: dict[str, Any]) -> Mapping[str, Any]:
        raise error

    return run


def accept_then(error: Exception) -> Answer:
    """The broker takes the order, and the caller gets this error instead of the answer."""

    def run(desk: "FakeDesk", body: dict[str, Any]) -> Mapping[str, Any]:
        desk.place(body)
        raise error

    return run


def entry_fields(direction: str, fields: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """What the producer wrote: NVDA unless said otherwise; an empty direction is left out."""
    values = {"ticker": "NVDA", **({"direction": direction} if direction else {}), **fields}
    return tuple((name.encode(), text.encode()) for name, text in values.items())


def _is_after(created: Any, since: datetime) -> bool:
    """What has no readable time is in every list."""
    try:
        return datetime.fromisoformat(created) > since
    except (TypeError, ValueError):
        return True


class Answered:
    """A POST whose answer is there: an order, or what is wrong with it."""

    def __init__(self, answer: Mapping[str, Any] | BrokerError, slot: Slot) -> None:
        self._answer = answer
        self._slot = slot
        self.received = False

    @property
    def answering(self) -> bool:
        return not self.received

    @property
    def failed(self) -> bool:
        return self.received and isinstance(self._answer, BrokerError)

    def fileno(self) -> int:
        return -1

    def receive(self) -> None:
        self.received = True
        self._slot.done()

    def order(self) -> Mapping[str, Any]:
        assert self.received
        if isinstance(self._answer, BrokerError):
            raise self._answer
        return self._answer


class FakeDesk:
    """A broker in a dict, with a script for POSTs and an own record of everything asked.

    It is also the part of the wrapper that decisions read: session and prices.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._ids = itertools.count(1)
        self.script: deque[Answer] = deque()
        self.connecting: Callable[[], None] = lambda: None
        """Runs where a POST waits for its connection."""
        self.default: Answer = fill()
        self.posts: list[bytes] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.cancels: list[str] = []
        self.lookup_error: BrokerError | None = None
        self.hidden: set[str] = set()
        """client_order_ids that lookups do not find (yet)."""
        self.is_open: bool | None = True
        self.price: Decimal | None = Decimal(100)
        self.bid_ask: tuple[Decimal, Decimal] | None = None
        """The quote where it is not the price."""
        self.quoted_ago = self.traded_ago = self.received_ago = 0.0
        """Seconds since the exchange quoted and traded, and since we heard of it."""
        self.on_quote: Callable[[], None] = lambda: None
        self.refreshed: list[str] = []
        self.on_cancel: Callable[[str], None] = lambda _: None
        self.snapshots = 0
        self.legs: dict[str, list[str]] = {}
        """client_order_ids of a bracket's legs, by that of its entry order."""
        self.answers_legs = True
        """Whether the answer to a POST names them."""
        self.unpriced: set[str] = set()
        """Symbols whose price would have to be asked for."""
        self.has_room = True
        """Whether another order could leave while answers are awaited."""

    # --- what orders do at the broker -----------------------------------------------------

    def place(self, body: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
        """An order stands at the broker."""
        order = {
            "id": f"order-{next(self._ids)}",
            "status": "new",
            "filled_qty": "0",
            "filled_avg_price": None,
            "created_at": self._clock.now().isoformat(),
            **body,
            **changed,
        }
        self.orders[order["client_order_id"]] = order
        if "order_class" in body:
            self.legs[order["client_order_id"]] = [
                self._place_leg(order, name, kind)
                for name, kind in (("take_profit", "limit"), ("stop_loss", "stop"))
                if name in body
            ]
        return order

    def _place_leg(self, parent: Mapping[str, Any], name: str, kind: str) -> str:
        """The broker makes a leg, under ids of its own; returns its client_order_id."""
        coid = f"{name}-of-{parent['id']}"
        self.orders[coid] = {
            "id": f"order-{next(self._ids)}",
            "client_order_id": coid,
            "status": "held",
            "filled_qty": "0",
            "filled_avg_price": None,
            "created_at": self._clock.now().isoformat(),
            "symbol": parent["symbol"],
            "side": "sell" if parent["side"] == "buy" else "buy",
            "type": kind,
            "order_class": parent["order_class"],
            "time_in_force": parent["time_in_force"],
            "qty": parent["qty"],
        }
        return coid

    def nested(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The order with its legs as they are now."""
        own = self.legs.get(str(order["client_order_id"]))
        return dict(order) | ({"legs": [dict(self.orders[c]) for c in own]} if own else {})

    def fill(self, coid: str, price: str = "100", qty: str = "") -> dict[str, Any]:
        """Fill it, all of it by default."""
        order = self.orders[coid]
        order["filled_qty"] = qty or order["qty"]
        order["filled_avg_price"] = price
        done = Decimal(order["filled_qty"]) == Decimal(order["qty"])
        order["status"] = "filled" if done else "partially_filled"
        return order

    # --- the wrapper's methods --------------------------------------------------------------

    def send(self, slot: Slot, body: bytes, before_send: Callable[[], None]) -> "Answered":
        try:
            self.connecting()
            before_send()
            self.posts.append(body)
            answer = self.script.popleft() if self.script else self.default
            found = answer(self, orjson.loads(body))
        except NotSent:
            slot.cancel()
            raise
        except BrokerError as e:
            return Answered(e, slot)
        except BaseException:
            slot.done()
            raise
        return Answered(self.nested(found) if self.answers_legs else found, slot)

    def lookup(self, client_order_id: str, priority: Priority) -> Mapping[str, Any]:
        self.asked.append(f"lookup {client_order_id} {priority.name}")
        self._maybe_fail()
        if client_order_id in self.hidden or client_order_id not in self.orders:
            raise NotFound(404, 40410000, "order not found")
        return dict(self.orders[client_order_id])

    def order(
        self, order_id: str, priority: Priority, *, nested: bool = False
    ) -> Mapping[str, Any]:
        self.asked.append(f"{'nested' if nested else 'order'} {order_id} {priority.name}")
        self._maybe_fail()
        for order in self.orders.values():
            if order["id"] == order_id:
                return self.nested(order) if nested else dict(order)
        raise NotFound(404, 40410000, "order not found")

    def orders_since(
        self, since: datetime, priority: Priority
    ) -> Sequence[Mapping[str, Any]] | None:
        self.asked.append(f"list {priority.name}")
        self._maybe_fail()
        return [
            dict(o)
            for c, o in self.orders.items()
            if c not in self.hidden and _is_after(o["created_at"], since)
        ]

    def open_orders(
        self, priority: Priority, *, nested: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        self.asked.append(f"open {priority.name}")
        self._maybe_fail()
        shown = (o for c, o in self.orders.items() if c not in self.hidden)
        resting = {"new", "accepted", "held", "partially_filled"}
        listed = [dict(o) for o in shown if o.get("status") in resting]
        if not nested:
            return listed
        of_others = {leg for own in self.legs.values() for leg in own}
        return [self.nested(o) for o in listed if o["client_order_id"] not in of_others]

    def cancel(self, order_id: str) -> None:
        self.cancels.append(order_id)
        self._maybe_fail()
        self.on_cancel(order_id)

    def market(self) -> Market:
        return Market(self.is_open, self._clock.now())

    def knows(self, symbol: str) -> bool:
        return symbol not in self.unpriced

    def quote(self, symbol: str) -> Quote | None:
        self.on_quote()
        if self.price is None:
            return None
        bid, ask = self.bid_ask or (self.price, self.price)
        quoted, traded = (
            self._clock.now() - timedelta(seconds=ago) for ago in (self.quoted_ago, self.traded_ago)
        )
        received = self._clock.monotonic() - self.received_ago
        return Quote(symbol, bid, ask, self.price, quoted, traded, received)

    def refresh_account(self, priority: Priority) -> None:
        self._maybe_fail()
        self.snapshots += 1

    def refresh_if_uncertain(self, symbol: str, *, urgent: bool) -> bool:
        self.refreshed.append(symbol)
        return True

    def connect(self) -> None:
        """There is nothing to connect to."""

    def _maybe_fail(self) -> None:
        if self.lookup_error is not None:
            raise self.lookup_error


@dataclass
class Recorder:
    """Outcomes that commit at once, and remember what was told and acknowledged."""

    ledger: Store
    events: list[dict[str, str]] = field(default_factory=list)
    acks: list[str] = field(default_factory=list)

    def put(self, change: Change) -> None:
        self.events += (dict(fields) for _, fields in self.ledger.apply([change]))
        self.acks += [ref.entry_id for ref in change.ack]

    def told(self, entry_id: str) -> list[str]:
        """The names of the events of one entry, in order; the final one ends in ``!``."""
        return [
            event["event"] + ("!" if event["final"] == "1" else "")
            for event in self.events
            if event.get("entry_id") == entry_id
        ]


class InstantStop(threading.Event):
    """A stop event on which nobody waits: the manual clock moves instead."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._manual = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._manual.advance(timeout or 0.0)
        return self.is_set()


@dataclass(frozen=True, kw_only=True)
class RigRules:
    """Settings of a rig; the defaults refuse nothing."""

    may_resend: bool = True
    ordered: bool = True
    dry_run: bool = False
    max_signal_age: float = 60.0
    max_position_pct: Decimal = Decimal(0)
    queue_when_closed: bool = False
    sizing: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the sizing rules of a rig: ten shares a buy, no caps."""
    gates: Mapping[str, Any] = field(default_factory=dict)
    """What differs from gates that refuse nothing by themselves."""
    duplicate_window: float = 0.0
    strategies: tuple[str, ...] = ()
    """Those whose fills are kept apart, as those with a cap are."""
    kill_switch_file: Path = Path("/nonexistent-directory/.kill_switch")
    breaker: BreakerRules = field(default_factory=lambda: BreakerRules(failures=0))


class _Tripping:
    """The breaker alone; no limit on the day's loss is set."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def breaker(self, beside: str) -> str | None:
        return self._breaker.reason(beside=beside)

    def day(self) -> None:
        return None


class Rig:
    """One account with $100,000, nothing held, NVDA at $100, a stream that is connected."""

    def __init__(
        self,
        rules: RigRules | None = None,
        *,
        ledger: Store | None = None,
        make_desk: Callable[[ManualClock], FakeDesk] = FakeDesk,
    ) -> None:
        rules = rules or RigRules()
        self.rules = rules
        self.clock = ManualClock()
        self.ledger: Store = ledger or SqliteLedger("sqlite://", clock=self.clock)
        self.outcomes = Recorder(self.ledger)
        self.portfolio = Portfolio(self.clock, rules.strategies)
        self.snapshot()
        self.clock.advance(0.001)
        self.stream_alive = True
        self.schedule = Schedule(lambda: self.stream_alive)
        self.tracker = OrderTracker(
            self.outcomes,
            self.portfolio,
            self.schedule,
            self.clock,
            find_row=self.ledger.find_by_client_order_id,
            booked=self.trades,
        )
        self.restrictions = FakeStates(self.clock)
        self.breaker = Breaker(
            rules.breaker,
            self.ledger,
            self.restrictions,
            self.clock,
            on_its_way=lambda coid: self.tracker.get(coid) is not None,
        )
        self.tracker.on_rejected = self.breaker.rejected
        self.desk = make_desk(self.clock)
        self.states = TradingStates(self.ledger, self.clock)
        self.halts = self.states.halts
        self.watch = OrderWatch(
            self.desk,
            self.tracker,
            self.schedule,
            self.clock,
            may_resend=rules.may_resend,
            max_signal_age=rules.max_signal_age,
            on_conflict=self.halts.halt,
        )
        self.limiter = RateLimiter(0, clock=self.clock)
        self.lanes: Lanes[Work] = Lanes(1000, ordered=rules.ordered, clock=self.clock)
        self.space = Airspace(64)
        kill = KillSwitch(setting=False, file=rules.kill_switch_file)
        self.killed: str | None = None
        permission = Permission(kill, self.states)
        self.fence: Callable[[], None] = lambda: None
        self.stop = InstantStop(self.clock)
        self.turnstile = Turnstile()
        self.submitter = Submitter(
            self.desk,
            self.ledger,
            self.tracker,
            lambda intent, work: (
                Denial(Reason.KILL_SWITCH, self.killed)
                if self.killed
                else permission.denial(intent, work)
            ),
            self._fence,
            self.clock,
            self.breaker,
        )
        self.pipeline_rules = PipelineRules(
            deployment=DEPLOYMENT,
            gates=GateRules(
                max_signal_age=rules.max_signal_age,
                queue_when_closed=rules.queue_when_closed,
                **rules.gates,
            ),
            sizing=replace(
                SizingRules(
                    policy="fixed_qty",
                    weights={},
                    qty=Decimal(10),
                    max_position_pct=rules.max_position_pct,
                    max_order_notional_pct=Decimal(0),
                ),
                **rules.sizing,
            ),
            dry_run=rules.dry_run,
            ordered=rules.ordered,
        )
        self.pipeline = Pipeline(
            rules=self.pipeline_rules,
            desk=self.desk,
            ledger=self.ledger,
            outcomes=self.outcomes,
            portfolio=self.portfolio,
            tracker=self.tracker,
            submitter=self.submitter,
            kill=kill,
            clock=self.clock,
            stop=self.stop,
            redis_ms=self.clock.epoch_ms,
            states=self.states,
            saga=ExitSaga(self.desk, self.tracker, "sp-", self.clock, self.stop),
            turnstile=self.turnstile,
            starved=lambda: self.starved,
            duplicates=Duplicates(rules.duplicate_window),
            tripping=_Tripping(self.breaker),
        )
        self.starved = 0.0
        """Seconds of waiting for the rate budget, as the lanes would count them."""
        self._sequence = itertools.count()

    # --- signals ----------------------------------------------------------------------------

    def publish(self, direction: str = "b", *, entry_id: str = "", **fields: str) -> str:
        """A valid signal arrives and goes into its lane; returns its entry id."""
        entry = entry_id or f"{self.clock.epoch_ms()}-{next(self._sequence)}"
        self._put(entry, direction, fields, redelivered=False)
        return entry

    def redeliver(self, entry_id: str, direction: str = "b", **fields: str) -> None:
        """An entry that was delivered before arrives again, and a worker has it."""
        self._put(entry_id, direction, fields, redelivered=True)
        self.work()

    def _put(
        self, entry: str, direction: str, fields: Mapping[str, str], *, redelivered: bool
    ) -> None:
        raw = entry_fields(direction, fields)
        signal = parse(STREAM, entry, raw)
        asset = ASSETS[signal.ticker]
        work = Work(
            signal=signal,
            asset=asset,
            ref=EntryRef(STREAM, entry),
            received_at=self.clock.monotonic(),
            received_ms=self.clock.epoch_ms(),
            redelivered=redelivered,
            fresh=not redelivered,
            starved_at=self.starved,
            fields=raw,
        )
        self.lanes.put(asset.id, work, urgent=signal.is_exit)

    def worker(self) -> Worker:
        """As the service's pool runs it."""
        supply = Supply(
            lanes=self.lanes,
            limiter=self.limiter,
            rush=Rush(self.lanes),
            space=self.space,
            may_send_more=lambda: self.desk.has_room,
        )
        return Worker(supply, self.pipeline, self.clock)

    def work(self) -> bool:
        """What a worker does once: the best lane's signal, if there is one."""
        taken = self.lanes.take(self._slot, lambda _: 0.0, 0.0)
        if taken is None:
            return False
        lease, slot = taken
        self.pipeline.run(lease.item, lease, slot)
        return True

    def work_all(self, most: int = 100) -> int:
        """Until no lane is runnable; returns how many signals were taken."""
        return sum(1 for _ in itertools.takewhile(lambda _: self.work(), range(most)))

    def send(self, direction: str = "b", *, entry_id: str = "", **fields: str) -> str:
        """Publish one signal and let a worker have it."""
        entry = self.publish(direction, entry_id=entry_id, **fields)
        self.work()
        return entry

    # --- time -------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass; the watch runs whenever something is due, workers right after it."""
        end = self.clock.monotonic() + seconds
        while (due := self.schedule.next_at()) is not None and due <= end:
            self.clock.advance_to(due)
            self.watch.step()
            self.work_all()
        self.clock.advance_to(end)

    # --- the account --------------------------------------------------------------------------

    def snapshot(self, **held: str) -> None:
        """The broker's picture of the account, asked for now."""
        account = Account("acc", Decimal(100_000), Decimal(100_000), Decimal(200_000))
        positions = {
            symbol: Position(symbol, Decimal(qty), Decimal(qty), Decimal(100))
            for symbol, qty in held.items()
        }
        self.portfolio.apply_snapshot(account, positions, self.clock.monotonic())

    def held(self, symbol: str = "NVDA") -> Decimal:
        """Signed shares by our own book."""
        return self.portfolio.view(symbol).qty

    # --- starting again ---------------------------------------------------------------------

    def orphans(self, entries: Iterable[Entry] = ()) -> Orphans:
        """Gives orders without a row one; the streams hold these entries."""
        return Orphans(
            composer=Composer(self.pipeline_rules),
            ledger=self.ledger,
            tracker=self.tracker,
            portfolio=self.portfolio,
            halts=self.halts,
            clock=self.clock,
            recent=lambda _since: entries,
            find_asset=ASSETS.get,
            undecided_ms=self.pipeline_rules.gates.undecided_ms,
        )

    def recover(self, entries: Iterable[Entry] = ()) -> None:
        """What a start does, before anything is read."""
        recovery.restore(
            ledger=self.ledger,
            tracker=self.tracker,
            portfolio=self.portfolio,
            schedule=self.schedule,
            clock=self.clock,
        )
        self.orphans(entries).settle(
            recovery.unclaimed(self.ledger, self.desk, DEPLOYMENT, self.clock)
        )
        recovery.settled(self.ledger)
        now_ms, undecided_ms = self.clock.epoch_ms(), self.pipeline_rules.gates.undecided_ms
        self.pipeline.recovered(
            recovery.newest_sent(self.ledger, now_ms, undecided_ms), self.ledger.open_starts()
        )

    # --- what became of it ----------------------------------------------------------------------

    def coid(self, entry_id: str, **fields: str) -> str:
        """The id the entry's order has."""
        raw = entry_fields("b", fields)
        return client_order_id(DEPLOYMENT, parse(STREAM, entry_id, raw).identity)

    def coid_of(self, entry_id: str, direction: str, **fields: str) -> str:
        """Like :meth:`coid`, for any direction."""
        raw = entry_fields(direction, fields)
        return client_order_id(DEPLOYMENT, parse(STREAM, entry_id, raw).identity)

    def trades(self, coid: str) -> list[Trade]:
        """Its executions on record, oldest first."""
        with self.ledger.open_reader() as reader:
            return reader.list_trades(coid)

    def notes(self, coid: str) -> list[str]:
        """The kinds of the lines in its history, oldest first."""
        with self.ledger.open_reader() as reader:
            return [note.kind for note in reader.notes(coid)]

    def history(self, coid: str) -> list[str]:
        """What the lines in its history say, oldest first, without the times of its stages."""
        with self.ledger.open_reader() as reader:
            return [split(note.detail)[0] for note in reader.notes(coid)]

    def row(self, coid: str) -> Intent:
        """The ledger's row of an order."""
        found = self.ledger.find_by_client_order_id(coid)
        assert found is not None, f"no row for {coid}"
        return found

    def only_coid(self) -> str:
        """The id in the one POST there was."""
        sent = {orjson.loads(body)["client_order_id"] for body in self.desk.posts}
        assert len(sent) == 1, f"POSTs of {len(sent)} orders"
        return str(sent.pop())

    def only_coid_of(self, symbol: str) -> str:
        """The id of the one order of this symbol at the broker."""
        (coid,) = [c for c, order in self.desk.orders.items() if order["symbol"] == symbol]
        return coid

    def update(self, coid: str, event: str, **changed: Any) -> Update:
        """A stream message about the order as the broker has it now."""
        order = dict(self.desk.orders[coid])
        return replace(
            Update(
                event=event,
                client_order_id=coid,
                order_id=order["id"],
                symbol=str(order.get("symbol", "")),
                order=order,
            ),
            **changed,
        )

    def hear(self, *updates: Update) -> None:
        """The order stream brings these."""
        self.tracker.on_updates(updates)

    def is_free(self, symbol: str = "NVDA") -> bool:
        """Whether the asset's lane takes its next signal: a probe signal is decided."""
        probe = self.publish("b", ticker=symbol, qty="1")
        while self.work():
            pass
        return bool(self.outcomes.told(probe))

    def _fence(self) -> None:
        self.fence()

    def _slot(self, urgent: bool) -> Slot | None:
        return self.limiter.try_acquire(Priority.EXIT if urgent else Priority.ENTRY)
