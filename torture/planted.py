"""Wrong variants of the service, each a mistake that a real product has shipped or might.

``PLANTED[name].apply()`` breaks ``solution`` in this process; nothing of it is in the product. The
harness must catch every one of them: a plant that nothing catches is a hole in the oracle. In one
process, ``with planted(name): ...`` takes the mistake out again.
"""

import importlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

_undo: list[Callable[[], None]] = []


@dataclass(frozen=True)
class Plant:
    """One mistake.

    Args:
        why: what is wrong, in one sentence.
        apply: puts it into the classes of this process.
        needs: what it takes to show it: nothing (the in-process simulation shows it), or some of
            ``two_instances`` (real processes on one ledger).
    """

    name: str
    why: str
    apply: Callable[[], None]
    needs: frozenset[str] = frozenset()


PLANTED: dict[str, Plant] = {}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The mistake, while the block runs; for one process without other threads."""
    PLANTED[name].apply()
    try:
        yield
    finally:
        while _undo:
            _undo.pop()()


def _plant(why: str, *needs: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(apply: Callable[[], None]) -> Callable[[], None]:
        name = apply.__name__
        PLANTED[name] = Plant(name, why, apply, frozenset(needs))
        return apply

    return register


def _replace(target: str, make: Callable[[Any], Any]) -> None:
    """Put ``make(original)`` in the place of ``module:Class.attribute`` or ``module:name``."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    own = name in vars(owner)
    original = getattr(owner, name)

    def undo() -> None:
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)

    _undo.append(undo)
    setattr(owner, name, make(original))


def _wrap(target: str, run: Callable[..., Any]) -> None:
    """Replace a method by ``run(original, self, ...)``."""

    def make(original: Any) -> Any:
        def method(self: Any, *arguments: Any, **options: Any) -> Any:
            return run(original, self, *arguments, **options)

        return method

    _replace(target, make)


# --- identity ----------------------------------------------------------------------------------


@_plant("The order's id is drawn anew in each life, so nobody can ask whether it was sent.")
def random_client_order_id() -> None:
    def make(_original: Any) -> Any:
        def client_order_id(_self: Any, _signal: Any) -> str:
            return uuid.uuid4().hex

        return client_order_id

    _replace("solution.trading.compose:Composer.client_order_id", make)


@_plant("An unclear POST is sent again at once, as another order.")
def blind_retry() -> None:
    from solution.errors import OutcomeUnknown

    def order(original: Any, self: Any, flight: Any) -> Any:
        try:
            return original(self, flight)
        except OutcomeUnknown:
            if flight.sent is None:
                raise
            fields = orjson.loads(flight.intent.body)
            fields["client_order_id"] = fields["client_order_id"][:-2] + "-r"
            again = self._desk.send(flight.sent._slot, orjson.dumps(fields), lambda: None)
            return again.order()

    _wrap("solution.trading.submit:Submitter._order", order)


@_plant("The body is made anew for the second POST, in the size that is right by then.")
def resized_repost() -> None:
    def depart(original: Any, self: Any, intent: Any, work: Any, slot: Any, **options: Any) -> Any:
        if work.resend:
            fields = orjson.loads(intent.body)
            fields["qty"] = str(int(fields["qty"]) + 1) if "qty" in fields else "1"
            intent.body = orjson.dumps(fields)
        return original(self, intent, work, slot, **options)

    _wrap("solution.trading.submit:Submitter.depart", depart)


@_plant("An order of yesterday under today's id is taken for today's.")
def adopts_yesterdays_order() -> None:
    for module in ("watch", "orphans", "tracker"):
        _replace(f"solution.trading.{module}:is_older", lambda _: lambda *_a: False)


# --- acknowledging -----------------------------------------------------------------------------


@_plant("An entry is acknowledged when it is read.")
def ack_first() -> None:
    def deliver(original: Any, self: Any, arrival: Any) -> Any:
        self.acknowledge(arrival.ref)
        return original(self, arrival)

    _wrap("solution.intake:Intake.deliver", deliver)


