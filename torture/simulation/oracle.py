"""The invariants I1 to I7, read off the stream, the ledger's tables and the exchange's own log.

Nothing here asks an object of the service: a wrong program cannot colour what is checked.

=====  ============================================================================================
I1     an entry acknowledged is at its end with a reason, or owned by an open row; each ends once
I2     one order per signal: one client_order_id and one body per tag; every order of ours has a row
I3     no XACK before its durable row, dead letter or told end
I4     filled_qty only grows, is at most qty, and is the sum of the order's trades
I5     no POST while killed, stale, out of session, beyond cash or shares, or behind a newer entry
I6     a terminal state never changes
I7     once faults stop, everything comes to an end that agrees with the exchange
=====  ============================================================================================
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from solution.domain.records import TERMINAL
from torture.simulation.clock import SimClock
from torture.simulation.exchange import Exchange, Order, session_open
from torture.simulation.redis_store import RedisStore, key_of
from torture.simulation.storage import Storage

OWNED = frozenset({"OPEN", "EXPIRED_UNCONFIRMED"})
ENDS = frozenset(str(state) for state in TERMINAL)
WITHOUT_ORDER = frozenset({"REFUSED", "DRY_RUN", "NOT_SENT", "ABSENT_CONFIRMED"})
STATE_OF = {"filled": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED"}
GATES_TO_SEND = 0.35
"""Seconds: 250 ms from the gates to the POST, and its way."""
POISON_CRASHES = 2  # and the start that found out
Ref = tuple[str, str]


@dataclass(frozen=True)
class Published:
    """One entry as its producer knows it. ``tag`` is its limit price, its name at the exchange."""

    stream: str
    entry_id: str
    kind: str
    fields: dict[str, str]
    max_age: float
    at: float

    @property
    def symbol(self) -> str:
        return self.fields["ticker"]

    @property
    def tag(self) -> str:
        return self.fields.get("limit_price", "")

    @property
    def signal_id(self) -> str:
        return self.fields.get("signal_id", "")

    @property
    def ref(self) -> Ref:
        return self.stream, self.entry_id


@dataclass
class Row:
    """What of an intent is checked."""

    state: str
    stream: str
    entry_id: str
    coid: str
    filled: Decimal
    qty: Decimal | None
    order_id: str
    reason: str
    identity: str
    body: bytes


@dataclass
class Oracle:
    """Collects violations; :meth:`check` after each step, :meth:`check_end` when all is quiet."""

    clock: SimClock
    store: RedisStore
    storage: Storage
    exchange: Exchange
    group: str
    streams: tuple[str, ...]
    violations: list[str] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    ordered: bool = True
    note: Callable[[str], None] = lambda _text: None

    def __post_init__(self) -> None:
        self.acked: set[Ref] = set()
        self.forgiven: set[Ref] = set()
        """Entries that Redis itself lost, or whose ids were given out twice."""
        self.delivered: dict[Ref, float] = {}
        """Entries the living service got as new ones, and when: their wait in it is no age."""
        self.trimmed: set[Ref] = set()
        """Entries whose content somebody deleted while they were pending."""
        self.old_orders: set[str] = set()
        self.executions_whole = True
        self.lost_rows: set[str] = set()
        """Orders whose row went with the power; recovery has until the end to find them."""
        self.crashes_in: dict[str, int] = defaultdict(int)
        """Entry id → lives that began to read it again or to decide it, and ended."""
        self._starts: dict[Ref, int] = defaultdict(int)
        self._rows: dict[str, Row] = {}
        self._events: dict[int, dict[str, str]] = {}
        self._seen_event = 0
        # By tag too: after a loss Redis may give an id out again while the lost entry is in hand.
        self._said: dict[tuple[Ref, str], Published] = {}
        self._first_bodies: dict[str, tuple[str, bytes]] = {}
        self._posts_seen = 0
        self._newest: dict[Ref, tuple[int, int]] = {}
        self._refusals_seen = 0
        self._executions_seen = (0, 0)
        self._commits_seen = -1

    def newest(self, stream: str, symbol: str) -> tuple[int, int]:
        """The newest entry of a stream and asset that was ever sent."""
        return self._newest.get((stream, symbol), (0, 0))

    def fail(self, invariant: str, text: str) -> None:
        at = self.clock.monotonic() - 1000
        self.violations.append(f"{invariant} at {at:.3f} s: {text}")

    def add(self, entry: Published) -> None:
        self.published.append(entry)
        self._said[entry.ref, entry.tag] = entry

    def on_delivery(self, stream: str, entry_id: str) -> None:
        self.delivered.setdefault((stream, entry_id), self.clock.monotonic())

    # --- moments --------------------------------------------------------------------------------

    def on_ack(self, stream: str, _group: str, entry_id: str) -> None:
        """Redis is about to acknowledge a pending entry."""
        self._read_events()
        ref = (stream, entry_id)
        self.acked.add(ref)
        if ref in self.forgiven:
            return
        told = [e for e in self._events.values() if (e["stream"], e["entry_id"]) == ref]
        rows = self.storage.rows(
            "SELECT state FROM order_intents WHERE stream = ? AND entry_id = ?", *ref
        )
        states = {state for (state,) in rows}
        dead = self.storage.rows(
            "SELECT 1 FROM dead_letters WHERE stream = ? AND entry_id = ?", *ref
        )
        final = any(event["final"] for event in told)
        if not (final or dead or states & (OWNED | ENDS)):
            self.fail("I3", f"XACK of {entry_id}, whose durable states are {states or 'none'}")
        elif not told:
            self.fail("I3", f"XACK of {entry_id} before any event of it was durable")

    def after_power_loss(self, before: set[str]) -> None:
        """Rows and events that were never fsynced are gone; none of them was published."""
        rows = self.rows()
        self.lost_rows |= before - set(rows)
        self._rows = rows
        found = self.storage.rows("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
        last = int(found[0][0]) if found else 0
        self._events = {n: event for n, event in self._events.items() if n <= last}
        self._seen_event = last

    def executions_lost(self) -> None:
        """Redis lost what it was told: the ends need not be in the stream any more."""
        self.executions_whole = False

    # --- after each step ------------------------------------------------------------------------

    def check(self) -> None:
        """I1 to I6."""
        if self.storage.commits != self._commits_seen:
            self._commits_seen = self.storage.commits
            self._read_events()
            self._check_rows()
        self._check_orders()
        self._check_posts()
        self._check_executions()

    def _read_events(self) -> None:
        rows = self.storage.rows(
            "SELECT event_id, fields FROM outbox WHERE event_id > ?", self._seen_event
        )
        for event_id, fields in rows:
            self._note_event(int(event_id), _event(fields))

    def _note_event(self, event_id: int, event: dict[str, str]) -> None:
        self._events[event_id] = event
        final = " (final)" if event["final"] else ""
        self.note(f"event {event_id}: {event['entry_id']} {event['event']}{final}")
        self._seen_event = max(self._seen_event, event_id)

    def rows(self) -> dict[str, Row]:
        found = self.storage.rows(
            "SELECT state, stream, entry_id, client_order_id, filled_qty, qty, alpaca_order_id, "
            "reason, identity, body FROM order_intents"
        )
        return {
            row[3]: Row(
                row[0], row[1], row[2], row[3], Decimal(row[4]), row[5] and Decimal(row[5]), row[6],
                row[7], row[8], bytes(row[9] or b""),
            )
            for row in found
        }  # fmt: skip

    def _check_rows(self) -> None:
        rows = self.rows()
        for coid, row in rows.items():
            before = self._rows.get(coid)
            if before is not None:
                if before.state in ENDS and row.state != before.state:
                    self.fail("I6", f"{row.entry_id} went from {before.state} to {row.state}")
                if row.filled < before.filled:
                    self.fail("I4", f"{row.entry_id} filled {before.filled}, then {row.filled}")
            if row.qty is not None and row.filled > row.qty:
                self.fail("I4", f"{row.entry_id} filled {row.filled} of {row.qty}")
            if row.order_id in self.old_orders:
                self.fail("I2", f"{row.entry_id} adopted the older order {row.order_id}")
        self._check_trades(rows)
        self.count_starts()
        for coid in self._rows.keys() - rows.keys() - self.lost_rows:
            self.fail("I6", f"the row of {coid} is gone")
        self._rows = rows

    def count_starts(self) -> None:
        """Note what the ledger says of starts that have not ended."""
        found = self.storage.rows("SELECT stream, entry_id, starts FROM entry_starts")
        for stream, entry_id, starts in (*found, *self._reading()):
            self._starts[stream, entry_id] = max(starts, self._starts[stream, entry_id])

    def _reading(self) -> Iterator[tuple[str, str, int]]:
        """The entry that is being read again, as the ledger has it."""
        for (text,) in self.storage.rows("SELECT value FROM bot_state WHERE key = 'reading'"):
            starts, entry_id, stream = text.split(" ", 2)
            yield stream, entry_id, int(starts)

    def _check_orders(self) -> None:
        for coid, order in self.exchange.by_coid.items():
            known = coid in self._rows or coid in self.lost_rows
            if not known and order.id not in self.old_orders:
                self.fail("I2", f"{order.id} ({coid}) has no row")

    def _check_trades(self, rows: dict[str, Row]) -> None:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for coid, qty in self.storage.rows("SELECT client_order_id, qty FROM trades"):
            sums[coid] += Decimal(qty)
        for coid, row in rows.items():
            if sums[coid] != row.filled:
                self.fail("I4", f"{row.entry_id}: trades of {sums[coid]}, filled {row.filled}")

    def _check_posts(self) -> None:
        for post in self.exchange.posts[self._posts_seen :]:
            self._posts_seen += 1
            if post.coid in self.lost_rows:
                self._first_bodies.pop(post.tag, None)  # nobody knows that it was sent
            first = self._first_bodies.setdefault(post.tag, (post.coid, post.body))
            if first[0] != post.coid:
                self.fail("I2", f"signal {post.tag} was sent under {first[0]} and {post.coid}")
            elif first[1] != post.body:
                self.fail(
                    "I2", f"{post.coid} was sent with two bodies: {first[1]!r}, {post.body!r}"
                )
            self._check_row_of(post)
            self._check_gates(post)
        for coid, why in self.exchange.refusals[self._refusals_seen :]:
            self._refusals_seen += 1
            self.fail("I5", f"over limit: {coid}: {why}")

    def _check_row_of(self, post: Any) -> None:
        row = self._rows.get(post.coid)
        if row is None:
            self.fail("I2", f"{post.coid} was sent without a row")
        elif row.body and row.body != post.body:
            self.fail("I2", f"{post.coid} was sent with another body than its row's")

    def _check_gates(self, post: Any) -> None:
        row = self._rows.get(post.coid)
        ref = (row.stream, row.entry_id) if row is not None else ("", "")
        entry = self._said.get((ref, post.tag))
        if not post.by_active:
            self.fail("I5", f"{post.coid} was sent by an instance that another had replaced")
        if post.killed:
            self.fail("I5", f"{post.coid} was sent while the kill switch was on")
        closed = post.wall.timestamp() - GATES_TO_SEND
        if not session_open(type(post.wall).fromtimestamp(closed, post.wall.tzinfo)):
            self.fail("I5", f"{post.coid} was sent while the market was closed")
        if entry is None:
            self.fail("I2", f"{post.coid} belongs to no signal")
            return
        # Fresh when it was read, a signal may wait in its lane; not so once its answer was unclear.
        until = self.delivered.get(entry.ref, post.at) if self._is_first(post) else post.at
        if until - entry.at > entry.max_age + GATES_TO_SEND:
            age = post.at - entry.at
            self.fail("I5", f"{post.coid} was sent {age:.1f} s after its signal")
        self._check_order(post, entry)
        self._check_lookups(post)

    def _check_lookups(self, post: Any) -> None:
        """After an unclear POST nothing is sent again before three lookups over two seconds."""
        unclear = [p for p in self.exchange.posts if p.tag == post.tag and p.at < post.at]
        unclear = [p for p in unclear if p.fault not in {"429", "422", "403", "401"}]
        if not unclear or post.coid in self.lost_rows:
            return
        since = unclear[-1].at
        asked = [at for at, coid in self.exchange.lookups if coid in {"", post.coid} and at > since]
        if len(asked) < 3 or post.at - since < 2.0:
            self.fail("I2", f"{post.coid} was sent again after {len(asked)} lookups")

    def _is_first(self, post: Any) -> bool:
        """Whether nothing but "not now" (429, no connection) was answered to it before."""
        earlier = [p for p in self.exchange.posts if p.tag == post.tag and p.at < post.at]
        return all(p.fault == "429" for p in earlier)

    def _check_order(self, post: Any, entry: Published) -> None:
        """The first POST of an entry never follows that of a newer one of its stream and asset."""
        lane, key = (entry.stream, entry.symbol), key_of(entry.entry_id)
        first = not any(p.tag == post.tag and p.at < post.at for p in self.exchange.posts)
        passed = first and self.ordered and key < self._newest.get(lane, (0, 0))
        if passed and entry.ref not in self.forgiven and not entry.signal_id:
            self.fail("I5", f"{entry.entry_id} was sent after {self._newest[lane]}")
        self._newest[lane] = max(key, self._newest.get(lane, (0, 0)))

    def _check_executions(self) -> None:
        """Each event id stands for one text; ids appear in order, repetitions aside."""
        stream = self.store.streams.get("executions")
        if stream is None or stream.last == self._executions_seen:
            return
        self._executions_seen = stream.last
        highest = 0
        for flat in list(stream.entries.values()):
            event_id = int(flat[1])
            if event_id > highest + 1 and event_id not in self._events:
                self.fail("I3", f"event {event_id} was published but never durable")
            highest = max(highest, event_id)

    # --- the end --------------------------------------------------------------------------------

    def unfinished(self, *, watched_too: bool) -> list[str]:
        """What is still on its way."""
        left = []
        for stream in self.streams:
            count = self.store.undelivered(stream, self.group)
            left += [f"{count} entries of {stream} were never read"] if count else []
            left += [f"{one} is pending" for one in self.store.pending(stream, self.group)]
        for row in self.rows().values():
            watched = row.state == "EXPIRED_UNCONFIRMED" and not watched_too
            if row.state not in ENDS and not watched:
                left.append(f"{row.entry_id} is {row.state}")
        return left

    def check_end(self) -> None:
        """I7, and what can only be said at the end of I1, I2 and I4."""
        for text in self.unfinished(watched_too=True):
            self.fail("I7", text)
        rows = self.rows()
        for row in rows.values():
            self._check_truth(row, self.exchange.by_coid.get(row.coid))
        for coid, order in self.exchange.by_coid.items():
            if coid not in rows and order.id not in self.old_orders:
                self.fail("I2", f"{order.id} ({coid}) never got a row")
        self._check_told()

    def _check_truth(self, row: Row, order: Order | None) -> None:
        if order is None or order.id in self.old_orders:
            if row.state not in WITHOUT_ORDER | {"REJECTED"}:
                self.fail("I7", f"{row.entry_id} is {row.state}, the exchange has no such order")
            if row.state in ENDS and not row.reason and row.state != "DRY_RUN":
                self.fail("I1", f"{row.entry_id} ended {row.state} without a reason")
            return
        if row.state != STATE_OF.get(order.raw["status"]):
            self.fail("I7", f"{row.entry_id} is {row.state}, {order.id} is {order.raw['status']}")
        if row.filled != order.filled:
            self.fail("I4", f"{row.entry_id} filled {row.filled}, {order.id} {order.filled}")

    def _check_told(self) -> None:
        told = ((e["stream"], e["entry_id"]) for e in self._events.values() if e["final"])
        finals = Counter(told)
        out = self._published_finals()
        rows = {(row.stream, row.entry_id): row for row in self.rows().values()}
        letters = self.storage.rows("SELECT stream, entry_id, reason FROM dead_letters")
        for entry in self.published:
            if entry.ref in self.forgiven:
                continue
            if finals[entry.ref] != 1:
                self.fail("I1", f"{entry.entry_id} ({entry.kind}) ended {finals[entry.ref]} times")
            elif self.executions_whole and not out[entry.ref]:
                self.fail("I1", f"the end of {entry.entry_id} was never published")
        for stream, entry_id, reason in letters:
            self._check_letter((stream, entry_id), reason, rows.get((stream, entry_id)))

    def _check_letter(self, ref: Ref, reason: str, row: Row | None) -> None:
        if row is not None and ref not in self.forgiven:
            self.fail("I1", f"{ref[1]} is a dead letter ({reason}) and has a row ({row.state})")
        kinds = [entry.kind for entry in self.published if entry.ref == ref]
        crashes = min(self.crashes_in[ref[1]], self._starts[ref] - 1)
        if "POISON" in reason and crashes < POISON_CRASHES:
            self.fail("I1", f"{ref[1]} is called poison after {crashes} crashes of its own")
        fair = ref in self.trimmed or "POISON" in reason or reason in _FAIR_LETTERS
        fair |= reason == "ENTRY_ID_REUSED" and len(kinds) > 1
        if set(kinds) <= {"plain", "again"} and not fair:
            self.fail("I1", f"the valid entry {ref[1]} is a dead letter: {reason}")

    def _published_finals(self) -> dict[Ref, int]:
        out: dict[Ref, set[int]] = defaultdict(set)
        stream = self.store.streams.get("executions")
        for flat in stream.entries.values() if stream else ():
            pairs = {n.decode(): t.decode() for n, t in zip(flat[::2], flat[1::2], strict=True)}
            if pairs.get("final") == "1":
                ref = pairs.get("stream", ""), pairs.get("entry_id", "")  # none: an orphan's
                out[ref].add(int(pairs["event_id"]))
        return defaultdict(int, {ref: len(ids) for ref, ids in out.items()})


_FAIR_LETTERS = frozenset({"EXPIRED", "SIGNAL_ID_REUSED"})


def _event(fields: Any) -> dict[str, str]:
    """Stream, entry, name and finality of an outbox row."""
    found = orjson.loads(fields)
    pairs = dict(found) if isinstance(found, list) else found
    return {
        "stream": str(pairs.get("stream", "")),
        "entry_id": str(pairs.get("entry_id", "")),
        "event": str(pairs.get("event", "")),
        "final": "1" if str(pairs.get("final", "")) == "1" else "",
    }
