"""The least a Python server does for an order: read JSON, answer with an order.

The reference of ``benchmarks.exchange``: the same server and event loop, nothing checked or kept.
"""

import asyncio
import socket
from decimal import Decimal

import orjson
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from paper_exchange.assets import AssetBook
from paper_exchange.orders import Order


def _order() -> dict[str, object]:
    order = Order(
        id="4f1e7f3a-5a58-4bb4-9e9b-0e0b2f6f1c11",
        account_id="",
        asset=next(iter(AssetBook())),
        client_order_id="",
        side="buy",
        type="market",
        time_in_force="ioc",
        qty=Decimal(1),
        notional=None,
        limit_price=None,
        stop_price=None,
        trail_price=None,
        trail_percent=None,
        extended_hours=False,
        position_intent="buy_to_open",
        submitted_ns=0,
        updated_ns=0,
    )
    return order.render()


_ORDER = _order()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer anything that has a JSON body."""
    if scope["type"] != "http":
        return
    message = await receive()
    asked = orjson.loads(message.get("body", b"{}"))
    content = orjson.dumps({**_ORDER, "client_order_id": asked.get("client_order_id")})
    headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def serve() -> None:
    """Listen on a free port, say which, and serve until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app, http="httptools", lifespan="off", access_log=False, server_header=False
    )
    print(f"bare listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
