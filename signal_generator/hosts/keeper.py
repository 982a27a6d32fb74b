"""What goes on beside the callbacks, however long one takes: leases, and a word about trouble."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import redis

from signal_generator.hosts.kept import TakenOver
from signal_generator.hosts.lease import RENEW_EVERY, Lease

log = logging.getLogger(__name__)

#: Seconds after which a callback is told of.
SLOW = 5.0
SUMMARY_EVERY = 60.0


class Calling:
    """Which callback runs, and since when; written by one thread, read by another."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        #: One assignment, so that nobody reads the name of one and the time of another.
        self.now: tuple[str, float] = ("", 0.0)

    def __call__(self, what: str) -> None:
        """A callback begins, or with the empty text has ended."""
        self.now = (what, self._monotonic())


class Keeper:
    """A thread that looks once a second.

    Args:
        held: names of the strategies whose leases are ours.
        lease: the lease of a name; its client is this thread's.
        troubles: one line when something new went wrong, else the empty text.
        lost: told when another host has taken a strategy.
    """

    def __init__(
        self,
        held: Callable[[], Sequence[str]],
        lease: Callable[[str], Lease],
        calling: Calling,
        *,
        troubles: Callable[[], str],
        lost: Callable[[TakenOver], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._held = held
        self._lease = lease
        self._calling = calling
        self._troubles = troubles
        self._lost = lost
        self._monotonic = monotonic
        self._told: tuple[str, float] | None = None
        self._summary_at = monotonic() + SUMMARY_EVERY
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Renew nothing more; waits for its end."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def step(self) -> None:
        """One look."""
        for name in self._held():
            try:
                self._lease(name).renew()
            except TakenOver as error:
                self._lost(error)
            except (redis.RedisError, OSError):
                # The thread that publishes says that Redis is away; the lease is tried again.
                continue
        running = self._calling.now
        if running[0] and running != self._told and self._monotonic() - running[1] > SLOW:
            self._told = running
            log.warning("%s takes longer than %g s; all else waits for it", running[0], SLOW)
        if self._monotonic() >= self._summary_at:
            self._summary_at = self._monotonic() + SUMMARY_EVERY
            if line := self._troubles():
                log.warning("%s", line)

    def _run(self) -> None:
        while not self._end.wait(RENEW_EVERY):
            self.step()
