"""An HTTP server on loopback that misbehaves by script.

Each request takes the next behaviour from the script; when the script is used up, `default` serves.
A behaviour is a function of the connection that returns whether the connection stays open::

    with FaultHTTPServer() as server:
        server.script(answer({"id": "1"}), cut_off(b'{"id": 1}', 4), reset_before_reading())
        ...
        assert [seen.path for seen in server.seen] == ["/a", "/b"]
"""

import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

JOIN_DEADLINE = 5.0
_RECEIVE_SIZE = 65_536


@dataclass(frozen=True)
class Seen:
    """A request as it arrived.

    `first_bytes` is what the first `recv` brought; `connection` counts accepted connections from 1.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    first_bytes: bytes
    connection: int


@dataclass
class Talk:
    """One accepted connection, as behaviours see it."""

    sock: socket.socket
    stopping: threading.Event
    number: int
    seen: Seen | None = None
    rest: bytes = b""


Behaviour = Callable[[Talk], bool]


@dataclass(frozen=True)
class Early:
    """A behaviour that runs when the first byte of a request is there, before it is read."""

    run: Behaviour


def answer(
    body: object = b"{}",
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    close: bool = False,
    announce_close: bool = True,
) -> Behaviour:
    """A plain answer; anything but bytes is sent as JSON.

    `close` ends the connection afterwards; with `announce_close=False` without having said so.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    if close and announce_close:
        lines["Connection"] = "close"
    message = head(status, {**lines, **(headers or {})}) + content

    def run(talk: Talk) -> bool:
        talk.sock.sendall(message)
        return not close

    return run


def html(status: int = 502, text: str = "<html>Bad Gateway</html>") -> Behaviour:
    """An error page, as proxies and load balancers send."""
    return answer(text.encode(), status, headers={"Content-Type": "text/html"})


def empty(status: int = 200) -> Behaviour:
    """An answer with an empty body; 204 without a length."""
    if status == 204:
        return raw(b"HTTP/1.1 204 No Content\r\n\r\n")
    return answer(b"", status)


def huge(size: int, *, chunk: int = 65_536) -> Behaviour:
    """A body of `size` bytes, properly announced."""

    def run(talk: Talk) -> bool:
        talk.sock.sendall(head(200, {"Content-Length": str(size)}))
        for start in range(0, size, chunk):
            talk.sock.sendall(b"x" * min(chunk, size - start))
        return True

    return run


def chunked(*parts: bytes, finish: bool = True) -> Behaviour:
    """A chunked body; without `finish` the connection ends before the last chunk."""

    def run(talk: Talk) -> bool:
        talk.sock.sendall(head(200, {"Transfer-Encoding": "chunked"}))
        for part in parts:
            talk.sock.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        if finish:
            talk.sock.sendall(b"0\r\n\r\n")
        return finish

    return run


def cut_off(body: bytes, keep: int) -> Behaviour:
    """Announces all of `body`, sends its first `keep` bytes, and ends the connection."""

    def run(talk: Talk) -> bool:
        talk.sock.sendall(head(200, {"Content-Length": str(len(body))}) + body[:keep])
        return False

    return run


def drip(message: bytes, interval: float, *, at_once: int = 0) -> Behaviour:
    """Sends `message` one byte per `interval` seconds, after the first `at_once` bytes."""

    def run(talk: Talk) -> bool:
        talk.sock.sendall(message[:at_once])
        for byte in message[at_once:]:
            if talk.stopping.wait(interval):
                return False
            talk.sock.sendall(bytes([byte]))
        return True

    return run


def slow_headers(interval: float) -> Behaviour:
    """A complete answer, dripping from its first byte."""
    return drip(head(200, {"Content-Length": "2", "X-Padding": "x" * 200}) + b"{}", interval)


def slow_body(interval: float) -> Behaviour:
    """Headers at once, then a body that drips."""
    start = head(200, {"Content-Length": "200"})
    return drip(start + b" " * 198 + b"{}", interval, at_once=len(start))


def raw(message: bytes, *, close: bool = False) -> Behaviour:
    """Exactly these bytes."""

    def run(talk: Talk) -> bool:
        talk.sock.sendall(message)
        return not close

    return run


def after(event: threading.Event, then: Behaviour) -> Behaviour:
    """Waits for the event (or the server's end), then behaves like `then`."""

    def run(talk: Talk) -> bool:
        while not event.wait(0.01):
            if talk.stopping.is_set():
                return False
        return then(talk)

    return run


def silence() -> Behaviour:
    """Reads the request and never answers."""

    def run(talk: Talk) -> bool:
        talk.stopping.wait()
        return False

    return run


