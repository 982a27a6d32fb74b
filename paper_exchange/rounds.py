"""A background task that takes one step after another, asleep in between."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from paper_exchange.clock import Clock

log = logging.getLogger(__name__)

#: Seconds of real time before a step that failed is tried again.
_AFTER_A_FAILURE_S = 1.0


class Rounds:
    """Calls ``step`` after each pause it asks for, in nanoseconds of ``clock``, and when woken.

    A step that returns None, or any pause on a clock that only a hand moves,
    is followed by another one only after ``wake``. One that raises is logged
    as ``failure`` and tried again a second of real time later.

    Args:
        shortest_s: of real time that steps are apart at least, unless woken.
    """

    def __init__(
        self,
        step: Callable[[], Awaitable[int | None]],
        clock: Clock,
        *,
        failure: str,
        shortest_s: float = 0.0,
    ) -> None:
        self._step = step
        self._clock = clock
        self._failure = failure
        self._shortest_s = shortest_s
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Take the next step now, whatever the pause."""
        self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            wait_s = await self._take_step()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait_s)

    async def _take_step(self) -> float | None:
        """One step; returns the seconds until the next, None if only ``wake`` begins it."""
        try:
            pause = await self._step()
        except Exception:  # the task outlives any one bad step
            log.exception(self._failure)
            return _AFTER_A_FAILURE_S
        wait_s = None if pause is None else self._clock.real_seconds(pause)
        return None if wait_s is None else max(wait_s, self._shortest_s)
