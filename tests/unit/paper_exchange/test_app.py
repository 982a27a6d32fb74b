"""The application from its start to its end."""

import asyncio
import json
from pathlib import Path
from typing import Any

from paper_exchange.app import App
from paper_exchange.clock import ManualClock
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.asking import keys
from tests.unit.paper_exchange.conftest import NOON

ORDER = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "ioc"}


async def live(app: App, *, between: Any) -> list[str]:
    """Start it, let something happen, and end it; what it says to the server."""
    said: list[str] = []
    heard: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    heard.put_nowait({"type": "lifespan.startup"})

    async def send(message: Any) -> None:
        said.append(message["type"])

    task = asyncio.create_task(app({"type": "lifespan"}, heard.get, send))
    await asyncio.sleep(0)
    await between(app)
    heard.put_nowait({"type": "lifespan.shutdown"})
    await asyncio.wait_for(task, 5)
    return said


async def ask(app: App) -> None:
    """One order."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(ORDER).encode()}

    async def send(_: Any) -> None:
        return None

    scope = {
        "type": "http", "method": "POST", "path": "/v2/orders", "query_string": b"",
        "headers": list(keys()), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await app(scope, receive, send)


def test_the_order_log_is_closed_and_whole(tmp_path: Path) -> None:
    """All that was told until the end is in it."""
    path = tmp_path / "orders.jsonl"
    app = App(Settings(order_log=path), clock=ManualClock(NOON))
    said = asyncio.run(live(app, between=ask))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [json.loads(line)["event"] for line in path.read_bytes().splitlines()] == ["new", "fill"]
    assert app._order_log is not None
    assert app._order_log._file.closed


def test_what_was_to_be_accepted_later_is_not_accepted_after_the_end() -> None:
    """A timer of a fault does not outlive the exchange."""
    app = App(Settings(), clock=ManualClock(NOON))
    late: list[asyncio.Task[None]] = []

    async def order_late(app: App) -> None:
        request: Any = None
        late.append(asyncio.create_task(app._http_faults._take_later(0, 3600, request)))
        app._http_faults._late.update(late)
        await asyncio.sleep(0)

    async def scene() -> None:
        await live(app, between=order_late)
        await asyncio.wait(late, timeout=1)

    asyncio.run(scene())
    assert late[0].cancelled()
