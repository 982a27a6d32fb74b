"""redis-py's surface over :class:`RedisStore`, as far as the service uses it."""

from collections.abc import Callable, Iterator
from typing import Any, Self

import redis

from torture.simulation.redis_store import RedisStore

Wire = Callable[[tuple[object, ...]], None]
"""Called with each command before and after it runs; raises what the connection would."""


Decode = Callable[[Any], Any]


class RedisClient:
    """One connection.

    Args:
        store: the server.
        before: called before a command reaches the server.
        after: called once the server has run it, before its reply is read.
    """

    def __init__(
        self, store: RedisStore, before: Wire, after: Wire, uncooked: set[str] | None = None
    ) -> None:
        self._store, self._before, self._after = store, before, after
        self._uncooked = set() if uncooked is None else uncooked
        self.connection_pool = self
        self._reply: Any = None

    def execute_command(self, *arguments: object, **_options: Any) -> Any:
        self._before(arguments)
        reply = self._store.run(*arguments)
        self._after(arguments)
        return reply

    # --- the raw connection ---------------------------------------------------------------------

    def get_connection(self, *_arguments: Any, **_options: Any) -> "RedisClient":
        return self

    def release(self, _connection: Any) -> None:
        """Nothing to give back."""

    def pack_command(self, *arguments: object) -> tuple[object, ...]:
        return arguments

    def send_packed_command(self, packed: tuple[object, ...], **_options: Any) -> None:
        try:
            self._reply = self.execute_command(*packed)
        except redis.ResponseError as error:
            self._reply = error

    def read_response(self, **_options: Any) -> Any:
        reply, self._reply = self._reply, None
        if isinstance(reply, Exception):
            raise reply
        return reply

    def disconnect(self, *_arguments: Any) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    # --- methods that decode --------------------------------------------------------------------

    def set_response_callback(self, command: str, _callback: Callable[..., Any]) -> None:
        """The service sets one thing only: the reply as it came."""
        self._uncooked.add(command)

    def ping(self) -> bool:
        return bool(self.execute_command("PING"))

    def time(self) -> tuple[int, int]:
        seconds, micros = self.execute_command("TIME")
        return int(seconds), int(micros)

    def get(self, key: str) -> Any:
        return self.execute_command("GET", key)

    def set(self, key: str, value: bytes, **_options: Any) -> Any:
        return self.execute_command("SET", key, value)

    def delete(self, *keys: str) -> Any:
        return self.execute_command("DEL", *keys)

    def scan_iter(self, **_options: Any) -> Iterator[bytes]:
        yield from self.execute_command("SCAN", "0")[1]

    def xlen(self, stream: str) -> Any:
        return self.execute_command("XLEN", stream)

    def xrange(self, stream: str, min: str = "-", max: str = "+", count: int | None = None) -> Any:  # noqa: A002 - redis-py's names
        tail = () if count is None else ("COUNT", count)
        raw = self._raw("XRANGE")
        return self._ask(("XRANGE", stream, min, max, *tail), _same if raw else _entries)

    def xinfo_groups(self, stream: str) -> Any:
        return self._ask(("XINFO", "GROUPS", stream), lambda rows: [_pairs(row) for row in rows])

    def xinfo_stream(self, stream: str) -> Any:
        return self._ask(("XINFO", "STREAM", stream), _pairs)

    def pipeline(self, **_options: Any) -> "RedisPipeline":
        return RedisPipeline(self._store, self._before, self._after, self._uncooked)

    def _raw(self, command: str) -> bool:
        return command in self._uncooked

    def _ask(self, command: tuple[object, ...], decode: Decode) -> Any:
        return decode(self.execute_command(*command))


class RedisPipeline(RedisClient):
    """Commands sent together; each runs, or none where the connection fails before."""

    def __init__(
        self, store: RedisStore, before: Wire, after: Wire, uncooked: set[str] | None = None
    ) -> None:
        super().__init__(store, before, after, uncooked)
        self._commands: list[tuple[tuple[object, ...], Decode]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self._commands.clear()

    def execute_command(self, *arguments: object, **_options: Any) -> Any:
        return self._ask(arguments, _same)

    def _ask(self, command: tuple[object, ...], decode: Decode) -> Any:
        self._commands.append((command, decode))
        return self

    def execute(  # noqa: C901 - MULTI queues what stands between it and EXEC
        self, *, raise_on_error: bool = True
    ) -> list[Any]:
        commands, self._commands = self._commands, []
        if not commands:
            return []
        whole: tuple[object, ...] = ("PIPELINE", *(command[0] for command, _ in commands))
        self._before(whole)
        replies: list[Any] = []
        queued: list[tuple[object, ...]] | None = None
        for command, decode in commands:
            if command[0] == "MULTI":
                queued = []
                replies.append(b"OK")
            elif command[0] == "EXEC":
                replies.append([self._one(each, _same) for each in queued or ()])
                queued = None
            elif queued is not None:
                queued.append(command)
                replies.append(b"QUEUED")
            else:
                replies.append(self._one(command, decode))
        self._after(whole)
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    def _one(self, command: tuple[object, ...], decode: Decode) -> Any:
        try:
            return decode(self._store.run(*command))
        except redis.ResponseError as error:
            return error


def _same(reply: Any) -> Any:
    return reply


def _pairs(row: Any) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(row[::2], row[1::2], strict=True)}


def _entries(rows: Any) -> Any:
    return [(key, dict(zip(flat[::2], flat[1::2], strict=True))) for key, flat in rows]
