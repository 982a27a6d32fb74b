"""A record of every request, for tests that want a second opinion.

What was noted is appended to a nameless temporary file in blocks; memory holds
the newest block and one offset for each of the others, so that a record of
millions of requests costs next to nothing.
"""

import logging
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import orjson

from paper_exchange.clock import stamp

log = logging.getLogger(__name__)

#: Entries that one answer of ``GET /admin/log`` has at most.
LARGEST_PAGE = 200_000
#: The outcome of a request that was answered as it should be.
ANSWERED = "answered"
_BLOCK = 128
#: Stands for a block that could not be written.
_LOST = -1


@dataclass(slots=True)
class Seen:
    """One request.

    Attributes:
        arrived: the machine's monotonic clock in seconds.
        status: what the client was sent; 0 for nothing.
        outcome: ``answered``, or the kind of the fault that struck.
        taken: whether the request was carried out, whatever the client was told.
    """

    index: int
    arrived: float
    at_ns: int
    key_id: str
    method: str
    path: str
    status: int
    client_order_id: str | None
    outcome: str
    taken: bool

    def render(self) -> dict[str, object]:
        """The entry as ``GET /admin/log`` shows it."""
        return {
            "index": self.index,
            "arrived": self.arrived,
            "at": stamp(self.at_ns),
            "key_id": self.key_id,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "client_order_id": self.client_order_id,
            "outcome": self.outcome,
            "taken": self.taken,
        }


_Fields = tuple[float, int, str, str, str, int, str | None, str, bool]


class Witness:
    """Keeps all requests since the start, on disk."""

    def __init__(self) -> None:
        self._block: list[_Fields] = []
        self._offsets = array("q")
        self._spool: IO[bytes] | None = None
        self._end = 0
        #: Written on top of entries that are on disk; late acceptances are few.
        self._amended: dict[int, tuple[bool, str | None]] = {}

    def note(  # noqa: PLR0913  -- a record's fields, all named
        self,
        *,
        arrived: float,
        at_ns: int,
        key_id: str,
        method: str,
        path: str,
        status: int,
        client_order_id: str | None,
        outcome: str = ANSWERED,
        taken: bool | None = None,
    ) -> int:
        """Record a request; entries are in the order in which it was decided what to answer.

        ``outcome`` says what the client saw: ``answered``, or what a fault made
        of it. Without ``taken`` the status tells. Returns the entry's index.
        """
        if taken is None:
            taken = status < 300
        index = self.count
        self._block.append(
            (arrived, at_ns, key_id, method, path, status, client_order_id, outcome, taken)
        )
        if len(self._block) == _BLOCK:
            self._spool_block()
        return index

    def amend(self, index: int, *, taken: bool, client_order_id: str | None) -> None:
        """A request was carried out after its entry was written."""
        self._amended[index] = (taken, client_order_id)

    def _spool_block(self) -> None:
        try:
            if self._spool is None:
                self._spool = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  -- open until the end
                weakref.finalize(self, self._spool.close)
            self._spool.seek(self._end)
            block = orjson.dumps(self._block)
            if self._spool.write(block) != len(block):
                raise OSError("the disk is full")
        except OSError:  # a full disk must not cost an answer
            log.exception("witness_not_written")
            self._offsets.append(_LOST)
        else:
            self._offsets.append(self._end)
            self._end += len(block)
        self._block = []

    @property
    def count(self) -> int:
        """How many requests there were."""
        return len(self._offsets) * _BLOCK + len(self._block)

    def newest(self, limit: int) -> list[Seen]:
        """The last entries, newest first, at most ``limit``."""
        return list(self.since(max(0, self.count - limit), limit))[::-1]

    def since(self, index: int, limit: int) -> Iterator[Seen]:
        """Entries from ``index`` on, at most ``limit``, read as they are asked for."""
        stop = min(index + limit, self.count)
        while index < stop:
            number, first = divmod(index, _BLOCK)
            end = min(_BLOCK, first + stop - index)
            for place, entry in enumerate(self._entries(number)[first:end], index):
                seen = Seen(place, *entry)
                if place in self._amended:
                    seen.taken, seen.client_order_id = self._amended[place]
                yield seen
            index += end - first

    def _entries(self, number: int) -> list[_Fields]:
        if number == len(self._offsets):
            return self._block
        start = self._offsets[number]
        if self._spool is None or start == _LOST:
            return []
        later = (offset for offset in self._offsets[number + 1 :] if offset != _LOST)
        self._spool.seek(start)
        block: list[_Fields] = orjson.loads(self._spool.read(next(later, self._end) - start))
        return block

    def close(self) -> None:
        """Give up the file."""
        if self._spool is not None:
            self._spool.close()
