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
        self._free: deque[OrderConnection] = deque()
        self._all: list[OrderConnection] = []

    def take(self) -> OrderConnection:
        """One for the caller alone, until :meth:`give_back`."""
        with self._mutex:
            if self._free:
                return self._free.pop()
        made = self._make()
        with self._mutex:
            self._all.append(made)
        return made

    def give_back(self, connection: OrderConnection) -> None:
        """Its request is over; to be called also when it failed."""
        with self._mutex:
            self._free.append(connection)
            for old in self._free:
                if old.ready:
                    break
                # Here and not outside: a moment later another thread may have taken it.
                old.close()

    def may_take(self, most: int) -> bool:
        """Whether one is free and open, as far as its age tells, and fewer than ``most`` are in use."""
        with self._mutex:
            in_use = len(self._all) - len(self._free)
            return bool(self._free) and in_use < most and self._free[-1].ready

    def close(self) -> None:
        """Close them all. Call it when no request is under way any more."""
        with self._mutex:
            connections, self._all = self._all, []
            self._free.clear()
        for connection in connections:
            connection.close()
