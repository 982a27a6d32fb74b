"""Compares what was published, what the broker saw, what the ledger says, and what was told.

Reads the ledger's file with SQL of its own: a mistake in the product's reader must not hide one in
its writer. Every check returns :class:`~torture.violation.Violation` objects; none means that all
hold.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import redis

from torture import limits
from torture.book import Book, Order
from torture.budget import Budget
from torture.ledgers import LedgerPlace
from torture.signals import LARGE, RESTING, SCARCE, Made
from torture.violation import Violation

STREAM, GROUP, TOLD = "nvda", "solution", "executions"
TERMINAL = frozenset(
    {
        "FILLED",
        "CANCELED",
        "EXPIRED",
        "REPLACED",
        "REJECTED",
        "REFUSED",
        "DRY_RUN",
        "NOT_SENT",
        "ABSENT_CONFIRMED",
    }
)
UNSENT_FOR = frozenset(
    {"SUPERSEDED", "STALE_SIGNAL", "NOT_SENT", "EXPOSURE_UNCONFIRMED", "KILL_SWITCH"}
)
"""Reasons for which a good signal may end without an order under these faults."""
CLOCK_SLACK_MS = 50.0
REACH_SLACK = 0.12
"""Seconds from the kill switch to the arrival of what was on its way then."""
DEAD_FOR = frozenset({"POISON", "EXPIRED"})
"""Reasons for which a good signal may become a dead letter."""
OF_KIND = {
    "computed size": {"AT_TARGET"},
    "scarce shares": {"NOTHING_TO_SELL"},
}
"""Further reasons for which signals of some kinds may end without an order."""
NO_CASH = "INSUFFICIENT_BUYING_POWER"
"""What any buy may hear while large ones rest: one that is not known to have arrived is counted
twice, in the broker's figure and as our own."""
_NOTES = (
    "SELECT client_order_id, at_ms, kind FROM history"
    " WHERE detail NOT LIKE '%it was known already%' ORDER BY id"
)
"""Without answers to POSTs of which the order stream had told before."""
RESOLVED_BY = frozenset({"answered", "adopted", "conflict"})
GIVEN_UP_BY = "expired_unconfirmed"
"""Kinds of notes that end a doubt."""
_REST = frozenset({*RESTING, *SCARCE, *LARGE})


@dataclass(frozen=True, slots=True)
class Row:
    """The part of a ledger row that is compared."""

    client_order_id: str
    stream: str
    entry_id: str
    signal_id: str
    state: str
    reason: str
    status: str
    filled: Decimal
    symbol: str


@dataclass
class Picture:
    """Everything at one moment, read after the service died or came to rest."""

    rows: dict[str, Row] = field(default_factory=dict)
    dead_letters: dict[str, str] = field(default_factory=dict)
    repeats: set[str] = field(default_factory=set)
    traded: dict[str, Decimal] = field(default_factory=dict)
    outbox: list[Mapping[str, str]] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    orders: dict[str, Order] = field(default_factory=dict)
    """At the broker, read before all else: a standby may be trading already."""

    def row_of(self, entry_id: str, identity: str) -> Row | None:
        """The row that owns an entry: its own, or that of its signal_id."""
        for row in self.rows.values():
            if row.entry_id == entry_id or (identity and row.signal_id == identity):
                return row
        return None


