"""One consumer group over several streams, as raw commands whose replies keep every byte.

redis-py turns an entry's fields into a dict, so a field given twice would vanish. The commands
here return ``(id, [(name, value), …])`` with everything the producer wrote.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from solution import failpoints
from solution.domain.reasons import RedisFault
from solution.domain.records import EntryKey, entry_key
from solution.redis_client import describe, fault_of

Entry = tuple[str, tuple[tuple[bytes, bytes], ...] | None]
"""Entry id and fields in order; None for fields when the entry is gone from the stream."""

BLOCK_MS = 500
PAGE = 500
PACKED_KEPT = 300

# One stream's own trouble, or a command that is refused although the group is there: creating a
# group counts as using memory, and an administrator may have kept that command to himself.
_OF_ONE_STREAM = frozenset({RedisFault.WRONGTYPE, RedisFault.NOPERM, RedisFault.OUT_OF_MEMORY})


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a stream and our group in it stand. None: this version of Redis does not tell."""

    last_generated: EntryKey
    last_delivered: EntryKey
    max_deleted: EntryKey | None
    entries_added: int | None
    entries_read: int | None
    first: EntryKey | None = None
    """The oldest entry that is there; None for an empty stream."""
    last: EntryKey | None = None
    """The newest one; older than ``last_generated`` where that one was removed."""

    @property
    def waiting(self) -> bool:
        """Whether there is an entry that the group has not delivered."""
        return self.last is not None and self.last > self.last_delivered


def _identity(reply: Any, **_options: Any) -> Any:
    return reply


