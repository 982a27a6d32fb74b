"""The ASGI application: authentication, limits, headers and the record around the handlers.

Plain ASGI instead of Starlette's routing and middleware: an order costs the
engine some tens of microseconds, and the layers in between would cost more.
"""

import base64
import binascii
import logging
import time

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from paper_exchange.accounts import Account
from paper_exchange.api import account, admin, data, orders, positions
from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.clock import Clock
from paper_exchange.errors import ApiError, endpoint_not_found
from paper_exchange.events import Feed
from paper_exchange.exchange import Exchange
from paper_exchange.ids import IdSource, random_id
from paper_exchange.matcher import Matcher
from paper_exchange.rate_limit import RETRY_AFTER, Standing
from paper_exchange.settings import Settings
from paper_exchange.streams import TradeUpdates

log = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json; charset=UTF-8")
_LARGEST_BODY = 1_048_576
_DATA_PREFIXES = ("/v2/stocks/", "/v1beta3/")
#: What the front proxy answers when no credentials are sent at all (observed).
_NO_CREDENTIALS = (
    b"<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n"
    b"<center><h1>401 Authorization Required</h1></center>\r\n</body>\r\n</html>\r\n"
)

Headers = list[tuple[bytes, bytes]]


def _credentials(headers: dict[bytes, bytes]) -> tuple[str, str] | None:
    """Key and secret from Alpaca's headers, HTTP Basic, or Bearer (the token is the key)."""
    key = headers.get(b"apca-api-key-id")
    if key:
        secret = headers.get(b"apca-api-secret-key", b"")
        return key.decode("latin-1"), secret.decode("latin-1")
    kind, _, value = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer" and value:
        return value.decode("latin-1"), ""
    return _basic(value) if kind.lower() == b"basic" else None


def _basic(value: bytes) -> tuple[str, str] | None:
    try:
        name, _, word = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, word) if name else None


class App:
    """The exchange on the network."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        new_id: IdSource = random_id,
    ) -> None:
        self.updates = TradeUpdates(self._authenticate, frames=settings.stream_frames)
        self.feed = Feed()
        self.feed.subscribe(self.updates.publish)
        self.exchange = Exchange(settings, self.feed.publish, clock=clock, new_id=new_id)
        self.matcher = Matcher(self.exchange.engine)
        self._trading, self._data, self._admin = Router(), Router(), Router()
        for module in (orders, positions, account):
            module.add_routes(self._trading)
        data.add_routes(self._data)
        admin.add_routes(self._admin)

    def _authenticate(self, key_id: str, secret: str) -> Account | None:
        now = self.exchange.clock.now_ns()
        return self.exchange.accounts.authenticate(key_id, secret, now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any kind."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            await self._serve_lifespan(receive, send)

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.matcher.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.matcher.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in {"/stream", "/stream/"}:
            await self.updates.serve(WebSocket(scope, receive, send))
        else:
            # Closing before accepting answers the handshake with 403.
            await send({"type": "websocket.close", "code": 1000})

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        body = await _read(receive)
        if body is None:
            error = ApiError(413, 41300000, "request body is too large")
            await _send(send, Reply(error.body, error.status), [])
            return
        path: str = scope["path"]
        if path.startswith(_DATA_PREFIXES):
            reply, extra = self._answer_data(scope, body)
        elif path.startswith(("/v2/", "/v2beta1/", "/v3/")):
            reply, extra = self._answer_trading(scope, body, arrived)
        elif path.startswith("/admin/"):
            reply, extra = self._answer_admin(scope, body)
        else:
            error = endpoint_not_found()
            reply, extra = Reply(error.body, error.status), []
        await _send(send, reply, extra)

    def _who(self, scope: Scope) -> tuple[tuple[str, str] | None, Account | None]:
        pair = _credentials(dict(scope["headers"]))
        return pair, self._authenticate(*pair) if pair else None

    def _answer_trading(self, scope: Scope, body: bytes, arrived: float) -> tuple[Reply, Headers]:
        at_ns = self.exchange.clock.now_ns()
        pair, who = self._who(scope)
        call = Call(self.exchange, scope, {}, body, who)
        key_id = pair[0] if pair else ""
        standing = self.exchange.limiter.take(key_id, at_ns) if who else None
        if standing is None:
            reply = _unauthorized(pair)
        elif not standing.allowed:
            reply = _too_many()
        else:
            reply = _run(self._trading, call)
        self.exchange.witness.note(
            arrived=arrived,
            at_ns=at_ns,
            key_id=key_id,
            method=scope["method"],
            path=scope["path"],
            status=reply.status,
            client_order_id=call.client_order_id,
        )
        self.matcher.look()
        return reply, _trading_headers(standing)

    def _answer_data(self, scope: Scope, body: bytes) -> tuple[Reply, Headers]:
        """Crypto data is open to all, but a wrong key is refused even there (observed)."""
        pair, who = self._who(scope)
        open_to_all = scope["path"].startswith("/v1beta3/crypto/") and pair is None
        if who is None and not open_to_all:
            return _unauthorized(pair), [_request_id()]
        return _run(self._data, Call(self.exchange, scope, {}, body, who)), [_request_id()]

    def _answer_admin(self, scope: Scope, body: bytes) -> tuple[Reply, Headers]:
        client = scope.get("client")
        if not client or not (client[0].startswith("127.") or client[0] == "::1"):
            return Reply({"code": 40310000, "message": "only from this machine"}, 403), []
        reply = _run(self._admin, Call(self.exchange, scope, {}, body, None))
        self.matcher.look()
        return reply, []


def _run(router: Router, call: Call) -> Reply:
    try:
        handler, call.params = router.find(call.scope["method"], call.scope["path"])
        return handler(call)
    except ApiError as refusal:
        return Reply(refusal.body, refusal.status, refusal.headers)
    except Exception:  # a defect of ours must look like a broker's, and not end the connection
        log.exception("request_failed", extra={"path": call.scope["path"]})
        return Reply({"code": 50010000, "message": "internal server error occurred"}, 500)


def _unauthorized(pair: tuple[str, str] | None) -> Reply:
    if pair is None:
        return Reply(_NO_CREDENTIALS, 401, ((b"content-type", b"text/html"),))
    return Reply({"message": "unauthorized."}, 401)


def _too_many() -> Reply:
    body = {"code": 42910000, "message": "rate limit exceeded."}
    return Reply(body, 429, ((b"retry-after", RETRY_AFTER),))


def _request_id() -> tuple[bytes, bytes]:
    return b"x-request-id", random_id().replace("-", "").encode()


def _trading_headers(standing: Standing | None) -> Headers:
    return [_request_id()] + (standing.headers() if standing else [])


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when it is larger than allowed."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= _LARGEST_BODY else None
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        # Read on to the end: a client that is still sending would not see an early answer.
        if size <= _LARGEST_BODY:
            parts.append(part)
    return b"".join(parts) if size <= _LARGEST_BODY else None


async def _send(send: Send, reply: Reply, extra: Headers) -> None:
    headers = [*extra, *reply.headers]
    if reply.payload is None:
        content = b""
    elif isinstance(reply.payload, bytes):
        content = reply.payload
    else:
        content = orjson.dumps(reply.payload)
        headers.append(_JSON)
    if reply.status != 204:
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
