"""The application asked without a network, with ids that repeat, so that two can be compared."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from paper_exchange.app import App
from paper_exchange.clock import ManualClock
from paper_exchange.ids import seeded_ids
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.conftest import NOON

Answer = tuple[int, Any]


class Raw(NamedTuple):
    """An answer as it was sent."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        """The body decoded, None for an empty one."""
        return orjson.loads(self.body) if self.body else None


def request(
    app: App,
    method: str,
    target: str,
    *headers: tuple[bytes, bytes],
    body: bytes = b"",
    client: str = "127.0.0.1",
) -> Raw:
    """One request, from this machine unless told otherwise."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": list(headers),
        "client": (client, 1),
        "scheme": "http",
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    drive(app(scope, receive, send))
    return Raw(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"])


def keys(key: str = "k") -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a key pair."""
    return (b"apca-api-key-id", key.encode()), (b"apca-api-secret-key", b"s")


def json_body(body: object) -> bytes:
    """What is sent for a value, nothing for None."""
    return b"" if body is None else orjson.dumps(body)


class Asked:
    """One application; every key is an account. Without ``ids`` it makes its own."""

    def __init__(
        self, *, ids: int | None = 1, clock: ManualClock | None = None, **settings: Any
    ) -> None:
        self.settings = replace(Settings(rate_limit=0, seed=1), **settings)
        self.clock = clock or ManualClock(NOON)
        new_id = None if ids is None else seeded_ids(ids)
        self.app = App(self.settings, clock=self.clock, new_id=new_id)

    def __call__(self, method: str, target: str, body: object = None, key: str = "k") -> Answer:
        """Status and decoded body of one request."""
        answer = request(self.app, method, target, *keys(key), body=json_body(body))
        return answer.status, answer.json

    def order(self, key: str = "k", **fields: Any) -> Answer:
        """POST a market IOC for ten KO, with changes."""
        order = {
            "symbol": "KO", "qty": "10", "side": "buy", "type": "market", "time_in_force": "ioc",
        } | fields  # fmt: skip
        return self("POST", "/v2/orders", order, key)

    def hold(self, **prices: float) -> None:
        """Hold prices by hand."""
        assert self("POST", "/admin/prices", prices)[0] == 200

    def later(self, seconds: float) -> None:
        """Let time pass and the matcher work."""
        self.clock.advance(seconds)
        self.app.matcher.step()

    def close(self) -> None:
        """End it in order."""
        self.app.exchange.close()


def drive(coroutine: Any) -> None:
    """Run what never really waits, without an event loop, which would take longer."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    asyncio.run(coroutine)


def crashed(asked: Asked, folder: Path, **settings: Any) -> Asked:
    """What a restart finds after the process was killed now: the files as they are on disk."""
    state = asked.settings.state
    assert state is not None
    copy = folder / f"copy{len(list(folder.iterdir()))}.db"
    for suffix in ("", "-wal"):
        source = state.with_name(state.name + suffix)
        if source.exists():
            copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
    clock = ManualClock(NOON)
    clock.ns = asked.clock.ns
    kept: Callable[[str], Any] = lambda name: getattr(asked.settings, name)  # noqa: E731
    same = {name: kept(name) for name in Settings.__dataclass_fields__}
    return Asked(ids=99, clock=clock, **{**same, "state": copy, **settings})
