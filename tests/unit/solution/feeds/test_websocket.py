"""The one-thread websocket client against bare sockets."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI, parse_uri

from solution.feeds import websocket
from solution.feeds.websocket import Connection, ConnectionDown, Interrupted, Wakeup

DEADLINE = 10.0


def frame(data: bytes, *, fin: bool = True, opcode: Opcode = Opcode.BINARY) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


class Peer:
    """A server for one connection that sends the bytes it is told to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        self.uri: WebSocketURI = parse_uri(f"ws://127.0.0.1:{self.listener.getsockname()[1]}/x")
        self.sock: socket.socket | None = None

    def accept(self, extra: bytes = b"") -> None:
        """Shake hands, and send ``extra`` in the same packet."""
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(DEADLINE)
        protocol = ServerProtocol()
        protocol.receive_data(self.sock.recv(65536))
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        self.sock.sendall(b"".join(protocol.data_to_send()) + extra)

    def send(self, data: bytes) -> None:
        assert self.sock is not None
        self.sock.sendall(data)

    def hang_up(self) -> None:
        assert self.sock is not None
        self.sock.close()

    def close(self) -> None:
        self.listener.close()
        if self.sock is not None:
            self.sock.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    one = Wakeup()
    one.open()
    yield one
    one.close()


@pytest.fixture
def connect(peer: Peer, wakeup: Wakeup) -> Iterator[Callable[..., Connection]]:
    """Open connections to the peer; all are closed with the test."""
    with ExitStack() as stack:

        def make(extra: bytes = b"", uri: WebSocketURI | None = None) -> Connection:
            acceptor = threading.Thread(target=peer.accept, args=(extra,))
            acceptor.start()
            connection = Connection.open(uri or peer.uri, seconds=DEADLINE, wakeup=wakeup, tls=None)
            acceptor.join(DEADLINE)
            stack.callback(connection.close)
            return connection

        yield make


def test_messages_that_come_with_the_handshake_are_not_lost(
    connect: Callable[..., Connection],
) -> None:
    """A server may send before we have said anything."""
    connection = connect(frame(b"one") + frame(b"two"))
    assert connection.receive(0) == [b"one", b"two"]


def test_nothing_in_time_is_an_empty_list(connect: Callable[..., Connection]) -> None:
    """A wait that ends without data is no error."""
    assert connect().receive(0) == []


def test_a_wakeup_ends_the_wait(connect: Callable[..., Connection], wakeup: Wakeup) -> None:
    """An hour's wait returns at once."""
    connection = connect()
    wakeup.set()
    assert connection.receive(3600) == []


def test_fragments_become_one_message(connect: Callable[..., Connection], peer: Peer) -> None:
    """Also when a ping comes between them, which is answered."""
    connection = connect()
    peer.send(frame(b"ab", fin=False))
    peer.send(frame(b"?", opcode=Opcode.PING) + frame(b"c", fin=False, opcode=Opcode.CONT))
    peer.send(frame(b"d", opcode=Opcode.CONT) + frame(b"e"))
    messages: list[bytes] = []
    while len(messages) < 2:
        messages += connection.receive(DEADLINE)
    assert messages == [b"abcd", b"e"]
    assert peer.sock is not None
    assert peer.sock.recv(100)[0] & 0x0F == Opcode.PONG


def test_messages_before_a_hang_up_come_first(
    connect: Callable[..., Connection], peer: Peer
) -> None:
    """The loss is raised after what was received, and by everything else from then on."""
    connection = connect()
    peer.send(frame(b"last"))
    peer.hang_up()
    assert connection.receive(DEADLINE) == [b"last"]
    with pytest.raises(ConnectionDown, match="hung up"):
        connection.receive(DEADLINE) or connection.receive(DEADLINE)
    with pytest.raises(ConnectionDown):
        connection.send(b"text")
    with pytest.raises(ConnectionDown):
        connection.ping()


def test_a_close_frame_gives_its_code(connect: Callable[..., Connection], peer: Peer) -> None:
    """Messages beside it count; the code is in the error."""
    connection = connect()
    peer.send(frame(b"last") + frame(b"\x0f\xa8slow", opcode=Opcode.CLOSE))
    assert connection.receive(DEADLINE) == [b"last"]
    with pytest.raises(ConnectionDown, match="closed by the server: 4008 slow") as caught:
        connection.receive(DEADLINE)
    assert caught.value.code == 4008


