"""Where a stream entry is now, and what was told of it: questions only, nothing is claimed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from solution.domain.records import entry_key

T = TypeVar("T")

PAGE = 1_000
MOST_EVENTS = 10_000
"""Events of ``executions`` that one search looks at: a tenth of what the stream keeps."""

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry as Redis has it.

    Args:
        fields: its content, None when it is in the stream no more (or never was).
        consumer: who has it in hand and has not acknowledged it; empty for nobody.
        idle_ms: since it was delivered to that consumer last.
        deliveries: how often it was delivered, by Redis's count.
        is_read: whether the group has read as far as this entry.
    """

    stream: str
    entry_id: str
    group: str
    fields: Fields | None
    consumer: str = ""
    idle_ms: int = 0
    deliveries: int = 0
    is_read: bool = False

    @property
    def is_known(self) -> bool:
        """Whether Redis knows of it at all: content that was trimmed may still be pending."""
        return self.fields is not None or bool(self.consumer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of the ``executions`` stream."""

    at_ms: int
    event_id: int
    event: str
    stream: str
    entry_id: str
    client_order_id: str
    reason: str
    final: bool

    @property
    def entry(self) -> tuple[str, str]:
        """Stream and id of the entry it was told about."""
        return self.stream, self.entry_id


def place_of(client: "redis.Redis", stream: str, group: str, entry_id: str) -> Place:
    """Ask Redis where an entry is.

    Raises:
        redis.RedisError: no answer; a missing stream or group is an answer.
    """
    found: Any = client.xrange(stream, entry_id, entry_id)
    fields = tuple(found[0][1].items()) if found and found[0][1] else None
    last, pending = _group(client, stream, group, entry_id)
    consumer, idle, deliveries = pending or (b"", 0, 0)
    return Place(
        stream=stream,
        entry_id=entry_id,
        group=group,
        fields=fields,
        consumer=consumer.decode(errors="replace"),
        idle_ms=int(idle),
        deliveries=int(deliveries),
        is_read=last is not None and entry_key(entry_id) <= entry_key(last),
    )


def _group(
    client: "redis.Redis", stream: str, group: str, entry_id: str
) -> tuple[str | None, tuple[bytes, int, int] | None]:
    """The last id delivered to the group (None without a group), and the entry's pending row."""
    try:
        groups: Any = client.xinfo_groups(stream)
        mine = next((row for row in groups if row["name"] == group.encode()), None)
        if mine is None:
            return None, None
        rows: Any = client.xpending_range(stream, group, entry_id, entry_id, 1)
    except redis.ResponseError:  # no such stream, or the group went meanwhile
        return None, None
    last = mine["last-delivered-id"].decode()
    if not rows:
        return last, None
    row = rows[0]
    return last, (row["consumer"], row["time_since_delivered"], row["times_delivered"])


def told_since(client: "redis.Redis", executions: str, since_ms: int) -> Iterator[Told]:
    """Events from ``since_ms`` on, each once, oldest first; at most MOST_EVENTS are looked at.

    Raises:
        redis.RedisError: no answer.
    """
    start, seen = str(max(since_ms, 0)), set()
    for _ in range(MOST_EVENTS // PAGE):
        page: Any = client.xrange(executions, start, "+", count=PAGE)
        for raw_id, raw in page:
            told = _told(raw_id.decode(), raw or {})
            # At least once: what was told twice has the same event_id.
            if told.event_id not in seen:
                seen.add(told.event_id)
                yield told
        if len(page) < PAGE:
            return
        start = f"({page[-1][0].decode()}"


def _told(stream_id: str, raw: Mapping[bytes, bytes]) -> Told:
    fields = {name.decode(errors="replace"): v.decode(errors="replace") for name, v in raw.items()}
    number = fields.get("event_id", "")
    return Told(
        at_ms=entry_key(stream_id)[0],
        event_id=int(number) if number.isdecimal() else 0,
        event=fields.get("event", ""),
        stream=fields.get("stream", ""),
        entry_id=fields.get("entry_id", ""),
        client_order_id=fields.get("client_order_id", ""),
        reason=fields.get("reason", ""),
        final=fields.get("final") == "1",
    )


class StreamTrace:
    """Answers about entries from one Redis, as long as it answers; never raises.

    Args:
        explain: one line for what redis-py raised, without secrets.
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        streams: Sequence[str],
        group: str,
        executions: str,
        explain: Callable[[Exception], str],
    ) -> None:
        self.trouble = ""
        self._client = client
        self._streams = streams
        self._group = group
        self._executions = executions
        self._explain = explain

    def places(self, entry_id: str) -> list[Place]:
        """The configured streams that know an entry of this id."""
        found = (self.place(stream, entry_id) for stream in self._streams)
        return [place for place in found if place and place.is_known]

    def place(self, stream: str, entry_id: str) -> Place | None:
        """Where an entry is; None when Redis does not answer."""
        return self._ask(lambda: place_of(self._client, stream, self._group, entry_id))

    def told_since(self, since_ms: int) -> Sequence[Told]:
        """Events from then on; none when Redis does not answer."""
        found = self._ask(lambda: list(told_since(self._client, self._executions, since_ms)))
        return found or ()

    def _ask(self, question: Callable[[], T]) -> T | None:
        """After the first failure nothing more is asked: each timeout would cost seconds."""
        if self.trouble:
            return None
        try:
            return question()
        except (redis.RedisError, OSError) as error:
            self.trouble = self._explain(error)
            return None
