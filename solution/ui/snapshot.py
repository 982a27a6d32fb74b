"""The running instance's picture of itself, in Redis each second, so it is read from anywhere."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
import redis

from solution.clock import Clock, SystemClock
from solution.printable import visible, visible_values
from solution.runtime.service import Fatal, Service
from solution.security import MASK

log = logging.getLogger(__name__)

EVERY = 1.0
EXPIRES_S = 5
LOOK_AROUND = 3
"""Steps between two looks for other instances."""
GONE = -2
"""Redis's answer to PTTL for a key that has expired meanwhile."""
NAMES_FOR = 2.0
"""Seconds that the names of instances hold for one who reads them again and again."""
NAMED = 5
"""Keys that one warning names."""
DRY_RUN = "dry-run"
"""The ``mode`` of an instance that sends no order."""
SHADOW = "shadow"
"""That of one which sends none beside another instance that does, for the same stream."""
LIVE = "live"
"""That of one whose orders are paid with money."""


def key_of(group: str, instance: str) -> str:
    """Where an instance's snapshot lies; it disappears five seconds after the instance."""
    return f"signalpaca:{group}:{instance}"


class StatusPublisher(Service):
    """Writes ``collect()`` as JSON, and looks for another instance of the group now and then.

    Redis being away is nobody's emergency here. Another live instance is: a machine that was
    suspended may wake up beside its successor. The one that started later ends itself.

    Args:
        connect: makes a client; called again after each failure.
        collect: the picture, from memory only; holds ``ledger`` and ``started_ms``.
    """

    def __init__(
        self,
        connect: Callable[[], "redis.Redis"],
        group: str,
        instance: str,
        collect: Callable[[], Mapping[str, Any]],
    ) -> None:
        super().__init__("status")
        self._connect = connect
        self._group = group
        self._instance = instance
        self._key = key_of(group, instance)
        self._collect = collect
        self._client: redis.Redis | None = None
        self._steps = 0
        self._ignored: frozenset[str] = frozenset()

    def step(self) -> float:
        try:
            if self._client is None:
                self._client = self._connect()
            mine = self._collect()
            self._write(self._client, orjson.dumps(mine))
            self._steps += 1
            if self._steps % LOOK_AROUND == 0:
                self._look_around(self._client, mine)
        except redis.RedisError:
            self._close()
        return EVERY

    def _write(self, client: "redis.Redis", content: bytes) -> None:
        """Without SET and DEL, which replace and delete streams as well.

        GETSET, GETEX and GETDEL refuse a key of another type, so the service's user needs no
        command that could make away with somebody's signals.
        """
        with client.pipeline() as together:
            together.getset(self._key, content)
            together.getex(self._key, ex=EXPIRES_S)
            together.execute()

    def _look_around(self, client: "redis.Redis", mine: Mapping[str, Any]) -> None:
        others, ignored = read_plausible(client, self._group)
        if new := ignored - self._ignored:
            log.warning(
                "status_keys_ignored",
                extra={"keys": sorted(new)[:NAMED], "count": len(new), "detail": "no instance's"},
            )
        self._ignored = ignored
        for name, other in others.items():
            elder = other["started_ms"] <= int(mine.get("started_ms") or 0)
            if name != self._instance and elder and other["ledger"] != mine.get("ledger"):
                raise Fatal(f"instance {name} serves group {self._group} with another ledger")

    def on_stop(self) -> None:
        """Gone at once, not after five seconds: the instance has said good-bye."""
        try:
            if self._client is not None:
                self._client.getdel(self._key)
        except redis.RedisError:
            log.debug("status_not_deleted")
        self._close()

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def read_all(client: "redis.Redis", group: str) -> dict[str, Mapping[str, Any]]:
    """Every live instance's snapshot by instance name."""
    prefix = key_of(group, "")
    return {key[len(prefix) :]: shown for key, shown in _found(client, f"{prefix}*")}


