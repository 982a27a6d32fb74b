"""An entry that was sent, and is no signal when it is delivered again: one end, the order's."""

import random
from collections.abc import Callable

import pytest

from solution.domain.reasons import Reason
from solution.errors import SignalError
from solution.feeds import arrival
from torture.simulation.faults import PostFault
from torture.simulation.schedules import die
from torture.simulation.world import World

TROUBLES: dict[str, Callable[[World], None]] = {
    "delisted": lambda world: world.delist("NVDA"),
    "clock back": lambda world: world.set_clock_back(10),
    "trimmed": World.trim_pending,
}
FAULTS = (
    PostFault.OK,
    PostFault.TIMEOUT_BEFORE,
    PostFault.TIMEOUT_AFTER,
    PostFault.VERY_LATE,
    PostFault.NOT_SENT,
    PostFault.RATE_LIMITED,
    PostFault.REFUSED_422,
)
CRASHES = ("post:before", "post:effect", "post:after", "ledger:before COMMIT", "redis:before PIPE")


def sent_by_the_dead(world: World, crash: str, tif: str) -> None:
    """One life reads one signal, decides it, and dies on the way."""
    world.publish(tif=tif)
    world.read()
    world.seams.append((crash, 1, lambda: die(world)))
    for step in (world.work, world.commit, world.publish_events, world.crash):
        step()
    world.seams.clear()


@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_orders_end_is_the_only_one(trouble: str, crash: str) -> None:
    """Whatever was answered; and it is acknowledged not before that end is durable."""
    for fault in FAULTS:
        for tif in ("ioc", "day"):
            with World(random.Random(3)) as world:
                world.post_faults.append(fault)
                sent_by_the_dead(world, crash, tif)
                TROUBLES[trouble](world)
                world.settle()


def test_a_version_that_refuses_what_an_earlier_one_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser with other rules meets the entry of an order."""

    def stricter(*_entry: object) -> None:
        raise SignalError(Reason.UNKNOWN_FIELD, "not in this version")

    with World(random.Random(3)) as world:
        sent_by_the_dead(world, "post:after", "ioc")
        monkeypatch.setattr(arrival, "parse", stricter)
        world.settle()
