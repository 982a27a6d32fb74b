"""How far the events of `executions` stand in a CSV, so that the next run goes on there.

What rested when a run ended may have filled since, and is told before the next one listens. The
place is kept in a file beside the CSV, after its rows are written. A process that dies between the
two leaves rows that the place does not cover: they lie beyond the size that it has for the CSV, and
as many events are passed over.
"""

import contextlib
import csv
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from signal_generator.blocks.trade_log import WITHOUT_EVENT


@dataclass(frozen=True, slots=True)
class Place:
    """The last entry whose event is done with, and the CSV's size with its row."""

    stream: str
    entry_id: str
    event_id: int
    size: int


class RowCursor:
    """For one thread.

    Args:
        log: the CSV.
        stream: whose events they are; the place in another one says nothing.
    """

    def __init__(self, log: Path, stream: str) -> None:
        self._log = log
        self._stream = stream
        self._file = log.with_name(f".{log.name}.place")

    def read(self) -> tuple[Place, int] | None:
        """The place, and how many rows of later events are written already.

        None where nothing is known: at the first run, or after the CSV was moved away.
        """
        try:
            found = Place(**json.loads(self._file.read_bytes()))
            rows = self._log.read_bytes()
            if found.stream != self._stream or not 0 < found.size <= len(rows):
                return None
            return found, _with_event(rows[found.size :])
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, entry_id: str, event_id: int) -> None:
        """Everything up to this entry has its row. A failure costs repeated rows, nothing else."""
        with contextlib.suppress(OSError):
            place = Place(self._stream, entry_id, event_id, self._log.stat().st_size)
            beside = self._file.with_suffix(".new")
            beside.write_text(json.dumps(asdict(place)), encoding="utf-8")
            os.replace(beside, self._file)  # noqa: PTH105  # whole or not at all


def _with_event(rows: bytes) -> int:
    """Whole rows that an event made; the others were never told on the stream."""
    whole = rows[: rows.rfind(b"\n") + 1].decode(errors="replace")
    return sum(bool(row) and row[0] not in WITHOUT_EVENT for row in csv.reader(whole.splitlines()))