def test_a_broken_frame_is_our_close(connect: Callable[..., Connection], peer: Peer) -> None:
    """What breaks the protocol ends the connection with 1002."""
    connection = connect()
    peer.send(b"\xff\xff\xff\xff")
    assert connection.receive(DEADLINE) == []
    with pytest.raises(ConnectionDown, match="closed by us: 1002") as caught:
        connection.receive(DEADLINE)
    assert caught.value.code == 1002


def test_a_reset_is_a_loss(connect: Callable[..., Connection], peer: Peer) -> None:
    """RST instead of FIN."""
    connection = connect()
    assert peer.sock is not None
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.hang_up()
    assert connection.receive(DEADLINE) == []
    with pytest.raises(ConnectionDown, match="connection lost"):
        connection.receive(DEADLINE)


def test_a_server_that_does_not_read_is_given_up(
    connect: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write waits for room, but not for ever."""
    monkeypatch.setattr(websocket, "_WRITE_SECONDS", 0.05)
    connection = connect()
    with pytest.raises(ConnectionDown, match="timed out"):
        connection.send(b"x" * 50_000_000)


def test_a_stop_ends_a_write(connect: Callable[..., Connection], wakeup: Wakeup) -> None:
    """The wake-up reaches a write that waits for room."""
    connection = connect()
    wakeup.set()
    with pytest.raises(Interrupted):
        connection.send(b"x" * 50_000_000)


def test_a_write_into_a_lost_connection_fails(
    connect: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the socket becomes ours."""
    connection = connect()
    connection._sock.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionDown, match="connection lost"):
        connection.ping()
    connection.close()
    connection.close()


def test_a_ping_that_cannot_be_answered_is_a_loss(
    connect: Callable[..., Connection], peer: Peer
) -> None:
    """The message beside the ping still counts."""
    connection = connect()
    connection._sock.shutdown(socket.SHUT_WR)
    peer.send(frame(b"last") + frame(b"?", opcode=Opcode.PING))
    assert connection.receive(DEADLINE) == [b"last"]
    with pytest.raises(ConnectionDown, match="connection lost"):
        connection.receive(DEADLINE)


def address(port: int) -> tuple[object, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


def test_the_next_address_is_tried(
    connect: Callable[..., Connection], peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one of a name's addresses refuses, another may accept."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        refusing = free.getsockname()[1]
    addresses = [address(refusing), address(peer.uri.port)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    assert connect(frame(b"here")).receive(DEADLINE) == [b"here"]


def test_no_address_is_no_connection(wakeup: Wakeup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without addresses."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(ConnectionDown, match="has no address"):
        Connection.open(parse_uri("ws://nobody/x"), seconds=1, wakeup=wakeup, tls=None)


def test_an_unknown_name_is_no_connection(wakeup: Wakeup, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's error becomes ours."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionDown, match="Name or service not known"):
        Connection.open(parse_uri("ws://nobody/x"), seconds=1, wakeup=wakeup, tls=None)


@pytest.mark.parametrize("reset", [True, False])
def test_a_hang_up_during_the_handshake_is_no_connection(
    peer: Peer, wakeup: Wakeup, reset: bool
) -> None:
    """FIN or RST instead of an answer."""

    def hang_up() -> None:
        sock, _ = peer.listener.accept()
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([reset, 0, 0, 0]) + bytes(4))
        sock.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(ConnectionDown):
        Connection.open(peer.uri, seconds=DEADLINE, wakeup=wakeup, tls=None)
    thread.join(DEADLINE)


def test_a_set_wakeup_makes_no_connection(peer: Peer, wakeup: Wakeup) -> None:
    """A stop before or during the connect ends it."""
    wakeup.set()
    with pytest.raises(Interrupted):
        Connection.open(peer.uri, seconds=DEADLINE, wakeup=wakeup, tls=None)


def test_a_wakeup_may_be_used_in_any_order() -> None:
    """Set before it is open, set far too often, opened and closed twice."""
    wakeup = Wakeup()
    wakeup.set()
    assert wakeup.fileno() == -1
    wakeup.open()
    wakeup.open()
    for _ in range(10_000):
        wakeup.set()
    wakeup.close()
    wakeup.close()
    wakeup.set()
    assert wakeup.fileno() == -1


def test_frames_are_never_logged() -> None:
    """One of them carries the secret; websockets would log it where DEBUG is on."""
    assert not logging.getLogger("solution.feeds.websocket.wire").isEnabledFor(logging.DEBUG)
