"""One cell of the grid: a failpoint, an answer of the broker, and when the crash comes.

Every cell runs the same short story, so that whatever the crash interrupts is known: an order that
ends at once, one that rests and is cancelled in time, a signal_id published twice, an entry that is
no signal, one whose id another order has, and an exit whose shares a resting order holds.
"""

import random
from dataclasses import dataclass
from enum import StrEnum

from solution import failpoints
from torture.simulation.faults import GetFault, PostFault
from torture.simulation.instance import STREAMS, Life
from torture.simulation.world import Violated, World

ROUNDS = 10


class When(StrEnum):
    """At the point's first hit, at its first in the life after a crash, or at its third.

    At the third hit in the order path, two other orders have been sent by the same worker and are
    not booked.
    """

    FIRST = "first"
    RECOVERY = "recovery"
    BURST = "burst"


@dataclass(frozen=True)
class Cell:
    """What became of one cell; ``hit`` says whether the point was reached at all."""

    violation: str
    hit: bool
    trace: tuple[str, ...]


def run(point: str, fault: PostFault | GetFault, when: When) -> Cell:
    """Play one cell; deterministic."""
    # A row can be missing only after a power loss.
    power = point.startswith("recovery.adopt")
    with World(random.Random(7), before_close=240.0, power=power) as world:
        violation = ""
        try:
            _story(world, point, fault, when)
            world.settle()
        except Violated as e:
            violation = str(e)
        hit = any(f"Crash: {point}, hit" in line for line in world.trace)
        return Cell(violation, hit, tuple(world.trace))


def _story(world: World, point: str, fault: PostFault | GetFault, when: When) -> None:
    world.connect_stream()
    if when is When.BURST:
        world.post_faults.append(PostFault.OK)  # one that was answered, and what it says is not
    if isinstance(fault, PostFault):
        world.post_faults.append(fault)
    else:
        world.post_faults.append(PostFault.TIMEOUT_AFTER)  # so that there is something to ask
    world.publish(qty="1")
    world.publish(symbol="AAPL", tif="day", qty="2", signal_id="rests", extra={"cancel_after": "2"})
    world.publish(symbol="MSFT", direction="s", tif="day", qty="12", stream=STREAMS[1])
    world.publish("bad")
    world.yesterdays(qty="5")
    if when is When.RECOVERY:
        world.storage.keep()
        for step in (Life.read, Life.work, Life.work):
            world.do(step)
        world.note("crash before the recovery")
        world.blackout = True
        world.crash()
    nth = 3 if when is When.BURST else 1
    failpoints.arm([failpoints.Rule(name=point, action="raise", nth=nth)])
    if isinstance(fault, GetFault):
        world.get_faults.append(fault)
    _rounds(world)


def _rounds(world: World) -> None:
    """Life goes on; a signal_id comes again, and an exit whose shares are held."""
    for number in range(ROUNDS):
        if number == 2:
            world.redis_faults.append("reply_lost")
        if number == 3:
            world.again(world.oracle.published[1])
            world.publish(symbol="MSFT", direction="s", qty="12", stream=STREAMS[1])
        for step in (Life.renew, Life.read, Life.work, Life.work, world.commit_now, Life.publish):
            world.do(step)
        world.hear(again=number % 3 == 0)
        world.tick(0.3)
