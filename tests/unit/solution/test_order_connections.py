"""OrderConnections: who has a connection, which one goes out next, and which ones are closed."""

from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from solution.order_connection import OrderConnection
from solution.order_connections import OrderConnections

MAX_IDLE = 20.0


class World:
    """A clock, and everything that was ever made."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[Connection] = []
        self.pool = OrderConnections(self._make)

    def _make(self) -> OrderConnection:
        assert not self.pool._mutex.locked()  # loading certificates takes long
        self.made.append(Connection(self))
        return cast("OrderConnection", self.made[-1])

    def take(self) -> "Connection":
        taken = cast("Connection", self.pool.take())
        assert not taken.held, "two holders"
        taken.held = True
        return taken

    def give_back(self, connection: "Connection") -> None:
        connection.held = False
        self.pool.give_back(cast("OrderConnection", connection))


class Connection:
    """As the pool sees one: its age, and whether an answer is under way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.used_at: float | None = None
        self.awaiting = False
        self.held = False

    @property
    def open(self) -> bool:
        return self.used_at is not None

    @property
    def ready(self) -> bool:
        if self.used_at is None or self.awaiting:
            return False
        return self._world.now - self.used_at <= MAX_IDLE

    def serve(self) -> None:
        """A request and its answer."""
        self.used_at = self._world.now

    def close(self) -> None:
        assert not self.held, "closed under its holder"
        self.used_at = None


@pytest.fixture
def world() -> Iterator[World]:
    """A pool without connections."""
    return World()


def served(world: World, count: int) -> list[Connection]:
    """So many connections, taken at one time, each used at a later second; given back in order."""
    taken = [world.take() for _ in range(count)]
    for connection in taken:
        world.now += 1.0
        connection.serve()
        world.give_back(connection)
    return taken


def test_the_warmest_goes_out_first(world: World) -> None:
    """So that in quiet times the others grow old, and not all of them a little."""
    _, second, third = served(world, 3)
    assert world.take() is third
    assert world.take() is second


def test_one_that_failed_is_taken_last(world: World) -> None:
    """It has to connect, and the next order need not wait for that while another stands open."""
    first, second = served(world, 2)
    failed = world.take()
    assert failed is second
    failed.used_at = None
    world.give_back(failed)
    assert world.pool.may_take(1)
    assert world.take() is first
    assert world.take() is failed
    assert len(world.made) == 2


def test_what_was_not_used_for_long_is_closed_with_the_next_return(world: World) -> None:
    """And only that; it is kept for a time when it is needed."""
    first, second, third = served(world, 3)  # at 1, 2 and 3 s
    taken = world.take()
    world.now = 22.5
    taken.serve()
    world.give_back(taken)
    assert [it.open for it in (first, second, third)] == [False, False, True]
    taken = world.take()
    assert (taken, world.pool.may_take(9)) == (third, False)
    assert {world.take(), world.take()} == {first, second}


def test_one_whose_answer_nobody_awaits_never_comes_back(world: World) -> None:
    """Interrupted between the sending and the waiting: closed, and forgotten."""
    (lost,) = served(world, 1)
    world.take()
    lost.awaiting = True
    world.give_back(lost)
    assert not lost.open
    assert world.take() is not lost


def test_may_take_counts_those_in_use_and_looks_at_the_age(world: World) -> None:
    """Not more than `most` at one time, and none that would have to connect first."""
    assert not world.pool.may_take(5)
    served(world, 2)
    assert not world.pool.may_take(0)
    assert world.pool.may_take(1)
    world.take()
    assert not world.pool.may_take(1)
    assert world.pool.may_take(2)
    world.now += MAX_IDLE
    assert not world.pool.may_take(2)


def test_a_connection_that_cannot_be_made_is_not_in_use(world: World) -> None:
    """No certificates to read: the error is the caller's, and the count is as before."""

    def fail() -> OrderConnection:
        raise OSError("no such file")

    served(world, 1)
    held = world.take()
    world.pool._make = fail
    with pytest.raises(OSError, match="no such file"):
        world.pool.take()
    world.give_back(held)
    assert world.pool.may_take(1)


def test_closing_leaves_a_request_under_way_alone(world: World) -> None:
    """Its holder may be inside the socket; it is closed when it comes back."""
    served(world, 2)
    held = world.take()
    held.serve()
    world.pool.close()
    assert [it.open for it in world.made] == [False, True]
    world.give_back(held)
    assert [it.open for it in world.made] == [False, False]
    assert not world.pool.may_take(9)


class Pool(RuleBasedStateMachine):
    """Any number of holders, in any order, while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.held: list[Connection] = []
        self.closed = False

    @rule(most=st.integers(0, 4))
    def take(self, most: int) -> None:
        ready = self.world.pool.may_take(most)
        taken = self.world.take()
        assert not taken.awaiting
        if ready:
            assert taken.ready, "promised, and yet to be opened"
            assert len(self.held) < most
        self.held.append(taken)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["served", "untouched", "failed", "lost"]))
    def give_back(self, which: int, how: str) -> None:
        one = self.held.pop(which % len(self.held))
        if how == "served":
            one.serve()
        elif how == "failed":
            one.used_at = None
        elif how == "lost":
            one.serve()
            one.awaiting = True
        self.world.give_back(one)
        assert one.open <= (one.ready and not self.closed)

    @rule(seconds=st.sampled_from([1.0, 7.0, 30.0]))
    def age(self, seconds: float) -> None:
        self.world.now += seconds

    @rule()
    def close(self) -> None:
        self.world.pool.close()
        self.closed = True

    @invariant()
    def none_stays_open_after_the_end(self) -> None:
        """But what somebody holds."""
        if self.closed:
            assert not [it for it in self.world.made if it.open and not it.held]

    @invariant()
    def none_is_lost(self) -> None:
        """What is neither held nor free is closed for good."""
        free = cast("set[Connection]", set(self.world.pool._free))
        assert free.isdisjoint(self.held)
        assert not [it for it in self.world.made if it.open and not it.held and it not in free]
        assert self.world.pool._taken == len(self.held)


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
