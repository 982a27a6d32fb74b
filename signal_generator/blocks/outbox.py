"""Blocks of signals on their way into the stream, each in one transaction and in the order given.

The strategy's own thread makes one attempt. What it cannot do at once is tried again by a thread of
this module: an attempt whose answer was lost too, because every signal has an id by which the
service knows the second entry. Blocks behind a waiting one wait with it.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
import redis
from redis import exceptions as rx

from signal_generator.publisher import (
    OutcomeUnclear,
    PublishError,
    Refused,
    RetryPolicy,
    translate,
)

log = logging.getLogger(__name__)

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Block:
    """Signals that are published together; ``given_up_at`` on the monotonic clock."""

    signals: Sequence[Fields]
    given_up_at: float

    @property
    def ids(self) -> list[str]:
        """Their identities."""
        return [fields["signal_id"] for fields in self.signals]


GaveUp = Callable[[Sequence[str], str], None]
"""Told of signals that did not come into the stream, or perhaps did, and of why."""


class Outbox:
    """Publishes blocks; `submit` may be called from any thread.

    Args:
        client: as :func:`signal_generator.publisher.make_client` makes it.
        gave_up: called from the thread that found out, without a lock.
    """

    def __init__(
        self,
        client: redis.Redis,
        stream: str,
        gave_up: GaveUp,
        *,
        policy: RetryPolicy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._stream = stream
        self._gave_up = gave_up
        self._policy = policy or RetryPolicy()
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._waiting: deque[Block] = deque()
        self._closing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def submit(self, signals: Sequence[Fields]) -> None:
        """Publish a block, now or as soon as Redis takes it. Never raises for Redis's sake."""
        block = Block(signals, self._monotonic() + self._policy.give_up_after)
        with self._changed:
            if self._closing:
                late = True
            else:
                late = False
                if self._waiting:
                    self._waiting.append(block)
                    return
        if late:
            self._gave_up(block.ids, "the run has ended")
        elif (error := self._attempt(block)) is not None:
            self._keep(block, error)

    def drain(self, seconds: float) -> bool:
        """Whether everything is published, or given up, within this time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def close(self, seconds: float = 2.5) -> None:
        """Take no more, and give up what waits."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._stop.set()
        self._thread.join(seconds)

    def _keep(self, block: Block, error: PublishError) -> None:
        if isinstance(error, Refused):
            self._gave_up(block.ids, str(error))
            return
        log.warning("Redis did not take a block of orders yet (%s); trying again", error)
        with self._changed:
            self._waiting.append(block)
            self._changed.notify_all()

    def _run(self) -> None:
        while (block := self._next()) is not None:
            error = self._repeat(block)
            if error is not None:
                self._gave_up(block.ids, str(error))
            # Only now: while it stood there, later blocks queued behind it.
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()

    def _next(self) -> Block | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting[0] if self._waiting else None

    def _repeat(self, block: Block) -> PublishError | None:
        """Try until it works or time is up; the error that says what is known then."""
        unclear: PublishError | None = None
        failures = 1
        while not self._stop.wait(self._policy.pause(failures)):
            error = self._attempt(block)
            if error is None:
                return None
            if isinstance(error, OutcomeUnclear):
                unclear = error
            if isinstance(error, Refused) or self._monotonic() >= block.given_up_at:
                return unclear or error
            failures += 1
        return unclear or PublishError("the run ended before Redis took them")

    def _attempt(self, block: Block) -> PublishError | None:
        """Send the block once."""
        pool = self._client.connection_pool
        sent = False
        connection: Any = None
        try:
            # The pool replaces a connection that the server has closed meanwhile; what fails up
            # to here was never sent.
            connection = pool.get_connection()
            sent = True
            _transact(connection, self._stream, block.signals)
        except rx.ResponseError as error:
            # An answer, though not the last one: the connection holds others.
            pool.disconnect()
            return translate(error, sent=sent)
        except (redis.RedisError, OSError) as error:
            if connection is not None:
                connection.disconnect()
            return translate(error, sent=sent)
        finally:
            if connection is not None:
                pool.release(connection)
        return None


def _transact(connection: Any, stream: str, signals: Sequence[Fields]) -> None:
    """MULTI, the signals, EXEC: packed here, because redis-py's pipeline takes three times as long
    and the strategy's orders wait for it."""
    packed = [_pack("MULTI")]
    for fields in signals:
        flat = itertools.chain.from_iterable(fields.items())
        packed.append(_pack("XADD", stream, "*", *flat))
    packed.append(_pack("EXEC"))
    connection.send_packed_command([b"".join(packed)])
    # A refused XADD raises here, and with it the whole transaction comes to nothing.
    for _ in packed[:-1]:
        connection.read_response()
    for answer in connection.read_response():
        if isinstance(answer, Exception):
            raise answer


def _pack(*command: str) -> bytes:
    return hiredis.pack_command(command)  # type: ignore[arg-type,no-any-return]  # declared as a tuple of one
