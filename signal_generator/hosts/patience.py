"""Asking Redis until it answers: what a host does where a single signal would be given up.

A bar that waits is no fresh-looking old signal: what comes of it carries the bar's own time, by
which the consumer counts its age.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import redis
from redis import exceptions as rx

from signal_generator.hosts.kept import Interrupted
from signal_generator.publisher import PublishError, Refused, RetryPolicy, translate
from signal_generator.runtime import Stop

log = logging.getLogger(__name__)

T = TypeVar("T")


def address_of(client: redis.Redis) -> str:
    """Where Redis is, without user and password."""
    options = client.connection_pool.connection_kwargs
    place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return str(place)


class Patience:
    """Repeats an attempt, with growing pauses, until it works or the stop flag is set.

    The log says once that Redis does not answer, and once that it does again.
    """

    def __init__(
        self,
        client: redis.Redis,
        stop: Stop,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._client = client
        self._stop = stop
        self._policy = policy or RetryPolicy()
        self._address = address_of(client)

    def ask(self, attempt: Callable[[], T]) -> T:
        """The attempt's result. It is made at least once, and may be made any number of times.

        Raises:
            Refused: Redis said no, and would again.
            Interrupted: the stop flag was set first.
        """
        failures = 0
        while True:
            try:
                result = attempt()
            except (redis.RedisError, OSError) as error:
                failures += 1
                problem = self._problem(error)
                if failures == 1:
                    log.warning("%s; trying again", problem)
                if self._stop.wait(self._policy.pause(failures)):
                    raise Interrupted(str(problem)) from error
            else:
                if failures:
                    log.warning("Redis at %s answers again", self._address)
                return result

    def _problem(self, error: Exception) -> PublishError:
        if isinstance(error, rx.ReadOnlyError):
            # The name may lead to the new primary by now; this connection never will.
            self._client.connection_pool.disconnect()
        problem = translate(error, sent=True, address=self._address)
        if isinstance(problem, Refused):
            raise problem from error
        return problem
