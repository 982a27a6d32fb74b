"""One consumer group over several streams, as raw commands whose replies keep every byte.

redis-py turns an entry's fields into a dict, so a field given twice would vanish. The commands
here return ``(id, [(name, value), …])`` with everything the producer wrote.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import redis

Entry = tuple[str, tuple[tuple[bytes, bytes], ...] | None]
"""Entry id and fields in order; None for fields when the entry is gone from the stream."""

BLOCK_MS = 500
PAGE = 500
PACKED_KEPT = 300


def _identity(reply: Any, **_options: Any) -> Any:
    return reply


class StreamGroup:
    """The consumer group's commands over one connection; not thread-safe.

    Args:
        client: its socket timeout lies above :data:`BLOCK_MS`.
        streams, group, consumer: names.
    """

    def __init__(
        self, client: "redis.Redis", streams: Sequence[str], group: str, consumer: str
    ) -> None:
        self._client = client
        self._streams = tuple(streams)
        self._group = group
        self.consumer = consumer
        self._connection: Any = None
        self._packed: dict[int, Any] = {}
        for command in ("XCLAIM", "XRANGE", "XPENDING"):
            client.set_response_callback(command, _identity)

    def _call(self, *arguments: object) -> Any:
        return self._client.execute_command(*arguments)  # type: ignore[no-untyped-call]

    def ensure(self) -> list[str]:
        """Create missing groups at ``0`` (never ``$``: that would skip what waits).

        Returns:
            the streams whose group was created.
        """
        created = []
        for stream in self._streams:
            try:
                self._call("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")
                created.append(stream)
            except redis.ResponseError as e:
                if not str(e).startswith("BUSYGROUP"):
                    raise
        return created

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
            *self._streams,
            *(">" for _ in self._streams),
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

        Redis 6.2 answers nil for a deleted entry and keeps it pending, 7 leaves it out.
        """
        reply = self._call("XCLAIM", stream, self._group, self.consumer, 0, *ids)
        found = dict(_entry(raw) for raw in reply if raw is not None and raw[1] is not None)
        return [(entry_id, found.get(entry_id)) for entry_id in ids]

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


def entry_key(entry_id: str) -> tuple[int, int]:
    """What entry ids are ordered by."""
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq or 0)
