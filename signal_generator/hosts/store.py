"""What strategies remember, in Redis: one hash each, written together with their signals.

``MULTI``, an ``XADD`` per signal, ``HSET``, ``EXEC``: a bar is marked as done if and only if what
came of it is in the stream. An answer that never came is settled by reading ``version`` back.

``WATCH`` on the hash, whose field ``writer`` names the host that wrote last, keeps a second host
out, and one that was stopped for an hour and wakes up: whoever finds another writer publishes
nothing more. What is refused before ``EXEC`` (rights, memory, a read-only replica) leaves nothing
behind. An ``XADD`` that fails inside it does not undo the ``HSET`` beside it, so that is undone
here; it takes a stream that is no stream, or whose ids are used up.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import redis

from signal_generator.hosts.kept import Fields, Kept, Publish, TakenOver
from signal_generator.hosts.lease import Lease
from signal_generator.hosts.patience import Patience, address_of
from signal_generator.publisher import translate
from signal_generator.runtime import Stop

log = logging.getLogger(__name__)

PREFIX = "signal_generator:"


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where signals go.

    Args:
        stream: its key. maxlen: trim it to about this many entries.
        sign: completes and signs a signal's fields.
        published: told each signal that is in the stream.
    """

    stream: str
    maxlen: int | None = None
    sign: Callable[[Fields], Fields] = lambda fields: fields
    published: Publish = lambda _id, _fields: None


class RedisStore:
    """Of one host; for the thread that calls its strategies.

    Args:
        client: as `publisher.make_client` makes it; its own retries must be off.
        owner: names this host and no other, such as ``box:4711:9f3c``.
        lease: of a strategy's name, what keeps it for this host.
        take_over: take a strategy from a host that runs it.
    """

    def __init__(
        self,
        client: redis.Redis,
        outlet: Outlet,
        *,
        owner: str,
        stop: Stop,
        lease: Callable[[str], Lease],
        take_over: bool = False,
    ) -> None:
        self._client = client
        self._outlet = outlet
        self._owner = owner
        self._lease = lease
        self._take_over = take_over
        self._patience = Patience(client, stop)
        #: What Redis holds, as far as it has answered.
        self._last: dict[str, Kept] = {}
        self._held: list[str] = []

    def held(self) -> Sequence[str]:
        """Whose leases are to be renewed; for any thread."""
        return tuple(self._held)

    def open(self, name: str) -> Kept:
        """Take the strategy for this host and read what is kept of it.

        Raises:
            Held: another host runs it, and `take_over` was not asked for.
            Refused: Redis refuses. Interrupted: asked to end meanwhile.
        """
        self._lease(name).acquire(take_over=self._take_over)
        self._held.append(name)
        self._last[name] = self._patience.ask(lambda: self._seize(name))
        return self._last[name]

    def commit(self, name: str, kept: Kept, signals: Sequence[Fields]) -> Kept:
        """Keep and publish, both or neither; as in :class:`~signal_generator.hosts.kept.Store`."""
        # Once, whatever the attempts: a signature holds the moment at which it was made.
        signals = [self._outlet.sign(fields) for fields in signals]
        before = self._last[name]
        after = replace(kept, version=before.version + 1)
        entry_ids = self._patience.ask(lambda: self._write(name, before, after, signals))
        self._last[name] = after
        for entry_id, fields in zip(entry_ids, signals, strict=True):
            self._outlet.published(entry_id, fields)
        return after

    def close(self, name: str) -> None:
        """Let another host have the strategy at once; where Redis is away, when the lease ends."""
        self._held.remove(name)
        with suppress(redis.RedisError, OSError):
            self._lease(name).release()

    def _seize(self, name: str) -> Kept:
        """Put our name under what is there: from here on the host that wrote it writes no more."""
        key = PREFIX + name
        pipe: Any = self._client.pipeline()
        with pipe:
            pipe.watch(key)
            found = pipe.hgetall(key)
            # Not from 0: where Redis has lost its memory, the ids of before must not come again
            # for other wishes; the consumer refuses those.
            seconds, micros = pipe.time()
            found.setdefault("counter", str(int(seconds) * 1000 + int(micros) // 1000))
            kept = _read(found)
            kept = replace(kept, version=kept.version + 1)
            pipe.multi()
            pipe.hset(key, mapping={"writer": self._owner, "version": str(kept.version)})
            pipe.execute()
        return kept

    def _write(
        self, name: str, before: Kept, after: Kept, signals: Sequence[Fields]
    ) -> Sequence[str]:
        """One attempt; the new entries' ids, empty ones where an earlier attempt had worked."""
        key, outlet = PREFIX + name, self._outlet
        pipe: Any = self._client.pipeline()
        with pipe:
            pipe.watch(key)
            told = pipe.hmget(key, "version", "writer")
            found, writer = int(told[0] or 0), told[1]
            if writer not in {None, self._owner}:
                raise TakenOver(f"the strategy {name} was taken over by {writer}")
            if found == after.version:
                return [""] * len(signals)
            if found != before.version:
                log.warning(
                    "Redis has lost what was last kept of %s (version %d instead of %d);"
                    " it is written anew",
                    *(name, found, before.version),
                )
            pipe.multi()
            for fields in signals:
                pipe.xadd(outlet.stream, dict(fields), maxlen=outlet.maxlen, approximate=True)
            pipe.hset(key, mapping={**_fields(after), "writer": self._owner})
            results = pipe.execute(raise_on_error=False)
        failed = next((r for r in results if isinstance(r, Exception)), None)
        if failed is not None:
            # The only write of ours that may follow a failed one; nobody else can have come between
            # who would not have been stopped by our lease.
            undo: Any = _fields(before)
            self._client.hset(key, mapping=undo)
            raise translate(failed, sent=True, address=address_of(self._client)) from failed
        return [str(entry_id) for entry_id in results[: len(signals)]]


def _fields(kept: Kept) -> dict[str, str]:
    return {
        "version": str(kept.version),
        "state": kept.state,
        "bars": json.dumps(dict(kept.bars)),
        "execution": kept.execution,
        "seen": json.dumps(list(kept.seen)),
        "counter": str(kept.counter),
    }


def _read(found: Mapping[str, str]) -> Kept:
    return Kept(
        version=int(found.get("version", "0")),
        state=found.get("state", "{}"),
        bars=json.loads(found.get("bars", "{}")),
        execution=found.get("execution", ""),
        seen=tuple(json.loads(found.get("seen", "[]"))),
        counter=int(found.get("counter", "0")),
    )
