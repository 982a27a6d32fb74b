"""Requests as they arrive and answers as they leave, between ASGI and the handlers."""

from typing import NamedTuple

import orjson
from starlette.types import Receive, Scope, Send

from paper_exchange.api.call import Reply
from paper_exchange.ids import random_id

LARGEST_BODY = 1_048_576
#: Read to its end, so that the client sees the refusal and can go on; beyond, it is cut off.
_LARGEST_DRAINED = 16 * LARGEST_BODY
_JSON = (b"content-type", b"application/json; charset=UTF-8")

Headers = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    """One request; ``arrived`` is the machine's monotonic clock in seconds."""

    scope: Scope
    body: bytes
    arrived: float


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        witnessed: it asked the trading or the data API, which the witness always records.
        key_id: whom it claimed to be from.
    """

    reply: Reply
    headers: Headers
    witnessed: bool = False
    key_id: str = ""
    client_order_id: str | None = None


def request_id() -> tuple[bytes, bytes]:
    """The ``X-Request-ID`` of one answer."""
    return b"x-request-id", random_id().replace("-", "").encode()


class ClientLeft(Exception):
    """The client closed the connection before its request was complete."""


class BodyTooLarge(Exception):
    """More than ``LARGEST_BODY`` bytes.

    Attributes:
        drained: whether all of it was read, so that the connection can be kept.
    """

    def __init__(self, *, drained: bool) -> None:
        super().__init__("request body is too large")
        self.drained = drained


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: nothing of it is kept.
        ClientLeft: what has arrived must not be acted on.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > LARGEST_BODY:
            raise BodyTooLarge(drained=True)
        return body
    return await _read_on(receive, body)


async def _read_on(receive: Receive, begun: bytes) -> bytes:
    parts, size, more = [begun], len(begun), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        else:
            parts.clear()
            if size > _LARGEST_DRAINED:
                raise BodyTooLarge(drained=False)
    if size > LARGEST_BODY:
        raise BodyTooLarge(drained=True)
    return b"".join(parts)


def rendered(reply: Reply, extra: Headers) -> tuple[Headers, bytes]:
    """Headers and body of an answer."""
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
    return headers, content


async def send_reply(send: Send, reply: Reply, extra: Headers) -> None:
    """Answer a request."""
    headers, content = rendered(reply, extra)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
