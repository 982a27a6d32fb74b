"""Publishing one signal to a Redis stream, without ever making two of it.

The retry loop is this module's own. redis-py's (ten silent repeats since 8.0) sends XADD again
after a timeout although the first one may have worked, and then one signal stands in the stream
twice. Here an unclear answer is followed by another attempt only if the signal carries a
`signal_id`, by which the consumer recognises the second entry.

Errors::

    PublishError
     ├── Refused          Redis said no, and would again
     ├── NotPublished     certainly not in the stream
     └── OutcomeUnclear   may be in the stream; without a `signal_id`, do not send it again
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import redis
from redis import exceptions as rx
from redis.backoff import NoBackoff
from redis.retry import Retry

from signal_generator.runtime import Stop

#: Seconds for one answer. Short, because a stop has to wait for it when Redis hangs.
SOCKET_TIMEOUT = 2.0
#: Seconds after which a signal is given up: less than the 60 s after which the consumer's default
#: takes it for stale, and a signal published late looks fresh to everyone.
RETRY_FOR = 30.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5

#: Refusals that pass by themselves: a server that loads, fails over, or is short of memory.
_PASSING = (
    rx.BusyLoadingError,
    rx.ReadOnlyError,
    rx.OutOfMemoryError,
    rx.ClusterDownError,
    rx.TryAgainError,
)
_PASSING_CODES = ("MISCONF", "NOREPLICAS")
_FINAL = (rx.AuthenticationError, rx.AuthorizationError, rx.ResponseError, rx.DataError)


class PublishError(Exception):
    """A signal, or the connection it needs, came to nothing."""


class Refused(PublishError):
    """Redis refused in a way that another attempt will not change."""


class NotPublished(PublishError):
    """The signal is certainly not in the stream."""


class OutcomeUnclear(PublishError):
    """The command was sent and no answer came: the signal may be in the stream."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one signal is tried (seconds), and the pauses between: doubled up to a cap."""

    give_up_after: float = RETRY_FOR
    first_pause: float = FIRST_PAUSE
    longest_pause: float = LONGEST_PAUSE

    def pause(self, failures: int) -> float:
        """Return the pause after this many failures, 1 or more."""
        # The exponent is capped too: 2.0 ** 1024 would overflow in a long outage.
        return min(self.longest_pause, self.first_pause * 2.0 ** min(failures - 1, 16))


def make_client(url: str) -> redis.Redis:
    """Make a client for `redis://`, `rediss://` or `unix://`; nothing is sent yet.

    Raises:
        ValueError: the address cannot be used. The text does not repeat it, because a password
            with a slash in it ends up in what the URL parser complains about.
    """
    try:
        client = redis.Redis.from_url(
            url,
            protocol=2,  # spoken by every server with streams, and fewer round trips to connect
            retry=Retry(NoBackoff(), 0),
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            decode_responses=True,
        )
        # An unknown option in the query string shows only when a connection object is made.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError):
        raise ValueError(
            "not a usable Redis address: expected redis://, rediss:// or unix://,"
            " special characters of a password percent-encoded"
        ) from None
    return client


def translate(error: Exception, *, sent: bool, address: str = "") -> PublishError:
    """Turn a Redis client's error into ours; `sent` says whether the command may have left."""
    what = f"Redis at {address}: {error}"
    # First, because redis-py derives BusyLoadingError from ConnectionError although it is an
    # answer, and ReadOnlyError and its like from ResponseError although they pass.
    # What came in a transaction stands behind the command's own words in redis-py's text.
    answer = str(error).rpartition(" of pipeline caused error: ")[2]
    if isinstance(error, _PASSING) or answer.startswith(_PASSING_CODES):
        return NotPublished(what)
    if isinstance(error, _FINAL):
        return Refused(what)
    return OutcomeUnclear(what) if sent else NotPublished(what)


