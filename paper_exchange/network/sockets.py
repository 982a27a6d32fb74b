"""What every websocket of the exchange needs: an outbox per client, and the two loops around it."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from paper_exchange.network.line import FAREWELL_S, line_of

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


def wants_msgpack(socket: WebSocket) -> bool:
    """Whether the handshake asked for MessagePack instead of JSON."""
    kind = socket.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() in {"application/msgpack", "application/x-msgpack"}


def json_binary(payload: object) -> Message:
    """JSON in a binary frame, as paper's ``/stream`` sends it."""
    return {"type": "websocket.send", "bytes": orjson.dumps(payload)}


def json_text(payload: object) -> Message:
    """JSON in a text frame."""
    return {"type": "websocket.send", "text": orjson.dumps(payload).decode()}


def packed(payload: object) -> Message:
    """MessagePack; aware datetimes and ``msgpack.Timestamp`` become the timestamp extension."""
    return {"type": "websocket.send", "bytes": msgpack.packb(payload, datetime=True)}


def read(said: str | bytes) -> object:
    """What a client said: JSON in either kind of frame, or MessagePack in a binary one.

    The first byte tells them apart: MessagePack's maps begin above 0x7f, a
    JSON object does not.

    Returns:
        the value, or None when the bytes are neither.
    """
    if isinstance(said, bytes) and said[:1] >= b"\x80":
        try:
            value: object = msgpack.unpackb(said)
        except (ValueError, TypeError):
            return None
        return value
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError:
        return None


@dataclass(slots=True, eq=False)
class Outlet:
    """One connected client and what waits to be sent to it.

    Attributes:
        farewell: what a reader is told that is cut off for being too slow.
        on_overflow: called when the outbox is full, by ``converse``'s choice.
    """

    encode: Encode
    outbox: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    farewell: Message | None = None
    too_slow: bool = False
    on_overflow: Callable[[], object] | None = None
    tamper: Tamper | None = None

    def push(self, payload: object) -> None:
        """Queue something to be encoded; see ``post``."""
        if self.tamper:
            self.tamper.pass_on(payload)
        else:
            self.post(self.encode(payload))

    def post(self, message: Message) -> None:
        """Queue a frame; a full queue ends the connection instead of blocking the engine."""
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.too_slow = True
            if self.on_overflow is not None:
                self.on_overflow()

    def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection once everything queued so far is sent."""
        self.post({"type": "websocket.close", "code": code, "reason": reason})


async def converse(socket: WebSocket, outlet: Outlet, hear: Callable[[str | bytes], None]) -> None:
    """Serve an accepted socket to its end: hand over what the client says, send what waits."""
    sending = asyncio.create_task(_send(socket, outlet))
    listening = asyncio.create_task(_listen(socket, hear))
    # A sender that waits for the peer to read would not notice by itself.
    outlet.on_overflow = sending.cancel
    try:
        await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        outlet.on_overflow = None
        for task in (listening, sending):
            task.cancel()
        ends = await asyncio.gather(listening, sending, return_exceptions=True)
    if outlet.too_slow:
        await _cut_off(socket, outlet)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def _listen(socket: WebSocket, hear: Callable[[str | bytes], None]) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        hear(message.get("text") or message.get("bytes") or b"")


def _reset(socket: WebSocket) -> None:
    line = line_of(socket.scope)
    if line is not None:
        line.reset()


async def _send(socket: WebSocket, outlet: Outlet) -> None:
    # A peer that vanished is no error of ours.
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while not outlet.too_slow:
            message = await outlet.outbox.get()
            if message is HANG_UP:
                _reset(socket)
                return
            await socket.send(message)
            if message["type"] == "websocket.close":
                return


async def _cut_off(socket: WebSocket, outlet: Outlet) -> None:
    line = line_of(socket.scope)
    if line is not None:
        # A reader that has stopped takes no farewell either.
        asyncio.get_running_loop().call_later(FAREWELL_S, line.reset)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            if outlet.farewell is not None:
                await socket.send(outlet.farewell)
            await socket.close(_SLOW_READER, "slow reader")