class Oracle:
    """Sees everything of one round.

    Args:
        book: the broker's.
        ledger: where it is.
        client: of Redis, directly, with decoded answers.
        budget: the broker's, None for a broker without a limit.
    """

    def __init__(
        self, book: Book, ledger: LedgerPlace, client: Any, budget: Budget | None = None
    ) -> None:
        self._book = book
        self._budget = budget
        self._ledger = ledger
        self._redis = client
        self.published: dict[str, Made] = {}
        self.forgotten: set[str] = set()
        """client_order_ids whose rows a power loss took."""
        self.gone: set[str] = set()
        """Entries that Redis forgot: what nobody had taken by then can have no end."""
        self.trimmed: set[str] = set()
        """Entries that were read and are in the stream no more."""
        self.kills_in_hand = 0
        """Kills that may have met an entry while it was being decided."""
        self.lives: dict[float, float] = {}
        """When each life began: monotonic seconds → epoch milliseconds."""
        self.killed: list[tuple[float, float]] = []
        """From when to when the kill switch was thrown, monotonic seconds."""
        self._terminal: dict[str, str] = {}
        self._filled: dict[str, Decimal] = {}
        self._told: dict[int, Mapping[str, str]] = {}
        self._told_upto = "-"

    # --- what Redis lost ------------------------------------------------------------------

    def heard(self, event: Mapping[str, str]) -> None:
        """An event that was in the stream and is lost since: it was told all the same."""
        self._told[int(event["event_id"])] = event

    def redis_lost_more(self) -> None:
        """Group or tail: an entry that was trimmed before may now be pending no more either."""
        self.gone |= self.trimmed

    # --- looking --------------------------------------------------------------------------

    def look(self) -> Picture:
        """Read everything, in an order that stays true while another instance goes on."""
        picture = Picture(orders=dict(self._book.orders))
        self._read_redis(picture)
        self._read_ledger(picture)
        self._read_told()
        return picture

    def _read_redis(self, picture: Picture) -> None:
        delivered: tuple[int, int] | None = None
        try:
            for group in self._redis.xinfo_groups(STREAM):
                if group["name"] == GROUP:
                    delivered = entry_key(group["last-delivered-id"])
        except redis.ResponseError:
            return  # no stream yet
        if delivered is None:
            return
        start = "-"
        while True:
            found: Any = self._redis.xpending_range(STREAM, GROUP, start, "+", 1000)
            picture.pending |= {each["message_id"] for each in found}
            if len(found) < 1000:
                break
            start = f"({found[-1]['message_id']}"
        read = {entry for entry in self.published if entry_key(entry) <= delivered}
        picture.acknowledged = read - picture.pending

    def _read_told(self) -> None:
        while True:
            found: Any = self._redis.xrange(TOLD, self._told_upto, "+", 1000)
            for entry_id, event in found:
                self._told[int(event["event_id"])] = event
                self._told_upto = f"({entry_id}"
            if len(found) < 1000:
                return

    def _read_ledger(self, picture: Picture) -> None:
        with self._ledger.read() as db:
            if db is None:
                return  # killed before the tables were made
            for row in db.execute(
                "SELECT client_order_id, stream, entry_id, signal_id, state, reason, status,"
                " filled_qty, symbol FROM order_intents"
            ).fetchall():
                coid, stream, entry, signal, state, reason, status, filled, symbol = row
                picture.rows[coid] = Row(
                    coid, stream, entry, signal, state, reason, status, Decimal(filled), symbol
                )
            letters = db.execute("SELECT entry_id, reason FROM dead_letters").fetchall()
            picture.dead_letters = dict(letters)
            repeats = db.execute("SELECT entry_id FROM repeats").fetchall()
            picture.repeats = {row[0] for row in repeats}
            for coid, qty in db.execute("SELECT client_order_id, qty FROM trades").fetchall():
                picture.traded[coid] = picture.traded.get(coid, Decimal(0)) + Decimal(qty)
            outbox = db.execute("SELECT fields FROM outbox").fetchall()
            picture.outbox = [json.loads(row[0]) for row in outbox]

    # --- checks at any moment -------------------------------------------------------------

    def after_a_crash(self, picture: Picture) -> list[Violation]:
        """What must hold even between two instructions."""
        return [
            *self._acknowledged_is_settled(picture),
            *self._orders_have_rows(picture),
            *self._one_order_each(),
            *self._one_body_each(),
            *limits.looked_up_before_sent_again(self._book, list(self.lives), self.forgotten),
            *limits.covered(self._book, self.forgotten),
            *(limits.budget_kept(self._budget) if self._budget else ()),
            *self._nothing_goes_back(picture),
            *self._poisoned_with_cause(picture),
            *self._nothing_stale_sent(),
            *self._nothing_sent_while_killed(),
            *self._one_instance_sends(),
            *self._old_orders_are_nobodys(picture),
        ]

    def _acknowledged_is_settled(self, picture: Picture) -> Iterator[Violation]:
        """I1, I3: no XACK before the end, or an open order, is durable and told or about to be."""
        if not picture.acknowledged:
            return
        told = {
            e.get("entry_id", "")
            for e in (*self._told.values(), *picture.outbox)
            if e["final"] == "1"
        }
        by_entry = {row.entry_id: row for row in picture.rows.values()}
        by_signal = {row.signal_id: row for row in picture.rows.values() if row.signal_id}
        for entry in picture.acknowledged:
            if self._is_gone(picture, entry):
                continue
            if entry in picture.dead_letters:
                row = None
            else:
                row = by_entry.get(entry) or by_signal.get(self.published[entry].identity)
                if row is None:
                    yield Violation("ack before row", f"{entry} is acknowledged and has no record")
                    continue
                # Of one whose content is gone the row alone can still make something.
                excused = entry in self.trimmed | self.gone or row.client_order_id in self.forgotten
                if row.state in {"SUBMITTING", "UNKNOWN"} and not excused:
                    yield Violation("ack before end", f"{entry} is acknowledged, its row {row}")
            if (row is None or row.state in TERMINAL) and entry not in told:
                yield Violation("ack before outbox", f"{entry} is acknowledged, its end is untold")

    def _orders_have_rows(self, picture: Picture) -> Iterator[Violation]:
        for coid, order in picture.orders.items():
            if coid not in picture.rows and coid not in self.forgotten and not order.old:
                yield Violation("order without row", f"{coid} ({order.key}) has no ledger row")

    def _one_order_each(self) -> Iterator[Violation]:
        """I2, by what the orders look like and not by their ids."""
        coids: dict[str, set[str]] = defaultdict(set)
        for post in list(self._book.posts):
            coids[post.order].add(post.client_order_id)
        for key, found in coids.items():
            if len(found) > 1:
                at_broker = [coid for coid in found if coid in self._book.orders]
                check = "duplicate" if len(at_broker) > 1 else "second id"
                yield Violation(check, f"the signal of {key!r} was sent as {sorted(found)}")
        keys: dict[str, set[str]] = defaultdict(set)
        for made in self.published.values():
            if made.identity and made.key:
                keys[made.identity].add(made.key)
        placed = Counter(order.key for order in list(self._book.orders.values()))
        for identity, several in keys.items():
            if sum(placed[key] for key in several) > 1:
                yield Violation("duplicate", f"signal_id {identity} made several orders")

    def _one_body_each(self) -> Iterator[Violation]:
        bodies: dict[str, bytes] = {}
        for post in list(self._book.posts):
            if bodies.setdefault(post.client_order_id, post.body) != post.body:
                yield Violation(
                    "body changed",
                    f"{post.client_order_id}: {bodies[post.client_order_id]!r}, then {post.body!r}",
                )

    def _nothing_goes_back(self, picture: Picture) -> Iterator[Violation]:
        """I4, I6: an end stays, and what is filled never shrinks."""
        for coid, row in picture.rows.items():
            before = self._terminal.get(coid)
            if before and row.state != before:
                yield Violation("end left", f"{coid} was {before} and is {row.state}")
            if row.filled < self._filled.get(coid, Decimal(0)):
                yield Violation("fill lost", f"{coid} had {self._filled[coid]}, has {row.filled}")
            if row.state in TERMINAL:
                self._terminal[coid] = row.state
            self._filled[coid] = row.filled
        for coid in self._terminal:
            if coid not in picture.rows:
                yield Violation("row lost", f"{coid} had ended and has no row any more")

    def _poisoned_with_cause(self, picture: Picture) -> Iterator[Violation]:
        """A good signal may look like poison: it was in hand at three kills, twice all alone.

        So there are at least two kills for every one that ends as POISON.
        """
        found = [
            entry
            for entry, reason in picture.dead_letters.items()
            if reason == "POISON" and entry in self.published
        ]
        if 2 * len(found) > self.kills_in_hand:
            yield Violation(
                "innocents poisoned", f"{found} ended as POISON after {self.kills_in_hand} kills"
            )

    def _nothing_stale_sent(self) -> Iterator[Violation]:
        """I5: a process that began after a signal's time was over must not send it."""
        limits: dict[str, float] = {}
        for entry, made in self.published.items():
            if made.max_age and made.key:
                limits[made.key] = entry_key(entry)[0] + made.max_age * 1000
        for post in list(self._book.posts):
            if post.order not in limits:
                continue
            began = max((at for at in self.lives if at <= post.at), default=0.0)
            if began and self.lives[began] > limits[post.order] + CLOCK_SLACK_MS:
                yield Violation("stale sent", f"{post.order!r} {post.client_order_id}")

    def _nothing_sent_while_killed(self) -> Iterator[Violation]:
        """I5: the kill switch counts up to the last moment before the POST."""
        for post in list(self._book.posts):
            for thrown, lifted in self.killed:
                if thrown + REACH_SLACK < post.at < lifted:
                    after = post.at - thrown
                    yield Violation("sent while killed", f"{post.order!r}, {after:.2f} s after")

    def _one_instance_sends(self) -> Iterator[Violation]:
        """Once a standby has sent anything, the instance before it sends nothing."""
        newest = 0
        for post in list(self._book.posts):
            if post.by < newest:
                yield Violation("two instances send", f"{post.order!r} by life {post.by}")
            newest = max(newest, post.by)

    def _old_orders_are_nobodys(self, picture: Picture) -> Iterator[Violation]:
        for coid, order in picture.orders.items():
            row = picture.rows.get(coid)
            if order.old and row is not None and row.state in {"OPEN", "FILLED", "CANCELED"}:
                yield Violation("adopted an old order", f"{coid} ({order.key}): {row}")

    # --- checks at rest -------------------------------------------------------------------

    def open_ends(self) -> list[str]:
        """Entries not told to their end yet; empty when everything has come to rest."""
        self._read_told()
        ends = {
            e.get("entry_id", "")
            for e in self._told.values()
            if e["final"] == "1" or e["event"] == "expired_unconfirmed"
        }
        waiting = self._wait_for_the_unconfirmed()
        missing = [entry for entry in self.published if entry not in ends and entry not in waiting]
        if self.gone.intersection(missing):
            picture = self.look()
            missing = [entry for entry in missing if not self._is_gone(picture, entry)]
        if missing:
            return missing
        summary: Any = self._redis.xpending(STREAM, GROUP)
        return ["pending"] * max(0, int(summary["pending"]) - len(waiting))

    def _is_gone(self, picture: Picture, entry: str) -> bool:
        """Redis forgot it before anything was on record of it."""
        if entry not in self.gone or entry in picture.pending:
            return False
        known = any(row.entry_id == entry for row in picture.rows.values())
        return not known and entry not in {*picture.dead_letters, *picture.repeats}

    def _wait_for_the_unconfirmed(self) -> set[str]:
        """Repeated entries stay pending, by design, while their first one is unconfirmed."""
        unsure: dict[str, str] = {}
        for _, event in sorted(self._told.items()):
            coid = event.get("client_order_id", "")
            if event["event"] == "expired_unconfirmed":
                unsure[coid] = event.get("signal_id", "")
            elif event["final"] == "1":
                unsure.pop(coid, None)
        names = set(unsure.values()) - {""}
        return {entry for entry, made in self.published.items() if made.identity in names}

    def at_rest(self, picture: Picture) -> list[Violation]:
        """Once faults have stopped and time was given: I1 to I7."""
        return [
            *self.after_a_crash(picture),
            *self._everything_ended(picture),
            *self._told_once(picture),
            *self._as_at_broker(picture),
            *self._ended_rightly(picture),
            *self._in_order(picture),
        ]

    def _everything_ended(self, picture: Picture) -> Iterator[Violation]:
        finals = {e.get("entry_id", "") for e in self._told.values() if e["final"] == "1"}
        unsure = {
            e.get("entry_id", "")
            for e in self._told.values()
            if e["event"] == "expired_unconfirmed"
        }
        waiting = self._wait_for_the_unconfirmed()
        for entry, made in self.published.items():
            if entry in finals or entry in unsure or entry in waiting:
                continue
            if self._is_gone(picture, entry):
                continue
            row = picture.row_of(entry, made.identity)
            known = row is not None or entry in picture.dead_letters or entry in picture.pending
            yield Violation(
                "stuck" if known else "lost", f"{entry} {made.kind} {made.key!r}: {row}"
            )
        for entry in picture.pending - waiting:
            yield Violation("stuck", f"{entry} is pending")

    def _told_once(self, picture: Picture) -> Iterator[Violation]:
        unknowable = {
            picture.rows[coid].entry_id
            for coid, order in self._book.orders.items()
            if coid in picture.rows and self._is_beyond_knowing(order)
        }
        finals = Counter(e.get("entry_id", "") for e in self._told.values() if e["final"] == "1")
        for entry, times in finals.items():
            if (
                times > 1 and entry in self.published and entry not in unknowable
            ):  # an orphan's end is told without an entry
                told = [e["event"] for e in self._told.values() if e.get("entry_id", "") == entry]
                yield Violation("told twice", f"{entry} has {times} ends: {told}")

    def _as_at_broker(self, picture: Picture) -> Iterator[Violation]:
        for coid, order in self._book.orders.items():
            row = picture.rows.get(coid)
            if row is None or order.old or self._is_beyond_knowing(order):
                continue  # looked at above
            if row.state not in TERMINAL:
                yield Violation("stuck", f"{coid} is {row.state}, at the broker {order.status}")
            elif (row.status, row.filled) != (order.status, order.filled):
                yield Violation(
                    "wrong end",
                    f"{coid} ({order.key}) is {row.state} {row.status} {row.filled}, at the broker "
                    f"{order.status} {order.filled}",
                )
            elif picture.traded.get(coid, Decimal(0)) != order.filled:
                yield Violation(
                    "wrong executions", f"{coid}: {picture.traded.get(coid)} of {order.filled}"
                )

    def _is_beyond_knowing(self, order: Order) -> bool:
        """The power took its row, and the next start's question came before the broker had it.

        Then nothing on this side can know of it: LEDGER_FSYNC_BEFORE_POST is for those who must.
        """
        coid = order.client_order_id
        late = any(p.fault.endswith("later") for p in self._book.posts if p.client_order_id == coid)
        return coid in self.forgotten and (late or order.hidden_until > 0)

    def _ended_rightly(self, picture: Picture) -> Iterator[Violation]:
        """A good signal ends without an order only for a reason that these faults can cause."""
        at_broker = {order.key for order in self._book.orders.values()}
        by_entry = {row.entry_id: row for row in picture.rows.values()}
        for entry, made in self.published.items():
            if self._is_gone(picture, entry):
                continue
            if made.kind == "nonsense":
                if entry not in picture.dead_letters:
                    yield Violation("nonsense accepted", f"{entry} {made.fields}")
            elif made.key not in at_broker and not made.identity:
                why = self._unsent_wrongly(picture, by_entry.get(entry), entry, made)
                if why:
                    yield Violation("wrong end", f"{entry} {made.key!r} ended unsent: {why}")

    def _unsent_wrongly(self, picture: Picture, row: Row | None, entry: str, made: Made) -> str:
        if row is None:
            reason = picture.dead_letters.get(entry, "")
            allowed = reason in DEAD_FOR or (reason == "PAYLOAD_LOST" and entry in self.trimmed)
            return "" if allowed else reason or "without a record"
        allowed = row.reason in UNSENT_FOR or row.state == "EXPIRED_UNCONFIRMED"
        allowed |= row.reason in OF_KIND.get(made.kind, ())
        allowed |= row.reason == NO_CASH and self._little_cash()
        allowed |= row.reason == "REFUSED_BY_BROKER" and row.client_order_id in self._book.refused
        return "" if allowed else str(row)

    def _little_cash(self) -> bool:
        return any(made.kind == "scarce cash" for made in self.published.values())

    def _in_order(self, picture: Picture) -> Iterator[Violation]:
        """First arrivals of one asset's orders at the broker follow the stream."""
        # The place is the entry's that made the order: an earlier one of its signal_id may have
        # ended without.
        order_of = {
            order.key: entry_key(picture.rows[coid].entry_id)
            for coid, order in self._book.orders.items()
            if coid in picture.rows
        }
        newest: dict[str, tuple[tuple[int, int], str]] = {}
        seen: set[str] = set()
        for post in self._book.posts:
            key = post.order
            if key in seen or key not in order_of or key.split(" ")[0] in _REST:
                continue
            seen.add(key)
            if post.client_order_id in self.forgotten:
                continue  # with its row, the power took what a later start could know of it
            symbol, place = key.split(" ")[0], order_of[key]
            before = newest.get(symbol)
            if before and place < before[0]:
                yield Violation("overtaken", f"{key!r}  was sent after  {before[1]!r} ")
            else:
                newest[symbol] = place, key

    # --- telling --------------------------------------------------------------------------

    def unclear(self) -> tuple[list[float], list[float]]:
        """Seconds for which POSTs were unclear: those that were resolved, and those given up.

        By the ledger's history, in the life that found out: lives before it were too short.
        """
        with self._ledger.read() as db:
            notes = db.execute(_NOTES).fetchall() if db is not None else []
        began: dict[str, int] = {}
        resolved: list[float] = []
        given_up: list[float] = []
        for coid, at, kind in notes:
            if kind == "unknown" or (kind == "recovered" and coid in began):
                began[coid] = at
            elif coid in began and kind in {GIVEN_UP_BY, *RESOLVED_BY}:
                ended = given_up if kind == GIVEN_UP_BY else resolved
                ended.append((at - began.pop(coid)) / 1000)
        return resolved, given_up

    def story(self, violation: Violation, picture: Picture) -> list[str]:
        """Everything known of what a violation is about."""
        lines = []
        for entry, made in self.published.items():
            row = picture.row_of(entry, made.identity)
            coid = row.client_order_id if row else ""
            named = {entry, made.key, coid, made.identity and f"signal_id {made.identity} "}
            if not any(name and name in violation.about for name in named):
                continue
            lines.append(f"entry {entry}: {made.kind} {made.fields}")
            lines.append(f"  row: {row}; dead letter: {picture.dead_letters.get(entry)}")
            acked, pending = entry in picture.acknowledged, entry in picture.pending
            lines.append(f"  acknowledged: {acked}, pending: {pending}")
            if coid in self.forgotten:
                lines.append("  its row was once lost with the power")
            if entry in self.gone | self.trimmed:
                lines.append("  Redis lost it once, or its content was trimmed")
            posts = [p for p in self._book.posts if p.order == made.key and made.key]
            lines += [f"  POST at {p.at:.3f} as {p.client_order_id}: {p.fault}" for p in posts]
            orders = [o for o in self._book.orders.values() if o.key == made.key and made.key]
            lines += [f"  order {o.client_order_id} {o.status} {o.filled}" for o in orders]
            lines += [
                f"  told {number}: {e['event']} final={e['final']} "
                f"{e.get('reason', '')} {e.get('message', '')}"
                for number, e in self._told.items()
                if e.get("entry_id", "") == entry
            ]
        return lines

    def unsent(self, picture: Picture) -> Counter[str]:
        """Why rows have no order, counted."""
        return Counter(
            f"{row.state} {row.reason}"
            for coid, row in picture.rows.items()
            if coid not in self._book.orders
        )


def entry_key(entry_id: str) -> tuple[int, int]:
    """What entry ids are ordered by."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)