@_plant("Acknowledgements leave when they are decided, not when their outbox row is durable.")
def ack_before_outbox_row() -> None:
    def put(original: Any, self: Any, change: Any) -> Any:
        if change.ack:
            self._publish([], list(change.ack))
        return original(self, change)

    _wrap("solution.ledger.writer:OutcomeWriter.put", put)


@_plant("Whoever publishes a signal_id again is acknowledged before the end is told.")
def followers_acked_early() -> None:
    def follow(_original: Any, self: Any, _client_order_id: str, ref: Any) -> bool:
        from solution.trading import outcomes

        self._outcomes.put(outcomes.acknowledge(ref))
        return True

    _wrap("solution.trading.tracker:OrderTracker.follow", follow)


@_plant("A redelivered entry whose row exists counts as done, whatever the row says.")
def any_row_is_done() -> None:
    def attach(_original: Any, _self: Any, *_arguments: Any) -> bool:
        return False

    _wrap("solution.trading.tracker:OrderTracker.attach", attach)


@_plant("A dead letter is acknowledged and never stored.")
def dead_letter_not_stored() -> None:
    def make(_original: Any) -> Any:
        def dead_letter(letter: Any, **_about: Any) -> Any:
            from solution.domain.records import EntryRef
            from solution.trading import outcomes

            return outcomes.acknowledge(EntryRef(letter.stream, letter.entry_id))

        return dead_letter

    _replace("solution.trading.outcomes:dead_letter", make)


@_plant("Events are deleted from the outbox when they are handed to the publisher.")
def outbox_deleted_first() -> None:
    def publish(original: Any, self: Any, events: Any, acks: Any) -> Any:
        self._outbox.mark_published([event_id for event_id, _ in events])
        return original(self, events, acks)

    _wrap("solution.ledger.outbox:OutboxPublisher.publish", publish)


# --- what an answer means ----------------------------------------------------------------------


@_plant("A POST that times out counts as rejected.")
def timeout_is_reject() -> None:
    from solution.errors import OutcomeUnknown, Rejected

    def order(original: Any, self: Any, flight: Any) -> Any:
        try:
            return original(self, flight)
        except OutcomeUnknown as e:
            raise Rejected(504, 0, str(e)) from e

    _wrap("solution.trading.submit:Submitter._order", order)


@_plant("“client_order_id must be unique” counts as rejected.")
def duplicate_is_reject() -> None:
    from solution.errors import DuplicateOrder, Rejected

    def order(original: Any, self: Any, flight: Any) -> Any:
        try:
            return original(self, flight)
        except DuplicateOrder as e:
            raise Rejected(e.status, e.code, e.message) from e

    _wrap("solution.trading.submit:Submitter._order", order)

    def refused(_original: Any, self: Any, client_order_id: str, _reason: Any, text: str) -> None:
        self.conflicts(client_order_id, text)

    _wrap("solution.trading.tracker:OrderTracker.refused", refused)


@_plant("What three lookups do not find was never accepted.")
def not_found_is_rejected() -> None:
    def expire(_original: Any, self: Any, client_order_id: str, message: str, **_: Any) -> None:
        self.conflicts(client_order_id, message)

    _wrap("solution.trading.tracker:OrderTracker.expire_unconfirmed", expire)


@_plant("One 404 after an unclear POST is enough to send it again.")
def repost_after_one_404() -> None:
    _replace("solution.trading.watch:ENOUGH_LOOKUPS", lambda _: 1)
    _replace("solution.trading.watch:ENOUGH_SECONDS", lambda _: 0.0)


@_plant("The second POST asks no gate.")
def repost_without_gates() -> None:
    def allowed(_original: Any, self: Any, work: Any, intent: Any) -> Any:
        return self._look(work, beside=intent.client_order_id)

    _wrap("solution.trading.pipeline:Pipeline._still_allowed", allowed)


