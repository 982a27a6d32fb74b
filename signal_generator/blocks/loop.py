"""Calls the strategy, again and again, until the run's time is over or somebody ends it."""

import logging
import time
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

from signal_generator.blocks.desk import is_given
from signal_generator.runtime import Pacer, Stop

log = logging.getLogger(__name__)

SHORTEST = 0.001
"""A period of 0 means as often as possible."""

FAILURES = (Exception, CancelledError, GeneratorExit)
"""What a strategy's mistake looks like: a coroutine that was cancelled, or a generator that was
closed, is no wish to end the program, as ``SystemExit`` and ``KeyboardInterrupt`` are."""


class Until:
    """A stop flag that also goes up at a moment of the monotonic clock."""

    def __init__(self, stop: Stop, moment: float, monotonic: Callable[[], float]) -> None:
        self._stop = stop
        self._moment = moment
        self._monotonic = monotonic

    def is_set(self) -> bool:
        """Whether it is over."""
        return self._stop.is_set() or self.left() <= 0

    def wait(self, timeout: float) -> bool:
        """Wait, at most until it is over."""
        self._stop.wait(max(0.0, min(timeout, self.left())))
        return self.is_set()

    def left(self) -> float:
        """Seconds until the moment; negative when it has passed."""
        return self._moment - self._monotonic()


class StrategyLoop:
    """For one thread.

    Args:
        call: the strategy with a context.
        submit: takes what it returned.
    """

    def __init__(
        self,
        call: Callable[[], Any],
        submit: Callable[[Any], object],
        *,
        frequency: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._submit = submit
        self._frequency = max(frequency, SHORTEST)
        self._monotonic = monotonic
        self.calls = 0
        self.failures = 0

    def run(self, until: Until) -> None:
        """One call per period; the period does not drift by the time that the calls take."""
        pacer = Pacer(self._frequency, until, self._monotonic)
        while pacer.wait():
            self.step()

    def step(self) -> None:
        """One call; its orders, if it returned some, are on their way afterwards."""
        self.calls += 1
        try:
            orders = self._call()
            if is_given(orders):
                self._submit(orders)
        except FAILURES:  # the strategy is the user's: it is told of, and called again
            self.failures += 1
            log.exception("the strategy failed in call %d", self.calls)
