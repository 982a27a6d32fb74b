"""A broker that does otherwise: a REST proxy in front of a real exchange, with one twist.

A twist is a function of a call: it may change the request before it hands it on, hand on nothing,
or change the answer. The order stream does not go through here.
"""

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

WITHIN = 10.0
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def changed(self, **fields: object) -> "Reply":
        """The same object with other fields; None takes one away."""
        merged = {**self.json, **fields}
        kept = {name: value for name, value in merged.items() if value is not None}
        return replace(self, body=json.dumps(kept).encode())


def refused(status: int, code: int, message: str) -> Reply:
    """An error as Alpaca words it."""
    return Reply(status, json.dumps({"code": code, "message": message}).encode())


@dataclass(frozen=True)
class Call:
    """One request; :meth:`forward` hands it to the exchange."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    upstream: tuple[str, int]

    @property
    def is_order(self) -> bool:
        """A POST of an order whose body can be read."""
        return self.method == "POST" and self.path == "/v2/orders" and self.body != b"{"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its body."""
        found: dict[str, Any] = json.loads(self.body) if self.is_order else {}
        return found

    def forward(self, **changes: object) -> Reply:
        """The exchange's answer, to this order with other fields if there are any."""
        body = json.dumps({**self.fields, **changes}).encode() if changes else self.body
        return self.ask(self.method, self.path, body)

    def ask(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Another request with the caller's keys."""
        connection = http.client.HTTPConnection(*self.upstream, timeout=WITHIN)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()


Twist = Callable[[Call], Reply]


def honest(call: Call) -> Reply:
    """No twist."""
    return call.forward()


class ContraryBroker:
    """The proxy; a context manager. Calls are twisted one at a time."""

    def __init__(self, upstream_url: str, twist: Twist = honest) -> None:
        parts = urlsplit(upstream_url)
        upstream = (str(parts.hostname), int(parts.port or 80))
        mutex = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = Call(self.command, self.path, body, dict(self.headers.items()), upstream)
                with mutex:
                    reply = twist(call)
                self.send_response(reply.status)
                for name, value in (reply.headers or {}).items():
                    if name.lower() not in {*_HOP, "date", "server"}:
                        self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_DELETE = do_PATCH = serve  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="contrary-broker", daemon=True
        )

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WITHIN)
