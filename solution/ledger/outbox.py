"""From the ledger's outbox to the ``executions`` stream, and acknowledgements beside it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any

import redis

from solution import failpoints
from solution.clock import Deadline
from solution.domain.ports import Outbox
from solution.domain.reasons import RedisFault
from solution.domain.records import EntryRef
from solution.errors import LedgerError
from solution.redis_client import describe, fault_of
from solution.runtime.service import Service

log = logging.getLogger(__name__)

MEMORY_LIMIT = 10_000
"""Events kept in memory; the rest waits in the ledger."""
BATCH = 500
"""Events in one round trip at most."""
ACK_BATCH = 2_000
"""Acknowledgements in one round trip at most."""

_IDLE = 1.0
_FIRST_PAUSE = 0.02
_LAST_PAUSE = 0.5

# There is nothing to acknowledge in a group or a stream that is gone: the entry, should it come
# again, finds its row. Trying again would never end.
_HOPELESS = ("NOGROUP", "WRONGTYPE")


class OutboxPublisher(Service):
    """Sends events at least once, in order, and acknowledges entries whose outcome is durable.

    Each round is one pipeline: the events in one MULTI/EXEC, so that all of them go or none (an
    out-of-memory error in the middle could otherwise let a later event overtake an earlier one),
    then one XACK per stream, outside of it: Redis out of memory refuses XADD and still takes XACK.
    After a lost connection the whole round is sent again: an event may appear twice, under the
    same ``event_id``, and a second XACK does nothing.

    Args:
        outbox: the ledger; keeps each event until Redis has it.
        connect: makes a client of its own with ``decode_responses=False``, ``socket_timeout`` of
            seconds, and no retries (``Retry(NoBackoff(), 0)``); called again after each failure.
        group: the consumer group of the acknowledgements.
        stream: where the events go.
        maxlen: about how many entries the stream keeps.
        memory_limit: events kept in memory.
    """

    def __init__(
        self,
        outbox: Outbox,
        connect: Callable[[], redis.Redis],
        *,
        group: str,
        stream: str = "executions",
        maxlen: int = 100_000,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        super().__init__("outbox-publisher")
        self._outbox = outbox
        self._connect = connect
        self._group = group
        self._head = ("XADD", stream, "MAXLEN", "~", maxlen, "*", "event_id")
        self._memory_limit = memory_limit
        self._client: redis.Redis | None = None
        self._mutex = threading.Lock()
        self._events: deque[tuple[int, Mapping[str, str]]] = deque()
        self._acks: deque[EntryRef] = deque()
        # The highest event id that waits in the table only; here: all that a former run left.
        self._in_table = outbox.last_event_id()
        # The highest event id that is or was in _events; here: what a former run has published.
        left = outbox.unpublished(1)
        self._queued = left[0][0] - 1 if left else self._in_table
        self._settled = threading.Event()
        self._pause = _FIRST_PAUSE
        self._probing = False
        self._trouble = ""
        self.on_released: Callable[[Sequence[EntryRef]], None] = lambda _refs: None
        """Told which entries are acknowledged: their holder may forget them."""
        self.give_way: Callable[[], None] = lambda: None
        """Called before a round; may wait a moment."""

    def publish(
        self, events: Sequence[tuple[int, Mapping[str, str]]], acks: Sequence[EntryRef]
    ) -> None:
        """Take what was committed, events in the order of their ids; returns at once."""
        with self._mutex:
            for event in events:
                self._take(event)
            self._acks += acks
            self._settled.clear()
        # In trouble the pause is a back-off, which traffic must not shorten.
        if not self._trouble:
            self.wake()

    @property
    def pending(self) -> int:
        """Events not in Redis yet (as far as known), and acknowledgements not made."""
        with self._mutex:
            return self._pending()

    @property
    def trouble(self) -> str:
        """Why the last round failed, empty when it did not."""
        return self._trouble

    def step(self) -> float:
        """Send one round; returns how long to wait before the next."""
        with self._mutex:
            if not self._pending():
                self._settled.set()
                return _IDLE
        self.give_way()
        return self._round()

    def join(self, deadline: Deadline) -> bool:
        """Wait for the thread, then send what is left while Redis takes it.

        Returns:
            whether the thread ended. What could not be sent stays in the ledger.
        """
        if not super().join(deadline):
            return False
        while self.pending and not deadline.passed() and self._round() == 0.0:
            pass
        self._disconnect()
        return True

    def flush(self, deadline: Deadline) -> bool:
        """Wait until everything taken before is in Redis; returns whether it is."""
        if self.alive:
            with self._mutex:
                if not self._pending():
                    return True
            return self._settled.wait(deadline.left())
        while self.pending and not deadline.passed() and self._round() == 0.0:
            pass
        return not self.pending

    # --- what waits ---------------------------------------------------------------------------

    def _take(self, event: tuple[int, Mapping[str, str]]) -> None:
        """Requires holding ``_mutex``."""
        event_id = event[0]
        if event_id <= self._queued:
            return  # read from the table in the meantime
        if self._in_table > self._queued or len(self._events) >= self._memory_limit:
            self._in_table = event_id
        else:
            self._events.append(event)
            self._queued = event_id

    def _pending(self) -> int:
        """Requires holding ``_mutex``."""
        behind = max(0, self._in_table - self._queued)
        return len(self._events) + len(self._acks) + behind

    def _refill(self) -> None:
        """Once memory is used up, read what waits in the table only."""
        with self._mutex:
            goal, after = self._in_table, self._queued
            if self._events or goal <= after:
                return
        limit = min(self._memory_limit, 2 * BATCH)
        found = self._outbox.unpublished(limit, after)
        with self._mutex:
            self._events += found
            # A short answer holds all that was committed before we asked, so all up to the goal.
            last = found[-1][0] if found else 0
            self._queued = last if len(found) == limit else max(last, goal)

    # --- one round ----------------------------------------------------------------------------

    def _round(self) -> float:
        try:
            self._refill()
            with self._mutex:
                # After a refusal one event tries the ground for the others.
                events = list(islice(self._events, 1 if self._probing else BATCH))
                acks = list(islice(self._acks, ACK_BATCH))
            if not events and not acks:
                return 0.0
            trouble = self._send(events, acks)
        except (redis.RedisError, OSError) as error:
            self._disconnect()
            trouble = describe(error)
        except LedgerError as error:
            trouble = str(error)
        return self._judge(trouble)

    def _judge(self, trouble: str) -> float:
        if trouble != self._trouble:
            if trouble:
                log.warning("publish_failed", extra={"error": trouble, "pending": self.pending})
            else:
                log.info("publish_resumed", extra={"pending": self.pending})
            self._trouble = trouble
        if not trouble:
            self._pause = _FIRST_PAUSE
            return 0.0
        pause = self._pause
        self._pause = min(2 * pause, _LAST_PAUSE)
        return pause

    def _send(
        self, events: Sequence[tuple[int, Mapping[str, str]]], acks: Iterable[EntryRef]
    ) -> str:
        """One round trip; returns what Redis refused, empty for nothing.

        Raises:
            redis.RedisError, OSError: nobody knows what arrived; send all of it again.
        """
        by_stream: dict[str, list[EntryRef]] = {}
        for ref in acks:
            by_stream.setdefault(ref.stream, []).append(ref)
        if self._client is None:
            self._client = self._connect()
        # Leaving the context gives the connection back, whatever happens. Any: redis-py does not
        # annotate execute_command, and its xadd() costs as much again as the packing.
        pipeline: Any
        with self._client.pipeline(transaction=False) as pipeline:
            if events:
                pipeline.execute_command("MULTI")
                for event_id, fields in events:
                    pairs = chain.from_iterable(fields.items())
                    pipeline.execute_command(*self._head, event_id, *pairs)
                pipeline.execute_command("EXEC")
            for stream, refs in by_stream.items():
                ids = (ref.entry_id for ref in refs)
                pipeline.execute_command("XACK", stream, self._group, *ids)
            failpoints.hit("outbox.before_send")
            replies = pipeline.execute(raise_on_error=False)
            failpoints.hit("outbox.sent")
        answers = len(events) + 2 if events else 0
        trouble = self._settle_events([event_id for event_id, _ in events], replies[:answers])
        return self._settle_acks(by_stream, replies[answers:]) or trouble

    def _settle_events(self, event_ids: list[int], replies: list[Any]) -> str:
        if not event_ids:
            return ""
        executed = replies[-1] if isinstance(replies[-1], list) else []
        refusal = _first_error([*replies, *executed])
        self._probing = refusal is not None
        if refusal is not None:
            return self._refused(refusal)
        self._outbox.mark_published(event_ids)
        with self._mutex:
            for _ in event_ids:
                self._events.popleft()
        return ""

    def _settle_acks(self, by_stream: Mapping[str, list[EntryRef]], replies: list[Any]) -> str:
        trouble = ""
        done: list[EntryRef] = []
        kept: list[EntryRef] = []
        for (stream, refs), reply in zip(by_stream.items(), replies, strict=True):
            if not isinstance(reply, Exception):
                done += refs
            elif str(reply).startswith(_HOPELESS):
                log.warning("ack_impossible", extra={"stream": stream, "error": str(reply)})
                done += refs
            else:
                kept += refs
                trouble = self._refused(reply)
        with self._mutex:
            for _ in range(len(done) + len(kept)):
                self._acks.popleft()
            self._acks.extendleft(reversed(kept))
        if done:
            self.on_released(done)
        return trouble

    def _refused(self, reply: Exception) -> str:
        if fault_of(reply) is not RedisFault.OUT_OF_MEMORY:
            # Whatever else it is, a failover may be behind it: the next connection may find the
            # new master. Without memory XACK still works, and is not to wait for a connection.
            self._disconnect()
        return describe(reply)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(redis.RedisError, OSError):
                client.close()


def _first_error(replies: Iterable[Any]) -> Exception | None:
    return next((reply for reply in replies if isinstance(reply, Exception)), None)