@_plant("The POST leaves before its row is durable.")
def post_before_row() -> None:
    unwritten: dict[str, Any] = {}

    def begin(original: Any, self: Any, intent: Any, *rest: Any, **options: Any) -> None:
        class Later:
            """A ledger that has begun already, as far as the caller can see."""

            def begin(_, intent: Any) -> None:  # noqa: N805 - self is the submitter
                unwritten[intent.client_order_id] = intent

        ledger, self._ledger = self._ledger, Later()
        try:
            original(self, intent, *rest, **options)
        finally:
            self._ledger = ledger

    def depart(original: Any, self: Any, intent: Any, *rest: Any, **options: Any) -> Any:
        sent = original(self, intent, *rest, **options)
        late = unwritten.pop(intent.client_order_id, None)
        if late is not None:
            self._ledger.begin(late)
        return sent

    _wrap("solution.trading.submit:Submitter.begin", begin)
    _wrap("solution.trading.submit:Submitter.depart", depart)


# --- gates -------------------------------------------------------------------------------------


@_plant("The kill switch is not looked at again between the gates and the POST.")
def kill_without_barrier() -> None:
    def make(original: Any) -> Any:
        def init(self: Any, *arguments: Any, **options: Any) -> None:
            original(self, *arguments, **options)
            self._denied = lambda *_of: None

        return init

    _replace("solution.trading.submit:Submitter.__init__", make)
    _wrap("solution.trading.pipeline:Pipeline._last_look", lambda *_a: None)


@_plant("The rate budget is waited for between the gates and the POST.")
def budget_after_gates() -> None:
    def post(original: Any, self: Any, *arguments: Any) -> Any:
        self._stop.wait(1.5)
        return original(self, *arguments)

    _wrap("solution.trading.pipeline:Pipeline._post", post)


@_plant("An old signal that is delivered again trades.")
def stale_signals_trade() -> None:
    def make(gates: Any) -> Any:
        return tuple(gate for gate in gates if gate.__name__ != "signal_age")

    _replace("solution.trading.reserving:SIGNAL_GATES", make)
    _replace("solution.trading.compose:SIGNAL_GATES", make)


# --- order and limits --------------------------------------------------------------------------


@_plant("A lost buy is sent although its sell was sent before.")
def buy_after_its_sell() -> None:
    _wrap("solution.trading.pipeline:Pipeline._check_order", lambda *_a: None)


@_plant("After a restart nobody remembers what was sent before.")
def forgets_what_was_sent() -> None:
    _replace("solution.trading.recovery:newest_sent", lambda _: lambda *_a: {})


@_plant("An order's cash and shares are free again once the broker has accepted it.")
def released_on_ack() -> None:
    def accepted(original: Any, self: Any, client_order_id: str) -> None:
        original(self, client_order_id)
        self.released(client_order_id)

    _wrap("solution.book.positions:Portfolio.accepted", accepted)


@_plant("An order whose POST got no answer holds no cash and no shares.")
def unknown_holds_nothing() -> None:
    def unknown(original: Any, self: Any, client_order_id: str, message: str) -> None:
        original(self, client_order_id, message)
        self._portfolio.released(client_order_id)

    _wrap("solution.trading.tracker:OrderTracker.unknown", unknown)


# --- merging -----------------------------------------------------------------------------------


@_plant("News after the end of an order changes its state.")
def terminal_not_absorbing() -> None:
    from solution.domain.order_state import STATE_OF_STATUS
    from solution.domain.records import State

    def late(original: Any, self: Any, tracked: Any, news: Any, source: Any) -> None:
        state = STATE_OF_STATUS.get(news.status, State.OPEN)
        if state is not tracked.progress.state:
            self._outcomes.put(_without_guard(tracked, state))
        original(self, tracked, news, source)

    def _without_guard(tracked: Any, state: Any) -> Any:
        from solution.domain.records import Change

        coid = tracked.intent.client_order_id
        return Change(client_order_id=coid, update={"state": state})

    _wrap("solution.trading.merging:Merger.late", late)
    _replace("solution.ledger.rows:_TERMINAL_LIST", lambda _: "'NOTHING'")
    _forget_statements()


