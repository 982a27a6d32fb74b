"""A bounded record of every trading request, for tests that want a second opinion."""

import itertools
from collections import deque
from dataclasses import dataclass

from paper_exchange.clock import stamp

CAPACITY = 200_000
#: The outcome of a request that was answered as it should be.
ANSWERED = "answered"


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


class Witness:
    """Keeps the newest requests."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._seen: deque[Seen] = deque(maxlen=capacity)
        self._count = 0

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

        Without ``taken`` the status tells. Returns the entry's index.
        """
        if taken is None:
            taken = status < 300
        self._seen.append(
            Seen(
                self._count,
                arrived,
                at_ns,
                key_id,
                method,
                path,
                status,
                client_order_id,
                outcome,
                taken,
            )
        )
        self._count += 1
        return self._count - 1

    def amend(self, index: int, *, taken: bool, client_order_id: str | None) -> None:
        """A request was carried out after its entry was written; forgotten entries stay so."""
        place = index - (self._count - len(self._seen))
        if place >= 0:
            entry = self._seen[place]
            entry.taken, entry.client_order_id = taken, client_order_id

    @property
    def count(self) -> int:
        """How many requests there were, forgotten ones included."""
        return self._count

    def since(self, index: int, limit: int) -> list[Seen]:
        """Entries from ``index`` on, at most ``limit``."""
        oldest = self._count - len(self._seen)
        start = max(0, index - oldest)
        return list(itertools.islice(self._seen, start, start + limit))
