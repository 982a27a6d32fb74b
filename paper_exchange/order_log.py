"""Every event of every order in a file, one JSON object a line.

On a stepped clock, equal seeds and equal requests give equal bytes.
"""

from pathlib import Path

import orjson

from paper_exchange.events import TradeEvent


class OrderLogError(Exception):
    """The file cannot be written to; the message is one sentence for the user."""


class OrderLog:
    """Appends events to a file; each line is written before the request's answer leaves.

    Raises:
        OrderLogError: when the file cannot be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        # Unbuffered: what was told is in the file whatever becomes of this process.
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise OrderLogError(f"cannot open the order log {path}: {error.strerror}") from None

    def write(self, event: TradeEvent) -> None:
        """One of the engine's sinks."""
        self._file.write(orjson.dumps(event.render(), option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """No more lines."""
        self._file.close()
