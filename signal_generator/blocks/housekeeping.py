"""What is done beside the strategy: the summary every few seconds, the comparison of positions."""

import logging
import threading
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

EVERY = 5.0

Task = Callable[[], None]


class Housekeeping:
    """One thread that does its tasks every five seconds."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin; the first time after five seconds."""
        self._thread.start()

    def stop(self, seconds: float = 2.5) -> None:
        """End it; what it does right now may take until its own time limit."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def step(self) -> None:
        """Everything once."""
        for task in self._tasks:
            try:
                task()
            except Exception:  # the next one and the next time are worth more than this thread
                log.exception("housekeeping failed")

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            self.step()
