"""Every event of every order in a file, one JSON object a line.

On a stepped clock, equal seeds and equal requests give equal bytes.
"""

import logging
import os
from pathlib import Path

import orjson

from paper_exchange.engine.events import TradeEvent
from paper_exchange.storage.database import StateError

log = logging.getLogger(__name__)


class OrderLog:
    """Appends events to a file; each line is written before the request's answer leaves.

    Raises:
        StateError: when the file cannot be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        # Unbuffered: what was told is in the file whatever becomes of this process.
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0)
        except OSError as error:
            raise StateError(f"cannot open the order log {path}: {error.strerror}") from None
        self._size = self._file.tell()

    def write(self, event: TradeEvent) -> None:
        """One of the engine's sinks; on a full disk the line is left out, and that is logged."""
        line = orjson.dumps(event.render(), option=orjson.OPT_APPEND_NEWLINE)
        try:
            if self._file.write(line) != len(line):
                # The next line would go on in the middle of this one.
                self._file.truncate(self._size)
                raise OSError("the disk is full")
        except OSError:
            log.exception("order_log_not_written")
        else:
            self._size += len(line)

    def close(self) -> None:
        """No more lines."""
        self._file.close()
