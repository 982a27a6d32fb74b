"""RequestsTransport against a server, and proxies, that misbehave by script."""

import gzip
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from solution.clock import SystemClock
from solution.errors import ConfigError, LeaseLost, NotSent, OutcomeUnknown
from solution.http_transport import (
    RequestsTransport,
    _BoundedConnection,
    environment_proxies,
    proxy_for,
)
from tests.helpers.fault_http_server import (
    Behaviour,
    Early,
    FaultHTTPServer,
    answer,
    chunked,
    cut_off,
    drip,
    empty,
    hang_up,
    head,
    huge,
    raw,
    reset_after_reading,
    reset_before_reading,
    silence,
    slow_body,
    slow_headers,
    tls_context,
)

CANARY = "canary-7f3a9e51c2"
HEADERS = {"APCA-API-KEY-ID": f"id-{CANARY}", "APCA-API-SECRET-KEY": f"secret-{CANARY}"}
BODY = b'{"symbol":"NVDA","qty":"1"}'


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxy settings must not decide these tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[FaultHTTPServer]:
    """A scripted server."""
    with FaultHTTPServer() as running:
        yield running


@pytest.fixture
def make(server: FaultHTTPServer) -> Iterator[Callable[..., RequestsTransport]]:
    """Make transports to the server (or to `url`); all are closed after the test."""
    made: list[RequestsTransport] = []

    def build(url: str = "", **options: Any) -> RequestsTransport:
        made.append(RequestsTransport(url or server.url, HEADERS, **options))
        return made[-1]

    yield build
    for transport in made:
        transport.close()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """A server context for 127.0.0.1 and the certificate to trust."""
    try:
        return tls_context(tmp_path_factory.mktemp("tls"))
    except FileNotFoundError:
        if "CI" in os.environ:
            raise
        pytest.skip("no openssl program")


