"""The background task that gives the engine time: asleep while nothing rests."""

from collections.abc import Callable

from paper_exchange.engine.matching import Engine
from paper_exchange.rounds import Rounds


class Matcher:
    """Calls ``Engine.tick`` as often as the engine asks for, and ``settle`` after it.

    Events that a tick has told leave only when this task waits again, hence
    after what they tell has been written, or has been tried to be.
    """

    def __init__(self, engine: Engine, settle: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._settle = settle
        self._rounds = Rounds(self._round, engine.clock, failure="tick_failed")

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._rounds.start()

    async def stop(self) -> None:
        """End at once; orders stay as they are."""
        await self._rounds.stop()

    def look(self) -> None:
        """Something may have changed: wake up if the engine has earlier work than planned."""
        if self._engine.has_news():
            self._rounds.wake()

    def retry(self) -> None:
        """What was to be written could not be: go on trying, once a second."""
        self._rounds.wake()

    def step(self) -> int | None:
        """Let the engine work and write what it did; the pause it asks for in nanoseconds."""
        pause = self._engine.tick()
        self._settle()
        return pause

    async def _round(self) -> int | None:
        return self.step()
