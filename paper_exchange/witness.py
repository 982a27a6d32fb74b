"""A bounded record of every trading request, for tests that want a second opinion."""

import itertools
from collections import deque
from dataclasses import dataclass

from paper_exchange.clock import stamp

CAPACITY = 200_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One trading request; ``arrived`` is the machine's monotonic clock in seconds."""

    index: int
    arrived: float
    at_ns: int
    key_id: str
    method: str
    path: str
    status: int
    client_order_id: str | None

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
        }


class Witness:
    """Keeps the newest requests."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._seen: deque[Seen] = deque(maxlen=capacity)
        self._count = 0

    def note(
        self,
        *,
        arrived: float,
        at_ns: int,
        key_id: str,
        method: str,
        path: str,
        status: int,
        client_order_id: str | None,
    ) -> None:
        """Record a request that has been answered; entries are in the order of the answers."""
        entry = Seen(self._count, arrived, at_ns, key_id, method, path, status, client_order_id)
        self._count += 1
        self._seen.append(entry)

    @property
    def count(self) -> int:
        """How many requests there were, forgotten ones included."""
        return self._count

    def since(self, index: int, limit: int) -> list[Seen]:
        """Entries from ``index`` on, at most ``limit``."""
        oldest = self._count - len(self._seen)
        start = max(0, index - oldest)
        return list(itertools.islice(self._seen, start, start + limit))
