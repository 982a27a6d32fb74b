"""Entries whose content goes while they are pending, and crashes until their end is on record."""

import random

import pytest

from solution import failpoints
from torture.simulation.instance import GROUP, STREAMS
from torture.simulation.schedules import SEAMS, die
from torture.simulation.world import World

POINTS = ("listener.taken", "intake.dead_letter", "writer.put", "writer.before_commit",
          "writer.committed", "outbox.before_send", "outbox.sent")  # fmt: skip


def left_by_the_dead(world: World) -> None:
    """Three entries, read by a life that died; the content of two of them is deleted."""
    for _ in range(3):
        world.publish()
    world.read()
    world.crash()
    for _ in range(2):
        world.trim_pending()


def consumers(world: World) -> set[str]:
    """Whom the group still knows."""
    return world.store.streams[STREAMS[0]].groups[GROUP].consumers


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seam", SEAMS)
def test_no_crash_takes_the_last_trace(seam: str, nth: int) -> None:
    """Wherever the next life touches the outside; each of the entries ends once."""
    with World(random.Random(5)) as world:
        left_by_the_dead(world)
        world.seams.append((seam, nth, lambda: die(world)))
        for _ in range(2):
            world.round()
        world.settle()


@pytest.mark.parametrize("point", POINTS)
def test_no_crash_point_takes_the_last_trace(point: str) -> None:
    """The same at the moments inside."""
    with World(random.Random(5)) as world:
        left_by_the_dead(world)
        failpoints.arm([failpoints.Rule(name=point, action="raise")])
        for _ in range(2):
            world.round()
        world.settle()


def test_a_dead_consumer_is_forgotten_once_the_ends_are_acknowledged() -> None:
    """Not before; and no sweep after that asks for it."""
    with World(random.Random(5)) as world:
        left_by_the_dead(world)
        world.read()
        assert consumers(world) == {"sim-1", "sim-2"}
        world.settle()
        world.tick(2.0)
        world.read()
        assert consumers(world) == {"sim-2"}