class StreamGroup:
    """The consumer group's commands over one connection; not thread-safe.

    Args:
        client: its socket timeout lies above :data:`BLOCK_MS`.
        streams, group, consumer: names.

    Attributes:
        active: the streams that are read.
        broken: the others, each with what Redis says of it; :meth:`ensure` tries them again.
    """

    def __init__(
        self, client: "redis.Redis", streams: Sequence[str], group: str, consumer: str
    ) -> None:
        self._client = client
        self._streams = tuple(streams)
        self._group = group
        self.consumer = consumer
        self.active = self._streams
        self.broken: dict[str, str] = {}
        self._connection: Any = None
        self._packed: dict[int, Any] = {}
        for command in ("XCLAIM", "XRANGE", "XREVRANGE", "XPENDING"):
            client.set_response_callback(command, _identity)

    def _call(self, *arguments: object) -> Any:
        return self._client.execute_command(*arguments)  # type: ignore[no-untyped-call]

    def ensure(self, streams: Sequence[str] | None = None) -> list[str]:
        """Create missing groups at ``0`` (never ``$``: that would skip what waits).

        A stream that cannot be read leaves the others alone: one key of the wrong type would make
        every XREADGROUP fail. It stands in :attr:`broken` until this finds it well again.

        Args:
            streams: which; all of them by default.

        Returns:
            the streams whose group was created.

        Raises:
            redis.RedisError: not the fault of one stream.
        """
        created = []
        for stream in self._streams if streams is None else streams:
            try:
                created += [stream] if self._create(stream) else []
                self.broken.pop(stream, None)
            except redis.ResponseError as e:
                if fault_of(e) not in _OF_ONE_STREAM:
                    raise
                self.broken[stream] = describe(e)
        active = tuple(s for s in self._streams if s not in self.broken)
        if active != self.active:
            self.active = active
            self._packed.clear()
        return created

    def _create(self, stream: str) -> bool:
        """Whether the group was missing."""
        try:
            self._call("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")
        except redis.ResponseError as e:
            if str(e).startswith("BUSYGROUP"):
                return False
            if fault_of(e) not in _OF_ONE_STREAM or not self._has_group(stream):
                raise
            return False
        return True

    def _has_group(self, stream: str) -> bool:
        try:
            self._call("XPENDING", stream, self._group)
        except redis.ResponseError:
            return False
        return True

    def newest_up_to(self, stream: str, entry: EntryKey) -> EntryKey:
        """The last entry that the stream still has of those up to this one; (0, 0) for none."""
        found = self._call("XREVRANGE", stream, f"{entry[0]}-{entry[1]}", "-", "COUNT", 1)
        return next((entry_key(entry_id) for entry_id, _ in map(_entry, found)), (0, 0))

    def rewind(self, stream: str) -> None:
        """Deliver everything in the stream once more."""
        self._call("XGROUP", "SETID", stream, self._group, "0")

    def tails(self) -> dict[str, Tail]:
        """Where each stream that is read stands, in one round trip.

        The group first: it can only fall behind in between, never seem ahead of its stream.
        """
        pipe = self._client.pipeline(transaction=False)
        for stream in self.active:
            pipe.xinfo_groups(stream)
            pipe.xinfo_stream(stream)
        replies = iter(pipe.execute())
        name = self._group.encode()
        found = {}
        for stream, groups, info in zip(self.active, replies, replies, strict=True):
            mine = next((g for g in groups if g["name"] == name), None)
            if mine is not None:
                found[stream] = _tail(mine, info)
        return found

    def now_ms(self) -> int:
        """Redis's own clock, which also makes the entry ids."""
        seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def read_new(self, count: int) -> Iterator[tuple[str, Entry]]:
        """Entries never delivered before, at most ``count`` per stream; waits up to BLOCK_MS.

        Every signal waits for this one command, so it goes over a connection of the client's pool
        without the client around it (retries, options, callbacks: about 80 µs a call).
        """
        connection = self._connection
        if connection is None:
            connection = self._connection = self._client.connection_pool.get_connection()
        packed = self._packed.get(count)
        if packed is None:
            if len(self._packed) >= PACKED_KEPT:
                self._packed.clear()
            packed = self._packed[count] = connection.pack_command(*self._read_command(count))
        connection.send_packed_command(packed)
        reply = connection.read_response(disable_decoding=True)
        if reply:
            failpoints.hit("listener.read")
        for stream, entries in reply or ():
            name = stream.decode()
            for raw in entries:
                yield name, _entry(raw)

    def _read_command(self, count: int) -> tuple[object, ...]:
        return (
            "XREADGROUP",
            "GROUP",
            self._group,
            self.consumer,
            "COUNT",
            count,
            "BLOCK",
            BLOCK_MS,
            "STREAMS",
            *self.active,
            *(">" for _ in self.active),
        )

    def pending_counts(self, stream: str) -> dict[str, int]:
        """Pending entries by consumer."""
        reply = self._call("XPENDING", stream, self._group)
        return {name.decode(): int(count) for name, count in (reply[3] or ())}

    def lowest_pending(self, stream: str) -> str | None:
        reply = self._call("XPENDING", stream, self._group)
        return reply[1].decode() if reply[1] else None

    def pending_ids(self, stream: str, consumer: str) -> Iterator[str]:
        """All pending ids of a consumer, in order, paged."""
        start = "-"
        while True:
            rows = self._call("XPENDING", stream, self._group, start, "+", PAGE, consumer)
            for row in rows:
                yield row[0].decode()
            if len(rows) < PAGE:
                return
            start = f"({rows[-1][0].decode()}"

    def fetch(self, stream: str, ids: Sequence[str]) -> list[Entry]:
        """Content of entries of our own, without touching their delivery counters."""
        pipe = self._client.pipeline(transaction=False)
        for entry_id in ids:
            pipe.xrange(stream, entry_id, entry_id)
        replies = pipe.execute()
        return [
            _entry(rows[0]) if rows else (entry_id, None)
            for entry_id, rows in zip(ids, replies, strict=True)
        ]

    def claim(self, stream: str, ids: Sequence[str]) -> list[Entry]:
        """Take over a dead peer's entries; those no longer in the stream come without fields.

        They are read first, and only what is there is claimed: Redis 7 drops a deleted entry from
        the pending ones when it is claimed, and with it the last trace of it should the process die
        before its dead letter is written.
        """
        entries = self.fetch(stream, ids)
        present = [entry_id for entry_id, fields in entries if fields is not None]
        if present:
            self._call("XCLAIM", stream, self._group, self.consumer, 0, *present)
        failpoints.hit("listener.claimed")
        return entries

    def forget_consumer(self, stream: str, consumer: str) -> None:
        """Only ever for a dead consumer without pending entries: they would be dropped."""
        self._call("XGROUP", "DELCONSUMER", stream, self._group, consumer)

    def trim(self, stream: str, before_ms: int) -> int:
        """Drop entries older than ``before_ms`` that no group still needs; returns how many."""
        floor = (before_ms, 0)
        for group in self._client.xinfo_groups(stream):
            floor = min(floor, entry_key(group["last-delivered-id"].decode()))
            pending = self._call("XPENDING", stream, group["name"])
            if pending[1]:
                floor = min(floor, entry_key(pending[1].decode()))
        trimmed = self._call("XTRIM", stream, "MINID", "~", f"{floor[0]}-{floor[1]}")
        return int(trimmed)


def _entry(raw: Sequence[Any]) -> Entry:
    flat = raw[1]
    if flat is None:
        return raw[0].decode(), None
    return raw[0].decode(), tuple(zip(flat[::2], flat[1::2], strict=True))


def _tail(group: Any, stream: Any) -> Tail:
    deleted = stream.get("max-deleted-entry-id")
    return Tail(
        last_generated=entry_key(stream["last-generated-id"].decode()),
        last_delivered=entry_key(group["last-delivered-id"].decode()),
        max_deleted=None if deleted is None else entry_key(deleted.decode()),
        entries_added=stream.get("entries-added"),
        entries_read=group.get("entries-read"),
        first=_key_of(stream.get("first-entry")),
        last=_key_of(stream.get("last-entry")),
    )


def _key_of(entry: Any) -> EntryKey | None:
    return entry_key(entry[0].decode()) if entry else None
