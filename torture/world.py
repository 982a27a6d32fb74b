"""One round: a fresh Redis, a fresh ledger, a broker, and many lives of one service."""

import contextlib
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1
from types import TracebackType
from typing import Any, Self

import orjson
import redis

from benchmarks import broker_data
from solution.domain.orders import client_order_id, deployment_id
from torture.budget import Budget
from torture.ledgers import LedgerFile, LedgerPlace
from torture.nursery import Life, Nursery
from torture.oracle import GROUP, STREAM, Oracle
from torture.plan import LOST_AFTER, PLAIN, REDIS_LOSES, WINDOW, LifePlan, Terms
from torture.redis_faults import OBSTACLE, RedisFaults
from torture.redis_proxy import RedisProxy
from torture.redis_server import RedisServer
from torture.service import RATE_WINDOW
from torture.signals import (
    HELD,
    KINDS,
    LARGE,
    SCARCE,
    STANDING,
    SYMBOLS,
    WITH_LITTLE_CASH,
    Made,
    signals,
)
from torture.violation import Violation
from torture.wire import Broker, first_post_of

NO_LIMITS = dict.fromkeys(
    (
        *("MAX_POSITION_PCT", "MAX_ORDER_NOTIONAL", "MAX_GROSS_EXPOSURE_PCT", "MAX_TRADES_PER_DAY"),
        *("MAX_ORDERS_PER_MINUTE_PER_TICKER", "MAX_DAILY_LOSS_PCT", "MAX_FLIPS"),
        *("MAX_SPREAD_BPS", "PRICE_COLLAR_PCT", "CIRCUIT_BREAKER_FAILURES"),
    ),
    "0",
)
"""Delivery is the subject here, and how often is chosen by the plan."""
SETTLE_WITHIN = 40.0
"""Seconds for everything to come to its end once the faults have stopped (I7)."""
STOP_WITHIN = 12.0
TAKEOVER_WITHIN = 10.0
"""Seconds that a standby gets to notice that the active one is silent."""
HEALTHY = 12
HEALTHY_WITHIN = 1.2
"""Seconds from XADD to POST at most, the median of so many signals, with nothing wrong; with a
request limit, its window more."""
_TICK = 0.03
MOST_OUTSTANDING = 25
"""Signals not at their end, beyond which few new ones come: most are to meet the faults."""
WORKERS = ("-w", "6")
_NOTHING_IN_HAND = ("migration.", "recovery.", "listener.read")
"""Points that a life passes before any entry is read again or decided."""
COLD_TAKES = 0.7
"""Seconds that a fresh interpreter needs longer than a fork, on a busy machine."""


@dataclass
class Result:
    """What one round showed."""

    seed: str
    kills: Counter[str] = field(default_factory=Counter)
    other_ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    unsent: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    posts: int = 0
    """While faults were on; ``bad_posts`` of them were answered badly."""
    bad_posts: int = 0
    violations: list[Violation] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    takeovers: list[float] = field(default_factory=list)
    leased: list[float] = field(default_factory=list)
    """As ``takeovers``, where a lease has to expire first."""
    settled: list[float] = field(default_factory=list)
    resolved: list[float] = field(default_factory=list)
    given_up: list[float] = field(default_factory=list)
    """Seconds for which POSTs were unclear."""
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


