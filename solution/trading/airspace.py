"""How many POSTs may be on their way at one time: as many as there are workers."""

import threading


class Airspace:
    """Places for POSTs, shared by the workers: one that sends a burst has those of idle ones.

    Args:
        places: how many.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        # A leaf: nothing under it waits but for a place.
        self._room = threading.Condition(threading.Lock())

    @property
    def room(self) -> bool:
        """Whether there is a place; no lock."""
        return self._free > 0

    def enter(self) -> bool:
        """Take a place if there is one; :meth:`leave` must follow."""
        with self._room:
            if not self._free:
                return False
            self._free -= 1
            return True

    def leave(self) -> None:
        """The answer was taken in, or nothing was sent."""
        with self._room:
            self._free += 1
            self._room.notify()

    def wait(self, seconds: float) -> None:
        """Until there is a place, perhaps; at most so long."""
        with self._room:
            if not self._free:
                self._room.wait(seconds)