class TestRequest:
    def test_the_request_is_what_was_asked_for(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """Method, path, query, keys, type and body; a percent-encoded slash stays encoded."""
        server.script(answer({"ok": 1}, 207))
        transport = make(server.url + "/base/")
        response = transport.request("POST", "/v2/a/BTC%2FUSD", BODY, params={"q": "A,B /"})
        assert (response.status, response.body) == (207, b'{"ok": 1}')
        assert response.headers["content-type"] == "application/json"
        seen = server.seen[0]
        assert (seen.method, seen.body) == ("POST", BODY)
        assert seen.path == "/base/v2/a/BTC%2FUSD?q=A%2CB+%2F"
        assert seen.headers["apca-api-secret-key"] == f"secret-{CANARY}"
        assert seen.headers["content-type"] == "application/json"

    def test_requests_of_a_thread_share_a_connection(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """Kept alive within a thread; another thread has its own."""
        transport = make()
        transport.request("GET", "/a")
        transport.request("GET", "/b")
        other = threading.Thread(target=transport.request, args=("GET", "/c"))
        other.start()
        other.join(5.0)
        assert [seen.connection for seen in server.seen] == [1, 1, 2]

    @pytest.mark.parametrize(
        ("behaviour", "status", "body"),
        [
            (chunked(b'{"a"', b":1}"), 200, b'{"a":1}'),
            (empty(204), 204, b""),
            (answer(b"moved", 307, headers={"Location": "/other"}), 307, b"moved"),
            (answer(b"{}", close=True), 200, b"{}"),
            (answer(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}), 200, b"{}"),
        ],
    )
    def test_complete_answers_are_returned_as_they_are(
        self,
        server: FaultHTTPServer,
        make: Callable[..., RequestsTransport],
        behaviour: Behaviour,
        status: int,
        body: bytes,
    ) -> None:
        """Chunks, no content, redirects (not followed), a last answer, gzip."""
        server.script(behaviour)
        response = make().request("GET", "/a")
        assert (response.status, response.body) == (status, body)
        assert len(server.seen) == 1

    def test_cookies_are_not_kept(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """No state travels from one answer into the next request."""
        server.script(answer(headers={"Set-Cookie": "a=b; Path=/"}))
        transport = make()
        transport.request("GET", "/a")
        transport.request("GET", "/b")
        assert "cookie" not in server.seen[1].headers

    def test_netrc_cannot_replace_the_keys(
        self,
        server: FaultHTTPServer,
        make: Callable[..., RequestsTransport],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """requests would add Basic credentials from a .netrc that names the host."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        make().request("GET", "/a")
        assert "authorization" not in server.seen[0].headers

    def test_a_stale_connection_is_replaced_before_a_request(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """The server closed while idle: the next request goes out once, on a new connection."""
        server.script(answer(close=True, announce_close=False))
        transport = make()
        transport.request("GET", "/a")
        server.wait_until(lambda it: it.ended == 1)
        transport.request("POST", "/b", BODY)
        assert [(seen.path, seen.connection) for seen in server.seen] == [("/a", 1), ("/b", 2)]

    def test_a_path_cannot_break_out_of_its_line(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """Refused before anything is sent."""
        with pytest.raises(ValueError, match="not a request target"):
            make().request("GET", "/a\r\nX: y")
        assert server.connections == 0

    def test_tls_with_a_private_authority(
        self, make: Callable[..., RequestsTransport], tls_files: tuple[Any, str]
    ) -> None:
        """`ca_file` names whom to trust; two requests, one connection."""
        with FaultHTTPServer(tls=tls_files[0]) as secure:
            transport = make(secure.url, ca_file=tls_files[1])
            assert transport.request("GET", "/a").status == 200
            assert transport.request("GET", "/b").status == 200
            assert [seen.connection for seen in secure.seen] == [1, 1]


UNKNOWN: list[tuple[str, Behaviour | Early]] = [
    ("reset after reading", reset_after_reading()),
    ("reset before reading", reset_before_reading()),
    ("ended without an answer", hang_up()),
    ("silence", silence()),
    ("slow headers", slow_headers(0.02)),
    ("slow body", slow_body(0.02)),
    ("slow body, closing", drip(head(200, {"Connection": "close"}) + b" " * 200, 0.02)),
    ("slow chunks", drip(head(200, {"Transfer-Encoding": "chunked"}) + b"1\r\nx\r\n" * 50, 0.02)),
    ("cut-off body", cut_off(b'{"id":"1"}', 5)),
    ("chunks cut off", chunked(b'{"id":"1"}', finish=False)),
    ("no HTTP", raw(b"SSH-2.0-OpenSSH\r\n")),
    ("broken gzip", answer(b"no gzip", headers={"Content-Encoding": "gzip"})),
    ("body over the cap", huge(2_001)),
    ("bomb", answer(gzip.compress(b"0" * 9_000_000), headers={"Content-Encoding": "gzip"})),
]


class TestUnclearOutcome:
    @pytest.mark.parametrize(
        "behaviour", [case[1] for case in UNKNOWN], ids=[case[0] for case in UNKNOWN]
    )
    def test_any_fault_after_sending_is_an_unknown_outcome(
        self,
        server: FaultHTTPServer,
        make: Callable[..., RequestsTransport],
        behaviour: Behaviour | Early,
    ) -> None:
        """One request was made, none is repeated, and the next one works."""
        server.script(behaviour)
        transport = make(total_timeout=0.3)
        with pytest.raises(OutcomeUnknown, match="POST /v2/orders: no usable answer") as caught:
            transport.request("POST", "/v2/orders", BODY, max_body=2_000)
        assert server.connections == 1
        assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        assert transport.request("GET", "/next").body == b"{}"

    @pytest.mark.parametrize(
        "behaviour",
        [
            slow_headers(0.02),
            slow_body(0.02),
            drip(head(200, {"Connection": "close"}) + b" " * 200, 0.02),
            silence(),
        ],
    )
    def test_a_dripping_answer_ends_at_the_deadline(
        self,
        server: FaultHTTPServer,
        make: Callable[..., RequestsTransport],
        behaviour: Behaviour,
    ) -> None:
        """Single bytes do not restart the clock (the drip alone would take over 4 s)."""
        server.script(behaviour)
        clock = SystemClock()
        begun = clock.monotonic()
        with pytest.raises(OutcomeUnknown):
            make().request("GET", "/", total_timeout=0.3)
        assert 0.29 <= clock.monotonic() - begun < 3.0

    def test_a_body_at_the_cap_is_taken(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """The cap is inclusive, and a call may raise it."""
        server.script(huge(3_000_000))
        assert len(make().request("GET", "/", max_body=3_000_000).body) == 3_000_000


class TestNotSent:
    def test_a_refused_port(self, make: Callable[..., RequestsTransport]) -> None:
        """Nobody listens: nothing was sent."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(NotSent, match="Connection refused") as caught:
            make(f"http://127.0.0.1:{port}").request("POST", "/v2/orders", BODY)
        assert CANARY not in f"{caught.value!r}"

    def test_a_name_that_does_not_exist(self, make: Callable[..., RequestsTransport]) -> None:
        """.invalid never resolves (RFC 2606)."""
        with pytest.raises(NotSent):
            make("http://broker.invalid").request("POST", "/v2/orders", BODY)

    def test_what_is_stopped_before(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """What the last look raises comes through, and nothing was sent."""

        def stop() -> None:
            raise LeaseLost("another instance trades")

        with pytest.raises(LeaseLost):
            make().request("POST", "/v2/orders", BODY, before_send=stop)
        assert server.seen == []

    def test_an_untrusted_certificate(
        self, make: Callable[..., RequestsTransport], tls_files: tuple[Any, str]
    ) -> None:
        """The keys never go to a server that cannot prove its name."""
        with FaultHTTPServer(tls=tls_files[0]) as secure:
            with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
                make(secure.url).request("POST", "/", BODY)
            assert secure.seen == []

    def test_a_handshake_that_drips_ends_in_time(
        self, make: Callable[..., RequestsTransport]
    ) -> None:
        """The TLS layer's own timeout restarts with every byte; the timer does not."""
        # A handshake record of 1000 bytes, announced and then dripped.
        record = b"\x16\x03\x03\x03\xe8\x02\x00\x03\xe4" + b"\x00" * 1000
        with FaultHTTPServer() as server:
            server.script(Early(drip(record, 0.02)))
            clock = SystemClock()
            begun = clock.monotonic()
            transport = make(server.url.replace("http:", "https:"), connect_timeout=0.3)
            with pytest.raises(NotSent):
                transport.request("POST", "/", BODY)
            assert clock.monotonic() - begun < 3.0

    def test_a_connect_that_was_cut_is_never_used(
        self,
        server: FaultHTTPServer,
        make: Callable[..., RequestsTransport],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The timer may fire when connecting has just worked: still no request goes out."""
        connect = _BoundedConnection._new_conn

        def connect_and_cut(connection: _BoundedConnection) -> socket.socket:
            sock = connect(connection)
            connection._cut()
            return sock

        monkeypatch.setattr(_BoundedConnection, "_new_conn", connect_and_cut)
        with pytest.raises(NotSent, match="Timeout"):
            make().request("POST", "/", BODY)
        assert server.seen == []

    def test_a_tls_socket_without_a_handshake_is_never_used(
        self,
        make: Callable[..., RequestsTransport],
        tls_files: tuple[Any, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The ssl module wraps a dead socket without complaint and would write in the clear."""
        monkeypatch.setattr(ssl.SSLSocket, "version", lambda _: None)
        with FaultHTTPServer(tls=tls_files[0]) as secure:
            with pytest.raises(NotSent, match="SSLError"):
                make(secure.url, ca_file=tls_files[1]).request("POST", "/", BODY)
            assert secure.seen == []

    def test_a_closed_transport(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """Whoever still sends after the stop learns that nothing went out."""
        transport = make()
        transport.request("GET", "/a")
        transport.close()
        with pytest.raises(NotSent, match="closed"):
            transport.request("GET", "/b")
        assert len(server.seen) == 1


class TestProxies:
    def test_a_proxy_from_the_environment_is_used(
        self,
        server: FaultHTTPServer,
        make: Callable[..., RequestsTransport],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A plain http request goes to the proxy with the whole URL in its first line."""
        monkeypatch.setenv("HTTP_PROXY", server.url)
        make("http://broker.invalid").request("GET", "/v2/clock")
        assert server.seen[0].path == "http://broker.invalid/v2/clock"

    def test_no_proxy_exempts_a_host(
        self, server: FaultHTTPServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The usual exceptions hold."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert environment_proxies(server.url) == {}
        assert proxy_for(server.url) is None
        assert proxy_for("http://broker.invalid") == "http://127.0.0.1:1"

    def test_a_tunnel_the_proxy_refuses_is_not_sent(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """CONNECT is answered with 407: the request itself never left."""
        server.script(answer(b"", 407, close=True))
        transport = make("https://broker.invalid", proxies={"https": server.url})
        with pytest.raises(NotSent):
            transport.request("POST", "/v2/orders", BODY)
        assert server.seen[0].method == "CONNECT"

    def test_a_tunnel_answer_that_drips_ends_in_time(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """The proxy's own answer is read under the connect timeout."""
        server.script(slow_headers(0.02))
        transport = make(
            "https://broker.invalid", proxies={"https": server.url}, connect_timeout=0.3
        )
        clock = SystemClock()
        begun = clock.monotonic()
        with pytest.raises(NotSent):
            transport.request("POST", "/v2/orders", BODY)
        assert clock.monotonic() - begun < 3.0

    def test_a_proxy_that_is_down_is_not_sent(self, make: Callable[..., RequestsTransport]) -> None:
        """Refused at the proxy's port; its credentials are not shown."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        proxy = f"http://user:{CANARY}@127.0.0.1:{port}"
        transport = make("https://broker.invalid", proxies={"https": proxy})
        with pytest.raises(NotSent) as caught:
            transport.request("POST", "/v2/orders", BODY)
        assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r} {transport!r}"

    def test_an_unusable_proxy_setting_is_not_sent(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """A proxy URL without a host is noticed before anything is connected."""
        with pytest.raises(NotSent, match="InvalidProxyURL"):
            make(proxies={"http": "http://"}).request("GET", "/a")
        assert server.connections == 0

    def test_a_socks_proxy_keeps_pools_of_its_own(
        self, server: FaultHTTPServer, make: Callable[..., RequestsTransport]
    ) -> None:
        """Ours would connect past it; without SOCKS support installed nothing is sent at all."""
        transport = make(proxies={"http": "socks5://127.0.0.1:1"})
        with pytest.raises((NotSent, OutcomeUnknown)):
            transport.request("GET", "/a")
        assert server.seen == []


def test_unusable_urls_and_headers_are_refused() -> None:
    """At construction, so that a typo stops the start."""
    with pytest.raises(ConfigError):
        RequestsTransport("ftp://host", HEADERS)
    with pytest.raises(ConfigError):
        RequestsTransport("http://host", {"A": "1\r\nB: 2"})


def test_repr_shows_the_address_and_no_key() -> None:
    """What a debugger or a log shows of it."""
    assert (
        repr(RequestsTransport("http://host:80/x", HEADERS)) == "<RequestsTransport http://host/x>"
    )
