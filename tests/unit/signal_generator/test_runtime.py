"""Tests of signal_generator.runtime."""

import os
import select
import signal
import time
from collections.abc import Iterator

import pytest

from signal_generator.runtime import Pacer, SignalStop, stop_on_signals
from tests.helpers.fake_stop import FakeStop

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


@pytest.fixture
def restored_handlers() -> Iterator[None]:
    """Put the handlers of this process back, whatever a test did to them."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ticks(pacer: Pacer, stop: FakeStop, *steps: float) -> list[float]:
    """Return the moments of the ticks when step number n takes `steps[n]` seconds."""
    moments = []
    for step in steps:
        pacer.wait()
        moments.append(stop.time)
        stop.time += step
    return moments


def test_first_tick_is_now() -> None:
    """A generator does not begin with a pause."""
    stop = FakeStop()
    assert Pacer(5.0, stop, stop.monotonic).wait()
    assert stop.waits == []


def test_period_does_not_drift() -> None:
    """The time a step takes comes off the pause."""
    stop = FakeStop()
    moments = ticks(Pacer(1.0, stop, stop.monotonic), stop, 0.25, 0.5, 0.0, 0.75)
    assert moments == [0.0, 1.0, 2.0, 3.0]


def test_missed_ticks_are_skipped() -> None:
    """A step of 3.5 periods is followed by the next whole tick, not by a burst."""
    stop = FakeStop()
    moments = ticks(Pacer(1.0, stop, stop.monotonic), stop, 0.0, 3.5, 0.0, 0.0)
    assert moments == [0.0, 1.0, 5.0, 6.0]


def test_stop_during_a_pause() -> None:
    """A stop in the middle of a long period ends it."""
    stop = FakeStop(stop_at=10.0)
    pacer = Pacer(3600.0, stop, stop.monotonic)
    assert (pacer.wait(), pacer.wait(), stop.time) == (True, False, 10.0)


def test_stop_before_the_first_tick() -> None:
    """Nothing is done when the stop came first."""
    stop = FakeStop(stop_at=0.0)
    assert not Pacer(1.0, stop, stop.monotonic).wait()


def test_signal_stop_times_out() -> None:
    """Without a stop the wait ends by itself and says so."""
    with SignalStop() as stop:
        assert (stop.wait(0.001), stop.is_set()) == (False, False)


def test_signal_stop_stays_set() -> None:
    """Set once or twice, every later wait returns at once."""
    with SignalStop() as stop:
        stop.set()
        stop.set()
        assert (stop.wait(60), stop.wait(60), stop.is_set()) == (True, True, True)


@pytest.mark.usefixtures("restored_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_wakes_the_wait(number: signal.Signals) -> None:
    """The pause of a minute ends when the signal arrives."""
    with stop_on_signals() as stop:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        began = time.monotonic()
        assert stop.wait(60)
        assert time.monotonic() - began < 10


@pytest.mark.usefixtures("restored_handlers")
def test_second_signal_acts_as_before() -> None:
    """After the first Ctrl-C the handlers of before are back, so that a second one kills."""
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("restored_handlers")
def test_handlers_are_restored() -> None:
    """Leaving the block leaves no handler behind."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signals():
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("restored_handlers")
def test_a_fork_dies_of_its_first_signal() -> None:
    """Or a strategy's `multiprocessing.Pool` would wait for its workers for ever.

    Our own flag, which shares its socket with the fork, stays down.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with stop_on_signals() as stop:
        if (child := os.fork()) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGTERM
        assert not select.select([stop._read], [], [], 0)[0]
        assert not stop.is_set()
