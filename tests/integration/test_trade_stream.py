"""The order stream's thread against real sockets: a small server that plays what a test says."""

import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from queue import Queue

import orjson
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from solution.clock import Deadline
from solution.feeds.trade_stream import StreamPolicy, TradeStream
from solution.feeds.trade_updates import TradeUpdates, Update
from tests.helpers.clocks import eventually

DEADLINE = 10.0
QUICK = StreamPolicy(first_pause=0.01, longest_pause=0.02, refused_pause=60.0)
IMPATIENT = StreamPolicy(
    connect=0.2, listen=0.2, ping_after=0.05, dead_after=0.05, first_pause=0.01, longest_pause=0.02
)

Script = Callable[[ServerConnection], None]


def update(number: int, **changes: object) -> bytes:
    data = {"event": "fill", "execution_id": f"e-{number}", "order": {"id": "o-1"}, **changes}
    return orjson.dumps({"stream": "trade_updates", "data": data})


def welcome(connection: ServerConnection) -> None:
    """Authenticate and listen, as Alpaca does, in binary frames."""
    message = orjson.loads(connection.recv(DEADLINE))
    accepted = message["data"] == {"key_id": "key", "secret_key": "s3cret"}
    status = "authorized" if accepted else "unauthorized"
    answer = {"status": status, "action": message["action"]}
    connection.send(orjson.dumps({"stream": "authorization", "data": answer}))
    listen = orjson.loads(connection.recv(DEADLINE))
    connection.send(orjson.dumps({"stream": "listening", "data": listen["data"]}))


def stay(connection: ServerConnection) -> None:
    """Keep the connection until the other side ends it."""
    for _ in connection:
        pass


def then(*scripts: Script) -> Script:
    def play(connection: ServerConnection) -> None:
        for script in scripts:
            script(connection)

    return play


def push(*messages: bytes | str) -> Script:
    def play(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message)

    return play


def drop(connection: ServerConnection) -> None:
    """End the TCP connection without a word."""
    connection.socket.shutdown(socket.SHUT_RDWR)


class Exchange:
    """Plays one script per connection, the last one again and again."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests = 0
        self.answers: list[Response] = []
        self.closed: Queue[int | None] = Queue()
        self.server: Server = serve(
            self._play,
            "127.0.0.1",
            0,
            ssl=tls,
            process_request=self._answer,
            ping_interval=None,
            close_timeout=0.2,
        )
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests += 1
        return self.answers.pop(0) if self.answers else None

    def _play(self, connection: ServerConnection) -> None:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with suppress(ConnectionClosed):
            script(connection)
        self.closed.put(connection.close_code)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(DEADLINE)


class Listener:
    """What the handlers of the stream saw."""

    def __init__(self) -> None:
        self.updates: Queue[Update] = Queue()
        self.announced: Queue[float] = Queue()

    def on_updates(self, updates: list[Update]) -> None:
        for one in updates:
            self.updates.put(one)

    def on_connected(self) -> None:
        self.announced.put(time.monotonic())

    def next_update(self) -> str:
        return self.updates.get(timeout=DEADLINE).execution_id

    def next_announcement(self) -> None:
        self.announced.get(timeout=DEADLINE)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def exchange() -> Iterator[Callable[..., Exchange]]:
    """Start exchanges that end with the test."""
    made: list[Exchange] = []

    def make(*scripts: Script, tls: ssl.SSLContext | None = None) -> Exchange:
        made.append(Exchange(*scripts, tls=tls))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def connect(listener: Listener) -> Iterator[Callable[..., TradeStream]]:
    """Start streams that end with the test."""
    made: list[TradeStream] = []

    def make(
        port: int,
        policy: StreamPolicy = QUICK,
        *,
        secret: str = "s3cret",
        tls: ssl.SSLContext | None = None,
    ) -> TradeStream:
        stream = TradeStream(
            f"{'ws' if tls is None else 'wss'}://localhost:{port}/stream",
            TradeUpdates("key", secret),
            on_updates=listener.on_updates,
            on_connected=listener.on_connected,
            policy=policy,
            tls=tls,
        )
        made.append(stream)
        stream.start()
        return stream

    yield make
    for one in made:
        assert one.stop(Deadline(DEADLINE))


def test_updates_arrive(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """Text and binary frames, small and large, in order; and the stream says that it is up."""
    large = update(2, padding="x" * 200_000)
    server = exchange(then(welcome, push(update(1), large, update(3).decode()), stay))
    stream = connect(server.port)
    assert [listener.next_update() for _ in range(3)] == ["e-1", "e-2", "e-3"]
    assert (stream.connected, stream.state, stream.reconnects) == (True, "listening", 0)
    assert stream.last_message_at is not None


def test_a_fragmented_message_is_one_message(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """Some servers cut their frames."""
    whole = update(1)
    parts = [whole[:10], whole[10:20], whole[20:]]
    server = exchange(then(welcome, lambda connection: connection.send(iter(parts)), stay))
    connect(server.port)
    assert listener.next_update() == "e-1"


def test_a_burst_arrives_completely(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """Two thousand updates as fast as they can be sent: none is missing, none out of order."""
    server = exchange(then(welcome, push(*(update(number) for number in range(2000))), stay))
    connect(server.port)
    assert [listener.next_update() for _ in range(2000)] == [f"e-{n}" for n in range(2000)]


def test_garbage_does_not_end_the_stream(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """What cannot be understood is skipped on the same connection."""
    server = exchange(then(welcome, push(b"\xff\x00", "{", b"\x01", "[1]", update(1)), stay))
    stream = connect(server.port)
    assert listener.next_update() == "e-1"
    assert stream.reconnects == 0


@pytest.mark.parametrize("end", [drop, lambda connection: connection.close(1012, "restart")])
def test_a_lost_connection_is_made_again_and_announced_again(
    exchange: Callable[..., Exchange],
    connect: Callable[..., TradeStream],
    listener: Listener,
    end: Script,
) -> None:
    """After the loss what came before it is delivered, and on_connected is called anew."""
    server = exchange(then(welcome, push(update(1)), end), then(welcome, push(update(2)), stay))
    stream = connect(server.port)
    assert [listener.next_update(), listener.next_update()] == ["e-1", "e-2"]
    listener.next_announcement()
    listener.next_announcement()
    assert stream.reconnects == 1


def test_the_close_code_is_logged(
    exchange: Callable[..., Exchange],
    connect: Callable[..., TradeStream],
    listener: Listener,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Code and reason of the server's close frame stand in the log."""
    server = exchange(
        then(welcome, lambda connection: connection.close(4008, "slow")), then(welcome, stay)
    )
    connect(server.port)
    listener.next_announcement()
    listener.next_announcement()
    down = [record for record in caplog.records if record.message == "trade_stream_down"]
    assert [record.__dict__["code"] for record in down] == [4008]
    assert down[0].__dict__["why"] == "closed by the server: 4008 slow"


