"""What every websocket of the exchange needs: an outbox per client, and the two loops around it."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

#: Messages a reader may be behind before it is cut off.
BACKLOG = 20_000
_SLOW_READER = 1008

Encode = Callable[[object], Message]


def json_binary(payload: object) -> Message:
    """JSON in a binary frame, as paper's ``/stream`` sends it."""
    return {"type": "websocket.send", "bytes": orjson.dumps(payload)}


def json_text(payload: object) -> Message:
    """JSON in a text frame."""
    return {"type": "websocket.send", "text": orjson.dumps(payload).decode()}


def packed(payload: object) -> Message:
    """MessagePack; aware datetimes and ``msgpack.Timestamp`` become the timestamp extension."""
    return {"type": "websocket.send", "bytes": msgpack.packb(payload, datetime=True)}


@dataclass(slots=True, eq=False)
class Outlet:
    """One connected client and what waits to be sent to it."""

    encode: Encode
    outbox: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    too_slow: bool = False

    def push(self, payload: object) -> None:
        """Queue a message; a full queue ends the connection instead of blocking the engine."""
        try:
            self.outbox.put_nowait(self.encode(payload))
        except asyncio.QueueFull:
            self.too_slow = True


async def converse(socket: WebSocket, outlet: Outlet, hear: Callable[[str | bytes], None]) -> None:
    """Serve an accepted socket until the client leaves: hand over what it says, send what waits."""
    sender = asyncio.create_task(_send(socket, outlet))
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            hear(message.get("text") or message.get("bytes") or b"")
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender


async def _send(socket: WebSocket, outlet: Outlet) -> None:
    # A peer that vanished shows in receive(), which ends the connection.
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while not outlet.too_slow:
            await socket.send(await outlet.outbox.get())
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close(_SLOW_READER, "slow reader")
