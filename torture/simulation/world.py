"""The world around the service, and everything that can happen to it, as methods to call.

Random schedules and the state machine of the model test both drive this. Every method ends with
the oracle's look at I1 to I6.
"""

import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Self

import redis

from solution import failpoints
from solution.domain.orders import client_order_id, deployment_id
from solution.errors import LedgerError, StartupError
from solution.http_common import Response
from solution.ledger.lease import LEASE_TTL
from solution.runtime.service import Fatal
from torture.simulation.clock import CLOSES, SimClock
from torture.simulation.exchange import ACCOUNT, PRICE, Exchange, Order, session_open
from torture.simulation.faults import (
    LATE,
    VERY_LATE,
    GetFault,
    PostFault,
    answer_get,
    answer_post,
)
from torture.simulation.instance import GROUP, MAX_AGE, STREAMS, Life, folder, replaced, settings
from torture.simulation.oracle import Oracle, Published
from torture.simulation.redis_client import RedisClient
from torture.simulation.redis_store import RedisStore
from torture.simulation.storage import Storage

QUIET_WITHIN = 240.0
"""Seconds after the last fault within which everything must have ended (or be watched)."""
AFTER_CLOSE = 1500.0
LATENCY = 0.0004
SLOW = 2.0


class Violated(AssertionError):
    """The oracle saw an invariant broken."""


