"""A client's websocket on one thread: a socket, TLS, and the protocol without I/O on top.

The threaded client of ``websockets`` starts a second thread per connection that reads the socket
and hands every message over. Here the thread that wants the messages reads the socket itself and
gets all of them that one ``recv`` brought; :mod:`solution.feeds.trade_stream` has the figures.

Not supported, on purpose: proxies (the ``*_PROXY`` variables are not read), redirects, and
compression (a few hundred bytes per message on a link that is not the bottleneck).
"""

import errno
import logging
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from solution.clock import Deadline
from solution.errors import SignalpacaError

MAX_MESSAGE = 2**20
"""Bytes. A larger message ends the connection with close code 1009."""

_CHUNK = 65536
_WRITE_SECONDS = 5.0
_LARGEST_RETRY_AFTER = 300.0

# websockets logs every frame at DEBUG, and one of ours carries the secret key.
_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.INFO)

_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)  # a tuple: hashing an Opcode runs Python code
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ConnectionDown(SignalpacaError):
    """The connection could not be made, or has ended; a new one may be tried.

    Args:
        message: why, in words fit for a log and a status page.
        code: the websocket close code, None when there was none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class HandshakeRefused(ConnectionDown):
    """The server answered the handshake with an HTTP status other than 101.

    Args:
        status: HTTP status.
        retry_after: seconds the server asks us to wait (at most 300), None when it does not say.
    """

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"the handshake was answered with HTTP {status}")
        self.status = status
        self.retry_after = retry_after


class Interrupted(ConnectionDown):
    """The wake-up was set while the connection was being made or written to."""


class Wakeup:
    """Ends a wait for a socket from another thread; once set it stays set until it is closed.

    A socket pair rather than a shutdown of the connection's socket: it works at any moment, also
    before there is a connection.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._pair: tuple[socket.socket, socket.socket] | None = None

    def open(self) -> None:
        with self._mutex:
            if self._pair is None:
                self._pair = socket.socketpair()
                self._pair[1].settimeout(0)

    def fileno(self) -> int:
        """The descriptor to poll for reading; -1 when closed."""
        return -1 if self._pair is None else self._pair[0].fileno()

    def set(self) -> None:
        # Under the lock, so that the byte cannot go to somebody else's socket that got the
        # descriptor after a close.
        with self._mutex, suppress(BlockingIOError):  # so often set that the buffer is full
            if self._pair is not None:
                self._pair[1].send(b"\0")

    def close(self) -> None:
        with self._mutex:
            if self._pair is not None:
                for end in self._pair:
                    end.close()
                self._pair = None


