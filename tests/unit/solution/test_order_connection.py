"""OrderConnection against a server that misbehaves by script."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from solution import failpoints
from solution.clock import Deadline, SystemClock
from solution.errors import ConfigError, LeaseLost, NotSent, OutcomeUnknown
from solution.order_connection import OrderConnection
from solution.order_link import Link
from tests.helpers.clocks import eventually
from tests.helpers.fault_http_server import (
    Behaviour,
    Early,
    FaultHTTPServer,
    Talk,
    after,
    answer,
    answer_then_reset,
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
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class SetClock:
    """The machine's clock, moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def epoch_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.ahead


@pytest.fixture
def server() -> Iterator[FaultHTTPServer]:
    """A scripted server."""
    with FaultHTTPServer() as running:
        yield running


@pytest.fixture
def connect(server: FaultHTTPServer) -> Iterator[Callable[..., OrderConnection]]:
    """Make connections to the server; all are closed after the test."""
    made: list[OrderConnection] = []

    def make(**options: Any) -> OrderConnection:
        options.setdefault("total_timeout", 2.0)
        made.append(OrderConnection(server.url, HEADERS, **options))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """A server context for 127.0.0.1 and the certificate to trust."""
    try:
        return tls_context(tmp_path_factory.mktemp("tls"))
    except FileNotFoundError:
        if "CI" in os.environ:
            raise
        pytest.skip("no openssl program")


@pytest.fixture
def tls_server(tls_files: tuple[Any, str]) -> Iterator[FaultHTTPServer]:
    """A scripted server that speaks HTTPS."""
    with FaultHTTPServer(tls=tls_files[0]) as running:
        yield running


def refused_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answer_then_hold(talk: Talk) -> bool:
    """A good answer, and then the server neither reads nor closes."""
    talk.sock.sendall(OK)
    talk.stopping.wait()
    return False


def echo(talk: Talk) -> bool:
    """An answer with the body of its request."""
    assert talk.seen is not None
    return answer(talk.seen.body)(talk)


