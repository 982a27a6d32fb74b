"""Reads the stream `executions` in a thread of its own and hands on what it finds."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import redis

from signal_generator.executions import Execution
from signal_generator.hosts.kept import Interrupted
from signal_generator.hosts.patience import Patience
from signal_generator.publisher import PublishError
from signal_generator.runtime import Stop

log = logging.getLogger(__name__)

#: Milliseconds; no flag can wake a blocked read, so this is how long a stop may take.
BLOCK = 500
_COUNT = 500
_NONE_YET = "0-0"

Put = Callable[[str, Execution], None]


def entry_order(entry_id: str) -> tuple[int, int]:
    """Entry ids in their order: ``5-10`` comes after ``5-9``."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds or 0), int(sequence or 0)


class ExecutionReader:
    """From a position on, every entry in order; entries that are none are told and passed over.

    Args:
        client: for this thread alone; its own retries must be off.
        put: told entry id and execution; may block.
        stop: ends it within `BLOCK`.
        failed: told what ended the thread other than the stop flag.
    """

    def __init__(
        self,
        client: redis.Redis,
        stream: str,
        put: Put,
        stop: Stop,
        *,
        failed: Callable[[PublishError], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._stream = stream
        self._put = put
        self._stop = stop
        self._failed = failed
        self._patience = Patience(client, stop)
        self._after = _NONE_YET
        self._unsure = True
        self._thread = threading.Thread(target=self._run, name="executions", daemon=True)

    def end(self) -> str:
        """The position behind everything that stands there now.

        Raises:
            Refused, Interrupted: as of a transaction.
        """
        return self._patience.ask(self._last) or _NONE_YET

    def start(self, after: str) -> None:
        """Begin behind this entry id."""
        self._after = after or _NONE_YET
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for its end, after the stop flag was set."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._patience.ask(self.step)
        except Interrupted:
            pass
        except PublishError as error:
            self._failed(error)
        except Exception as error:
            # A host that goes on without hearing of fills is worse than one that has ended.
            self._failed(PublishError(f"reading {self._stream} failed: {error!r}"))
            raise
        finally:
            self._client.close()

    def step(self) -> None:
        """One read, and what it brought; after a failed one, a look at where the stream stands."""
        if self._unsure:
            self._check_position()
        self._unsure = True
        found: Any = self._client.xread({self._stream: self._after}, count=_COUNT, block=BLOCK)
        self._unsure = False
        for _, entries in found or ():
            for entry_id, fields in entries:
                self._hand_on(entry_id, fields)
                self._after = entry_id

    def _hand_on(self, entry_id: str, fields: dict[str, str]) -> None:
        try:
            execution = Execution.read(fields)
        except ValueError as error:
            log.warning("%s %s: %s", self._stream, entry_id, error)
        else:
            self._put(entry_id, execution)

    def _check_position(self) -> None:
        """Tell what cannot be read any more, and go back where the stream itself went back."""
        if self._after == _NONE_YET:
            return
        first = self._edge(self._client.xrange(self._stream, "-", "+", count=1))
        last = self._last()
        if first and entry_order(first) > entry_order(self._after):
            log.warning(
                "%s was trimmed to %s, beyond what was read last (%s):"
                " what became of some signals may never be told",
                *(self._stream, first, self._after),
            )
        if entry_order(last) < entry_order(self._after):
            log.warning(
                "%s ends at %s, before what was read last (%s): Redis has lost entries",
                *(self._stream, last or "nothing", self._after),
            )
            self._after = last or _NONE_YET

    def _last(self) -> str:
        return self._edge(self._client.xrevrange(self._stream, "+", "-", count=1))

    @staticmethod
    def _edge(entries: Any) -> str:
        return str(entries[0][0]) if entries else ""
