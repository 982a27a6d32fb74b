"""The link below an order connection: a socket that never blocks, TLS, and the answer's parser."""

import select
import socket
import ssl
from typing import Self

import httptools

from solution.clock import Deadline
from solution.http_common import Origin, open_socket

_RECEIVE_SIZE = 65_536  # more than a TLS record (16 KiB); see Link.receive


class UnusableAnswer(Exception):
    """What came back is no complete answer; the text says what was wrong."""


class Answer:
    """What the parser's callbacks collect; used for one answer after the other."""

    __slots__ = ("_head_only", "_parts", "done", "headers", "keep_alive", "parser", "status")

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.begin(head_only=False)

    def begin(self, *, head_only: bool) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self.keep_alive = False
        self._parts: list[bytes] = []
        self._head_only = head_only

    def body(self) -> bytes:
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def on_message_begin(self) -> None:
        if self.done:
            raise UnusableAnswer("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        if self._head_only:
            # The parser expects the body that Content-Length announces and HEAD leaves out, so this
            # connection ends here (keep_alive stays False).
            self.status = self.parser.get_status_code()
            self.done = self.status >= 200

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if self.status < 200:
            self.headers = {}  # 100 Continue, 103 Early Hints: the real answer follows
            return
        self.done = True
        self.keep_alive = self.parser.should_keep_alive()


class Link:
    """One TCP or TLS connection, its parser, and waits that end at a deadline.

    The socket never blocks; waiting is ``poll`` with the time left. ``settimeout`` would do the
    same with one more system call per operation.
    """

    __slots__ = ("_readable", "answer", "is_tls", "sock", "used_at")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_tls = isinstance(sock, ssl.SSLSocket)
        self.used_at = 0.0
        self.answer = Answer()
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    @classmethod
    def open(cls, origin: Origin, tls: ssl.SSLContext | None, deadline: Deadline) -> Self:
        sock = open_socket(origin.host, origin.port, deadline)
        try:
            sock.settimeout(0.0)
            if tls is not None:
                sock = _handshake(tls, sock, origin.host, deadline)
            return cls(sock)
        except BaseException:
            sock.close()
            raise

    def spoilt(self) -> bool:
        """Whether an idle connection must not carry a request: ended, or bytes nobody asked for."""
        if not self._readable.poll(0):
            return False
        if not self.is_tls:
            return True
        # TLS 1.3 servers send session tickets at leisure: readable, yet nothing was said.
        try:
            self.sock.recv(1)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            pass  # reset, or ended in the middle of a record
        return True

    def send(self, data: bytes, deadline: Deadline) -> int:
        """Hand as much to the kernel as it takes, waiting for room; bytes taken."""
        while True:
            try:
                return self.sock.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                _wait(self.sock, select.POLLOUT, deadline)

    def receive(self, deadline: Deadline, *, wait: bool) -> bytes | None:
        """The next bytes; empty at the end of the connection; None: not here yet, and no ``wait``.

        What is here counts, however late it is read: the reader may have been busy.
        """
        while True:
            # One recv empties a whole TLS record, so nothing is ever left for us above the socket.
            if not self._readable.poll(deadline.left() * 1000.0 if wait else 0.0):
                if wait:
                    raise TimeoutError("timed out")
                return None
            try:
                return self.sock.recv(_RECEIVE_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue  # part of a record, or a session ticket

    def parse(self, data: bytes) -> None:
        try:
            self.answer.parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.answer.done:
                raise
            # The answer was whole; what follows it was not asked for and spoils the connection.
            self.answer.keep_alive = False


def _handshake(
    tls: ssl.SSLContext, sock: socket.socket, host: str, deadline: Deadline
) -> ssl.SSLSocket:
    """TLS over a connected, non-blocking socket before the deadline."""
    wrapped = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                _wait(wrapped, select.POLLIN, deadline)
            else:
                return wrapped
    except BaseException:
        wrapped.close()
        raise


def _wait(sock: socket.socket, event: int, deadline: Deadline) -> None:
    """Wait until the socket is ready for ``event``.

    Raises:
        TimeoutError: the deadline came first.
    """
    poller = select.poll()
    poller.register(sock, event)
    left = deadline.left()
    if left <= 0.0 or not poller.poll(left * 1000.0):
        raise TimeoutError("timed out")