class World:
    """Everything around the service in one round; a context manager.

    Args:
        seed: of signals and fates.
        directory: fresh, on a fast disk.
        nursery: starts the services.
        settle_within: seconds that everything gets to come to its end.
        ledger: a file in the directory by default.
        terms: of this round.
    """

    def __init__(
        self,
        seed: str,
        directory: Path,
        nursery: Nursery,
        settle_within: float = SETTLE_WITHIN,
        ledger: LedgerPlace | None = None,
        terms: Terms = PLAIN,
    ) -> None:
        self.result = Result(seed)
        self._settle_within = settle_within
        self._directory = directory
        self._nursery = nursery
        self._signals = signals(seed, WITH_LITTLE_CASH if terms.little_cash else KINDS)
        self._budget = Budget(terms.limit, WINDOW) if terms.limit else None
        self._redis_loses = REDIS_LOSES in terms.features
        self._ledger = ledger or LedgerFile(directory / "ledger.db")
        self._switch = directory / "kill"
        self._thrown = 0.0
        self._stack = contextlib.ExitStack()
        self._outstanding = 0
        self._standby: Life | None = None
        self._died = 0.0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._ledger.make()
            self._server = stack.enter_context(
                RedisServer(
                    self._directory / "redis", aof=True, arguments=("--dbfilename", OBSTACLE)
                )
            )
            self._proxy = stack.enter_context(RedisProxy(self._server.port))
            self._broker = stack.enter_context(
                Broker(self.result.seed, SYMBOLS, HELD, {*SCARCE, *LARGE}, self._budget)
            )
            self._redis = redis.Redis.from_url(
                self._server.url, decode_responses=True, socket_timeout=5
            )
            stack.callback(self._redis.close)
            self.oracle = Oracle(self._broker.book, self._ledger, self._redis, self._budget)
            self._redis_faults = RedisFaults(
                self._server, self._proxy, self._redis, self.oracle, self.result.seed
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    # --- one life -------------------------------------------------------------------------

    def live(self, plan: LifePlan, following: LifePlan | None = None) -> list[Violation]:
        """Start the service, torment it, kill it, and look at what it left.

        Args:
            following: the next life's plan; with a standby its process begins beside this one.
        """
        if plan.redis == "trimmed":
            self._redis_faults.trim()
            self.result.faults["Redis: read entries trimmed"] += 1
        if plan.group_lost:
            with contextlib.suppress(redis.ResponseError):
                self._redis.xgroup_destroy(STREAM, GROUP)
            self.oracle.redis_lost_more()
            self.result.faults["Redis: group lost"] += 1
        signals = plan.signals if self._outstanding < MOST_OUTSTANDING else 2
        self.publish(signals // 2)
        died = self._died if self._standby is not None else None
        life, self._standby = self._standby or self._start(plan), None
        began = life.began if died is None else time.monotonic()
        if not isinstance(self._ledger, LedgerFile):
            began = self._await_lease(life)
        self._torment(plan, life, began, signals - signals // 2, following)
        if plan.asleep and self._standby is not None:
            self._sleep_through(life, self._standby)
        self._end(life)
        self._died = self._died if plan.asleep else life.at_end
        self._note_start(plan, life, died)
        picture = self.oracle.look()
        self._outstanding = len(self.oracle.published) - len(picture.acknowledged)
        found = self.oracle.after_a_crash(picture)
        if found:
            self._tell(found)
        elif plan.power_loss and picture.rows and isinstance(self._ledger, LedgerFile):
            self._lose_power(self._ledger.path)
        return found

    def _await_lease(self, life: Life) -> float:
        """A lease that its dead holder could not give back has to expire first."""
        end = time.monotonic() + TAKEOVER_WITHIN
        while time.monotonic() < end and "lease_taken" not in life.text:
            if life.ended.wait(_TICK):
                break
        return time.monotonic()

    def _torment(
        self, plan: LifePlan, life: Life, began: float, signals: int, following: LifePlan | None
    ) -> None:
        """Publish and disturb until it dies by itself or its time is over."""
        end = began + plan.within + (COLD_TAKES if plan.cold else 0.0)
        disturb = self._disturbance(plan, life)
        tick = _TICK / 4 if plan.kill_switch else _TICK  # the switch is to be thrown in time
        while not life.ended.wait(tick) and time.monotonic() < end:
            if signals:
                self.publish(1)
                signals -= 1
            if self._standby is None and plan.standby and following and "lease_taken" in life.text:
                self._standby = self._start(following)  # now it is clear which one waits
            if plan.kill_switch and not self._switch.exists() and "pause" in life.text:
                self._throw()
            if disturb is not None and time.monotonic() > began + plan.disturbed_at:
                disturb()
                disturb = None

    def _sleep_through(self, life: Life, standby: Life) -> None:
        """It sleeps until the standby has sent orders of its own, and wakes."""
        life.signal(SIGSTOP)  # should it not have come by the point where it stops itself
        stopped = time.monotonic()
        newest = len(self.oracle.lives)  # the standby's number: nobody was started after it
        while time.monotonic() < stopped + TAKEOVER_WITHIN and not standby.ended.is_set():
            self.publish(1)
            if any(post.by == newest for post in self._broker.book.posts):
                break
            time.sleep(0.1)
        self.result.faults["service slept through a takeover"] += 1
        life.signal(SIGCONT)
        life.ended.wait(1.0)  # it learns that it has lost the lease, and ends by itself
        self._died = stopped

    def _throw(self) -> None:
        self._switch.touch()
        self._thrown = time.monotonic()
        self.result.faults["kill switch thrown"] += 1

    def _start(self, plan: LifePlan) -> Life:
        life = self._nursery.start(self._env(plan.failpoints), WORKERS, cold=plan.cold)
        self._note_life(life)
        return life

    def _note_life(self, life: Life) -> None:
        self.oracle.lives[life.began] = (time.time() - time.monotonic() + life.began) * 1000

    def _env(self, failpoints: str) -> dict[str, str]:
        return {
            "ALPACA_API_KEY": f"KEY-{len(self.oracle.lives) + 1}",
            "ALPACA_SECRET_KEY": "SECRET",
            "ALPACA_TRADING_URL": self._broker.url,
            "ALPACA_DATA_URL": self._broker.url,
            "REDIS_URL": self._proxy.url,
            "LEDGER_URL": self._ledger.url,
            "LOG_DIR": "",
            "NO_COLOR": "1",
            "RATE_LIMIT_PER_MINUTE": str(self._budget.limit if self._budget else 0),
            **({RATE_WINDOW: str(WINDOW)} if self._budget else {}),
            **({"MAX_SIGNAL_AGE": str(LOST_AFTER)} if self._redis_loses else {}),
            "SIZING": "fixed_qty",
            "QTY": "1",
            "SYMBOLS": ",".join(SYMBOLS),
            **NO_LIMITS,
            "KILL_SWITCH_FILE": str(self._switch),
            **({"SIGNALPACA_FAILPOINTS": failpoints} if failpoints else {}),
        }

    def publish(self, count: int) -> None:
        """So many more signals."""
        for _ in range(count):
            made = next(self._signals)
            if made.kind in STANDING:
                self._place_yesterday(made)
            fields: dict[Any, Any] = dict(made.fields)
            self._note(made, self._redis.xadd(STREAM, fields))

    def _note(self, made: Made, entry: Any) -> None:
        self.oracle.published[str(entry)] = made
        self.result.kinds[made.kind] += 1

    def _rob(self) -> None:
        """A peer reads entries and dies; newer ones of the same assets reach the service first."""
        market = (made for made in self._signals if made.kind == "market")
        robbed = [next(market) for _ in range(4)]
        for made in robbed:
            fields: dict[Any, Any] = dict(made.fields)
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xadd(STREAM, fields)
                pipe.xreadgroup(GROUP, "dead-peer", {STREAM: ">"}, count=100)
                entry, *_ = pipe.execute(raise_on_error=False)
            self._note(made, entry)
        for made in robbed:
            newer = next(market).moved_to(made.fields["ticker"])
            fields = dict(newer.fields)
            self._note(newer, self._redis.xadd(STREAM, fields))
        self.result.faults["Redis: a dead peer has entries"] += 1

    def _place_yesterday(self, made: Made) -> None:
        """An order of the same looks, or of another size, under the id that its order will have."""
        account = orjson.loads(broker_data.account())["id"]
        coid = client_order_id(deployment_id(account, GROUP), f"{STREAM}|id:{made.identity}")
        asked = {
            "symbol": made.fields["ticker"],
            "side": "buy",
            "type": "market",
            "time_in_force": "ioc",
            "qty": made.fields["qty"] + ("0" if made.kind == "taken id" else ""),
            "client_order_id": coid,
        }
        day_ago = datetime.now(UTC) - timedelta(days=1)
        self._broker.call(lambda: self._broker.book.place(asked, day_ago.isoformat()))

    def _disturbance(self, plan: LifePlan, life: Life) -> Callable[[], None] | None:
        """What happens to Redis or to the process in the middle of the life."""
        if plan.dead_peer:
            return self._rob
        if plan.stopped:
            return lambda: self._pause_service(life, plan.stopped)
        if plan.redis in {"", "trimmed"}:
            return None
        return lambda: self._trouble_redis(plan.redis, life)

    def _trouble_redis(self, fault: str, life: Life) -> None:
        told = self._redis_faults.do(fault, life)
        self.result.faults[f"Redis: {told}"] += bool(told)

    def _pause_service(self, life: Life, seconds: float) -> None:
        life.signal(SIGSTOP)
        life.ended.wait(seconds)
        life.signal(SIGCONT)
        self.result.faults["service: SIGSTOP"] += 1

    def _end(self, life: Life) -> None:
        outside = not life.ended.is_set()
        if outside:
            life.kill()
        if not life.ended.is_set():
            raise TimeoutError(f"process {life.pid} does not die")
        if life.code == -SIGKILL:
            struck = re.findall(r"^failpoint (\S+): kill", life.text, re.MULTILINE)
            point = "from outside" if outside else struck[-1]
            self.result.kills[point] += 1
            self.oracle.kills_in_hand += not point.startswith(_NOTHING_IN_HAND)
        else:
            self.result.other_ends[f"exit {life.code}: {_last_words(life.text)}"] += 1
        if self._switch.exists():
            self._switch.unlink()
            self.oracle.killed.append((self._thrown, life.at_end))

    def _note_start(self, plan: LifePlan, life: Life, died: float | None) -> None:
        """How long it took to its first POST, from its start or, of a standby, from a death."""
        number = list(self.oracle.lives).index(life.began) + 1
        first = first_post_of(self._broker.book, number)
        if first is not None and died is not None:
            leased = not isinstance(self._ledger, LedgerFile)
            (self.result.leased if leased else self.result.takeovers).append(first - died)
        elif first is not None:
            (self.result.cold if plan.cold else self.result.warm).append(first - life.began)
        if died is not None:
            self.result.faults["standby took over"] += 1

    def _lose_power(self, ledger: Path) -> None:
        """The newest rows before a POST are committed without fsync: the disk may not have them."""
        with contextlib.closing(sqlite3.connect(ledger, timeout=5)) as db:
            newest = db.execute(
                "SELECT id, client_order_id, state FROM order_intents ORDER BY id DESC LIMIT 4"
            ).fetchall()
            for number, coid, state in newest:
                if state != "SUBMITTING":
                    break
                self.oracle.forgotten.add(coid)
                db.execute("DELETE FROM order_intents WHERE id = ?", (number,))
                self.result.faults["power: unsynced row lost"] += 1
            db.commit()

    # --- the end --------------------------------------------------------------------------

    def settle(self) -> list[Violation]:
        """Faults stop; one last life brings everything to its end, and everything is compared."""
        posts = self._broker.book.posts
        self.result.posts = len(posts)
        self.result.bad_posts = sum(post.fault != "good" for post in posts)
        self._broker.heal()
        began = time.monotonic()
        if self._standby is not None:
            self._standby.kill()
        life = self._last_life()
        while self.oracle.open_ends() and time.monotonic() < began + self._settle_within:
            if life.ended.wait(0.05):
                self.result.other_ends[f"last life: exit {life.code}"] += 1
                life = self._last_life()
        self.result.settled.append(time.monotonic() - began)
        if self.oracle.open_ends():
            life.signal(SIGUSR1)
            life.ended.wait(0.5)
            self.result.story += ["stuck at:", *life.text.splitlines()[-400:]]
        else:
            self._await_cancels(began)
        found = [*self._when_healthy(), *self._stopped(life)]
        picture = self.oracle.look()
        found += self.oracle.at_rest(picture)
        self.result.unsent = self.oracle.unsent(picture)
        if found:
            self._tell(found)
            self.result.story += ["the last life said at its end:"]
            self.result.story += [f"  {line}" for line in life.text.splitlines()[-20:]]
        self._count()
        return found

    def _last_life(self) -> Life:
        life = self._nursery.start(self._env(""), WORKERS)
        self._note_life(life)
        return life

    def _stopped(self, life: Life) -> list[Violation]:
        life.signal(SIGTERM)
        if not life.ended.wait(STOP_WITHIN):
            life.kill()
            return [Violation("does not stop", f"{STOP_WITHIN} s after SIGTERM")]
        return [Violation("bad exit", life.text[-500:])] if life.code else []

    def _when_healthy(self) -> list[Violation]:
        """Nothing is wrong any more: signals become orders at once."""
        if self.oracle.open_ends():
            return []
        began = time.monotonic()
        seen = len(self._broker.book.posts)
        self.publish(HEALTHY)
        while self.oracle.open_ends() and time.monotonic() < began + self._settle_within:
            time.sleep(0.02)
        took = sorted(post.at - began for post in self._broker.book.posts[seen:])
        within = HEALTHY_WITHIN + (self._budget.window if self._budget else 0.0)
        if took and took[len(took) // 2] > within:
            return [Violation("slow when healthy", f"{took} s from XADD to POST")]
        return []

    def _await_cancels(self, began: float) -> None:
        """Orders that appeared late are cancelled on sight: their rows follow a little later."""
        while time.monotonic() < began + self._settle_within:
            rows = self.oracle.look().rows
            late = [
                coid
                for coid in self._broker.book.orders
                if coid in rows and rows[coid].state == "EXPIRED_UNCONFIRMED"
            ]
            if not late:
                return
            time.sleep(0.1)

    def _tell(self, found: list[Violation]) -> None:
        picture = self.oracle.look()
        self.result.violations += found
        for violation in found[:5]:
            self.result.story += [str(violation), *self.oracle.story(violation, picture)]

    def _count(self) -> None:
        book, result = self._broker.book, self.result
        result.orders = len(book.orders)
        result.faults += self._broker.counts
        result.faults["Redis: reply lost"] += self._proxy.lost
        result.resolved, result.given_up = self.oracle.unclear()


def _last_words(text: str) -> str:
    """Why a service ended by itself, without what differs from time to time."""
    lines = text.strip().splitlines() or [""]
    said = [line for line in lines if "stops:" in line or line.startswith("configuration:")]
    return re.sub(r"\d{4,}", "…", (said or lines)[-1])[:140]
