"""What happens to the service, life by life: a function of the seed, printed before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

POINTS: Mapping[str, int] = {
    "listener.read": 3,
    "listener.taken": 5,
    "pipeline.started": 5,
    "pipeline.start_counted": 5,
    "pipeline.decided": 5,
    "submit.before_row": 5,
    "submit.row_durable": 5,
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
)
"""Where only some lives come by: armed beside one of the others, whichever is met first."""
UPGRADE, UPGRADE_WITHIN = "migration.before_commit", 3.0
"""Where a round's first life dies, which finds a ledger of the first version; seconds until then at
most (the upgrade's libraries take half a second to import)."""
REDIS_FAULTS = ("kill", "pause", "reset", "lose a reply")
FEATURES = frozenset({"power_loss", "group_lost", "stop", "standby", "kill_switch", "dead_peer"})
"""What a plan may hold beyond kills and the faults of broker and Redis."""
THROWN_AT, THROWN_FOR = "pipeline.decided", 0.3
"""Where a worker waits so many seconds while the kill switch is thrown."""
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
    def failpoints(self) -> str:
        """The value of SIGNALPACA_FAILPOINTS."""
        rules = [f"{self.point}=kill:{self.nth}"] if self.point else []
        if self.asleep:
            rules = [f"{ASLEEP_AT}=stop:{self.nth}"]
        if self.kill_switch:
            rules = [f"{THROWN_AT}=pause:{THROWN_FOR}"]
        rules += [f"{self.rare}=kill"] if self.rare else []
        return ";".join(rules)


MANNERS = {"struck": 83, "outside": 8, "calm": 3, "dead_peer": 3, "kill_switch": 3, "asleep": 30}
"""How lives go, and their weights."""
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
    point, nth, rare = _where(draw) if manner == "struck" else ("", 1, "")
    within = {
        "struck": 0.6,
        "outside": draw.uniform(0.02, 0.5),
        "calm": UNCLEAR_TAKES,
        "dead_peer": ROBBED_WITHIN,
        "kill_switch": 0.6,
        "asleep": 0.8,
    }[manner]
    standby = manner == "asleep" or ("standby" in features and draw.random() < 0.2)
    return LifePlan(
        point=point,
        nth=nth,
        rare=rare,
        within=within,
        signals=draw.randint(4, 12),
        redis=draw.choice(REDIS_FAULTS) if draw.random() < 0.15 else "",
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


def _where(draw: Random) -> tuple[str, int, str]:
    """Mostly early hits: a life that ends soon leaves time for the next; a rare point gets time."""
    point = draw.choice(list(POINTS))
    if draw.random() < 0.4:
        return point, min(3, POINTS[point]), draw.choice(RARE)
    return point, 1 + int(draw.random() ** 2 * POINTS[point]), ""
