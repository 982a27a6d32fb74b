"""What the two HTTP senders share: the answer, the address, and a connect that ends in time."""

import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from solution.clock import Deadline
from solution.errors import ConfigError

DEFAULT_MAX_BODY = 1_000_000
"""Bytes of one answer's body that a call takes unless it says otherwise."""

_PORTS = {"http": 80, "https": 443}
_Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


@dataclass(frozen=True, slots=True)
class Response:
    """One complete HTTP answer, whatever its status.

    ``headers`` has lower-case names; a header sent twice holds both values joined by ``", "``.
    Only the status shows in ``repr``: bodies hold account data.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a base URL points: ``https://host:port/prefix``."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, base_url: str) -> Self:
        """Take a base URL apart.

        Raises:
            ConfigError: no http(s) URL, or one with parts that a base cannot have. Credentials
                are refused too: they would show wherever the address is printed.
        """
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError:
            raise ConfigError("a broker URL cannot be parsed") from None
        if "@" in parts.netloc:
            raise ConfigError("a broker URL must not contain credentials")
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"not a usable http(s) base URL: {base_url!r}")
        prefix = parts.path.rstrip("/")
        if not is_request_target(prefix):
            raise ConfigError(f"the path of a base URL must be percent-encoded: {base_url!r}")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], prefix)

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, as the Host header wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"


def is_request_target(path: str) -> bool:
    """Whether a path can stand in a request line as it is (no blank, CR, LF, non-ASCII)."""
    return path.isascii() and path.isprintable() and " " not in path


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that would break out of their line; never shows a value.

    Raises:
        ConfigError: a name or value has characters that HTTP does not allow there.
    """
    for name, value in headers.items():
        if not (is_request_target(name) and name and ":" not in name):
            raise ConfigError("a header name has characters that HTTP does not allow")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"the value of header {name} is not printable ASCII")


def open_socket(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Resolve and connect over TCP (Nagle off) before the deadline, or raise.

    Each address gets an equal share of the time left, so that one which swallows packets cannot
    keep the others from being tried.

    Raises:
        OSError: no such name, refused, unreachable, or out of time (``TimeoutError``).
    """
    addresses = _resolve(host, port, deadline)
    failure: OSError = TimeoutError("no time left to connect")
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        share = deadline.left() / (len(addresses) - position)
        if share <= 0.0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(share)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _resolve(host: str, port: int, deadline: Deadline) -> _Addresses:
    """The addresses of a name.

    The resolver of the C library takes no timeout and may hang for half a minute, so it runs in a
    thread of its own that is left behind when it is late. Numeric addresses need neither.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    answer: queue.SimpleQueue[_Addresses | Exception] = queue.SimpleQueue()
    threading.Thread(
        target=_ask_resolver, args=(host, port, answer), name="resolver", daemon=True
    ).start()
    try:
        found = answer.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError("name resolution timed out") from None
    if isinstance(found, Exception):
        raise found
    return found


def _ask_resolver(
    host: str, port: int, answer: "queue.SimpleQueue[_Addresses | Exception]"
) -> None:
    try:
        answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        answer.put(error)
    except UnicodeError:
        answer.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))
