"""The trade_updates stream: the conversation without I/O, and the hub that routes."""

import time
from collections.abc import Callable, Iterator

import orjson
from starlette.websockets import WebSocket

from paper_exchange.accounts import Account
from paper_exchange.connections import Arrival, Connection
from paper_exchange.events import TradeEvent
from paper_exchange.fault_spec import STREAM
from paper_exchange.sockets import Outlet, converse, json_binary, json_text, packed
from paper_exchange.stream_faults import StreamFaults

Authenticate = Callable[[str, str], Account | None]

_STREAMS = frozenset({"trade_updates"})
#: Characters of an unknown action that are repeated to the client.
_LONGEST_ECHO = 64


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
                named = action[:_LONGEST_ECHO] if isinstance(action, str) else ""
                return [_authorization("unauthorized", named)]

    def _auth(self, key_id: object, secret: object) -> list[dict[str, object]]:
        if isinstance(key_id, str) and isinstance(secret, str):
            self.account = self._authenticate(key_id, secret)
        return [_authorization("authorized" if self.account else "unauthorized", "authenticate")]

    def _listen(self, wanted: object) -> list[dict[str, object]]:
        if self.account is None:
            return [_authorization("unauthorized", "listen")]
        names = wanted if isinstance(wanted, list) else []
        # The new list replaces the old one; unknown names are dropped.
        self.streams = tuple(name for name in names if isinstance(name, str) and name in _STREAMS)
        return [{"stream": "listening", "data": {"streams": list(self.streams)}}]


class TradeUpdates:
    """Accepts sockets on ``/stream`` and routes the engine's events to their accounts."""

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        frames: str = "binary",
        faults: StreamFaults | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._authenticate = authenticate
        self._faults = faults
        self._encode = json_text if frames == "text" else json_binary
        self._now_ns = now_ns
        self._clients: dict[Outlet, Conversation] = {}
        self._arrivals: dict[Outlet, Arrival] = {}

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._clients)

    def connected(self) -> Iterator[Connection]:
        """The open sockets, oldest first."""
        for outlet, conversation in self._clients.items():
            account = conversation.account
            yield Connection(
                arrival=self._arrivals[outlet],
                endpoint="trade_updates",
                account_id=account.id if account else None,
                subjects=conversation.streams,
                waiting=outlet.outbox.qsize(),
            )

    def publish(self, event: TradeEvent) -> None:
        """Send an event to whoever listens to its account; one of the engine's sinks."""
        payload: dict[str, object] | None = None
        for outlet, conversation in self._clients.items():
            account = conversation.account
            if account is None or account.id != event.order.account_id:
                continue
            if "trade_updates" in conversation.streams:
                if payload is None:
                    payload = {"stream": "trade_updates", "data": event.render()}
                outlet.push(payload)

    async def serve(self, socket: WebSocket) -> None:
        """One client from handshake to close."""
        as_msgpack = socket.headers.get("content-type") == "application/msgpack"
        outlet = Outlet(packed if as_msgpack else self._encode)
        conversation = Conversation(self._authenticate)

        def hear(said: str | bytes) -> None:
            for answer in conversation.receive(said):
                outlet.push(answer)

        def key_id() -> str | None:
            return conversation.account.key_id if conversation.account else None

        if self._faults is not None:
            outlet.tamper = self._faults.tamper(STREAM, outlet, socket.headers, key_id)
        await socket.accept()
        self._arrivals[outlet] = Arrival.of(socket.scope, self._now_ns())
        self._clients[outlet] = conversation
        try:
            await converse(socket, outlet, hear)
        finally:
            del self._clients[outlet], self._arrivals[outlet]
