"""The running instance's picture of itself, in Redis each second, so it is read from anywhere."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import redis

from solution.printable import visible, visible_values
from solution.runtime.service import Fatal, Service

log = logging.getLogger(__name__)

EVERY = 1.0
EXPIRES_S = 5
LOOK_AROUND = 3
"""Steps between two looks for other instances."""
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

    def step(self) -> float:
        try:
            if self._client is None:
                self._client = self._connect()
            mine = self._collect()
            self._client.set(self._key, orjson.dumps(mine), ex=EXPIRES_S)
            self._steps += 1
            if self._steps % LOOK_AROUND == 0:
                self._look_around(self._client, mine)
        except redis.RedisError:
            self._close()
        return EVERY

    def _look_around(self, client: "redis.Redis", mine: Mapping[str, Any]) -> None:
        for name, other in read_all(client, self._group).items():
            elder = int(other.get("started_ms") or 0) <= int(mine.get("started_ms") or 0)
            if name != self._instance and elder and other.get("ledger") != mine.get("ledger"):
                raise Fatal(f"instance {name} serves group {self._group} with another ledger")

    def on_stop(self) -> None:
        """Gone at once, not after five seconds: the instance has said good-bye."""
        try:
            if self._client is not None:
                self._client.delete(self._key)
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


def who_sends_orders(client: "redis.Redis", stream: str) -> str | None:
    """A live instance, of whatever group, that turns this stream's entries into orders."""
    for key, shown in _found(client, key_of("*", "*")):
        # An earlier version does not name its streams; it may read any.
        if shown.get("mode") not in {DRY_RUN, SHADOW} and stream in shown.get("streams", (stream,)):
            return str(shown.get("instance") or key)
    return None


def _found(client: "redis.Redis", pattern: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in client.scan_iter(match=pattern, count=500):
        try:
            raw = client.get(key)
        except redis.ResponseError:  # a key of another type is not ours
            continue
        shown = _snapshot(raw) if isinstance(raw, bytes) else None
        if shown is not None:
            yield visible(key.decode(errors="backslashreplace")), shown


def _snapshot(raw: bytes) -> Mapping[str, Any] | None:
    """What can be shown as it is; None for what is no snapshot: a key is anybody's to write."""
    try:
        found = orjson.loads(raw)
    except ValueError:
        return None
    return visible_values(found) if isinstance(found, dict) else None
