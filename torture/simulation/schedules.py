"""Random schedules: a seed names one, always the same."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from solution import failpoints
from torture.simulation.exchange import SYMBOLS
from torture.simulation.faults import GetFault, PostFault
from torture.simulation.instance import STREAMS
from torture.simulation.oracle import Published
from torture.simulation.world import Violated, World

STEPS = 60
POST_FAULTS = [fault for fault in PostFault if fault is not PostFault.OK]
_AFTER_THE_ANSWER = frozenset({PostFault.LATE, PostFault.VERY_LATE})
GET_FAULTS = [fault for fault in GetFault if fault is not GetFault.OK]
LAGS = (0.0, 0.0, 0.0, 0.0, 0.4, 1.5, 5.0)
"""Seconds after which an accepted order can be found."""
SEAMS = ("ledger:before", "ledger:after", "post:before", "post:effect", "post:after",
         "redis:before", "redis:after", "get:before", "get:after")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of one schedule."""

    seed: int
    violation: str
    crashes: int
    posts: int
    filled: int
    trace: tuple[str, ...]


class Schedule:
    """The choices of one seed.

    Args:
        points: names of the product's failpoints that may raise; none leaves them out.
        focus: a kind of trouble that certainly comes: ``crash``, ``power``, ``broker``, ``redis``
            or ``calm`` (none of these).
    """

    def __init__(
        self, seed: int, points: Sequence[str] = (), steps: int = STEPS, focus: str = ""
    ) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._points = list(points)
        self._steps = steps
        # Few kinds of trouble at a time: else no schedule gets anywhere.
        self._power = self._random.random() < 0.1 or focus == "power"
        self._crashes = self._random.random() < 0.7 or focus == "crash" or self._power
        self._broker = self._random.choice((0.0, 0.3, 0.7))
        self._redis = self._random.random() < 0.4 or focus == "redis"
        if focus == "broker":
            self._broker = 0.7
        if focus == "calm":
            self._power = self._crashes = self._redis = False
            self._broker = 0.0
        self._stream = self._random.choice(("off", "honest", "wild"))
        self._before_close = 1200.0 if self._random.random() < 0.85 else self._random.uniform(2, 20)
        self._published: list[Published] = []

    def run(self) -> Outcome:
        violation = ""
        with World(
            random.Random(self.seed + 1), power=self._power, before_close=self._before_close
        ) as world:
            world.exchange.lag = self._lag
            try:
                if self._stream != "off":
                    world.connect_stream()
                if self._redis:
                    world.keep_redis()
                for _ in range(self._steps):
                    self._step(world)
                world.settle()
            except Violated as e:
                violation = str(e)
            filled = sum(1 for o in world.exchange.orders.values() if o.filled)
            return Outcome(
                self.seed, violation, world.crashes, len(world.exchange.posts), filled,
                tuple(world.trace),
            )  # fmt: skip

    def _lag(self) -> float:
        # A row that went with the power is found again by the broker's list, or not at all.
        return 0.0 if self._power else self._random.choice(LAGS)

    def _step(self, world: World) -> None:
        chance = self._random
        self._trouble(world)
        deeds: list[tuple[int, Callable[[World], None]]] = [
            (12, self._publish),
            (10, World.read),
            (20, World.work),
            (10, World.commit),
            (8, World.publish_events),
            (8, self._events),
            (8, lambda w: w.tick(chance.choice((0.01, 0.1, 0.2, 0.3, 1.0, 2.5)))),
            (3, World.round),
            (2, World.keep),
            (2, lambda w: w.trade(whole=chance.random() < 0.5)),
            (1, World.cancel_at_broker),
        ]
        deed = chance.choices([d for _, d in deeds], [n for n, _ in deeds])[0]
        deed(world)

    # --- signals ------------------------------------------------------------------------------

    def _publish(self, world: World) -> None:
        chance = self._random
        roll = chance.random()
        earlier = [e for e in self._published if e.signal_id]
        if roll < 0.08 and earlier:
            self._published.append(world.again(chance.choice(earlier)))
        elif roll < 0.12 and earlier:
            entry = chance.choice(earlier)
            world.again(entry, tag=f"{chance.randrange(200, 300)}.00")
        elif roll < 0.17:
            world.publish(chance.choice(("bad", "unknown_ticker")))
        elif roll < 0.19:
            world.yesterdays(symbol=chance.choice(SYMBOLS))
        else:
            self._published.append(self._plain(world))

    def _plain(self, world: World) -> Published:
        chance = self._random
        extra = {"cancel_after": "2"} if chance.random() < 0.1 else {}
        return world.publish(
            stream=chance.choice((STREAMS[0], STREAMS[0], STREAMS[1])),
            symbol=chance.choice((SYMBOLS[0], SYMBOLS[0], SYMBOLS[1], SYMBOLS[2])),
            direction=chance.choice("bbs"),
            qty=chance.choice(("1", "3", "7", "20")),
            tif="day" if extra else chance.choice(("ioc", "ioc", "ioc", "day")),
            signal_id=f"id-{len(self._published)}" if chance.random() < 0.4 else "",
            max_age=chance.choice((None, None, None, 3.0)),
            extra=extra,
        )

    def _events(self, world: World) -> None:
        if self._stream == "honest":
            world.hear()
        elif self._stream == "wild":
            chance = self._random
            which = chance.randrange(8)
            world.hear(which=which, drop=chance.random() < 0.2, again=chance.random() < 0.2)

    # --- trouble --------------------------------------------------------------------------------

    def _trouble(self, world: World) -> None:
        chance = self._random
        if self._broker and chance.random() < 0.3 * self._broker:
            # As with lags: without its row nobody waits for what comes after the start's list.
            faults = [f for f in POST_FAULTS if not self._power or f not in _AFTER_THE_ANSWER]
            world.post_faults.append(chance.choice(faults))
        if self._broker and chance.random() < 0.2 * self._broker:
            world.get_faults.append(chance.choice(GET_FAULTS))
        if self._crashes and chance.random() < 0.12:
            self._crash(world)
        if chance.random() < 0.02:
            self._kill(world)
        if self._stream != "off" and chance.random() < 0.05:
            (world.disconnect_stream if chance.random() < 0.4 else world.connect_stream)()
        if chance.random() < 0.15:
            self._interleave(world)
        if self._redis and chance.random() < 0.12:
            self._redis_trouble(world)

    def _crash(self, world: World) -> None:
        """Now, at the next touch of the outside of some kind, or at one of the product's points."""
        chance = self._random
        roll = chance.random()
        if roll < 0.15:
            world.note("crash")
            (world.lose_power if self._power else world.crash)()
        elif roll < 0.22:
            # Asleep just before its row, or between the row and the POST.
            where = chance.choice(("ledger:before INSERT", "ledger:after INSERT"))
            world.seams.append((where, 1, world.take_over))
        elif roll < 0.65 or not self._points:
            name, nth = chance.choice(SEAMS), chance.choice((1, 1, 1, 2, 3))
            world.note(f"crash planned at {name}, hit {nth}")
            world.seams.append((name, nth, lambda: die(world)))
        else:
            point, nth = chance.choice(self._points), chance.choice((1, 1, 2))
            world.note(f"crash planned at {point}, hit {nth}")
            failpoints.arm([failpoints.Rule(name=point, action="raise", nth=nth)])

    def _kill(self, world: World) -> None:
        """The switch is thrown now, or just when a row has become durable."""
        if self._random.random() < 0.4:
            world.kill_switch(on=self._random.random() < 0.4)
        else:
            world.seams.append(("ledger:after INSERT", 1, lambda: world.kill_switch(on=True)))
            world.clock.after(self._random.uniform(0.5, 3.0), lambda: world.kill_switch(on=False))

    def _interleave(self, world: World) -> None:
        """While a POST is on its way, the other threads go on."""
        steps = self._random.choices(
            (world.hear, world.commit, world.publish_events, world.read, world.work),
            k=3,
        )

        def others() -> None:
            life = world.life
            for step in steps:
                if world.life is life and life is not None:
                    step()
            if world.life is not life:
                raise failpoints.Crash("another thread died")

        world.seams.append(("post:effect", 1, others))

    def _redis_trouble(self, world: World) -> None:
        chance = self._random
        roll = chance.random()
        if roll < 0.45:
            world.redis_faults.append(
                chance.choice(("reply_lost", "reply_lost", "refused", "loading", "readonly"))
            )
        elif roll < 0.52:
            world.keep_redis()
        elif roll < 0.7:
            self._fail_over(world)
        elif roll < 0.8:
            world.lose_group(chance.choice(STREAMS))
        elif roll < 0.88 and not self._power:  # both together leave nothing to recover from
            world.trim_pending()
        else:
            world.redis_down = True
            world.clock.after(chance.uniform(0.2, 2.0), lambda: setattr(world, "redis_down", False))

    def _fail_over(self, world: World) -> None:
        """The tail is lost; the clock of the new master may stand behind the old one's."""
        world.lose_tail()
        stream, symbol = STREAMS[0], SYMBOLS[0]
        behind = world.oracle.newest(stream, symbol)[0] - 1
        # With its row and its entry both gone, nobody knows of the newer one.
        known = self._random.random() < 0.7 and not self._power
        if known and (behind, 0) > world.store.last_id(stream):
            world.publish(stream=stream, symbol=symbol, qty="1", entry_id=f"{behind}-0")
            if self._crashes and self._random.random() < 0.5:
                world.note("crash")
                world.crash()


def die(world: World) -> None:
    world.blackout = True  # if this world keeps what the disk has
    raise failpoints.Crash("killed here")
