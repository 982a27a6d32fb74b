"""Tests of signal_generator.blocks.loop."""

import asyncio
from typing import Any

import numpy as np
import pytest

from signal_generator.blocks.loop import StrategyLoop, Until
from tests.helpers.fake_stop import FakeStop


class Script:
    """A strategy on invented time: each call takes `takes` seconds."""

    def __init__(self, stop: FakeStop, takes: float = 0.0, answers: Any = ()) -> None:
        self.moments: list[float] = []
        self._stop = stop
        self._takes = takes
        self._answers = list(answers)

    def __call__(self) -> Any:
        self.moments.append(self._stop.time)
        self._stop.time += self._takes
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, BaseException):
            raise answer
        return answer


def run(stop: FakeStop, script: Script, *, frequency: float, seconds: float) -> list[Any]:
    """What was submitted."""
    submitted: list[Any] = []
    loop = StrategyLoop(script, submitted.append, frequency=frequency, monotonic=stop.monotonic)
    loop.run(Until(stop, seconds, stop.monotonic))
    return submitted


def test_the_period_does_not_drift() -> None:
    """A call of a quarter second every second, for five seconds: on the second."""
    stop = FakeStop()
    script = Script(stop, takes=0.25)
    run(stop, script, frequency=1.0, seconds=4.5)
    assert script.moments == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert stop.time == 4.5


def test_a_slow_strategy_skips_what_it_missed() -> None:
    """No burst of calls afterwards."""
    stop = FakeStop()
    script = Script(stop, takes=2.5)
    run(stop, script, frequency=1.0, seconds=7)
    assert script.moments == [0.0, 3.0, 6.0]


def test_the_run_ends_at_its_time() -> None:
    """Not after another full period."""
    stop = FakeStop()
    run(stop, Script(stop), frequency=100.0, seconds=3)
    assert stop.time == 3


def test_a_stop_ends_it_early() -> None:
    """Ctrl-C."""
    stop = FakeStop(stop_at=1.5)
    script = Script(stop)
    run(stop, script, frequency=1.0, seconds=100)
    assert script.moments == [0.0, 1.0]


def test_what_is_returned_is_submitted() -> None:
    """Nothing, an empty list and None are not."""
    stop = FakeStop()
    script = Script(stop, answers=[[{"a": 1}], None, [], {"b": 2}])
    assert run(stop, script, frequency=1.0, seconds=5) == [[{"a": 1}], {"b": 2}]


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_an_exception_is_shown_counted_and_survived(
    caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    """With its traceback; the next call follows."""
    stop = FakeStop()
    script = Script(stop, answers=[kind("my mistake"), [{"a": 1}]])
    submitted: list[Any] = []
    loop = StrategyLoop(script, submitted.append, frequency=1.0, monotonic=stop.monotonic)
    loop.run(Until(stop, 1.5, stop.monotonic))
    assert submitted == [[{"a": 1}]]
    assert (loop.calls, loop.failures) == (2, 1)
    assert "the strategy failed in call 1" in caplog.text
    assert f"{kind.__name__}: my mistake" in caplog.text


def test_an_array_of_orders_is_submitted() -> None:
    """Though it has no truth value."""
    stop = FakeStop()
    orders = np.array([{"a": 1}, {"b": 2}])
    (submitted,) = run(stop, Script(stop, answers=[orders]), frequency=1.0, seconds=0.5)
    assert submitted is orders


def test_sys_exit_ends_it() -> None:
    """What is meant to end a program does."""
    stop = FakeStop()
    with pytest.raises(SystemExit):
        run(stop, Script(stop, answers=[SystemExit(3)]), frequency=1.0, seconds=5)


def test_a_period_of_zero_is_as_often_as_possible() -> None:
    """A thousand times a second, at most."""
    stop = FakeStop()
    script = Script(stop)
    run(stop, script, frequency=0.0, seconds=0.0105)
    assert len(script.moments) == 11
