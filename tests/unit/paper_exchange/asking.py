"""The application asked without a network, with ids that repeat, so that two can be compared."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from paper_exchange.app import App
from paper_exchange.clock import ManualClock
from paper_exchange.ids import seeded_ids
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.conftest import NOON

Answer = tuple[int, Any]


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
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"apca-api-key-id", key.encode()), (b"apca-api-secret-key", b"s")],
            "client": ("127.0.0.1", 1),
        }
        sent: list[dict[str, Any]] = []
        content = b"" if body is None else orjson.dumps(body)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content}

        async def send(message: Any) -> None:
            sent.append(message)

        drive(self.app(scope, receive, send))
        return sent[0]["status"], orjson.loads(sent[1]["body"]) if sent[1]["body"] else None

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
        self.app.matcher._step()

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
