"""The trade_updates stream: the conversation without I/O, and the hub that routes."""

import time
from collections.abc import Callable, Iterator

from starlette.websockets import WebSocket

from paper_exchange.books.accounts import Account
from paper_exchange.engine.events import TradeEvent
from paper_exchange.faults.spec import STREAM
from paper_exchange.live.faults import StreamFaults
from paper_exchange.network.connections import Arrival, Connection
from paper_exchange.network.sockets import (
    Outlet,
    converse,
    json_binary,
    json_text,
    packed,
    read,
    wants_msgpack,
)

Authenticate = Callable[[str, str], Account | None]
HasRoom = Callable[[Account], bool]

_STREAMS = frozenset({"trade_updates"})
#: Characters of an unknown action that are repeated to the client.
_LONGEST_ECHO = 64


def _authorization(status: str, action: str, **extra: str) -> dict[str, object]:
    return {"stream": "authorization", "data": {"status": status, "action": action, **extra}}


def _always(_: Account) -> bool:
    return True


class Conversation:
    """What one client has said and what it is answered; knows nothing of sockets.

    Both forms of authentication are understood: ``authenticate`` with
    ``data.key_id``/``data.secret_key``, and ``auth`` with ``key``/``secret``.

    Attributes:
        account: whose updates these are, None before authentication.
        streams: what the client listens to.
        over: whether the connection is to be closed after the answers.
    """

    def __init__(self, authenticate: Authenticate, has_room: HasRoom = _always) -> None:
        self._authenticate = authenticate
        self._has_room = has_room
        self.account: Account | None = None
        self.streams: tuple[str, ...] = ()
        self.over = False

    def receive(self, text: str | bytes) -> list[dict[str, object]]:
        """The answers to one message; what cannot be understood is answered as unauthorized."""
        message = read(text)
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
        known = isinstance(key_id, str) and isinstance(secret, str)
        account = self._authenticate(str(key_id), str(secret)) if known else None
        if account is None:
            # Whoever is authorized already stays so.
            return [_authorization("unauthorized", "authenticate")]
        if account is not self.account and not self._has_room(account):
            self.over = True
            reason = "connection limit exceeded"
            return [_authorization("unauthorized", "authenticate", message=reason)]
        self.account = account
        return [_authorization("authorized", "authenticate")]

    def _listen(self, wanted: object) -> list[dict[str, object]]:
        if self.account is None:
            return [_authorization("unauthorized", "listen")]
        names = wanted if isinstance(wanted, list) else []
        # The new list replaces the old one; unknown names are dropped.
        known = (name for name in names if isinstance(name, str) and name in _STREAMS)
        self.streams = tuple(dict.fromkeys(known))
        return [{"stream": "listening", "data": {"streams": list(self.streams)}}]


class TradeUpdates:
    """Accepts sockets on ``/stream`` and routes the engine's events to their accounts."""

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        frames: str = "binary",
        connections_each: int = 0,
        faults: StreamFaults | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._authenticate = authenticate
        self._connections_each = connections_each
        self._faults = faults
        self._encode = json_text if frames == "text" else json_binary
        self._now_ns = now_ns
        self._clients: dict[Outlet, Conversation] = {}
        self._arrivals: dict[Outlet, Arrival] = {}

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
        outlet = Outlet(packed if wants_msgpack(socket) else self._encode)
        conversation = Conversation(self._authenticate, self._has_room)

        def hear(said: str | bytes) -> None:
            for answer in conversation.receive(said):
                outlet.push(answer)
            if conversation.over:
                outlet.hang_up()

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

    def _has_room(self, account: Account) -> bool:
        if not self._connections_each:
            return True
        taken = sum(one.account is account for one in self._clients.values())
        return taken < self._connections_each
