"""Reads the stream `executions` and hands every event on, each once."""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import redis

from signal_generator.executions import Execution

log = logging.getLogger(__name__)

BLOCK_MS = 500
"""How long one reading waits: also how long a stop may have to. Below the client's time limit."""
AT_ONCE = 500
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class ExecutionListener:
    """One thread that calls `take` for each event that comes after `start`.

    Args:
        client: of its own; its answers are decoded.
        take: called from the thread; an exception is logged and the next event follows.
        done: told of the last entry, and of the newest event, that was taken with all before it.
    """

    def __init__(
        self,
        client: redis.Redis,
        stream: str,
        take: Callable[[Execution], None],
        done: Callable[[str, int], None] = lambda _entry_id, _event_id: None,
    ) -> None:
        self._client = client
        self._stream = stream
        self._take = take
        self._done = done
        self._after = ""
        self._newest = 0
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="executions", daemon=True)

    def start(self) -> None:
        """Begin after what `catch_up` has told, else after the newest event of now.

        Raises:
            redis.RedisError: it cannot be asked.
        """
        if not self._after:
            self._after = "0-0"
            newest: Any = self._client.xrevrange(self._stream, count=1)
            for entry_id, fields in newest:
                self._after = entry_id
                self._newest = int(fields.get("event_id", 0))
        self._done(self._after, self._newest)
        self._thread.start()

    def catch_up(self, entry_id: str, event_id: int, missed: Callable[[Execution], None]) -> None:
        """Before `start`: tell what came after this entry and is in the stream already.

        Raises:
            redis.RedisError: it cannot be asked.
        """
        self._after, self._newest = entry_id, event_id
        rows: Any = self._client.xrange(self._stream, f"({self._after}", count=AT_ONCE)
        while rows:
            self._hand_on(rows, missed)
            rows = self._client.xrange(self._stream, f"({self._after}", count=AT_ONCE)

    def stop(self, seconds: float = 2.5) -> None:
        """Take what has been told until now, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self.step())
        # What was told while the last reading had just returned; it waits for nothing.
        self.step(block_ms=1)

    def step(self, block_ms: int = BLOCK_MS) -> float:
        """Read once; returns how long to pause."""
        try:
            answer: Any = self._client.xread(
                {self._stream: self._after}, count=AT_ONCE, block=block_ms
            )
        except (redis.RedisError, OSError) as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("executions cannot be read (%s); trying again", error)
            return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 8))
        if self._failures:
            self._failures = 0
            log.warning("executions can be read again")
        for _, entries in answer or ():
            self._hand_on(entries, self._take)
        return 0.0

    def _hand_on(
        self, entries: Iterable[tuple[str, dict[str, str]]], take: Callable[[Execution], None]
    ) -> None:
        for entry_id, fields in entries:
            try:
                told = Execution.read(fields)
                # The service tells at least once, in order: what is not newer is a repetition.
                if told.event_id > self._newest:
                    self._newest = told.event_id
                    take(told)
            except ValueError:
                log.warning("entry %s of %s is no execution", entry_id, self._stream)
            except Exception:  # one bad event must not end the book of all later ones
                log.exception("execution %s could not be taken", entry_id)
            self._after = entry_id
        self._done(self._after, self._newest)
