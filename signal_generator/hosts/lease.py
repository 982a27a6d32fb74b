"""Who runs a strategy: a lease in Redis that its host renews, so that a second host is told.

It is a courtesy and not the fence. What keeps two hosts from publishing for one strategy is the
field ``writer`` of the strategy's hash (:mod:`signal_generator.hosts.store`), which holds however
late a host wakes up.

A hash and not a key that expires: ``HSET`` cannot replace a stream by mistake as ``SET`` would, so
the user for strategies needs no such right.
"""

import logging
from dataclasses import dataclass
from typing import Any

import redis

from signal_generator.hosts.kept import Interrupted, TakenOver
from signal_generator.hosts.patience import Patience
from signal_generator.publisher import PublishError
from signal_generator.runtime import Stop

log = logging.getLogger(__name__)

PREFIX = "signal_generator:"
#: Milliseconds a lease holds without being renewed, and so the longest wait after a crash.
LENGTH = 5_000
#: Seconds between two renewals.
RENEW_EVERY = 1.0
_LOOK_EVERY = 0.25


class Held(PublishError):
    """Another host runs the strategy."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What stands there now, by Redis's own clock."""

    owner: str
    until: int
    now: int

    @property
    def ends_in(self) -> float:
        return (self.until - self.now) / 1000


class Lease:
    """The lease of one strategy, for one host.

    Args:
        client: its own retries must be off.
        name: the strategy's.
        owner: names this host and no other.
        stop: ends every wait.
    """

    def __init__(
        self,
        client: redis.Redis,
        name: str,
        owner: str,
        stop: Stop,
    ) -> None:
        self._client = client
        self._name = name
        self._key = f"{PREFIX}{name}:lease"
        self._owner = owner
        self._stop = stop
        self._patience = Patience(client, stop)

    def acquire(self, *, take_over: bool) -> None:
        """Have the lease; one that nobody renews any more is waited for.

        Raises:
            Held: somebody renews it.
            Interrupted, Refused: as of a transaction.
        """
        first: _Seen | None = None
        while (seen := self._patience.ask(lambda: self._try(take_over=take_over))) is not None:
            if first is None:
                first = seen
                log.warning(
                    "%s: %s ran it until a moment ago; waiting %.1f s for its lease to end",
                    *(self._name, seen.owner, seen.ends_in),
                )
            if (seen.owner, seen.until) != (first.owner, first.until):
                raise Held(
                    f"the strategy {self._name} runs already in {seen.owner}:"
                    " end that one, or take it over with --take-over"
                )
            if self._stop.wait(_LOOK_EVERY):
                raise Interrupted("asked to end while waiting for a lease")

    def renew(self) -> None:
        """Extend it by its whole length.

        Raises:
            TakenOver: somebody else has it.
            redis.RedisError, OSError: Redis did not answer; another attempt does no harm.
        """
        seen = self._try(take_over=False)
        if seen is not None:
            raise TakenOver(f"the strategy {self._name} was taken over by {seen.owner}")

    def release(self) -> None:
        """Let it end now. One attempt: it ends by itself otherwise."""
        pipe: Any = self._client.pipeline()
        with pipe:
            pipe.watch(self._key)
            owner = pipe.hget(self._key, "owner")
            if owner == self._owner:
                pipe.multi()
                pipe.hset(self._key, "until", "0")
                pipe.execute()

    def _try(self, *, take_over: bool) -> _Seen | None:
        """One attempt: None where it is ours now, else who has it."""
        pipe: Any = self._client.pipeline()
        with pipe:
            pipe.watch(self._key)
            owner, until = pipe.hmget(self._key, "owner", "until")
            seconds, micros = pipe.time()
            now = int(seconds) * 1000 + int(micros) // 1000
            seen = _Seen(owner or "", int(until or 0), now)
            if seen.owner not in {"", self._owner} and seen.ends_in > 0 and not take_over:
                return seen
            pipe.multi()
            pipe.hset(self._key, mapping={"owner": self._owner, "until": str(now + LENGTH)})
            pipe.execute()
        return None