def hang_up() -> Behaviour:
    """Reads the request and ends the connection in good order, without an answer."""
    return lambda _: False


def reset_after_reading() -> Behaviour:
    """Reads the request and answers with a TCP reset."""

    def run(talk: Talk) -> bool:
        reset(talk.sock)
        return False

    return run


def answer_then_reset() -> Behaviour:
    """A good answer that keeps the connection, and then a TCP reset while it idles."""
    good = answer()

    def run(talk: Talk) -> bool:
        good(talk)
        reset(talk.sock)
        return False

    return run


def reset_before_reading() -> Early:
    """Resets the connection while the request waits unread."""
    return Early(reset_after_reading())


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and header block."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode()


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@dataclass
class FaultHTTPServer:
    """The server; a context manager. With `tls` it speaks HTTPS.

    `seen` lists requests in the order in which they were read; `connections` counts accepted ones.
    """

    tls: ssl.SSLContext | None = None
    default: Behaviour = field(default_factory=answer)

    def __post_init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._script: deque[Behaviour | Early] = deque()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self.ended = 0

    @property
    def port(self) -> int:
        """The port it listens on, also after it has stopped."""
        return self._port

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    def script(self, *behaviours: Behaviour | Early) -> None:
        """Append behaviours for the requests to come."""
        with self._changed:
            self._script.extend(behaviours)

    def wait_until(self, condition: Callable[[Self], bool], deadline: float = 5.0) -> None:
        """Wait until something holds of this server; fails after the deadline."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), deadline):
                raise AssertionError("the server did not get there in time")

    def __enter__(self) -> Self:
        self._port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        # accept() is woken by shutting the listener down; closing it alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(JOIN_DEADLINE)  # the acceptor: after it, no socket is added
        with self._changed:
            socks = list(self._socks)
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_DEADLINE)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="fault-http", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                number = self.connections
                self._socks.append(sock)
                self._changed.notify_all()
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self.tls is not None:
                sock = secured = self._secured(self.tls, sock)
                secured.do_handshake()
            self._converse(Talk(sock, self.stopping, number))
        except OSError:
            pass  # the client went away, or the behaviour closed the socket
        finally:
            sock.close()
            with self._changed:
                self._socks.remove(sock)
                self.ended += 1
                self._changed.notify_all()

    def _secured(self, tls: ssl.SSLContext, plain: socket.socket) -> ssl.SSLSocket:
        """TLS takes the descriptor over, so the list for the end must hold the new object."""
        sock = tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._socks[self._socks.index(plain)] = sock
        return sock

    def _converse(self, talk: Talk) -> None:
        while not self.stopping.is_set():
            first = self._await_request(talk)
            if first is None:
                return
            behaviour = self._next()
            if isinstance(behaviour, Early):
                behaviour.run(talk)
                return
            talk.seen = read_request(talk, first)
            if talk.seen is None:
                return
            with self._changed:
                self.seen.append(talk.seen)
                self._changed.notify_all()
            if not behaviour(talk):
                return

    def _await_request(self, talk: Talk) -> bytes | None:
        """Wait for the first byte; in plain TCP it is not taken off the socket."""
        if talk.rest:
            return b""
        if self.tls is not None:
            return talk.sock.recv(_RECEIVE_SIZE) or None
        return b"" if talk.sock.recv(1, socket.MSG_PEEK) else None

    def _next(self) -> Behaviour | Early:
        with self._changed:
            return self._script.popleft() if self._script else self.default


def read_request(talk: Talk, first: bytes) -> Seen | None:
    """Read one request off the connection; None if it ends before it is complete."""
    data = first or talk.rest or talk.sock.recv(_RECEIVE_SIZE)
    first_bytes = data
    while b"\r\n\r\n" not in data:
        more = talk.sock.recv(_RECEIVE_SIZE)
        if not more:
            return None
        data += more
    top, _, body = data.partition(b"\r\n\r\n")
    line, *lines = top.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (text.partition(":") for text in lines)
    }
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = talk.sock.recv(_RECEIVE_SIZE)
        if not more:
            return None
        body += more
    talk.rest = body[length:]
    return Seen(method, path, headers, body[:length], first_bytes, talk.number)


def tls_context(directory: Path) -> tuple[ssl.SSLContext, str]:
    """A server context for 127.0.0.1, made with the openssl program, and the file to trust.

    Raises:
        FileNotFoundError: there is no openssl program.
    """
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


def paths(seen: Sequence[Seen]) -> list[str]:
    """Method and path of requests, for comparing."""
    return [f"{request.method} {request.path}" for request in seen]
