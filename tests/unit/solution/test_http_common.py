"""Connecting in time, whatever the resolver or an address does."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from solution.clock import Deadline, SystemClock
from solution.http_common import Origin, Response, open_socket

Resolver = Any


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def resolver(found: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name resolve to `found` (raised if an exception, called if callable)."""
    real = socket.getaddrinfo

    def fake(host: str, port: int, **options: Any) -> Any:
        if options.get("flags") == socket.AI_NUMERICHOST:
            return real(host, port, **options)
        if isinstance(found, Exception):
            raise found
        return found() if callable(found) else found

    monkeypatch.setattr(socket, "getaddrinfo", fake)


def address(port: int) -> Any:
    """An entry as getaddrinfo returns it."""
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library's resolver has no timeout; ours ends with the deadline."""
    release = threading.Event()
    resolver(lambda: release.wait(5.0), monkeypatch)
    begun = SystemClock().monotonic()
    with pytest.raises(TimeoutError, match="name resolution"):
        open_socket("broker.test", 1, Deadline(0.1))
    release.set()
    assert SystemClock().monotonic() - begun < 2.0


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")]
)
def test_names_that_do_not_resolve_are_os_errors(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever the resolver raises, callers need to catch OSError only."""
    resolver(error, monkeypatch)
    with pytest.raises(socket.gaierror):
        open_socket("broker.test", 1, Deadline(1.0))


def test_the_next_address_is_tried(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    """One dead address does not make a host unreachable; Nagle's delay is off."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        dead = other.getsockname()[1]
    resolver([address(dead), address(listener.getsockname()[1])], monkeypatch)
    with open_socket("broker.test", 1, Deadline(2.0)) as sock:
        assert sock.getpeername() == listener.getsockname()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_interrupt_while_connecting_leaks_no_socket(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    """The socket is closed on the way out (warnings are errors here)."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(socket.socket, "connect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_socket("127.0.0.1", listener.getsockname()[1], Deadline(1.0))


@pytest.mark.parametrize(
    ("url", "shown", "port", "prefix"),
    [
        ("https://paper-api.alpaca.markets", "https://paper-api.alpaca.markets", 443, ""),
        ("https://Host:443/a/", "https://host/a", 443, "/a"),
        ("http://[::1]:8080", "http://[::1]:8080", 8080, ""),
    ],
)
def test_an_origin_is_taken_apart(url: str, shown: str, port: int, prefix: str) -> None:
    """Default ports are left out of what is shown and of the Host header."""
    origin = Origin.parse(url)
    assert (str(origin), origin.port, origin.prefix) == (shown, port, prefix)


def test_a_response_shows_its_status_alone() -> None:
    """Bodies hold account data and must not reach a log by accident."""
    assert repr(Response(200, {"a": "secret"}, b"equity")) == "Response(status=200)"
