"""Redis's streams and consumer groups in memory, command by command, as the service uses them.

The replies are those of the wire (RESP2, bytes). A command that is not here raises
:class:`NotSimulated`: add it with its exact semantics. Semantics from the command pages of
Redis 7 (XREADGROUP, XPENDING, XCLAIM, XAUTOCLAIM, XACK, XGROUP, XTRIM).
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import redis

from torture.simulation import NotSimulated
from torture.simulation.clock import SimClock

Id = tuple[int, int]
LAST: Id = (2**63, 2**63)


def key_of(text: str) -> Id:
    ms, _, seq = text.partition("-")
    return int(ms), int(seq or 0)


def text_of(key: Id) -> bytes:
    return f"{key[0]}-{key[1]}".encode()


@dataclass
class Pending:
    consumer: str
    at_ms: int
    count: int


@dataclass
class Group:
    last: Id = (0, 0)
    read: int | None = None
    pending: dict[Id, Pending] = field(default_factory=dict)
    consumers: set[str] = field(default_factory=set)


@dataclass
class Stream:
    entries: dict[Id, list[bytes]] = field(default_factory=dict)
    last: Id = (0, 0)
    added: int = 0
    deleted: Id = (0, 0)
    groups: dict[str, Group] = field(default_factory=dict)


class RedisStore:
    """What the server holds; outlives the service.

    Args:
        on_ack: called with stream, group and id *before* a pending entry is acknowledged.
        on_delivery: called with stream and id when an entry is delivered as a new one.
    """

    def __init__(
        self,
        clock: SimClock,
        on_ack: Callable[[str, str, str], None],
        on_delivery: Callable[[str, str], None],
    ) -> None:
        self._clock = clock
        self._on_ack = on_ack
        self._on_delivery = on_delivery
        self.streams: dict[str, Stream] = {}
        self.keys: dict[str, bytes] = {}
        self.behind_ms = 0
        """How far the server's clock stands behind everybody else's."""

    # --- from outside -------------------------------------------------------------------------

    def add(self, stream: str, fields: Iterable[tuple[bytes, bytes]], entry_id: str = "*") -> str:
        """What a producer does; returns the entry id."""
        flat = [part for pair in fields for part in pair]
        return str(self.run("XADD", stream, entry_id, *flat).decode())

    def snapshot(self) -> dict[str, Stream]:
        """The state that an fsync would have kept."""
        return copy.deepcopy(self.streams)

    def lose_tail(self, kept: dict[str, Stream]) -> None:
        """The server comes back with an older state."""
        self.streams = copy.deepcopy(kept)

    def undelivered(self, stream: str, group: str) -> int:
        found = self.streams.get(stream)
        if found is None:
            return 0
        last = found.groups[group].last if group in found.groups else (0, 0)
        return sum(1 for key in found.entries if key > last)

    def pending(self, stream: str, group: str) -> list[str]:
        found = self.streams.get(stream)
        if found is None or group not in found.groups:
            return []
        return [text_of(key).decode() for key in sorted(found.groups[group].pending)]

    def last_id(self, stream: str) -> Id:
        """The highest id given out; the next must be above it."""
        return self.streams[stream].last if stream in self.streams else (0, 0)

    def drop(self, stream: str, entry_id: str) -> None:
        """Somebody deletes an entry."""
        _drop(self.streams[stream], key_of(entry_id))

    # --- commands -----------------------------------------------------------------------------

    def run(self, *arguments: object) -> Any:
        """One command; returns what the wire would carry, raises ``redis.ResponseError``."""
        words = [_word(a) for a in arguments]
        name = words[0].upper()
        method = getattr(self, f"_{name.lower()}", None)
        if method is None:
            raise NotSimulated(f"the simulated Redis knows no {name}")
        return method(words[1:], arguments[1:])

    def _ping(self, _w: list[str], _raw: Any) -> bytes:
        return b"PONG"

    def _now(self) -> int:
        return self._clock.epoch_ms() - self.behind_ms

    def _time(self, _w: list[str], _raw: Any) -> list[bytes]:
        ms = self._now()
        return [str(ms // 1000).encode(), str(ms % 1000 * 1000).encode()]

    def _get(self, w: list[str], _raw: Any) -> bytes | None:
        return self.keys.get(w[0])

    def _set(self, w: list[str], raw: Any) -> bytes:
        self.keys[w[0]] = _bytes(raw[1])
        return b"OK"

    def _del(self, w: list[str], _raw: Any) -> int:
        return sum(1 for key in w if self.keys.pop(key, None) is not None)

    def _scan(self, _w: list[str], _raw: Any) -> list[Any]:
        return [b"0", []]

    def _xadd(self, w: list[str], raw: Any) -> bytes:
        name, at, maxlen = w[0], 1, None
        if w[at].upper() == "MAXLEN":
            at += 2 if w[at + 1] in {"~", "="} else 1
            maxlen = int(w[at])
            at += 1
        stream = self.streams.setdefault(name, Stream())
        if w[at] == "*":
            key = (self._now(), 0)
            if key <= stream.last:
                key = (stream.last[0], stream.last[1] + 1)
        else:
            key = key_of(w[at])
            if key <= stream.last:
                raise redis.ResponseError("The ID specified in XADD is equal or smaller")
        stream.entries[key] = [_bytes(part) for part in raw[at + 1 :]]
        stream.last = key
        stream.added += 1
        if maxlen is not None:
            while len(stream.entries) > maxlen + 100:
                _drop(stream, next(iter(stream.entries)))
        return text_of(key)

    def _xlen(self, w: list[str], _raw: Any) -> int:
        return len(self.streams[w[0]].entries) if w[0] in self.streams else 0

    def _xgroup(self, w: list[str], _raw: Any) -> Any:
        action, name, group = w[0].upper(), w[1], w[2]
        if action == "CREATE":
            stream = self.streams.setdefault(name, Stream())
            if group in stream.groups:
                raise redis.ResponseError("BUSYGROUP Consumer Group name already exists")
            stream.groups[group] = Group(last=stream.last if w[3] == "$" else key_of(w[3]))
            return b"OK"
        if action == "DESTROY":
            return int(self.streams[name].groups.pop(group, None) is not None)
        found = self._group(name, group)
        if action == "DELCONSUMER":
            gone = [key for key, one in found.pending.items() if one.consumer == w[3]]
            for key in gone:
                del found.pending[key]
            found.consumers.discard(w[3])
            return len(gone)
        if action == "SETID":
            found.last = self.streams[name].last if w[3] == "$" else key_of(w[3])
            found.read = None
            return b"OK"
        if action == "CREATECONSUMER":
            found.consumers.add(w[3])
            return 1
        raise NotSimulated(f"XGROUP {action}")

    def _group(self, name: str, group: str) -> Group:
        stream = self.streams.get(name)
        if stream is None or group not in stream.groups:
            raise redis.ResponseError(
                f"NOGROUP No such key '{name}' or consumer group '{group}' in XREADGROUP"
            )
        return stream.groups[group]

    def _xreadgroup(self, w: list[str], _raw: Any) -> list[Any] | None:
        options = {word.upper(): at for at, word in enumerate(w)}
        at = options["GROUP"]
        group, consumer = w[at + 1], w[at + 2]
        count = int(w[options["COUNT"] + 1]) if "COUNT" in options else 10_000
        names = w[options["STREAMS"] + 1 :]
        half = len(names) // 2
        for name in names[:half]:
            self._group(name, group)
        found = []
        for name, after in zip(names[:half], names[half:], strict=True):
            rows = self._read(name, group, consumer, after, count)
            if rows:
                found.append([name.encode(), rows])
        return found or None

    def _read(self, name: str, group: str, consumer: str, after: str, count: int) -> list[Any]:
        stream, mine = self.streams[name], self.streams[name].groups[group]
        mine.consumers.add(consumer)
        rows: list[Any] = []
        if after == ">":
            for key in [k for k in sorted(stream.entries) if k > mine.last][:count]:
                mine.pending[key] = Pending(consumer, self._clock.epoch_ms(), 1)
                mine.last = key
                mine.read = _position(stream, key)
                self._on_delivery(name, text_of(key).decode())
                rows.append([text_of(key), list(stream.entries[key])])
            return rows
        start = key_of(after)
        for key in sorted(k for k in mine.pending if k > start):
            if mine.pending[key].consumer == consumer and len(rows) < count:
                mine.pending[key].count += 1
                mine.pending[key].at_ms = self._clock.epoch_ms()
                fields = stream.entries.get(key)
                rows.append([text_of(key), None if fields is None else list(fields)])
        return rows

    def _xpending(self, w: list[str], _raw: Any) -> list[Any]:
        pending = self._group(w[0], w[1]).pending
        if len(w) == 2:
            if not pending:
                return [0, None, None, None]
            counts: dict[str, int] = {}
            for one in pending.values():
                counts[one.consumer] = counts.get(one.consumer, 0) + 1
            per = [[name.encode(), str(n).encode()] for name, n in sorted(counts.items())]
            return [len(pending), text_of(min(pending)), text_of(max(pending)), per]
        rest = w[2:]
        idle = 0
        if rest[0].upper() == "IDLE":
            idle, rest = int(rest[1]), rest[2:]
        low, high, count = rest[0], rest[1], int(rest[2])
        consumer = rest[3] if len(rest) > 3 else None
        now = self._clock.epoch_ms()
        rows: list[Any] = []
        for key in sorted(pending):
            one = pending[key]
            mine = consumer is None or one.consumer == consumer
            if mine and _within(key, low, high) and now - one.at_ms >= idle and len(rows) < count:
                rows.append([text_of(key), one.consumer.encode(), now - one.at_ms, one.count])
        return rows

    def _xclaim(self, w: list[str], _raw: Any) -> list[Any]:
        name, group, consumer, idle = w[0], w[1], w[2], int(w[3])
        ids = [word for word in w[4:] if word[:1].isdigit()]
        flags = {word.upper() for word in w[4:]}
        found, stream = self._group(name, group), self.streams[name]
        found.consumers.add(consumer)
        now, rows = self._clock.epoch_ms(), []
        for word in ids:
            key = key_of(word)
            one = found.pending.get(key)
            if one is None or now - one.at_ms < idle:
                continue
            if key not in stream.entries:
                del found.pending[key]  # since Redis 7
                continue
            count = one.count if "JUSTID" in flags else one.count + 1
            found.pending[key] = Pending(consumer, now, count)
            rows.append(
                text_of(key) if "JUSTID" in flags else [text_of(key), list(stream.entries[key])]
            )
        return rows

    def _xrange(self, w: list[str], _raw: Any) -> list[Any]:
        stream = self.streams.get(w[0], Stream())
        count = int(w[4]) if len(w) > 4 else 10**9
        keys = [k for k in sorted(stream.entries) if _within(k, w[1], w[2])][:count]
        return [[text_of(k), list(stream.entries[k])] for k in keys]

    def _xrevrange(self, w: list[str], _raw: Any) -> list[Any]:
        rows = self._xrange([w[0], w[2], w[1]], None)[::-1]
        return rows[: int(w[4])] if len(w) > 4 else rows

    def _xack(self, w: list[str], _raw: Any) -> int:
        group = self._group(w[0], w[1])
        done = 0
        for word in w[2:]:
            if key_of(word) in group.pending:
                self._on_ack(w[0], w[1], word)
                del group.pending[key_of(word)]
                done += 1
        return done

    def _xdel(self, w: list[str], _raw: Any) -> int:
        stream = self.streams.get(w[0], Stream())
        return sum(_drop(stream, key_of(word)) for word in w[1:])

    def _xtrim(self, w: list[str], _raw: Any) -> int:
        stream = self.streams.get(w[0], Stream())
        if w[1].upper() != "MINID":
            raise NotSimulated("XTRIM other than MINID")
        return sum(_drop(stream, key) for key in list(stream.entries) if key < key_of(w[-1]))

    def _xinfo(self, w: list[str], _raw: Any) -> list[Any]:
        stream = self.streams.get(w[1])
        if stream is None:
            raise redis.ResponseError("no such key")
        if w[0].upper() == "STREAM":
            return [
                b"length", len(stream.entries), b"last-generated-id", text_of(stream.last),
                b"max-deleted-entry-id", text_of(stream.deleted), b"entries-added", stream.added,
                b"groups", len(stream.groups),
            ]  # fmt: skip
        if w[0].upper() != "GROUPS":
            raise NotSimulated(f"XINFO {w[0]}")
        return [
            [
                b"name", name.encode(), b"consumers", len(group.consumers),
                b"pending", len(group.pending), b"last-delivered-id", text_of(group.last),
                b"entries-read", group.read, b"lag", None,
            ]
            for name, group in stream.groups.items()
        ]  # fmt: skip


def _drop(stream: Stream, key: Id) -> bool:
    """Delete one entry; the stream remembers the highest id deleted."""
    if stream.entries.pop(key, None) is None:
        return False
    stream.deleted = max(stream.deleted, key)
    return True


def _position(stream: Stream, key: Id) -> int | None:
    """How many entries were ever added up to this one, where the stream can still tell."""
    if key == stream.last:
        return stream.added
    if stream.deleted > key:
        return None
    return stream.added - sum(1 for other in stream.entries if other > key)


def _within(key: Id, low: str, high: str) -> bool:
    return _above(key, low) and _below(key, high)


def _above(key: Id, low: str) -> bool:
    if low == "-":
        return True
    return key > key_of(low[1:]) if low.startswith("(") else key >= key_of(low)


def _below(key: Id, high: str) -> bool:
    if high == "+":
        return True
    bound = high.removeprefix("(")
    limit = key_of(bound) if "-" in bound else (int(bound), LAST[1])
    return key < limit if high.startswith("(") else key <= limit


def _word(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
