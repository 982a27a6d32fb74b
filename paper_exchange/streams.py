"""The trade_updates stream: the conversation without I/O, the hub that routes, the socket."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from paper_exchange.accounts import Account
from paper_exchange.events import TradeEvent

Authenticate = Callable[[str, str], Account | None]

_STREAMS = frozenset({"trade_updates"})
#: Messages a reader may be behind before it is cut off.
BACKLOG = 20_000
_SLOW_READER = 1008


def _authorization(status: str, action: str) -> dict[str, object]:
    return {"stream": "authorization", "data": {"status": status, "action": action}}


class Conversation:
    """What one client has said and what it is answered; knows nothing of sockets.

    Both forms of authentication are understood: ``authenticate`` with
    ``data.key_id``/``data.secret_key``, and ``auth`` with ``key``/``secret``.
    """

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate
        self.account: Account | None = None
        self.streams: tuple[str, ...] = ()

    def receive(self, text: str | bytes) -> list[dict[str, object]]:
        """The answers to one message; what cannot be understood is answered as unauthorized."""
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            return [_authorization("unauthorized", "")]
        data = message.get("data")
        details = data if isinstance(data, dict) else {}
        match message.get("action"):
            case "authenticate":
                return self._auth(details.get("key_id"), details.get("secret_key"))
            case "auth":
                return self._auth(message.get("key"), message.get("secret"))
            case "listen":
                return self._listen(details.get("streams"))
            case action:
                return [_authorization("unauthorized", str(action))]

    def _auth(self, key_id: object, secret: object) -> list[dict[str, object]]:
        if isinstance(key_id, str) and isinstance(secret, str):
            self.account = self._authenticate(key_id, secret)
        return [_authorization("authorized" if self.account else "unauthorized", "authenticate")]

    def _listen(self, wanted: object) -> list[dict[str, object]]:
        if self.account is None:
            return [_authorization("unauthorized", "listen")]
        names = wanted if isinstance(wanted, list) else []
        # The new list replaces the old one; unknown names are dropped.
        self.streams = tuple(name for name in names if name in _STREAMS)
        return [{"stream": "listening", "data": {"streams": list(self.streams)}}]


@dataclass(slots=True, eq=False)
class _Listener:
    """One connected socket and what waits to be sent to it."""

    conversation: Conversation
    encode: Callable[[object], Message]
    outbox: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    too_slow: bool = False

    def push(self, payload: object) -> None:
        """Queue a message; a full queue ends the connection instead of blocking the engine."""
        try:
            self.outbox.put_nowait(self.encode(payload))
        except asyncio.QueueFull:
            self.too_slow = True


def _json_binary(payload: object) -> Message:
    return {"type": "websocket.send", "bytes": orjson.dumps(payload)}


def _json_text(payload: object) -> Message:
    return {"type": "websocket.send", "text": orjson.dumps(payload).decode()}


def _msgpack(payload: object) -> Message:
    return {"type": "websocket.send", "bytes": msgpack.packb(payload)}


class TradeUpdates:
    """Accepts sockets on ``/stream`` and routes the engine's events to their accounts."""

    def __init__(self, authenticate: Authenticate, *, frames: str = "binary") -> None:
        self._authenticate = authenticate
        self._encode = _json_text if frames == "text" else _json_binary
        self._listeners: set[_Listener] = set()

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._listeners)

    def publish(self, event: TradeEvent) -> None:
        """Send an event to whoever listens to its account; the engine's event sink."""
        payload: dict[str, object] | None = None
        for listener in self._listeners:
            account = listener.conversation.account
            if account is None or account.id != event.order.account_id:
                continue
            if "trade_updates" in listener.conversation.streams:
                if payload is None:
                    payload = {"stream": "trade_updates", "data": event.render()}
                listener.push(payload)

    async def serve(self, socket: WebSocket) -> None:
        """One client from handshake to close."""
        packed = socket.headers.get("content-type") == "application/msgpack"
        listener = _Listener(Conversation(self._authenticate), _msgpack if packed else self._encode)
        await socket.accept()
        self._listeners.add(listener)
        sender = asyncio.create_task(_send(socket, listener))
        try:
            await _receive(socket, listener)
        finally:
            self._listeners.discard(listener)
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender


async def _receive(socket: WebSocket, listener: _Listener) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        said = message.get("text") or message.get("bytes") or b""
        for answer in listener.conversation.receive(said):
            listener.push(answer)


async def _send(socket: WebSocket, listener: _Listener) -> None:
    # A peer that vanished shows in receive(), which ends the connection.
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while not listener.too_slow:
            await socket.send(await listener.outbox.get())
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close(_SLOW_READER, "slow reader")
