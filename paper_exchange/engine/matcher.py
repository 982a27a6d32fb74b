"""The background task that gives the engine time: asleep while nothing rests."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from paper_exchange.clock import SECOND
from paper_exchange.engine.matching import Engine

log = logging.getLogger(__name__)

_AFTER_A_FAILURE_NS = SECOND


class Matcher:
    """Calls ``Engine.tick`` as often as the engine asks for, and ``settle`` after it.

    Events that a tick has told leave only when this task waits again, hence
    after what they tell has been written.
    """

    def __init__(self, engine: Engine, settle: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._settle = settle
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once; orders stay as they are."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def look(self) -> None:
        """Something may have changed: wake up if the engine has earlier work than planned."""
        if self._engine.has_news():
            self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            pause = self._step()
            wait = None if pause is None else self._engine.clock.real_seconds(pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)

    def _step(self) -> int | None:
        try:
            pause = self._engine.tick()
            self._settle()
            return pause
        except Exception:  # matching goes on for the other orders whatever one of them does
            log.exception("tick_failed")
            return _AFTER_A_FAILURE_NS
