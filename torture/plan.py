"""What happens to the service, life by life: a function of the seed, printed before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

POINTS: Mapping[str, int] = {
    "listener.read": 3,
    "listener.taken": 5,
    "pipeline.started": 5,
    "pipeline.start_counted": 5,
    "pipeline.decided": 5,
    "pipeline.last_look": 5,
    "submit.before_row": 5,
    "submit.row_durable": 5,
    "submit.last_check": 5,
    "post.in_flight": 5,
    "submit.answered": 5,
    "writer.put": 6,
    "writer.before_commit": 4,
    "writer.committed": 4,
    "outbox.before_send": 4,
    "outbox.sent": 4,
    "recovery.row_restored": 3,
    "recovery.restored": 1,
    "recovery.orders_listed": 1,
    "recovery.started": 1,
    "listener.claimed": 1,
    "states.read": 8,
}
"""Where every life comes by, and the highest hit that is tried there."""
RARE = (
    "intake.dead_letter",
    "listener.reread",
    "pipeline.resend",
    "submit.row_again",
    "recovery.adopting",
    "recovery.adopted",
    "ask.in_flight",
    "watch.found",
    "watch.absent",
    "watch.before_cancel",
    "watch.cancelled",
    "saga.before_cancel",
    "saga.cancelled",
    "halts.halted",
    "states.put",
    "states.kept",
    "states.stale",
    "operator.halted",
    "control.carried_out",
    "control.remembered",
    "kill.drained",
    "kill.before_all",
    "kill.before_cancel",
    "kill.cancelled",
    "kill.flatten_asked",
    "kill.ended",
    "breaker.restricted",
    "day.restricted",
    "flatten.restricted",
    "flatten.before_cancel",
    "flatten.cancelled",
    "flatten.read",
    "flatten.reserved",
    "flatten.row_kept",
    "flatten.posted",
    "flatten.resend",
    "flatten.ended",
    "flatten.before_done",
    "flatten.session_restricted",
    "flatten.session_asked",
)
"""Where only some lives come by: armed beside one of the others, whichever is met first."""
UPGRADE, UPGRADE_WITHIN = "migration.before_commit", 3.0
"""Where a round's first life dies, which finds a ledger of the first version; seconds until then at
most (the upgrade's libraries take half a second to import)."""
REDIS_FAULTS: Mapping[str, int] = {
    "kill": 4,
    "pause": 4,
    "reset": 4,
    "lose a reply": 4,
    "full": 3,
    "read-only": 3,
    "cannot save": 3,
    "slow to load": 3,
    "hang": 2,
    "half-open": 2,
    "tail lost": 20,
    "trimmed": 20,
}
"""What happens to Redis, and the weights."""
LOSSES = frozenset({"tail lost", "trimmed"})
"""Faults of Redis that take data: only in rounds that keep every row of the ledger. Of an order
whose row *and* whose entry are gone nobody could say whose it is."""
SILENCES = frozenset({"hang", "half-open"})
"""Faults that take longer than the service waits for an answer of Redis."""
TROUBLED = (0.7, 1.6)
"""Seconds of a life in which Redis refuses or loses something once the service works."""
EARLY = frozenset({"kill", "pause", "reset", "lose a reply", "trimmed"})
"""Faults that meet the service at its start or, the last one, before it, when what a dead one left
is pending; the others wait until it works."""
SILENT_FOR = 3.6
SILENCE_TAKES = 5.5
"""Seconds of a life with such a fault: the silence, and some time to come back from it."""
FEATURES = frozenset({"power_loss", "group_lost", "stop", "standby", "kill_switch", "dead_peer"})
"""What a plan may hold beyond kills and the faults of broker and Redis."""
REDIS_LOSES = "redis_loses"
"""The feature that lets Redis lose data."""
THROWN_AT, THROWN_FOR = "pipeline.decided", 0.2
"""Where a worker waits so many seconds while the kill switch is thrown: less than after which the
gates would look again anyway, and so would find it."""
ASLEEP_AT = "submit.row_durable"
"""Where an instance sleeps through a takeover: its row is written, its order not yet sent."""
TWO_INSTANCES = "asleep"
"""The feature that takes a lease which expires, so a PostgreSQL ledger."""
ROBBED_WITHIN = 2.5
"""Seconds: the sweep that finds a dead peer's entries runs every second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifePlan:
    """One start of the service and how it ends.

    Args:
        point, nth: where SIGKILL strikes; "" for a kill from outside.
        rare: another point, struck at its first hit should this life come by; "" for none.
        within: seconds after which it is killed from outside in any case.
        signals: how many are published during this life.
        redis: what happens to Redis meanwhile, "" for nothing.
        stopped: seconds of SIGSTOP, 0 for none.
        power_loss: the rows not yet on disk are gone with it.
        group_lost: the consumer group is gone when it starts.
        cold: a fresh interpreter instead of a fork.
        standby: the next life's process is there already, and takes over when this one dies.
        dead_peer: another consumer reads entries and is never heard of again; newer ones follow.
        asleep: stops itself (SIGSTOP) between a row and its POST, and wakes after a takeover.
        kill_switch: thrown by a file between a decision and its POST.
    """

    point: str
    nth: int
    rare: str
    within: float
    signals: int
    redis: str = ""
    stopped: float = 0.0
    power_loss: bool = False
    group_lost: bool = False
    cold: bool = False
    standby: bool = False
    kill_switch: bool = False
    dead_peer: bool = False
    asleep: bool = False

    def __str__(self) -> str:
        kill = self.failpoints.replace("=kill", "") or "from outside"
        more = [f"redis: {self.redis}"] if self.redis else []
        more += [f"stopped {self.stopped:.1f} s"] if self.stopped else []
        flags = (
            "power_loss",
            "group_lost",
            "cold",
            "standby",
            "kill_switch",
            "dead_peer",
            "asleep",
        )
        more += [name.replace("_", " ") for name in flags if getattr(self, name)]
        about = f"{self.signals:2} signals, kill at {kill:44} within {self.within:.2f} s  "
        return about + ", ".join(more)

    @property
    def disturbed_at(self) -> float:
        """Seconds after its start at which Redis or the process is disturbed."""
        if self.dead_peer:
            return 0.4
        return 0.1 if self.stopped or self.redis in EARLY else 0.25

    @property
    def failpoints(self) -> str:
        """The value of SIGNALPACA_FAILPOINTS."""
        rules = [f"{self.point}=kill:{self.nth}"] if self.point else []
        if self.asleep:
            rules = [f"{ASLEEP_AT}=stop:{self.nth}"]
        if self.kill_switch:
            rules = [f"{THROWN_AT}=pause:{THROWN_FOR}"]
        rules += [f"{self.rare}=kill"] if self.rare else []
        return ";".join(rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a whole round.

    Args:
        name: as it is printed.
        features: what its plan may hold.
        share: how many lives it has, of those of an ordinary round.
        postgres: its ledger is a PostgreSQL database, with a lease that expires.
        limit: requests of the trading API in each window, 0 for no limit.
        little_cash: some orders take a large part of all cash. One that is given up keeps its part
            until the session's close, so not in every round.
    """

    name: str
    features: frozenset[str] = FEATURES
    share: float = 1.0
    postgres: bool = False
    limit: int = 0
    little_cash: bool = False

    def lives(self, per_round: int) -> int:
        """How many lives such a round has."""
        return max(1, round(per_round * self.share))


KEPT_ROWS = FEATURES - {"power_loss"} | {REDIS_LOSES}
PLAIN = Terms(name="plain")
SHARED = Terms(name="PostgreSQL", features=KEPT_ROWS | {TWO_INSTANCES}, share=0.25, postgres=True)
"""Fewer lives: after most of them a lease has to expire."""
LIMITED = Terms(name="request limit", share=0.5, limit=40)
LOSING = Terms(name="Redis loses data", features=KEPT_ROWS)
POOR = Terms(name="little cash", share=0.3, little_cash=True)
ROUNDS = (PLAIN, SHARED, LIMITED, LOSING, POOR)
"""The terms of the rounds of a run, one after the other."""


def without_postgres(rounds: Sequence[Terms]) -> Sequence[Terms]:
    """The same where no PostgreSQL is to be had."""
    return [PLAIN if terms.postgres else terms for terms in rounds]


def with_postgres(rounds: Sequence[Terms]) -> Sequence[Terms]:
    """The same, and every ledger in a database: what a power loss would take is kept there."""
    return [
        replace(terms, postgres=True, features=terms.features | {TWO_INSTANCES}, share=SHARED.share)
        for terms in rounds
    ]


WINDOW = 4.0
"""Seconds of the rate budget instead of its sixty, so that it is used up and free again often."""

MANNERS = {"struck": 83, "outside": 8, "calm": 3, "dead_peer": 3, "kill_switch": 5, "asleep": 30}
"""How lives go, and their weights."""
LOST_AFTER = 20
"""MAX_SIGNAL_AGE in seconds where Redis loses data: an order whose entry is gone waits for that as
long as its signal may trade, and is looked up ever more rarely; a round's end waits for both."""
UNCLEAR_TAKES = 4.0
"""Seconds in which an unclear POST is looked up and, not found, sent again."""


def lives(seed: str, count: int, features: frozenset[str] = FEATURES) -> Sequence[LifePlan]:
    """So many lives of one round."""
    draw = Random(f"{seed}/plan")
    drawn = [_life(draw, features) for _ in range(count)]
    return [_upgrading(life) for life in drawn[:1]] + drawn[1:]


def _upgrading(life: LifePlan) -> LifePlan:
    """Nothing else may end it sooner."""
    return LifePlan(
        point=UPGRADE,
        nth=1,
        rare="",
        within=UPGRADE_WITHIN,
        signals=life.signals,
        cold=life.cold,
    )


def _life(draw: Random, features: frozenset[str]) -> LifePlan:
    manners = {n: w for n, w in MANNERS.items() if n in features | {"struck", "outside", "calm"}}
    manner = draw.choices(list(manners), list(manners.values()))[0]
    redis = _redis_fault(draw, features) if draw.random() < 0.2 else ""
    if redis and redis not in EARLY:
        manner = "calm" if redis in SILENCES else "troubled"
    point, nth, rare = _where(draw) if manner == "struck" else ("", 1, "")
    if manner == "asleep":  # having sent something itself: it may have taken over from a sleeper
        nth = draw.randint(2, 4)
    within = {
        "struck": 0.6,
        "outside": draw.uniform(0.02, 0.5),
        "troubled": draw.uniform(*TROUBLED),
        "calm": SILENCE_TAKES if redis in SILENCES else UNCLEAR_TAKES,
        "dead_peer": ROBBED_WITHIN,
        "kill_switch": 1.2,  # on a busy machine, too, the pause has to end within it
        "asleep": 0.8,
    }[manner]
    # A life that has to wait for a lease waits no longer when its process is there already.
    often = 0.5 if TWO_INSTANCES in features else 0.2
    standby = manner == "asleep" or ("standby" in features and draw.random() < often)
    return LifePlan(
        point=point,
        nth=nth,
        rare=rare,
        within=within,
        signals=draw.randint(4, 12),
        redis=redis,
        stopped=draw.uniform(0.05, 0.4) if "stop" in features and draw.random() < 0.03 else 0.0,
        # Without a standby: one that takes over reads the rows before the power can take them.
        power_loss=not standby and "power_loss" in features and draw.random() < 0.1,
        group_lost="group_lost" in features and draw.random() < 0.02,
        cold=draw.random() < 0.03,
        standby=standby,
        kill_switch=manner == "kill_switch",
        dead_peer=manner == "dead_peer",
        asleep=manner == "asleep",
    )


def _redis_fault(draw: Random, features: frozenset[str]) -> str:
    may = {n: w for n, w in REDIS_FAULTS.items() if n not in LOSSES or REDIS_LOSES in features}
    return draw.choices(list(may), list(may.values()))[0]


def _where(draw: Random) -> tuple[str, int, str]:
    """Mostly early hits: a life that ends soon leaves time for the next; a rare point gets time."""
    point = draw.choice(list(POINTS))
    if draw.random() < 0.4:
        return point, min(3, POINTS[point]), draw.choice(RARE)
    return point, 1 + int(draw.random() ** 2 * POINTS[point]), ""
