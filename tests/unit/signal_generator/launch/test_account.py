"""Whose account it is, asked of a server that answers as told."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from signal_generator.connection import Connection
from signal_generator.launch import account
from signal_generator.launch.account import Account, ask, is_loopback
from signal_generator.launch.options import LaunchError
from tests.helpers.redis_server import free_port

Serve = Callable[..., Connection]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes a broker that gives these answers (status and body), one after the other."""
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def make(*answers: tuple[int, str]) -> Connection:
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name
                status, body = left.pop(0)
                assert (self.path, self.headers["APCA-API-KEY-ID"]) == ("/v2/account", "k")
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        servers.append((server, thread))
        return Connection(
            key="k", secret="s3cret", trading_url=f"http://127.0.0.1:{server.server_port}"
        )

    yield make
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"id": "u-1", "account_number": "PA1"}', Account("u-1", "PA1")),
        ('{"id": "u-1"}', Account("u-1", "u-1")),
    ],
)
def test_the_account_by_its_own_names(serve: Serve, body: str, expected: Account) -> None:
    """A server that has no number gives its id."""
    assert ask(serve((200, body))) == expected


def test_a_used_up_rate_limit_is_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ended a moment ago may have spent it; told once."""
    monkeypatch.setattr(account, "PAUSE", 0.01)
    told: list[str] = []
    at = serve((429, "{}"), (429, "{}"), (200, '{"id": "u-1"}'))
    assert ask(at, report=told.append).id == "u-1"
    assert told == ["the account's rate limit is used up: waiting up to a minute"]


def test_but_not_for_ever(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "WINDOW", 0.0)
    with pytest.raises(LaunchError, match="answered 429"):
        ask(serve((429, "{}")))


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, "{}", "does not accept api_key and secret_key"),
        (403, "{}", "does not accept api_key and secret_key"),
        (500, "s3cret", r"cannot be read: GET /v2/account: answered 500: \*\*\*"),
        (200, "<html>", "the answer is not JSON"),
        (200, "[]", "does not answer as a broker"),
    ],
)
def test_anything_else_is_one_sentence(serve: Serve, status: int, body: str, why: str) -> None:
    """With the address, without the keys."""
    at = serve((status, body))
    with pytest.raises(LaunchError, match=why) as caught:
        ask(at)
    assert at.trading_url in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_nobody_there(serve: Serve) -> None:
    at = Connection(key="k", secret="s", trading_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(LaunchError, match="cannot be read: GET /v2/account: no answer"):
        ask(at)


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not find it."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert ask(serve((200, '{"id": "u-1"}'))).id == "u-1"


def test_which_servers_are_on_this_machine() -> None:
    """By name or by number, with a port or without."""
    assert is_loopback("http://localhost:1")
    assert is_loopback("http://[::1]:1")
    assert not is_loopback("https://api.alpaca.markets")