class World:
    """One account, one Redis, one ledger; the service lives in it, dies and comes back.

    Args:
        chance: decides what the schedule leaves open (fills, stream order).
        before_close: seconds from now to the end of the session.
        power: keep what an fsync would have kept, for :meth:`lose_power`.
    """

    def __init__(
        self, chance: random.Random, *, power: bool = False, before_close: float = 1200.0
    ) -> None:
        self.chance = chance
        self.clock = SimClock(CLOSES - timedelta(seconds=before_close))
        self._undo = ExitStack()
        self._power = power
        self.blackout = False
        """Whether the crash that comes is a power loss."""
        self._kill_file = folder() / "kill"
        self._kill_file.unlink(missing_ok=True)
        for kept in folder().glob("assets-*"):
            kept.unlink()  # or the first world of a process would ask more than the next
        self.settings = settings()
        self.storage = Storage(self.seam)
        self._undo.callback(self.storage.close)
        self.exchange = Exchange(
            self.clock,
            killed=self._kill_file.exists,
            active=lambda: self._acting is None or self._acting.epoch == self.storage.epoch(),
        )
        self.exchange.outcome = self._fill_of
        self.clock.after(before_close, self.exchange.close_session)
        self.store = RedisStore(
            self.clock,
            lambda *about: self.oracle.on_ack(*about),  # noqa: PLW0108 - made below
            lambda *about: self.oracle.on_delivery(*about),  # noqa: PLW0108 - as above
        )
        self.oracle = Oracle(self.clock, self.store, self.storage, self.exchange, GROUP, STREAMS)
        self.oracle.note = self.note
        self.deployment = deployment_id(ACCOUNT, GROUP)
        self.life: Life | None = None
        self._acting: Life | None = None
        self.lives = self.crashes = 0
        self.post_faults: deque[PostFault] = deque()
        self.get_faults: deque[GetFault] = deque()
        self.redis_faults: deque[str] = deque()
        self.redis_down = False
        self.seams: list[tuple[str, int, Callable[[], None]]] = []
        self._tags = 0
        self._started: set[str] = set()
        self._kept_redis: Any = None
        self._settling = False
        self.trace: list[str] = []

    def __enter__(self) -> Self:
        self._undo.enter_context(replaced(self))
        level = logging.getLogger("solution").level
        logging.getLogger("solution").setLevel(logging.CRITICAL + 1)
        self._undo.callback(logging.getLogger("solution").setLevel, level)
        self._undo.callback(failpoints.disarm)
        self.boot()
        return self

    def __exit__(self, *_details: object) -> None:
        self._undo.close()

    # --- the world's edges ----------------------------------------------------------------------

    def seam(self, name: str) -> None:
        """A moment at which the outside is touched: time passes, and what was planned happens."""
        self.clock.advance(LATENCY)
        for number, (wanted, left, action) in enumerate(self.seams):
            if name.startswith(wanted):
                if left > 1:
                    self.seams[number] = (wanted, left - 1, action)
                    continue
                del self.seams[number]
                action()
                return

    def http(self, method: str, target: str, body: bytes | None) -> Response:
        if method == "POST":
            return self._post(body or b"")
        self.seam(f"get:before {target}")
        fault = self.get_faults.popleft() if self.get_faults else GetFault.OK
        answer = answer_get(fault, lambda: self._asked(method, target))
        self.seam(f"get:after {target}")
        return answer

    def _asked(self, method: str, target: str) -> Response:
        answer = self.exchange.get(method, target)
        failpoints.hit("ask.in_flight")
        return answer

    def _post(self, body: bytes) -> Response:
        self.seam("post:before")
        fault = self.post_faults.popleft() if self.post_faults else PostFault.OK
        if fault in {PostFault.LATE, PostFault.VERY_LATE}:
            late = LATE if fault is PostFault.LATE else VERY_LATE
            self.clock.after(late, lambda: self._arrives_late(body))

        self.note(f"POST {fault} {body.decode()}")

        def run(effective: bool) -> Response:
            answer = self.exchange.post(body, effective=effective, fault=str(fault))
            failpoints.hit("post.in_flight")
            self.seam("post:effect")
            if fault is PostFault.SLOW:
                self.clock.advance(SLOW)
            return answer

        answer = answer_post(fault, run)
        self.seam("post:after")
        return answer

    def _arrives_late(self, body: bytes) -> None:
        """Accepted long after its POST timed out, unless the id is taken or the broker says no."""
        if session_open(self.clock.now()):
            before = len(self.exchange.refusals)
            self.exchange.post(body, effective=True)
            self.exchange.posts.pop()  # it was logged when it was sent
            del self.exchange.refusals[before:]

    def redis(self) -> RedisClient:
        return RedisClient(self.store, self._redis_before, self._redis_after)

    def _redis_before(self, command: tuple[object, ...]) -> None:
        self.seam(f"redis:before {command[0]}")
        if self.redis_down:
            raise redis.ConnectionError("connection refused")
        if self.redis_faults and self.redis_faults[0] != "reply_lost":
            name = self.redis_faults.popleft()
            if name == "refused":
                raise redis.ConnectionError("connection reset by peer")
            if name == "loading":
                raise redis.BusyLoadingError("LOADING Redis is loading the dataset in memory")
            raise redis.ReadOnlyError("READONLY You can't write against a read only replica.")

    def _redis_after(self, command: tuple[object, ...]) -> None:
        self.seam(f"redis:after {command[0]}")
        lost = bool(self.redis_faults) and self.redis_faults[0] == "reply_lost"
        if lost and command[0] in {"XREADGROUP", "PIPELINE", "XCLAIM"}:
            self.redis_faults.popleft()
            raise redis.TimeoutError("Timeout reading from socket")

    # --- the service's life ---------------------------------------------------------------------

    def boot(self) -> bool:
        """A start; False when the world did not allow it."""
        self.lives += 1
        life = Life(self, self.lives)
        try:
            life.begin()
        except (failpoints.Crash, StartupError, LedgerError, Fatal) as e:
            self.note(f"start failed: {type(e).__name__}: {e}")
            # Not all: it may have been taken over while it started, or be the one that takes over.
            self.storage.drop_connections(life.number)
            return False
        self._watch_hands(life)
        self.life = life
        return True

    def _watch_hands(self, life: Life) -> None:
        """Which entries were begun in this life, so that its end can be laid at their door."""
        pipeline: Any = life.parts.deciding.pipeline
        reading: Any = life.parts.listening.listener._ports.reading
        start, begin = pipeline.start, reading.begin

        def noted(work: Any, *rest: Any, **named: Any) -> Any:
            self._started.add(work.ref.entry_id)
            return start(work, *rest, **named)

        def read(ref: Any) -> bool:
            self._started.add(ref.entry_id)
            whole = bool(begin(ref))
            self.oracle.count_starts()  # the mark is gone again before the step ends
            return whole

        pipeline.start, reading.begin = noted, read

    def crash(self) -> None:
        """kill -9: every object goes, what is durable stays."""
        if self._power and self.blackout:
            self.blackout = False
            self.lose_power()
            return
        self.blackout = False
        self._blame()
        self.life = None
        self.crashes += 1
        failpoints.disarm()
        self.storage.drop_connections()
        self.oracle.check()  # what was done is judged by what was known then
        self.oracle.delivered.clear()

    def _blame(self) -> None:
        """Whatever was begun in this life may not have been noted as ended in the ledger."""
        for entry_id in self._started:
            self.oracle.crashes_in[entry_id] += 1
        self._started.clear()

    def take_over(self) -> None:
        """The living instance stands still for longer than its lease; another one takes over."""
        self.note("taken over by another instance")
        self.clock.advance(2 * LEASE_TTL)
        acting, self._acting = self._acting, None
        self._blame()
        self.life = None
        self.oracle.check()
        self.oracle.delivered.clear()
        self.boot()
        self._acting = acting

    def lose_power(self) -> None:
        """A crash in which what was not fsynced goes too."""
        self.note("the power fails")
        self.blackout = False
        self.crash()
        before = set(self.oracle.rows())
        self.storage.lose_power()
        self.oracle.after_power_loss(before)

    def do(self, step: Callable[[Life], None]) -> None:
        """One step of the living service (it is started if it is not), then the oracle's look."""
        if self.life is None and not self.boot():
            self.clock.advance(0.5)
            self.look()
            return
        before, self._acting = self._acting, self.life
        try:
            if self.life is not None:
                step(self.life)
        except (failpoints.Crash, Fatal, LedgerError) as e:
            self.note(f"died: {type(e).__name__}: {e}")
            if self._acting is self.life:
                self.crash()
        finally:
            self._acting = before
        self.look()

    def look(self) -> None:
        """The oracle's look; raises what it sees."""
        self.oracle.check()
        if self.oracle.violations:
            raise Violated("\n".join(self.oracle.violations))

    def note(self, text: str) -> None:
        self.trace.append(f"{self.clock.monotonic() - 1000:8.3f}  {text}")

    # --- what the service does, step by step ----------------------------------------------------

    def read(self) -> None:
        self.do(Life.read)

    def work(self) -> None:
        self.do(Life.work)

    def commit(self) -> None:
        self.do(self.commit_now)

    def commit_now(self, life: Life) -> None:
        """The writer's step, and what an fsync keeps of it."""
        life.commit()
        if self._power:
            self.storage.keep()

    def publish_events(self) -> None:
        self.do(Life.publish)

    def renew(self) -> None:
        self.do(Life.renew)

    def watch(self) -> None:
        self.do(Life.look)

    def keep(self) -> None:
        self.do(Life.keep)

    def round(self) -> None:
        """A little of everything, in the order in which the threads would."""
        steps = (Life.renew, Life.read, Life.work, self.commit_now, Life.publish, Life.look)
        for step in (*steps, Life.keep):
            self.do(step)

    def tick(self, seconds: float) -> None:
        """Time passes; the watch runs whenever something of it is due."""
        end = self.clock.monotonic() + seconds
        while self.life is not None:
            due = self.life.parts.tracking.schedule.next_at()
            if due is None or due > end:
                break
            self.clock.advance_to(due + 1e-6)  # beyond what rounding takes off
            self.do(Life.look)
        self.clock.advance_to(end)

    def hear(self, *, which: int = 0, drop: bool = False, again: bool = False) -> None:
        """One message of the order stream arrives, or never does; it may come once more later."""
        events = self.exchange.events
        if not events:
            return
        message = events[which % len(events)]
        if not again:
            events.remove(message)
        if not drop and self.life is not None and self.life.hears:
            self.do(lambda life: life.hear(message))

    def connect_stream(self) -> None:
        if self.life is not None and not self.life.hears:
            self.exchange.events.clear()  # the stream has no replay
            self.do(Life.connect_stream)

    def disconnect_stream(self) -> None:
        if self.life is not None and self.life.hears:
            self.do(Life.disconnect_stream)

    # --- producers ------------------------------------------------------------------------------

    def publish(
        self,
        kind: str = "plain",
        *,
        stream: str = STREAMS[0],
        symbol: str = "NVDA",
        direction: str = "b",
        qty: str = "3",
        tif: str = "ioc",
        signal_id: str = "",
        tag: str = "",
        max_age: float | None = None,
        entry_id: str = "*",
        extra: dict[str, str] | None = None,
    ) -> Published:
        """One entry; its limit price is its name at the exchange."""
        if not tag:
            self._tags += 1
            tag = f"{100 + self._tags / 100:.2f}"
        fields = {
            "ticker": symbol, "direction": direction, "qty": qty, "order_type": "limit",
            "limit_price": tag, "time_in_force": tif, **(extra or {}),
        }  # fmt: skip
        if signal_id:
            fields["signal_id"] = signal_id
        if max_age is not None:
            fields["max_age"] = format(max_age, "g")
        if kind == "bad":
            fields["qty"] = "-3"
        if kind == "unknown_ticker":
            fields["ticker"] = "NOSUCH"
        return self._put(kind, stream, fields, entry_id)

    def _put(
        self, kind: str, stream: str, fields: dict[str, str], entry_id: str = "*"
    ) -> Published:
        pairs = [(name.encode(), text.encode()) for name, text in fields.items()]
        entry = Published(
            stream=stream,
            entry_id=self.store.add(stream, pairs, entry_id),
            kind=kind,
            fields=fields,
            max_age=min(MAX_AGE, float(fields.get("max_age", MAX_AGE))),
            at=self.clock.monotonic(),
        )
        self.oracle.add(entry)
        self.note(f"publish {kind} {entry.entry_id} {stream} {' '.join(fields.values())}")
        return entry

    def again(self, entry: Published, *, tag: str = "") -> Published:
        """The same signal_id once more, with the same content or (another tag) with another."""
        if not tag:
            return self._put("again", entry.stream, entry.fields)
        return self._put("reused", entry.stream, entry.fields | {"limit_price": tag})

    def yesterdays(self, *, symbol: str = "AMD", qty: str = "3") -> Published:
        """A signal of 3 shares whose id has an order of yesterday at the exchange.

        Args:
            qty: of that order; with another size than 3 it cannot be the signal's.
        """
        self._tags += 1
        tag, signal_id = f"{100 + self._tags / 100:.2f}", f"old-{self._tags}"
        identity = f"{STREAMS[0]}|id:{signal_id}"
        body = {
            "client_order_id": client_order_id(self.deployment, identity), "symbol": symbol,
            "side": "buy", "type": "limit", "time_in_force": "ioc", "qty": qty, "limit_price": tag,
        }  # fmt: skip
        day_before = self.clock.now().replace(day=self.clock.now().day - 1)
        order = self.exchange.place(body, at=day_before)
        order.raw |= {"status": "filled", "filled_qty": qty, "filled_avg_price": "100"}
        self.oracle.old_orders.add(order.id)
        return self.publish("yesterday", symbol=symbol, signal_id=signal_id, tag=tag)

    # --- the exchange ---------------------------------------------------------------------------

    def _fill_of(self, order: Order) -> Any:
        if self._settling:
            return order.qty
        return self.chance.choice((order.qty, order.qty, order.qty, 1, 0)) + PRICE * 0

    def trade(self, *, whole: bool = True) -> None:
        """Some resting order trades."""
        resting = self.exchange.open_list()
        if resting:
            order = resting[self.chance.randrange(len(resting))]
            left = order.qty - order.filled
            self.exchange.fill(order, left if whole or left <= 1 else left - 1)
            self.note(f"{order.id} trades")

    def cancel_at_broker(self) -> None:
        """Somebody cancels a resting order at the broker's own page."""
        resting = self.exchange.open_list()
        if resting:
            self.exchange.end(resting[self.chance.randrange(len(resting))], "canceled")

    def kill_switch(self, *, on: bool) -> None:
        self.note(f"kill switch {'on' if on else 'off'}")
        if on:
            self._kill_file.touch()
        else:
            self._kill_file.unlink(missing_ok=True)

    def delist(self, symbol: str) -> None:
        """The broker's list of assets holds it no more, and no copy of the list does."""
        self.note(f"{symbol} delisted")
        self.exchange.delisted.add(symbol)
        for kept in folder().glob("assets-*"):
            kept.unlink()

    # --- Redis ----------------------------------------------------------------------------------

    def set_clock_back(self, seconds: float) -> None:
        """A failover to a machine whose clock stands behind."""
        self.note(f"Redis's clock goes back {seconds} s")
        self.store.behind_ms += round(1000 * seconds)

    def lose_group(self, stream: str) -> None:
        found = self.store.streams.get(stream)
        if found is not None:
            never = [ref for ref in self.oracle.trimmed if ref[0] == stream]
            self.oracle.forgiven.update(never)  # neither content nor a pending entry is left
            found.groups.pop(GROUP, None)
            self.note(f"group of {stream} lost")

    def keep_redis(self) -> None:
        """What an append-only file would have on the disk by now."""
        self._kept_redis = self.store.snapshot()

    def lose_tail(self) -> None:
        """Redis comes back without its last seconds: new entries gone, old ones pending again."""
        if self._kept_redis is None:
            return
        gone = {(name, k) for name, s in self.store.streams.items() for k in s.entries}
        self.store.lose_tail(self._kept_redis)
        gone -= {(name, k) for name, s in self.store.streams.items() for k in s.entries}
        self.oracle.forgiven |= {(name, f"{k[0]}-{k[1]}") for name, k in gone}
        self.oracle.forgiven |= self.oracle.trimmed  # their content may have come back
        self.oracle.executions_lost()
        self.note(f"tail lost: {len(gone)} entries")

    def trim_pending(self) -> None:
        """A pending entry's content disappears (somebody trimmed the stream)."""
        for stream in STREAMS:
            pending = self.store.pending(stream, GROUP)
            if pending:
                entry_id = self.chance.choice(pending)
                self.store.drop(stream, entry_id)
                self.oracle.trimmed.add((stream, entry_id))
                self.note(f"{entry_id} trimmed")
                return

    # --- the end --------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults: everything must end, and agree with the exchange.

        Raises:
            Violated: it does not.
        """
        self.note("faults stop")
        self._settling = True
        self.redis_down = False
        for faults in (self.post_faults, self.get_faults, self.redis_faults, self.seams):
            faults.clear()
        failpoints.disarm()
        self.kill_switch(on=False)
        self._until_quiet(self.clock.monotonic() + QUIET_WITHIN, watched_too=False)
        if self.oracle.unfinished(watched_too=True):
            self._after_the_close()
        self.oracle.check_end()
        self._compare_positions()
        if self.oracle.violations:
            raise Violated("\n".join(self.oracle.violations))

    def _after_the_close(self) -> None:
        """What was never found is settled by the broker's lists after the close."""
        while session_open(self.clock.now()):
            self.tick(120.0)
            self.round()
        self._until_quiet(self.clock.monotonic() + AFTER_CLOSE, watched_too=True)

    def _until_quiet(self, deadline: float, *, watched_too: bool) -> None:
        pause = 0.25
        while self.clock.monotonic() < deadline:
            self.connect_stream()
            for _ in range(3):
                self.round()
            while self.exchange.events:
                self.hear()
            for order in self.exchange.open_list():
                if order.raw["time_in_force"] == "day":
                    self.exchange.fill(order, order.qty - order.filled)
            busy = bool(self.exchange.events) or bool(self.exchange.open_list())
            if self._idle() and not busy and not self.oracle.unfinished(watched_too=watched_too):
                return
            self.tick(pause)
            pause = min(pause * 1.3, 20.0)

    def _idle(self) -> bool:
        """Whether the service has written and told everything it decided."""
        life = self.life
        return (
            life is not None
            and not life.parts.outcomes.writer.pending
            and not life.parts.outcomes.publisher.pending
        )

    def _compare_positions(self) -> None:
        for _ in range(2):  # the first may find fills that came after its question
            self.tick(61.0)
            self.round()
            self.do(Life.keep)
        for symbol, theirs in self.exchange.holdings.items():
            ours = self.life.held(symbol) if self.life is not None else theirs
            if ours != theirs:
                self.oracle.fail("I4", f"{symbol}: our book says {ours}, the exchange {theirs}")
