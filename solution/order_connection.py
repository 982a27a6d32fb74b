"""One kept-alive HTTP/1.1 connection for orders: few CPU cycles, and an honest answer.

Why not an HTTP library: on this path the client's own CPU time is most of what a user waits for.
Measured from XADD to POST, client CPU per signal: raw socket 532 µs, ``http.client`` 704 µs
(668 µs with headers and body in one send), prepared ``requests`` 1070 µs, ``requests`` as it comes
1406 µs. ``http.client`` parses headers with the e-mail package, sends headers and body apart, and
has no total deadline. Here the request is one ``send`` of bytes most of which were built once, and
the answer is parsed by ``httptools`` (llhttp, the parser of Node.js), strict about framing.

What it promises, beyond speed:

* It never sends a request twice. A connection that was idle for long, or on which the server has
  closed or said something unasked, is replaced *before* a request uses it.
* ``NotSent`` means that the kernel took no byte of the request; everything later is
  ``OutcomeUnknown``, and the connection is closed so that a late answer cannot be taken for the
  next request's.
* One deadline spans connect, send and receive; a server that drips one byte a second meets it.
* An answer is complete by its own framing (Content-Length or chunks). One that would end only with
  the connection cannot be told from a cut-off one and is ``OutcomeUnknown``.

A request has two halves, so that one thread may have several under way, each over a connection of
its own. Nothing is ever sent behind a request whose answer was not received (no pipelining).

Redirects are returned, not followed. Not thread-safe, on purpose: for one holder at a time.
"""

import functools
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import certifi
import httptools

from solution import failpoints
from solution.clock import Clock, Deadline, SystemClock
from solution.errors import BrokerError, NotSent, OutcomeUnknown
from solution.http_common import (
    DEFAULT_MAX_BODY,
    Origin,
    Response,
    check_headers,
    is_request_target,
)
from solution.order_link import Answer, Link, UnusableAnswer

_HEAD_ALLOWANCE = 65_536  # wire bytes beyond the body: status line, headers, chunk sizes
_FAULTS = (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade, UnusableAnswer)


