"""What every websocket of the exchange needs: an outbox per client, and the two loops around it."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from paper_exchange.line import FAREWELL_S, Line, line_of

#: Messages a reader may be behind before it is cut off.
BACKLOG = 20_000
_SLOW_READER = 1008

#: In an outbox: reset the connection once all before it has been sent.
HANG_UP: Message = {"type": "paper_exchange.hang_up"}

Encode = Callable[[object], Message]


class Tamper(Protocol):
    """Stands between the exchange and an outlet; falsy while it has nothing to do."""

    def __bool__(self) -> bool:
        """Whether messages must go through ``pass_on``."""
        ...

    def pass_on(self, payload: object) -> None:
        """Queue a message, or do something else with it."""
        ...


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
    tamper: Tamper | None = None
    #: Called once when the outbox overflows: whoever sends may be waiting for the reader.
    overflow: Callable[[], object] | None = None

    def push(self, payload: object) -> None:
        """Queue a message; a full queue ends the connection instead of blocking the engine."""
        if self.tamper:
            self.tamper.pass_on(payload)
        else:
            self.queue(self.encode(payload))

    def queue(self, message: Message) -> None:
        """Queue a message that is ready to be sent."""
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            if not self.too_slow and self.overflow is not None:
                self.overflow()
            self.too_slow = True


async def converse(socket: WebSocket, outlet: Outlet, hear: Callable[[str | bytes], None]) -> None:
    """Serve an accepted socket until the client leaves: hand over what it says, send what waits."""
    line = line_of(socket.scope)
    if line is not None:
        outlet.overflow = partial(_cut_soon, line)
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


def _cut_soon(line: Line) -> None:
    """Leave a moment for a farewell, which a reader that has stopped will not take."""
    asyncio.get_running_loop().call_later(FAREWELL_S, line.reset)


def _reset(socket: WebSocket) -> None:
    line = line_of(socket.scope)
    if line is not None:
        line.reset()


async def _send(socket: WebSocket, outlet: Outlet) -> None:
    # A peer that vanished shows in receive(), which ends the connection.
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while not outlet.too_slow:
            message = await outlet.outbox.get()
            if message is HANG_UP:
                _reset(socket)
                return
            await socket.send(message)
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close(_SLOW_READER, "slow reader")
