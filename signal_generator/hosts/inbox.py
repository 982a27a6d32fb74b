"""What waits for the strategies' thread, in the order in which it came."""

import threading
from collections import deque

from signal_generator.bars import Bar, Quote
from signal_generator.executions import Execution

#: Bars and executions that may wait. Behind them the sources wait: nothing is lost, and memory has
#: an end. Thirty symbols fill it in eleven hours of minute bars.
LIMIT = 20_000

Told = tuple[str, Execution]
Item = Bar | Quote | Told


class Inbox:
    """A queue that keeps of each symbol's quotes the newest only; for any number of threads."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._items: deque[Bar | Told | str] = deque()
        self._quotes: dict[str, Quote] = {}
        self._closed = False

    def put_bar(self, bar: Bar) -> None:
        """Append it; blocks while the inbox is full, until it is closed."""
        self._append(bar)

    def put_execution(self, entry_id: str, execution: Execution) -> None:
        """Append it; blocks while the inbox is full, until it is closed."""
        self._append((entry_id, execution))

    def put_quote(self, quote: Quote) -> None:
        """Replace the symbol's quote that waits, or append; never blocks."""
        with self._changed:
            if quote.symbol not in self._quotes:
                self._items.append(quote.symbol)
                self._changed.notify_all()
            self._quotes[quote.symbol] = quote

    def get(self, seconds: float) -> Item | None:
        """The next item; None when none came in time, or the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, seconds)
            if self._closed or not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return self._quotes.pop(item) if isinstance(item, str) else item

    def empty(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._items

    def close(self) -> None:
        """Wake everybody; what waits is let go, and so is what still comes."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _append(self, item: Bar | Told) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._limit or self._closed)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