class OrderConnection:
    """A persistent connection to one broker host.

    Args:
        base_url: ``http(s)://host[:port][/prefix]``.
        headers: sent with every request (the keys are among them; they are never shown).
        connect_timeout: seconds for name resolution, TCP and TLS together.
        total_timeout: seconds for a whole request, connecting included.
        max_body: bytes of a body beyond which the answer is refused.
        max_idle: seconds after which an unused connection is replaced. Below the idle timeouts of
            common load balancers, so that ours ends first.
        clock: for idle times and deadlines.
        ca_file: PEM file of the trusted authorities; certifi's by default.

    Raises:
        ConfigError: the URL or a header is unusable.
    """

    def __init__(  # noqa: PLR0913  # keyword-only limits, each with a default
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float = 2.0,
        total_timeout: float = 5.0,
        max_body: int = DEFAULT_MAX_BODY,
        max_idle: float = 20.0,
        clock: Clock | None = None,
        ca_file: str | None = None,
    ) -> None:
        check_headers(headers)
        self._origin = Origin.parse(base_url)
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._max_body = max_body
        self._max_idle = max_idle
        self._clock = clock or SystemClock()
        self._tls: ssl.SSLContext | None = None
        if self._origin.scheme == "https":
            self._tls = _trusting(ca_file or certifi.where())
        lines = {
            "Host": self._origin.authority,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **headers,
        }
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._after_target = f" HTTP/1.1\r\n{text}".encode("ascii")
        self._before_length = b"Content-Type: application/json\r\nContent-Length: "
        self._link: Link | None = None
        self._asked: _Asked | None = None
        self._handed_over = False

    def connect(self) -> None:
        """Replace a connection that the next request could not use; nothing is sent.

        Raises:
            NotSent: there is none to be had.
        """
        if self._asked is not None:
            return
        self._handed_over = False
        try:
            self._usable_link(Deadline(self._total_timeout, self._clock))
        except OSError as error:
            raise self._translate("connect", "", error) from error

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        before_send: Callable[[], None] | None = None,
    ) -> Response:
        """Send one request, once, and return its complete answer, whatever the status.

        Args:
            method: upper-case HTTP method.
            path: path and query, percent-encoded, to be put behind the base URL's own.
            body: JSON text in UTF-8, or None.
            before_send: called once the connection stands; if it raises, nothing was sent.

        Raises:
            NotSent: no byte of the request left.
            OutcomeUnknown: it may have arrived, but no complete answer did.
            ValueError: the path cannot stand in a request line.
        """
        self.send(method, path, body, before_send=before_send)
        return self.receive()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        before_send: Callable[[], None] | None = None,
    ) -> None:
        """The first half of :meth:`request`; :meth:`receive` must follow before the next one."""
        if self._asked is not None:
            raise ValueError("the answer to the request before was not received")
        data = self._encode(method, path, body)
        deadline = Deadline(self._total_timeout, self._clock)
        self._handed_over = False
        try:
            link = self._usable_link(deadline)
            if before_send is not None:
                before_send()
            self._send(link, data, deadline)
            if method == "POST":
                failpoints.hit("post.in_flight")
            else:
                failpoints.hit("ask.in_flight")
            link.answer.begin(head_only=method == "HEAD")
            self._asked = _Asked(link, method, path, deadline)
        except OSError as error:
            raise self._translate(method, path, error) from error
        finally:
            # Also when a KeyboardInterrupt passes: an answer still under way belongs to nobody.
            if self._asked is None:
                self.close()

    def receive(self) -> Response:
        """The second half of :meth:`request`: wait for the complete answer.

        Raises:
            OutcomeUnknown: there was none before the request's deadline.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            raise ValueError("nothing was sent")
        link, answered = asked.link, False
        try:
            if asked.failure is not None:
                raise asked.failure
            self._receive(asked, wait=True)
            response = self._response(link.answer)
            answered = True
        except UnusableAnswer as error:
            raise self._translate(asked.method, asked.path, error) from None
        except _FAULTS as error:
            raise self._translate(asked.method, asked.path, error) from error
        finally:
            if not (answered and link.answer.keep_alive):
                self.close()
        link.used_at = self._clock.monotonic()
        return response

    @property
    def awaiting(self) -> bool:
        """Whether something was sent whose answer was not received."""
        return self._asked is not None

    @property
    def answering(self) -> bool:
        """Whether :meth:`receive` would not wait: the whole answer, the end or the deadline came.

        It looks by taking in what has come: a socket is readable, too, with the session tickets
        that a TLS server sends before its first answer, and with a piece of one.
        """
        asked = self._asked
        if asked is None:
            return False
        if asked.failure is None:
            try:
                return self._receive(asked, wait=False) or asked.deadline.passed()
            except _FAULTS as error:
                asked.failure = error
        return True

    def fileno(self) -> int:
        """Of its socket; -1 when it is closed."""
        return -1 if self._link is None else self._link.sock.fileno()

    @property
    def ready(self) -> bool:
        """Whether a request may use it as it stands, as far as its age tells."""
        link = self._link
        if link is None or self._asked is not None:
            return False
        return self._clock.monotonic() - link.used_at <= self._max_idle

    def close(self) -> None:
        """Close the connection, if there is one; the next request opens another."""
        link, self._link = self._link, None
        if link is not None:
            link.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<OrderConnection {self._origin} {'open' if self._link else 'closed'}>"

    def _encode(self, method: str, path: str, body: bytes | None) -> bytes:
        if not is_request_target(path):
            raise ValueError(f"not a request target: {path!r}")
        line = f"{method} {self._origin.prefix}{path}".encode("ascii")
        if body is None:
            return b"%b%b\r\n" % (line, self._after_target)
        return b"%b%b%b%d\r\n\r\n%b" % (
            line,
            self._after_target,
            self._before_length,
            len(body),
            body,
        )

    def _usable_link(self, deadline: Deadline) -> Link:
        """The open connection if it is still good, else a new one."""
        link = self._link
        if link is not None:
            idle = self._clock.monotonic() - link.used_at
            if idle <= self._max_idle and not link.spoilt():
                return link
            self.close()
        connecting = Deadline(min(self._connect_timeout, deadline.left()), self._clock)
        self._link = link = Link.open(self._origin, self._tls, connecting)
        link.used_at = self._clock.monotonic()
        return link

    def _send(self, link: Link, data: bytes, deadline: Deadline) -> None:
        # A failed TLS write may have flushed part of a record, so from here on nothing is provable;
        # a failed first write to a TCP socket has given the kernel nothing.
        self._handed_over = link.is_tls
        while data:
            sent = link.send(data, deadline)
            self._handed_over = True
            data = data[sent:]

    def _receive(self, asked: "_Asked", *, wait: bool) -> bool:
        """Take in what has come, and with ``wait`` what comes; whether the answer is whole."""
        link = asked.link
        if link is not self._link:
            raise UnusableAnswer("the connection was closed before the answer came")
        while not link.answer.done:
            data = link.receive(asked.deadline, wait=wait)
            if data is None:
                return False
            if not data:
                raise UnusableAnswer("the connection ended before the answer was complete")
            asked.received += len(data)
            link.parse(data)
            if asked.received > self._max_body + _HEAD_ALLOWANCE:
                raise self._too_long()
        return True

    def _response(self, answer: Answer) -> Response:
        body = answer.body()
        if len(body) > self._max_body:
            raise self._too_long()
        return Response(answer.status, answer.headers, body)

    def _too_long(self) -> UnusableAnswer:
        return UnusableAnswer(f"the answer exceeds {self._max_body} bytes")

    def _translate(self, method: str, path: str, error: Exception) -> BrokerError:
        """The one place where what can go wrong below becomes ours."""
        text = str(error) or type(error).__name__
        if self._handed_over:
            return OutcomeUnknown(f"{method} {path}: no usable answer: {text}")
        return NotSent(f"{method} {path}: not sent: {text}")


@functools.cache
def _trusting(ca_file: str) -> ssl.SSLContext:
    """One for all connections: reading the authorities takes 37 ms, and an order would wait."""
    return ssl.create_default_context(cafile=ca_file)


class _Asked:
    """A request whose answer is awaited."""

    __slots__ = ("deadline", "failure", "link", "method", "path", "received")

    def __init__(self, link: Link, method: str, path: str, deadline: Deadline) -> None:
        self.link = link
        self.method = method
        self.path = path
        self.deadline = deadline
        self.received = 0
        self.failure: Exception | None = None