class Connection:
    """One open websocket. Everything but :meth:`Wakeup.set` belongs to one thread.

    Args:
        sock: connected, non-blocking, TLS already spoken where the URL asks for it.
        uri: where the handshake goes.
        wakeup: ends every wait.
        monotonic: the clock of :attr:`heard_at`.
    """

    def __init__(
        self,
        sock: socket.socket | ssl.SSLSocket,
        uri: WebSocketURI,
        wakeup: Wakeup,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sock = sock
        self._monotonic = monotonic
        self._wakeup = wakeup
        self._protocol = ClientProtocol(uri, max_size=MAX_MESSAGE, logger=_wire_log)
        self._parts: list[bytes] = []
        self._early: list[bytes] = []
        self._lost = ""
        self._fd = sock.fileno()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._poll.register(wakeup, select.POLLIN)
        self.heard_at = self._monotonic()
        """When anything last arrived (monotonic seconds): a message, a ping, a pong."""

    @classmethod
    def open(
        cls,
        uri: WebSocketURI,
        *,
        seconds: float,
        wakeup: Wakeup,
        tls: ssl.SSLContext | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Connect, speak TLS where the URL is ``wss``, and shake hands, all within ``seconds``.

        The look-up of the name is the system's and obeys neither the time nor the wake-up.

        Raises:
            HandshakeRefused: an HTTP status other than 101.
            ConnectionDown: anything else went wrong, or took too long.
        """
        deadline = Deadline(seconds)
        sock: socket.socket | ssl.SSLSocket | None = None
        try:
            sock = _connect(uri.host, uri.port, deadline, wakeup)
            if uri.secure:
                sock = _start_tls(sock, uri.host, deadline, wakeup, tls)
            connection = cls(sock, uri, wakeup, monotonic)
            connection._shake_hands(deadline)
        except (OSError, ConnectionDown) as error:
            if sock is not None:
                sock.close()
            if isinstance(error, ConnectionDown):
                raise
            raise ConnectionDown(f"no connection: {error}") from error
        return connection

    def _shake_hands(self, deadline: Deadline) -> None:
        protocol = self._protocol
        protocol.send_request(protocol.connect())
        self._write(deadline)
        while protocol.state is State.CONNECTING:
            _wait(self._sock, select.POLLIN, deadline, self._wakeup)
            self._early += self._read()
            if protocol.handshake_exc is not None:
                raise _refusal(protocol.handshake_exc)
            if self._lost:
                raise ConnectionDown(self._lost)

    def receive(self, seconds: float) -> list[bytes]:
        """Wait for data and return every complete message in it, text as UTF-8.

        Returns:
            messages in order; none when the time is up, the wake-up was set, or what came was a
            ping, a pong or a part of a message.

        Raises:
            ConnectionDown: the connection has ended and all its messages were returned before.
        """
        if self._early:
            messages, self._early = self._early, []
            return messages
        if self._protocol.state is not State.OPEN or self._lost:
            raise self._why_down()
        ready = self._poll.poll(max(0.0, seconds) * 1000)
        return self._read() if any(fd == self._fd for fd, _ in ready) else []

    def send(self, text: bytes) -> None:
        """Send one text message.

        Raises:
            ConnectionDown: it could not be sent within 5 s.
        """
        self._require_open()
        self._protocol.send_text(text)
        self._write(Deadline(_WRITE_SECONDS))

    def ping(self) -> None:
        """Ask for a sign of life. Raises as :meth:`send` does."""
        self._require_open()
        self._protocol.send_ping(b"")
        self._write(Deadline(_WRITE_SECONDS))

    def close(self) -> None:
        """Say goodbye if that needs no waiting, and close the socket. May be called twice."""
        if self._sock.fileno() < 0:
            return
        with suppress(OSError):
            if self._protocol.state is State.OPEN and not self._lost:
                self._protocol.send_close(1000)
                for chunk in self._protocol.data_to_send():
                    self._sock.send(chunk)
        self._sock.close()

    def _require_open(self) -> None:
        if self._protocol.state is not State.OPEN or self._lost:
            raise self._why_down()

    def _read(self) -> list[bytes]:
        """Take what the socket has; a loss is remembered; messages before it still count."""
        protocol = self._protocol
        try:
            data = self._sock.recv(_CHUNK)
            # poll() cannot see what TLS has decrypted already.
            while isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
                data += self._sock.recv(_CHUNK)
        except _NOT_YET:
            return []
        except OSError as error:
            self._lost = f"connection lost: {error}"
            return []
        self.heard_at = self._monotonic()
        if data:
            protocol.receive_data(data)
        else:
            self._lost = "connection lost: the server hung up"
            protocol.receive_eof()
        try:
            self._write(Deadline(_WRITE_SECONDS))  # pongs, and the echo of a close frame
        except (OSError, ConnectionDown) as error:
            self._lost = self._lost or f"connection lost: {error}"
        return self._messages()

    def _messages(self) -> list[bytes]:
        """The complete messages among the new frames."""
        messages = []
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in _DATA:
                if frame.fin and not self._parts:
                    messages.append(bytes(frame.data))
                else:
                    self._gather(frame, messages)
        return messages

    def _gather(self, frame: Frame, messages: list[bytes]) -> None:
        self._parts.append(bytes(frame.data))
        if frame.fin:
            messages.append(b"".join(self._parts))
            self._parts.clear()

    def _write(self, deadline: Deadline) -> None:
        for chunk in self._protocol.data_to_send():
            data = memoryview(chunk)
            while data:  # an empty chunk asks for a half-close; close() does the whole one
                try:
                    data = data[self._sock.send(data) :]
                except _NOT_YET:
                    _wait(self._sock, select.POLLOUT, deadline, self._wakeup)
                except OSError as error:
                    raise ConnectionDown(f"connection lost: {error}") from error

    def _why_down(self) -> ConnectionDown:
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if received is not None:
            return ConnectionDown(
                f"closed by the server: {received.code} {received.reason}".rstrip(), received.code
            )
        if sent is not None:
            return ConnectionDown(f"closed by us: {sent.code} {sent.reason}".rstrip(), sent.code)
        return ConnectionDown(self._lost or "connection lost")


def _wait(
    sock: socket.socket | ssl.SSLSocket, events: int, deadline: Deadline, wakeup: Wakeup
) -> None:
    poll = select.poll()
    poll.register(sock, events)
    poll.register(wakeup, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(deadline.left() * 1000)}
    if wakeup.fileno() in ready:
        raise Interrupted("interrupted")
    if not ready:
        raise ConnectionDown("no connection: timed out")


def _connect(host: str, port: int, deadline: Deadline, wakeup: Wakeup) -> socket.socket:
    """Try the host's addresses in turn; each gets an equal share of the time that is left."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: Exception = ConnectionDown(f"no connection: {host} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        share = Deadline(deadline.left() / (len(addresses) - tried))
        sock = socket.socket(family, kind, protocol)
        try:
            _connect_one(sock, address, share, wakeup)
        except (OSError, ConnectionDown) as error:
            sock.close()
            if isinstance(error, Interrupted):
                raise
            failure = error
        else:
            return sock
    raise failure


def _connect_one(sock: socket.socket, address: object, deadline: Deadline, wakeup: Wakeup) -> None:
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = sock.connect_ex(address)  # type: ignore[arg-type]  # its shape depends on the family
    if code == errno.EINPROGRESS:
        _wait(sock, select.POLLOUT, deadline, wakeup)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _start_tls(
    sock: socket.socket,
    host: str,
    deadline: Deadline,
    wakeup: Wakeup,
    tls: ssl.SSLContext | None,
) -> ssl.SSLSocket:
    context = tls or ssl.create_default_context()
    secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                _wait(secure, select.POLLIN, deadline, wakeup)
            except ssl.SSLWantWriteError:
                _wait(secure, select.POLLOUT, deadline, wakeup)
            else:
                return secure
    except BaseException:
        secure.close()  # wrap_socket took the descriptor from the socket that the caller closes
        raise


def _refusal(error: Exception) -> ConnectionDown:
    if not isinstance(error, InvalidStatus):
        return ConnectionDown(f"no websocket there: {error}")
    response = error.response
    text = next(iter(response.headers.get_all("Retry-After")), "")
    # The other form of this header, a date, is not worth a parser: the slow back-off serves.
    seconds = min(float(text), _LARGEST_RETRY_AFTER) if text.isdecimal() else None
    return HandshakeRefused(response.status_code, seconds)
