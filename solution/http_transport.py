"""HTTP for everything but the order path: ``requests``, with deadlines that hold.

``requests`` brings what users behind proxies need (CONNECT, NO_PROXY, SOCKS). What it leaves open
is closed here:

* *A total deadline.* Its timeouts restart with every byte, so a server that drips one byte a second
  is never late. Here each read of status line, headers and body gets only the time that is left,
  by a reader put under ``http.client.HTTPResponse``; connecting (proxy and TLS included) is cut by
  a timer, since the TLS layer reads the socket itself. Only SOCKS proxies, which use classes of
  their own, have timeouts per read.
* *A size cap* on the decoded body, which also stops a decompression bomb.
* *No second sending*: no retries, no redirects.
* *No hidden inputs.* Proxies are read from the environment once, when the transport is made;
  ``trust_env`` is off, so a ``.netrc`` cannot replace the keys in our headers. No cookies are kept.

``requests`` does not document its sessions as thread-safe, so each thread has its own.
"""

import io
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.poolmanager import PoolManager, ProxyManager

from solution.clock import Deadline
from solution.errors import NotSent, OutcomeUnknown
from solution.http_common import (
    DEFAULT_MAX_BODY,
    Origin,
    Response,
    check_headers,
    is_request_target,
    open_socket,
)

CONNECT_TIMEOUT = 2.0
"""Seconds for name resolution, TCP, proxy and TLS together."""

TOTAL_TIMEOUT = 5.0
"""Seconds for a whole request unless the call says otherwise."""

_CHUNK = 65_536
_GRACE = 0.1  # seconds by which the timer leaves precedence to the tidier timeout of a read


