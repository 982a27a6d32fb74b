"""Dead threads are restarted, more and more slowly; fatal ends are told to the owner."""

import logging

import pytest

from solution.clock import Deadline
from solution.runtime.service import Fatal, Runnable
from solution.runtime.supervisor import Supervisor
from tests.helpers.clocks import PATIENCE, ManualClock, eventually


class Charge:
    """A service whose life the test decides."""

    def __init__(self, name: str = "stream") -> None:
        self.name = name
        self.alive = True
        self.stopping = False
        self.failure: BaseException | None = None
        self.restarts = 0

    def die(self, failure: BaseException | None = None) -> None:
        self.alive, self.failure = False, failure

    def start(self) -> None:
        self.alive = True

    def restart(self) -> bool:
        self.restarts += 1
        self.alive, self.failure = True, None
        return True

    def request_stop(self) -> None:
        self.stopping = True

    def join(self, deadline: Deadline) -> bool:
        return not self.alive

    def stop(self, deadline: Deadline) -> bool:
        return self.join(deadline)


class Told:
    """What the owner heard."""

    def __init__(self) -> None:
        self.restarted: list[tuple[str, str]] = []
        self.fatal: list[tuple[str, str]] = []

    def on_restart(self, service: Runnable, failure: BaseException | None) -> None:
        self.restarted.append((service.name, repr(failure)))

    def on_fatal(self, service: Runnable, failure: Fatal) -> None:
        self.fatal.append((service.name, str(failure)))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def charge() -> Charge:
    return Charge()


@pytest.fixture
def supervisor(charge: Charge, told: Told, clock: ManualClock) -> Supervisor:
    return Supervisor(
        [Charge("healthy"), charge],
        check_every=0.25,
        on_restart=told.on_restart,
        on_fatal=told.on_fatal,
        clock=clock,
    )


def test_the_living_are_left_alone(supervisor: Supervisor, charge: Charge, told: Told) -> None:
    """A look costs nothing and says when the next one is."""
    assert supervisor.step() == 0.25
    assert charge.restarts == 0
    assert told.restarted == []


def test_a_dead_service_is_restarted_at_once_and_reported(
    supervisor: Supervisor, charge: Charge, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason, in the log and to the owner."""
    charge.die(SystemExit(3))
    with caplog.at_level(logging.WARNING, "solution.runtime"):
        supervisor.step()
    assert charge.alive
    assert told.restarted == [("stream", "SystemExit(3)")]
    assert caplog.messages == ["restarted stream, which had ended by SystemExit(3)"]


def test_who_dies_again_quickly_waits_longer_and_longer(
    supervisor: Supervisor, charge: Charge, clock: ManualClock
) -> None:
    """0, 0.5, 1, 2 … seconds, 30 at most: no storm of restarts."""
    waits = []
    for _ in range(9):
        charge.die()
        begun, restarts = clock.monotonic(), charge.restarts
        while charge.restarts == restarts:
            supervisor.step()
            clock.advance(0.25)
        waits.append(clock.monotonic() - begun - 0.25)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_minute_of_life_forgives(
    supervisor: Supervisor, charge: Charge, clock: ManualClock
) -> None:
    """The back-off begins anew."""
    for _ in range(4):
        charge.die()
        clock.advance(10)
        supervisor.step()
    assert charge.restarts < 4
    clock.advance(5)
    supervisor.step()
    clock.advance(60)
    charge.die()
    restarts = charge.restarts
    supervisor.step()
    assert charge.restarts == restarts + 1


def test_a_stopped_service_stays_stopped(supervisor: Supervisor, charge: Charge) -> None:
    """Its owner wanted that."""
    charge.request_stop()
    charge.die()
    supervisor.step()
    assert charge.restarts == 0


def test_a_stop_that_comes_between_look_and_restart_wins(
    supervisor: Supervisor, charge: Charge, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """restart() says no, so nothing is reported."""
    monkeypatch.setattr(charge, "restart", lambda: False)
    charge.die()
    supervisor.step()
    assert told.restarted == []


def test_fatal_is_told_once_and_not_restarted(
    supervisor: Supervisor, charge: Charge, told: Told
) -> None:
    """A new thread could not go on either; also while the others of a pool still run."""
    charge.failure = Fatal("another account")
    supervisor.step()
    charge.die(charge.failure)
    supervisor.step()
    assert told.fatal == [("stream", "another account")]
    assert charge.restarts == 0


def test_without_callbacks_it_does_the_same(charge: Charge, clock: ManualClock) -> None:
    """Callbacks are for the owner, not for the work."""
    broken = Charge("broken")
    broken.die(Fatal("no"))
    supervisor = Supervisor([charge, broken], clock=clock)
    charge.die()
    assert supervisor.step() == 0.5
    assert (charge.restarts, broken.restarts) == (1, 0)


def test_it_is_a_service_itself(charge: Charge, told: Told) -> None:
    """Started and stopped as the others; a failing callback does not end it."""

    def broken(service: Runnable, failure: BaseException | None) -> None:
        raise OSError("no notifier")

    supervisor = Supervisor([charge], check_every=0.01, on_restart=broken)
    charge.die()
    supervisor.start()
    assert eventually(lambda: supervisor.errors == 1)
    assert supervisor.stop(Deadline(PATIENCE))
    assert charge.restarts == 1