def _forget_statements() -> None:
    from solution.ledger import rows

    rows._UPDATE_TEXTS.clear()
    _undo.append(rows._UPDATE_TEXTS.clear)


@_plant("A fill that is heard of twice is booked twice.")
def fill_counted_twice() -> None:
    from dataclasses import replace

    def make(original: Any) -> Any:
        numbers = iter(range(10**9))

        def merged(tracked: Any, step: Any, *rest: Any, **options: Any) -> Any:
            change = original(tracked, step, *rest, **options)
            if change.trades:
                again = [
                    replace(t, execution_id=f"again-{next(numbers)}-{t.execution_id}",
                            cum_qty=t.cum_qty + 1000 + next(numbers))
                    for t in change.trades
                ]  # fmt: skip
                change.trades = (*change.trades, *again)
            return change

        return merged

    _replace("solution.trading.merging:merged", make)


# --- recovery ----------------------------------------------------------------------------------


@_plant("Entries that are pending are never looked for.")
def no_pending_sweep() -> None:
    _wrap("solution.feeds.signal_listener:SignalListener._sweep", lambda *_a: True)


@_plant("A lost group is made anew at the stream's end.")
def dollar_for_a_lost_group() -> None:
    def call(original: Any, self: Any, *arguments: object) -> Any:
        if arguments[:2] == ("XGROUP", "CREATE"):
            arguments = (*arguments[:4], "$", *arguments[5:])
        return original(self, *arguments)

    _wrap("solution.feeds.stream_group:StreamGroup._call", call)


@_plant("What was delivered three times is poison, whoever's fault the crashes were.")
def poison_by_delivery_counter() -> None:
    from solution.domain.reasons import Reason
    from solution.domain.records import EntryRef
    from solution.errors import SignalError

    def one_by_one(original: Any, self: Any, stream: str, ids: Any, get: Any) -> Any:
        kept = []
        for entry_id in ids:
            row = self._group._call("XPENDING", stream, self._rules.group, entry_id, entry_id, 1)
            if row and int(row[0][3]) >= 3:
                ((_, fields),) = get(stream, [entry_id])
                self._in_hand._held[stream][entry_id] = fields
                error = SignalError(Reason.POISON, "delivered too often")
                self._ports.dead_letter(EntryRef(stream, entry_id), fields or (), error)
            else:
                kept.append(entry_id)
        return original(self, stream, kept, get)

    _wrap("solution.feeds.signal_listener:SignalListener._one_by_one", one_by_one)


@_plant("Rows that were never answered are left alone at start.")
def recovery_skips_unknown() -> None:
    from solution.domain.records import State

    def open_intents(original: Any, self: Any) -> Any:
        skipped = {State.UNKNOWN, State.SUBMITTING}
        return [row for row in original(self) if row.state not in skipped]

    _wrap("solution.ledger.store:Store.open_intents", open_intents)


@_plant("A process that slept through a takeover writes and sends on.")
def lease_without_epoch_check() -> None:
    def acquire(original: Any, self: Any, *arguments: Any) -> Any:
        epoch = original(self, *arguments)
        self._epoch = 0
        return epoch

    for module, name in (("sqlite", "SqliteLedger"), ("postgres", "PostgresLedger")):
        try:
            importlib.import_module(f"solution.ledger.{module}")
        except ImportError:
            continue
        _wrap(f"solution.ledger.{module}:{name}.acquire_lease", acquire)
    _wrap("solution.ledger.lease:LeaseKeeper.check", lambda *_a: None)
    _wrap("solution.ledger.lease:LeaseKeeper._renew", lambda *_a: None)