class TestRequest:
    def test_headers_and_body_arrive_in_the_first_read(
        self,
        server: FaultHTTPServer,
        connect: Callable[..., OrderConnection],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One send carries headers and body: the server's first recv holds both."""
        send, sizes = Link.send, []

        def counted(link: Link, data: bytes, deadline: Deadline) -> int:
            sizes.append(len(data))
            return send(link, data, deadline)

        monkeypatch.setattr(Link, "send", counted)
        server.script(answer({"id": "7"}, headers={"X-Request-ID": "r1"}))
        response = connect().request("POST", "/v2/orders", BODY)
        assert (response.status, response.body) == (200, b'{"id": "7"}')
        assert response.headers["x-request-id"] == "r1"
        assert server.seen[0].first_bytes.endswith(b"\r\n\r\n" + BODY)
        assert sizes == [len(server.seen[0].first_bytes)]

    def test_the_request_is_what_was_asked_for(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Method, path, keys, type, length and body are all there, and gzip is not asked for."""
        connect().request("POST", "/v2/orders?a=b", BODY)
        seen = server.seen[0]
        assert (seen.method, seen.path, seen.body) == ("POST", "/v2/orders?a=b", BODY)
        assert seen.headers == {
            "host": f"127.0.0.1:{server.port}",
            "accept": "application/json",
            "accept-encoding": "identity",
            "apca-api-key-id": f"id-{CANARY}",
            "apca-api-secret-key": f"secret-{CANARY}",
            "content-type": "application/json",
            "content-length": str(len(BODY)),
        }

    def test_a_request_without_a_body_has_neither_type_nor_length(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """DELETE and GET carry no body headers."""
        connect().request("DELETE", "/v2/orders/7")
        assert "content-type" not in server.seen[0].headers
        assert "content-length" not in server.seen[0].headers

    def test_the_path_of_the_base_url_comes_first(self, server: FaultHTTPServer) -> None:
        """A base URL may point below a prefix, as behind a gateway."""
        with OrderConnection(server.url + "/alpaca/", HEADERS) as connection:
            connection.request("GET", "/v2/orders/7")
        assert server.seen[0].path == "/alpaca/v2/orders/7"

    def test_requests_share_one_connection(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Kept alive: three requests, one connection."""
        connection = connect()
        for number in range(3):
            connection.request("GET", f"/{number}")
        assert [seen.connection for seen in server.seen] == [1, 1, 1]

    @pytest.mark.parametrize(
        ("behaviour", "status", "body"),
        [
            (chunked(b'{"a"', b":1}"), 200, b'{"a":1}'),
            (empty(204), 204, b""),
            (empty(200), 200, b""),
            (answer(b"moved", 307, headers={"Location": "/other"}), 307, b"moved"),
            (raw(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + OK), 200, b"{}"),
            (raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK), 200, b"{}"),
            (drip(OK, 0.001), 200, b"{}"),
        ],
    )
    def test_complete_answers_are_returned_as_they_are(
        self,
        server: FaultHTTPServer,
        connect: Callable[..., OrderConnection],
        behaviour: Behaviour,
        status: int,
        body: bytes,
    ) -> None:
        """Chunks, no content, redirects (not followed), interim answers, single bytes."""
        server.script(behaviour)
        connection = connect()
        response = connection.request("GET", "/a")
        assert (response.status, response.body) == (status, body)
        assert "x-early" not in response.headers
        assert "link" not in response.headers
        connection.request("GET", "/b")
        assert [seen.connection for seen in server.seen] == [1, 1]

    def test_the_answer_to_head_has_no_body(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """The length that HEAD announces is not waited for; the connection is not used again."""
        server.script(raw(head(200, {"Content-Length": "500"})))
        connection = connect()
        assert connection.request("HEAD", "/a").body == b""
        connection.request("GET", "/b")
        assert [seen.connection for seen in server.seen] == [1, 2]

    def test_a_header_sent_twice_keeps_both_values(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Values of one name are joined by a comma."""
        server.script(raw(b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\na: 2\r\n\r\n"))
        assert connect().request("GET", "/").headers["a"] == "1, 2"

    @pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/ä", "/a\x00"])
    def test_a_path_cannot_break_out_of_its_line(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection], path: str
    ) -> None:
        """Paths with blanks, line ends or non-ASCII are refused before anything is sent."""
        with pytest.raises(ValueError, match="not a request target"):
            connect().request("GET", path)
        assert server.connections == 0


class TestHalves:
    def test_several_are_under_way_at_one_time(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Each over its own connection; the answers may be read in any order."""
        server.default = echo
        first, second = connect(), connect()
        first.send("POST", "/a", b"1")
        second.send("POST", "/b", b"2")
        assert second.receive().body == b"2"
        assert first.receive().body == b"1"
        assert sorted(seen.connection for seen in server.seen) == [1, 2]

    def test_nothing_is_sent_behind_a_request_without_its_answer(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Else one's answer could be taken for the other's."""
        connection = connect()
        assert not connection.ready
        connection.send("POST", "/a", BODY)
        assert (connection.awaiting, connection.ready) == (True, False)
        with pytest.raises(ValueError, match="was not received"):
            connection.send("POST", "/b", BODY)
        assert connection.receive().status == 200
        assert (connection.awaiting, connection.ready) == (False, True)
        with pytest.raises(ValueError, match="nothing was sent"):
            connection.receive()
        assert [seen.path for seen in server.seen] == ["/a"]

    def test_having_a_connection_ready_does_not_touch_a_request_under_way(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """What was sent stays sent: the failure afterwards is no NotSent."""
        clock = SetClock()
        server.script(silence())
        connection = connect(clock=clock)
        connection.send("POST", "/a", BODY)
        clock.ahead += 30.0
        connection.connect()
        with pytest.raises(OutcomeUnknown, match="timed out"):
            connection.receive()
        server.wait_until(lambda it: len(it.seen) == 1)
        assert server.connections == 1

    @pytest.mark.parametrize("early", [b"", OK[:20], OK[:-1]])
    def test_a_piece_of_an_answer_is_waited_for_elsewhere(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection], early: bytes
    ) -> None:
        """A thread with other answers to read must not wait for the rest of a slow one."""
        go = threading.Event()

        def in_two_pieces(talk: Talk) -> bool:
            talk.sock.sendall(early)
            assert go.wait(5.0)
            talk.sock.sendall(OK[len(early) :])
            return True

        server.script(in_two_pieces)
        connection = connect(total_timeout=5.0)
        assert (connection.answering, connection.fileno()) == (False, -1)
        connection.send("POST", "/a", BODY)
        if early:
            assert select.select([connection.fileno()], [], [], 5.0)[0]
        assert not connection.answering
        go.set()
        assert eventually(lambda: connection.answering)
        assert connection.receive().body == b"{}"
        assert not connection.answering
        connection.request("GET", "/b")
        assert server.connections == 1

    @pytest.mark.parametrize(
        ("behaviour", "words"),
        [
            (hang_up(), "ended before"),
            (reset_after_reading(), "reset by peer"),
            (cut_off(b'{"id":"1"}', 5), "ended before"),
            (raw(b"SSH-2.0-OpenSSH\r\n"), "."),
            (raw(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "."),
            (raw(b"HTTP/1.1 200 OK\r\n" + b"X-Fill: 0123456789abcdef\r\n" * 4_000), "exceeds"),
            (huge(2_001), "exceeds"),
        ],
    )
    def test_what_ended_or_is_no_answer_is_there_to_be_told(
        self,
        server: FaultHTTPServer,
        connect: Callable[..., OrderConnection],
        behaviour: Behaviour,
        words: str,
    ) -> None:
        """Looking raises nothing, however often; receiving says what was wrong, and closes."""
        server.script(behaviour)
        connection = connect(max_body=2_000)
        connection.send("POST", "/a", BODY)
        assert eventually(lambda: connection.answering)
        assert connection.answering
        with pytest.raises(OutcomeUnknown, match=words):
            connection.receive()
        assert (connection.fileno(), connection.ready) == (-1, False)
        assert connection.request("POST", "/b", BODY).status == 200
        assert [seen.path for seen in server.seen] == ["/a", "/b"]

    def test_the_deadline_runs_from_the_sending(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """No new one begins with the waiting, and when it has passed, nobody waits."""
        clock = SetClock()
        server.script(silence())
        connection = connect(clock=clock, total_timeout=60.0)
        connection.send("POST", "/a", BODY)
        assert not connection.answering
        clock.ahead += 60.0
        assert connection.answering
        with pytest.raises(OutcomeUnknown, match="timed out"):
            connection.receive()

    @pytest.mark.parametrize("looks", [False, True])
    def test_an_answer_that_is_there_counts_after_the_deadline_too(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection], looks: bool
    ) -> None:
        """The reader was busy, not the broker: no reason to call the outcome unknown."""
        clock = SetClock()
        connection = connect(clock=clock)
        connection.send("POST", "/a", BODY)
        assert select.select([connection.fileno()], [], [], 5.0)[0]
        clock.ahead += 2.1
        if looks:
            assert connection.answering
        assert connection.receive().status == 200

    def test_one_that_is_closed_under_way_has_an_unknown_outcome(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """It was sent, and its answer will not be read."""
        connection = connect()
        connection.send("POST", "/a", BODY)
        connection.close()
        assert (connection.answering, connection.fileno()) == (True, -1)
        with pytest.raises(OutcomeUnknown, match="closed before the answer"):
            connection.receive()
        assert connection.request("POST", "/b", BODY).status == 200

    def test_an_interruption_right_after_the_sending_leaves_no_connection(
        self,
        server: FaultHTTPServer,
        connect: Callable[..., OrderConnection],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The caller has no half to go on with, so the answer must not meet anybody else."""

        def interrupt(_: str) -> None:
            raise KeyboardInterrupt

        connection = connect()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(failpoints, "hit", interrupt)
            connection.send("POST", "/a", BODY)
        assert (connection.awaiting, connection.fileno()) == (False, -1)
        assert connection.request("POST", "/b", BODY).status == 200

    def test_session_tickets_are_not_an_answer(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """On a new TLS 1.3 connection they come first, and there is nothing to be received yet."""
        go = threading.Event()
        tls_server.script(after(go, answer({"id": "1"})))
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            connection.send("POST", "/a", BODY)
            assert select.select([connection.fileno()], [], [], 5.0)[0]
            assert not connection.answering
            go.set()
            assert eventually(lambda: connection.answering)
            assert connection.receive().body == b'{"id": "1"}'


class TestReplacement:
    def test_an_idle_connection_is_replaced(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """More than max_idle seconds unused: the next request opens another."""
        clock = SetClock()
        connection = connect(clock=clock, max_idle=20.0)
        connection.request("GET", "/a")
        clock.ahead += 19.0
        connection.request("GET", "/b")
        clock.ahead += 20.1
        connection.request("POST", "/c", BODY)
        assert [seen.connection for seen in server.seen] == [1, 1, 2]

    def test_the_age_of_a_connection_is_counted_from_its_last_answer(
        self, connect: Callable[..., OrderConnection]
    ) -> None:
        """Not from its opening: one that is in use does not grow old."""
        clock = SetClock()
        connection = connect(clock=clock, max_idle=20.0)
        for _ in range(2):
            clock.ahead += 19.0
            connection.request("GET", "/")
        clock.ahead += 19.0
        assert connection.ready
        clock.ahead += 2.0
        assert not connection.ready

    @pytest.mark.parametrize("rude", [True, False])
    def test_a_connection_the_server_closed_is_replaced_before_a_post(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection], rude: bool
    ) -> None:
        """After a keep-alive close, announced or not, the POST goes out once, on a new one."""
        server.script(answer(close=True, announce_close=not rude))
        connection = connect()
        connection.request("GET", "/a")
        server.wait_until(lambda it: it.ended == 1)
        assert connection.request("POST", "/b", BODY).status == 200
        assert [(seen.path, seen.connection) for seen in server.seen] == [("/a", 1), ("/b", 2)]

    def test_a_connection_the_server_reset_is_replaced_before_a_post(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """A reset while idle is seen, too."""
        server.script(answer_then_reset())
        connection = connect()
        connection.request("GET", "/a")
        server.wait_until(lambda it: it.ended == 1)
        connection.request("POST", "/b", BODY)
        assert [(seen.path, seen.connection) for seen in server.seen] == [("/a", 1), ("/b", 2)]

    def test_connection_close_is_honoured_at_once(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Our end is closed as soon as such an answer is complete."""
        server.script(answer(headers={"Connection": "close"}))
        connection = connect()
        connection.request("GET", "/a")
        assert "closed" in repr(connection)

    def test_bytes_nobody_asked_for_spoil_an_idle_connection(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """What arrives while idle must not be taken for the next request's answer."""
        go, gone = threading.Event(), threading.Event()

        def with_an_afterthought(talk: Talk) -> bool:
            talk.sock.sendall(OK)
            go.wait(5.0)
            talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
            gone.set()
            return True

        server.script(with_an_afterthought)
        connection = connect()
        connection.request("GET", "/a")
        go.set()
        assert gone.wait(5.0)
        assert connection.request("POST", "/b", BODY).body == b"{}"
        assert [seen.connection for seen in server.seen] == [1, 2]

    @pytest.mark.parametrize("surplus", [OK, b"garbage"])
    def test_bytes_behind_an_answer_spoil_its_connection(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection], surplus: bytes
    ) -> None:
        """The complete answer counts; the connection that carried more does not."""
        server.script(raw(b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 1\r\n\r\n1" + surplus))
        connection = connect()
        first = connection.request("GET", "/a")
        assert (first.body, first.headers) == (b"1", {"a": "1", "content-length": "1"})
        connection.request("GET", "/b")
        assert [seen.connection for seen in server.seen] == [1, 2]


UNKNOWN: list[tuple[str, Behaviour | Early]] = [
    ("reset after reading", reset_after_reading()),
    ("reset before reading", reset_before_reading()),
    ("ended without an answer", hang_up()),
    ("silence", silence()),
    ("slow headers", slow_headers(0.02)),
    ("slow body", slow_body(0.02)),
    ("cut-off body", cut_off(b'{"id":"1"}', 5)),
    ("chunks cut off", chunked(b'{"id":"1"}', finish=False)),
    ("body ended by the connection", raw(b"HTTP/1.1 200 OK\r\n\r\n{}", close=True)),
    ("no HTTP", raw(b"SSH-2.0-OpenSSH\r\n")),
    ("contradicting lengths", raw(OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n"))),
    ("length and chunks", raw(OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))),
    ("switching protocols", raw(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")),
    ("body over the cap", huge(2_001)),
    ("far over the cap", huge(300_000)),
    ("endless headers", raw(b"HTTP/1.1 200 OK\r\n" + b"X-Fill: 0123456789abcdef\r\n" * 4_000)),
]


class TestUnclearOutcome:
    @pytest.mark.parametrize(
        "behaviour", [case[1] for case in UNKNOWN], ids=[case[0] for case in UNKNOWN]
    )
    def test_any_fault_after_sending_is_an_unknown_outcome(
        self,
        server: FaultHTTPServer,
        connect: Callable[..., OrderConnection],
        behaviour: Behaviour | Early,
    ) -> None:
        """One request was made, none is repeated, the connection is gone, the next one works."""
        server.script(behaviour)
        connection = connect(total_timeout=0.3, max_body=2_000)
        with pytest.raises(OutcomeUnknown, match="POST /v2/orders: no usable answer") as caught:
            connection.request("POST", "/v2/orders", BODY)
        assert "closed" in repr(connection)
        assert server.connections == 1
        assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        assert connection.request("GET", "/next").body == b"{}"

    @pytest.mark.parametrize("behaviour", [slow_headers(0.02), slow_body(0.02), silence()])
    def test_a_dripping_answer_ends_at_the_deadline(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection], behaviour: Behaviour
    ) -> None:
        """Single bytes do not restart the clock (the drip alone would take over 4 s)."""
        server.script(behaviour)
        clock = SystemClock()
        begun = clock.monotonic()
        with pytest.raises(OutcomeUnknown, match="timed out"):
            connect(total_timeout=0.3).request("POST", "/", BODY)
        assert 0.29 <= clock.monotonic() - begun < 3.0

    def test_a_body_at_the_cap_is_taken(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """The cap is inclusive."""
        server.script(huge(2_000))
        assert len(connect(max_body=2_000).request("GET", "/").body) == 2_000

    def test_an_interrupted_request_leaves_no_connection(
        self,
        server: FaultHTTPServer,
        connect: Callable[..., OrderConnection],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A late answer must not meet the next request, so Ctrl-C closes too."""
        connection = connect()
        connection.request("GET", "/a")

        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(OrderConnection, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            connection.request("GET", "/b")
        assert "closed" in repr(connection)


class TestNotSent:
    def test_a_refused_port(self) -> None:
        """Nobody listens: nothing was sent."""
        connection = OrderConnection(f"http://127.0.0.1:{refused_port()}", HEADERS)
        with pytest.raises(NotSent, match="Connection refused") as caught:
            connection.request("POST", "/v2/orders", BODY)
        assert CANARY not in f"{caught.value!r} {connection!r}"

    def test_a_name_that_does_not_exist(self) -> None:
        """.invalid never resolves (RFC 2606)."""
        connection = OrderConnection("http://broker.invalid", HEADERS)
        with pytest.raises(NotSent):
            connection.request("POST", "/v2/orders", BODY)

    def test_a_write_that_fails_at_once(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """send() refused by the kernel has taken no byte, so the request may be made again."""
        server.script(answer_then_hold)
        connection = connect()
        connection.request("GET", "/a")
        link = connection._link
        assert link is not None
        link.sock.shutdown(socket.SHUT_WR)
        with pytest.raises(NotSent, match="Broken pipe"):
            connection.request("POST", "/b", BODY)
        assert connection.request("POST", "/b", BODY).status == 200
        assert [seen.path for seen in server.seen] == ["/a", "/b"]

    def test_the_last_look_comes_when_the_connection_stands(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """What it raises comes through, no byte left, and the next request is as any other."""
        server.script(answer_then_hold, answer_then_hold)

        def stop() -> None:
            assert connection._link is not None
            raise LeaseLost("another instance trades")

        connection = connect()
        with pytest.raises(LeaseLost):
            connection.request("POST", "/v2/orders", BODY, before_send=stop)
        assert connection.request("GET", "/b").status == 200
        assert [seen.path for seen in server.seen] == ["/b"]

    def test_without_a_connection_nobody_looks(self) -> None:
        """There is nothing to be stopped."""
        connection = OrderConnection(f"http://127.0.0.1:{refused_port()}", HEADERS)
        looks: list[None] = []
        with pytest.raises(NotSent, match="Connection refused"):
            connection.request("POST", "/", BODY, before_send=lambda: looks.append(None))
        assert looks == []

    def test_no_time_left_to_connect(self, connect: Callable[..., OrderConnection]) -> None:
        """A deadline in the past ends before the first packet."""
        with pytest.raises(NotSent, match="no time left"):
            connect(connect_timeout=0.0).request("GET", "/")


class TestLargeBody:
    def test_a_body_larger_than_the_socket_buffer_is_sent_whole(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Partial writes are continued where they ended."""
        body = b"x" * 12_000_000
        assert connect(total_timeout=10.0).request("POST", "/", body).status == 200
        assert server.seen[0].body == body

    def test_a_server_that_stops_reading_is_an_unknown_outcome(
        self, server: FaultHTTPServer, connect: Callable[..., OrderConnection]
    ) -> None:
        """Part of the request is out when the deadline comes."""
        server.script(Early(silence()))
        with pytest.raises(OutcomeUnknown, match="timed out"):
            connect(total_timeout=0.3).request("POST", "/", b"x" * 12_000_000)


class TestTLS:
    def test_requests_over_one_tls_connection(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """Session tickets that TLS 1.3 servers send meanwhile do not count as unasked bytes."""
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            for number in range(3):
                assert connection.request("POST", f"/{number}", BODY).status == 200
        assert [seen.connection for seen in tls_server.seen] == [1, 1, 1]

    def test_the_authorities_are_read_once(self) -> None:
        """Another connection must not cost an order the time that this takes."""
        first, second = (OrderConnection("https://127.0.0.1", HEADERS) for _ in range(2))
        assert first._tls is second._tls is not None

    def test_a_large_answer_over_tls(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """Bytes that wait decrypted inside the TLS layer are not waited for on the socket."""
        tls_server.script(huge(900_000))
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            assert len(connection.request("GET", "/").body) == 900_000

    @pytest.mark.parametrize("rude", [True, False])
    def test_a_tls_connection_the_server_closed_is_replaced(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str], rude: bool
    ) -> None:
        """As in plain TCP: seen before the POST, which goes out once."""
        tls_server.script(answer(close=True, announce_close=not rude))
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            connection.request("GET", "/a")
            tls_server.wait_until(lambda it: it.ended == 1)
            connection.request("POST", "/b", BODY)
        assert [(seen.path, seen.connection) for seen in tls_server.seen] == [("/a", 1), ("/b", 2)]

    def test_a_tls_connection_the_server_reset_is_replaced(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """A reset while idle is seen before the POST."""
        tls_server.script(answer_then_reset())
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            connection.request("GET", "/a")
            tls_server.wait_until(lambda it: it.ended == 1)
            connection.request("POST", "/b", BODY)
        assert [(seen.path, seen.connection) for seen in tls_server.seen] == [("/a", 1), ("/b", 2)]

    def test_session_tickets_do_not_spoil_an_idle_connection(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """They make the socket readable, yet say nothing."""
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            link = connection._usable_link(Deadline(2.0))
            assert select.select([link.sock], [], [], 2.0)[0]
            assert not link.spoilt()
            connection.request("POST", "/a", BODY)
        assert tls_server.connections == 1

    def test_bytes_nobody_asked_for_spoil_a_tls_connection(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """Application data while idle, unlike a session ticket, is a reason to leave."""
        go, gone = threading.Event(), threading.Event()

        def with_an_afterthought(talk: Talk) -> bool:
            talk.sock.sendall(OK)
            go.wait(5.0)
            talk.sock.sendall(OK)
            gone.set()
            return True

        tls_server.script(with_an_afterthought)
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            connection.request("GET", "/a")
            go.set()
            assert gone.wait(5.0)
            connection.request("GET", "/b")
        assert [seen.connection for seen in tls_server.seen] == [1, 2]

    def test_bytes_that_are_no_tls_spoil_a_tls_connection(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """What cannot be decrypted while idle is no reason to fail the next request."""
        gone = threading.Event()

        def with_garbage(talk: Talk) -> bool:
            talk.sock.sendall(OK)
            os.write(talk.sock.fileno(), b"garbage, and not a TLS record")
            gone.set()
            return True

        tls_server.script(with_garbage)
        with OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection:
            connection.request("GET", "/a")
            assert gone.wait(5.0)
            connection.request("GET", "/b")
        assert [seen.connection for seen in tls_server.seen] == [1, 2]

    def test_an_untrusted_certificate_is_not_sent(self, tls_server: FaultHTTPServer) -> None:
        """The keys never go to a server that cannot prove its name."""
        connection = OrderConnection(tls_server.url, HEADERS)
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            connection.request("POST", "/", BODY)
        assert tls_server.seen == []

    def test_a_handshake_that_never_comes_ends_in_time(self, tls_files: tuple[Any, str]) -> None:
        """A listener that accepts and says nothing costs the connect timeout, no more."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            connection = OrderConnection(url, HEADERS, connect_timeout=0.2, ca_file=tls_files[1])
            with pytest.raises(NotSent, match="timed out"):
                connection.request("POST", "/", BODY)

    def test_a_reset_over_tls_is_an_unknown_outcome(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """After the handshake everything is unknown."""
        tls_server.script(reset_after_reading())
        with (
            OrderConnection(tls_server.url, HEADERS, ca_file=tls_files[1]) as connection,
            pytest.raises(OutcomeUnknown),
        ):
            connection.request("POST", "/", BODY)

    def test_a_large_body_over_tls(
        self, tls_server: FaultHTTPServer, tls_files: tuple[Any, str]
    ) -> None:
        """A TLS write that must wait for room is repeated with the same bytes."""
        body = b"x" * 12_000_000
        with OrderConnection(
            tls_server.url, HEADERS, ca_file=tls_files[1], total_timeout=20.0
        ) as connection:
            assert connection.request("POST", "/", body).status == 200
        assert tls_server.seen[0].body == body


class TestConstruction:
    @pytest.mark.parametrize(
        "url",
        [
            "ftp://host",
            "http://",
            "paper-api.alpaca.markets",
            "http://host:99999",
            f"https://key:{CANARY}@host",
            "https://host/?q=1",
            "https://host/a b",
        ],
    )
    def test_unusable_urls_are_refused(self, url: str) -> None:
        """At construction, so that a typo stops the start, and without quoting credentials."""
        with pytest.raises(ConfigError) as caught:
            OrderConnection(url, HEADERS)
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize("headers", [{"A b": "1"}, {"A": f"{CANARY}\r\nB: 2"}, {"A": "ä"}])
    def test_unusable_headers_are_refused_unseen(self, headers: dict[str, str]) -> None:
        """A key with a line end in it would smuggle a header; its value is not shown."""
        with pytest.raises(ConfigError) as caught:
            OrderConnection("http://127.0.0.1", headers)
        assert CANARY not in str(caught.value)

    def test_repr_shows_the_address_and_no_key(self) -> None:
        """What a debugger or a log shows of it."""
        shown = repr(OrderConnection("https://[::1]:8443/base", HEADERS))
        assert shown == "<OrderConnection https://[::1]:8443/base closed>"


def test_an_answer_that_comes_late_but_in_time_is_taken(
    server: FaultHTTPServer, connect: Callable[..., OrderConnection]
) -> None:
    """Waiting for the first byte is not a fault."""
    event = threading.Event()
    server.script(after(event, answer({"late": True})))
    timer = threading.Timer(0.05, event.set)
    timer.start()
    assert connect().request("GET", "/").body == b'{"late": true}'
    timer.join()