class Instances:
    """The live instances of a group, for who looks many times a second.

    SCAN walks through every key of a Redis that may hold millions and serves the trading as well:
    new names are looked for now and then, the known ones are asked each time in one round trip.
    """

    def __init__(self, group: str, clock: Clock | None = None) -> None:
        self._prefix = key_of(group, "")
        self._clock: Clock = clock or SystemClock()
        self._keys: list[bytes] = []
        self._look_at = float("-inf")

    def read(self, client: "redis.Redis") -> dict[str, Mapping[str, Any]]:
        """As :func:`read_all`; an instance that has just started may be missing for a moment."""
        if self._clock.monotonic() >= self._look_at:
            self._keys = list(client.scan_iter(match=f"{self._prefix}*", count=500))
            self._look_at = self._clock.monotonic() + NAMES_FOR
        with client.pipeline(transaction=False) as together:
            for key in self._keys:
                together.get(key)
            # A key of another type is not ours.
            raws = together.execute(raise_on_error=False)
        found = zip(self._keys, map(_told, raws), strict=True)
        names = ((visible(key.decode(errors="backslashreplace")), shown) for key, shown in found)
        return {name[len(self._prefix) :]: shown for name, shown in names if shown is not None}


def read_plausible(
    client: "redis.Redis", group: str
) -> tuple[dict[str, Mapping[str, Any]], frozenset[str]]:
    """Snapshots that only an instance would have written, and the other keys under its prefix.

    What stops a service must be more than a key that somebody set by hand. Age is Redis's to say,
    by the time to live: the clock of another machine may be wrong, and its instance is real.

    Raises:
        redis.RedisError: also where the user may not ask for a key's time to live.
    """
    prefix = key_of(group, "")
    found: dict[str, Mapping[str, Any]] = {}
    ignored = set()
    for raw_key in client.scan_iter(match=f"{prefix}*", count=500):
        try:
            raw = client.get(raw_key)
        except redis.ResponseError:  # a key of another type is not ours
            continue
        left, shown = client.pttl(raw_key), _parsed(raw) if isinstance(raw, bytes) else None
        name = raw_key.decode(errors="backslashreplace").removeprefix(prefix)
        if raw is None or left == GONE:
            continue
        if shown is None or not 0 <= left <= EXPIRES_S * 1_000 or not _is_plausible(shown, name):
            ignored.add(visible(name))
        else:
            found[visible(name)] = visible_values(shown)
    return found, frozenset(ignored)


def _is_plausible(shown: Mapping[str, Any], name: str) -> bool:
    """Whether an instance of that name says what each says."""
    ledger, at = shown.get("ledger"), shown.get("at")
    try:
        dated = isinstance(at, str) and datetime.fromisoformat(at).tzinfo is not None
    except ValueError:
        return False
    # A name that holds some secret's text is published without it, and is a name all the same.
    named = shown.get("instance") == name or MASK in str(shown.get("instance"))
    kept = isinstance(ledger, str) and bool(ledger)
    return dated and named and kept and type(shown.get("started_ms")) is int


def who_sends_orders(client: "redis.Redis", stream: str) -> str | None:
    """A live instance, of whatever group, that turns this stream's entries into orders."""
    for key, shown in _found(client, key_of("*", "*")):
        # An earlier version does not name its streams; it may read any.
        streams = shown.get("streams")
        reads = stream in streams if isinstance(streams, list) else True
        if reads and shown.get("mode") not in (DRY_RUN, SHADOW):
            return str(shown.get("instance") or key)
    return None


def _found(client: "redis.Redis", pattern: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in client.scan_iter(match=pattern, count=500):
        try:
            raw = client.get(key)
        except redis.ResponseError:  # a key of another type is not ours
            continue
        shown = _told(raw)
        if shown is not None:
            yield visible(key.decode(errors="backslashreplace")), shown


def _told(raw: object) -> Mapping[str, Any] | None:
    """What can be shown as it is; None for what is no snapshot: a key is anybody's to write."""
    found = _parsed(raw) if isinstance(raw, bytes) else None
    return None if found is None else visible_values(found)


def _parsed(raw: bytes) -> Mapping[str, Any] | None:
    """A JSON object; None for anything else, also for one that is nested beyond all use."""
    try:
        found = orjson.loads(raw)
        visible_values(found)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