class RequestsTransport:
    """Requests to one host, from any thread.

    Args:
        base_url: ``http(s)://host[:port][/prefix]``.
        headers: sent with every request (the keys are among them; they are never shown).
        connect_timeout: seconds for connecting.
        total_timeout: seconds for a request, unless the call says otherwise.
        proxies: scheme to proxy URL; None takes ``HTTP(S)_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.
        ca_file: PEM file of the trusted authorities; certifi's by default.

    Raises:
        ConfigError: the URL or a header is unusable.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
        proxies: Mapping[str, str] | None = None,
        ca_file: str | None = None,
    ) -> None:
        check_headers(headers)
        self._origin = Origin.parse(base_url)
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **headers}
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._proxies = environment_proxies(base_url) if proxies is None else dict(proxies)
        self._ca_file = ca_file
        self._mine = threading.local()
        self._sessions_mutex = threading.Lock()
        # Weak: a thread's session goes with its thread, and its pool closes the sockets.
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._closed = False

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        before_send: Callable[[], None] | None = None,
        params: Mapping[str, str] | None = None,
        max_body: int = DEFAULT_MAX_BODY,
        total_timeout: float | None = None,
    ) -> Response:
        """Send one request, once, and return its complete answer, whatever the status.

        Args:
            method: upper-case HTTP method.
            path: percent-encoded path behind the base URL's own; may hold a query.
            body: JSON text in UTF-8, or None.
            before_send: called before anything else (this way it cannot wait for the connection).
            params: query parameters, encoded here.
            max_body: bytes of the decoded body beyond which the answer is refused.
            total_timeout: seconds from now, connecting included.

        Raises:
            NotSent: no connection came about.
            OutcomeUnknown: it may have arrived, but no complete answer did.
            ValueError: the path cannot stand in a request line.
        """
        if not is_request_target(path):
            raise ValueError(f"not a request target: {path!r}")
        if self._closed:
            raise NotSent(f"{method} {path}: not sent: the transport is closed")
        if before_send is not None:
            before_send()
        total = self._total_timeout if total_timeout is None else total_timeout
        limits: Any = urllib3.Timeout(connect=min(self._connect_timeout, total), total=total)
        with (
            _translated(f"{method} {path}"),
            self._session().request(
                method,
                f"{self._origin}{path}",
                params=params,
                data=body,
                headers=None if body is None else {"Content-Type": "application/json"},
                timeout=limits,
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            content = _read_body(answer, max_body)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, content)

    def close(self) -> None:
        """Close all threads' connections; later requests raise ``NotSent``."""
        self._closed = True
        with self._sessions_mutex:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def __repr__(self) -> str:
        return f"<RequestsTransport {self._origin}>"

    def _session(self) -> requests.Session:
        """The calling thread's session."""
        session: requests.Session | None = getattr(self._mine, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.proxies = dict(self._proxies)
            session.verify = self._ca_file or True
            session.headers.clear()
            session.headers.update(self._headers)
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            for scheme in ("http://", "https://"):
                session.mount(scheme, _BoundedAdapter(pool_maxsize=2))
            self._mine.session = session
            with self._sessions_mutex:
                self._sessions.add(session)
        return session


def environment_proxies(url: str) -> dict[str, str]:
    """Scheme to proxy URL as the environment sets it for this URL; empty when it is exempt."""
    return dict(requests.utils.get_environ_proxies(url))


def proxy_for(url: str) -> str | None:
    """The proxy that the environment demands for this URL, or None for a direct connection."""
    return requests.utils.select_proxy(url, environment_proxies(url))


class _NotConnectedError(Exception):
    """No connection came about, so nothing of the request was sent. Chained to its cause."""


class _TooLargeError(Exception):
    """The body outgrew the limit of its call."""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The one place where errors of the libraries become ours.

    Their texts are left out, since they quote whole pools and may quote a proxy's URL; the kind
    of error and its chained cause say enough.
    """
    try:
        yield
    except _NotConnectedError as error:
        raise NotSent(f"{what}: not sent: {error}") from error
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        # An unusable proxy setting (its URL, or SOCKS without its library): nothing was connected
        raise NotSent(f"{what}: not sent: {_kind(error)}") from error
    except _TooLargeError as error:
        raise OutcomeUnknown(f"{what}: no usable answer: {error}") from None
    except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
        raise OutcomeUnknown(f"{what}: no usable answer: {_kind(error)}") from error


def _kind(error: BaseException) -> str:
    """The system's own words if the system failed, else the class of the error."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__


def _read_body(answer: requests.Response, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_content(_CHUNK):
        size += len(part)
        if size > limit:
            raise _TooLargeError(f"the answer exceeds {limit} bytes")
        parts.append(part)
    return b"".join(parts)


class _DeadlineReader(io.RawIOBase):
    """Reads a socket with, for every read, only the time that is left of one deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        # The socket's own file object keeps its descriptor open when http.client closes the socket
        # before the body has been read (Connection: close).
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.left()
        if left <= 0.0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineFiles:
    """Stands in for the socket towards ``http.client.HTTPResponse``, which only asks for a file."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline))


class _BoundedConnection(HTTPConnection):
    """A connection whose connect and whose answer each end by a deadline.

    urllib3 keeps in ``timeout`` the connect timeout before connecting and, before the answer is
    read, what is left of the total: both are used as they stand.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.response_class = self._deadline_response  # type: ignore[assignment]  # called only
        self._spare: socket.socket | None = None
        self._late = False
        self._connecting: Deadline | None = None

    def connect(self) -> None:
        """Connect, or raise :class:`_NotConnectedError`: whatever fails in here sent nothing."""
        timeout = self.timeout or CONNECT_TIMEOUT
        self._connecting = Deadline(timeout)
        timer = threading.Timer(timeout + _GRACE, self._cut)
        timer.daemon = True
        self._late = False
        timer.start()
        try:
            super().connect()
            self._verify_connected()
        except (HTTPError, HTTPException, OSError) as error:
            raise _NotConnectedError(_kind(error.__cause__ or error)) from error
        finally:
            timer.cancel()
            self._connecting = None
            spare, self._spare = self._spare, None
            if spare is not None:
                spare.close()

    def _new_conn(self) -> socket.socket:
        timeout = self.timeout or CONNECT_TIMEOUT
        sock = open_socket(self._dns_host, self.port, self._connecting or Deadline(timeout))
        sock.settimeout(timeout)
        # TLS takes the descriptor away from this object, so the timer gets one of its own.
        self._spare = sock.dup()
        return sock

    def _verify_connected(self) -> None:
        """Take no half-made connection for a good one.

        A socket that was shut down in between is wrapped by ``ssl`` without any handshake and
        without an error; what is written to it would go out in the clear.
        """
        if self._late:
            raise TimeoutError("timed out")
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.version() is None:
            raise ssl.SSLError("the connection ended before the TLS handshake")

    def _cut(self) -> None:
        """End a connect that drags on: shutting the connection down wakes its reader."""
        self._late = True
        spare = self._spare
        if spare is not None:
            with suppress(OSError):
                spare.shutdown(socket.SHUT_RDWR)

    def _deadline_response(self, sock: socket.socket, **options: Any) -> HTTPResponse:
        # While connecting it is the proxy that answers.
        deadline = self._connecting or Deadline(self.timeout or TOTAL_TIMEOUT)
        files: Any = _DeadlineFiles(sock, deadline)
        return HTTPResponse(files, **options)


class _BoundedTLSConnection(_BoundedConnection, HTTPSConnection):
    """The same over TLS."""


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTLSConnection


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _BoundedPool, "https": _BoundedTLSPool}


class _BoundedAdapter(HTTPAdapter):
    """Makes the pools of bounded connections, and never repeats a request."""

    def __init__(self, *, pool_maxsize: int) -> None:
        super().__init__(max_retries=urllib3.Retry(0, read=False), pool_maxsize=pool_maxsize)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        # A SOCKS manager connects through pools of its own; ours would bypass the proxy.
        if type(manager) is ProxyManager:
            manager.pool_classes_by_scheme = _POOLS
        return manager