def test_refused_keys_are_not_tried_again_at_once(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """One attempt, a visible state, and then a long wait that a stop ends."""
    server = exchange(then(welcome, stay))
    stream = connect(server.port, secret="wrong")
    assert eventually(lambda: stream.state.startswith("refused"))
    assert server.requests == 1
    assert listener.announced.empty()


def test_a_rate_limited_handshake_waits_for_retry_after(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """HTTP 429 with Retry-After: 1 is followed by one attempt, a second later."""
    server = exchange(then(welcome, stay))
    server.answers.append(http_answer(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}))
    started = time.monotonic()
    connect(server.port)
    assert listener.announced.get(timeout=DEADLINE) - started >= 1.0
    assert server.requests == 2


def http_answer(status: HTTPStatus, headers: dict[str, str]) -> Response:
    body = b"no"
    return Response(
        status.value, status.phrase, Headers({"Content-Length": str(len(body)), **headers}), body
    )


def test_a_handshake_that_fails_otherwise_is_tried_again(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """A 503 and then a welcome."""
    server = exchange(then(welcome, stay))
    server.answers.append(http_answer(HTTPStatus.SERVICE_UNAVAILABLE, {}))
    connect(server.port)
    listener.next_announcement()
    assert server.requests == 2


def test_a_server_without_an_answer_is_given_up(connect: Callable[..., TradeStream]) -> None:
    """Accepting a connection and saying nothing costs the connect deadline, no more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stream = connect(silent.getsockname()[1], IMPATIENT)
        for _ in range(2):
            silent.settimeout(DEADLINE)
            silent.accept()[0].close()
        assert not stream.connected


def test_a_server_that_is_no_websocket_is_given_up(connect: Callable[..., TradeStream]) -> None:
    """Any bytes may come instead of a handshake."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        stream = connect(other.getsockname()[1], QUICK)
        other.settimeout(DEADLINE)
        with other.accept()[0] as sock:
            sock.sendall(b"220 mail.example ESMTP\r\n\r\n")
            assert eventually(lambda: "no websocket there" in stream.state)


def test_nobody_there_is_tried_again(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream]
) -> None:
    """A refused connection is an ordinary failure."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stream = connect(port)
    assert eventually(lambda: "Connection refused" in stream.state)


def test_a_server_that_falls_silent_is_left(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """No data and no pong: a new connection, whatever the old one does."""
    hold = threading.Event()

    def fall_silent(connection: ServerConnection) -> None:
        # The receiving thread of the server answers pings; without its lock it cannot.
        with connection.protocol_mutex:
            hold.wait(DEADLINE)

    server = exchange(then(welcome, fall_silent), then(welcome, stay))
    stream = connect(server.port, IMPATIENT)
    listener.next_announcement()
    listener.next_announcement()
    hold.set()
    assert stream.reconnects == 1


def test_a_quiet_server_that_answers_pings_is_kept(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """Ten times the time to a ping passes without a message, on one connection."""
    server = exchange(then(welcome, stay))
    stream = connect(server.port, IMPATIENT)
    listener.next_announcement()
    first = stream.last_message_at
    assert first is not None
    assert eventually(lambda: time.monotonic() - first > 0.5)
    assert (server.requests, stream.connected, stream.last_message_at) == (1, True, first)
    assert (stream.age() or DEADLINE) < 0.5


def test_a_ping_of_the_server_is_answered(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """A server that pings keeps us."""
    answered = threading.Event()

    def ping(connection: ServerConnection) -> None:
        if connection.ping().wait(DEADLINE):
            answered.set()

    server = exchange(then(welcome, ping, stay))
    connect(server.port)
    assert answered.wait(DEADLINE)


def test_a_message_beyond_one_megabyte_ends_the_connection(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """We say 1009 and connect again."""
    server = exchange(then(welcome, push(b"x" * (2**20 + 1)), stay), then(welcome, stay))
    connect(server.port)
    listener.next_announcement()
    listener.next_announcement()
    assert server.closed.get(timeout=DEADLINE) == 1009


def test_a_stop_wakes_at_once_and_says_goodbye(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], listener: Listener
) -> None:
    """stop() does not wait for data or a ping, and the server sees a normal closure."""
    server = exchange(then(welcome, stay))
    stream = connect(server.port)
    listener.next_announcement()
    started = time.monotonic()
    assert stream.stop(Deadline(DEADLINE))
    assert time.monotonic() - started < 3.0
    assert server.closed.get(timeout=DEADLINE) == 1000
    assert stream.state == "stopped"


def test_a_stop_ends_a_handshake_under_way(connect: Callable[..., TradeStream]) -> None:
    """Waiting for an answer to the handshake is no reason to wait with the stop."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stream = connect(silent.getsockname()[1])
        silent.settimeout(DEADLINE)
        with silent.accept()[0]:
            started = time.monotonic()
            assert stream.stop(Deadline(DEADLINE))
            assert time.monotonic() - started < 3.0


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    key = path.with_suffix(".key")
    command = f"""
        {openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2
        -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {path}
    """
    subprocess.run(
        command.split(),
        check=True,
        capture_output=True,
        timeout=60,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


def test_tls(
    exchange: Callable[..., Exchange],
    connect: Callable[..., TradeStream],
    listener: Listener,
    certificate: Path,
) -> None:
    """Over TLS a burst larger than one record arrives without waiting for more data."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    client_side = ssl.create_default_context(cafile=str(certificate))
    messages = [update(number, padding="x" * 5000) for number in range(50)]
    server = exchange(then(welcome, push(*messages), stay), tls=server_side)
    stream = connect(server.port, tls=client_side)
    assert [listener.next_update() for _ in range(50)] == [f"e-{n}" for n in range(50)]
    assert stream.stop(Deadline(DEADLINE))
    assert server.closed.get(timeout=DEADLINE) == 1000


def test_a_certificate_that_is_not_trusted_is_no_connection(
    exchange: Callable[..., Exchange], connect: Callable[..., TradeStream], certificate: Path
) -> None:
    """The keys are not sent to a stranger."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    server = exchange(stay, tls=server_side)
    stream = connect(server.port, tls=ssl.create_default_context())
    assert eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in stream.state)
    assert server.requests == 0


def test_the_secret_is_in_no_log(
    exchange: Callable[..., Exchange],
    connect: Callable[..., TradeStream],
    listener: Listener,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not even at DEBUG, where websockets would log every frame."""
    server = exchange(then(welcome, stay))
    caplog.set_level(logging.DEBUG, logger="solution")
    connect(server.port)
    listener.next_announcement()
    assert "s3cret" not in caplog.text
