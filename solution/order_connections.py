"""Connections for orders, shared by all threads: taken for one request, then given back."""

import threading
from collections import deque
from collections.abc import Callable

from solution.order_connection import OrderConnection


class OrderConnections:
    """As many as there ever were requests under way at one time. Safe from any thread.

    The one that came back last goes out first: it is the warmest, and those that are not needed any
    more grow old together, in one place.

    Args:
        make: a connection, not open yet.
    """

    def __init__(self, make: Callable[[], OrderConnection]) -> None:
        self._make = make
        # A leaf: nothing under it waits for the network.
        self._mutex = threading.Lock()
        self._free: deque[OrderConnection] = deque()  # the coldest on the left
        self._taken = 0
        self._closed = False

    def take(self) -> OrderConnection:
        """One for the caller alone, until :meth:`give_back`; it may have to be opened yet."""
        with self._mutex:
            if self._free:
                self._taken += 1
                return self._free.pop()
        made = self._make()
        with self._mutex:
            self._taken += 1
        return made

    def give_back(self, connection: OrderConnection) -> None:
        """Its request is over; to be called also when it failed."""
        with self._mutex:
            self._taken -= 1
            if self._closed or connection.awaiting:
                # An answer that nobody will read must not meet another's request.
                connection.close()
                return
            if connection.ready:
                self._free.append(connection)
            else:
                self._free.appendleft(connection)  # so that the next one need not open one
            for old in self._free:
                if old.ready:
                    break
                # Here and not outside: a moment later another thread may have taken it.
                old.close()

    def may_take(self, most: int) -> bool:
        """Whether fewer than ``most`` are taken, and one is open, as far as its age tells."""
        with self._mutex:
            return self._taken < most and bool(self._free) and self._free[-1].ready

    def close(self) -> None:
        """Close those that are free. One that is taken is its holder's: closed when given back."""
        with self._mutex:
            self._closed = True
            free, self._free = self._free, deque()
        for connection in free:
            connection.close()