class Publisher:
    """Appends signals to one stream; for one thread.

    Args:
        client: as `make_client` makes it; its own retries must be off.
        stream: the stream's key.
        stop: ends every pause at once.
        maxlen: trim the stream to about this many entries.
        policy: how long and how often one signal is tried.
        report: told once when Redis stops answering, and once when it answers again.
    """

    def __init__(
        self,
        client: redis.Redis,
        stream: str,
        *,
        stop: Stop,
        maxlen: int | None = None,
        policy: RetryPolicy | None = None,
        report: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._stream = stream
        self._stop = stop
        self._maxlen = maxlen
        self._policy = policy or RetryPolicy()
        self._report = report
        self._monotonic = monotonic
        self._in_trouble = False
        options = client.connection_pool.connection_kwargs
        #: Where Redis is, without user and password.
        self.address = str(
            options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        )

    def connect(self, within: float) -> None:
        """Wait up to `within` seconds until Redis answers.

        Raises:
            Refused: wrong password or the like.
            NotPublished: it did not answer in time, or the stop flag was set.
        """

        def ping() -> str:
            try:
                return str(self._client.ping())
            except (redis.RedisError, OSError) as error:
                raise translate(error, sent=False, address=self.address) from error

        # Silent while it waits: beside a server that is just starting, this is no trouble yet.
        self._repeat(ping, within, repeatable=True, report=lambda _: None)

    def publish(self, fields: Mapping[str, str]) -> str:
        """Append one signal and return its entry id, such as `1795203598442-0`.

        Raises:
            Refused: Redis will not take it (wrong type of key, no permission).
            NotPublished: it could not be sent in time.
            OutcomeUnclear: it was sent and may be in the stream.
        """
        entry_id = self._repeat(
            lambda: self._append(fields),
            self._policy.give_up_after,
            repeatable=any(name.lower() == "signal_id" and fields[name] for name in fields),
            report=self._report_trouble,
        )
        if self._in_trouble:
            self._in_trouble = False
            self._report(f"Redis at {self.address} answers again")
        return entry_id

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _append(self, fields: Mapping[str, str]) -> str:
        """Send XADD once; raises a PublishError."""
        sent = False
        try:
            # The pool replaces a connection that the server has closed meanwhile, and hands the
            # one checked here to the command below: what fails up to here was never sent.
            pool = self._client.connection_pool
            pool.release(pool.get_connection())
            sent = True
            return str(
                self._client.xadd(
                    self._stream,
                    {name: value for name, value in fields.items()},  # noqa: C416  # widens the type
                    maxlen=self._maxlen,
                    approximate=True,
                )
            )
        except rx.ReadOnlyError as error:
            # The name may lead to the new primary by now; this connection never will.
            self._client.connection_pool.disconnect()
            raise translate(error, sent=sent, address=self.address) from error
        except (redis.RedisError, OSError) as error:
            raise translate(error, sent=sent, address=self.address) from error

    def _repeat(
        self,
        attempt: Callable[[], str],
        give_up_after: float,
        *,
        repeatable: bool,
        report: Callable[[str], None],
    ) -> str:
        """Run `attempt` until it works, may not be repeated, or time is up."""
        deadline = self._monotonic() + give_up_after
        unclear = False
        failures = 0
        while True:
            try:
                return attempt()
            except PublishError as error:
                failures += 1
                unclear = unclear or isinstance(error, OutcomeUnclear)
                left = deadline - self._monotonic()
                final = isinstance(error, Refused) or left <= 0 or (unclear and not repeatable)
                if not final:
                    report(str(error))
                    final = self._stop.wait(min(left, self._policy.pause(failures)))
                if final and unclear:
                    # An earlier attempt may have worked, whatever the last one said.
                    raise OutcomeUnclear(str(error)) from error
                if final:
                    raise

    def _report_trouble(self, what: str) -> None:
        if not self._in_trouble:
            self._in_trouble = True
            self._report(f"{what}; trying again")
