"""The stream's thread, one step at a time, over a connection that the test plays."""

import ssl
from collections import deque
from typing import Any

import orjson
import pytest

from solution.errors import ConfigError
from solution.feeds.trade_stream import StreamPolicy, TradeStream
from solution.feeds.trade_updates import TradeUpdates, Update
from solution.feeds.websocket import Connection, ConnectionDown, HandshakeRefused, Interrupted
from tests.helpers.clocks import ManualClock

AUTHORIZED = orjson.dumps({"stream": "authorization", "data": {"status": "authorized"}})
UNAUTHORIZED = orjson.dumps({"stream": "authorization", "data": {"status": "unauthorized"}})
LISTENING = orjson.dumps({"stream": "listening", "data": {"streams": ["trade_updates"]}})
NOT_LISTENING = orjson.dumps({"stream": "listening", "data": {"streams": []}})


def update(number: int) -> bytes:
    data = {"event": "fill", "execution_id": f"e-{number}", "order": {"id": "o-1"}}
    return orjson.dumps({"stream": "trade_updates", "data": data})


class FakeConnection:
    """Hands out what the test put in: messages, or an exception; an empty script is silence."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.heard_at = clock.monotonic()
        self.script: deque[list[bytes] | Exception] = deque()
        self.sent: list[dict[str, Any]] = []
        self.pings = 0
        self.closed = False

    def receive(self, seconds: float) -> list[bytes]:
        if not self.script:
            self.clock.advance(max(0.0, seconds))
            return []
        self.heard_at = self.clock.monotonic()
        item = self.script.popleft()
        if isinstance(item, Exception):
            raise item
        return item

    def send(self, text: bytes) -> None:
        self.sent.append(orjson.loads(text))

    def ping(self) -> None:
        self.pings += 1

    def close(self) -> None:
        self.closed = True


class World:
    """A stream, the connections it will be given, and what its handlers saw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, url: str = "ws://127.0.0.1/stream") -> None:
        self.clock = ManualClock()
        self.offers: deque[FakeConnection | Exception] = deque()
        self.seen: list[list[str]] = []
        self.announced = 0
        self.failing = ""
        self.opened: list[dict[str, Any]] = []
        monkeypatch.setattr(Connection, "open", self.open)
        self.stream = TradeStream(
            url,
            TradeUpdates("key", "s3cret"),
            on_updates=self.on_updates,
            on_connected=self.on_connected,
            policy=StreamPolicy(draw=lambda: 1.0),
            clock=self.clock,
        )

    def open(self, *_: Any, **options: Any) -> FakeConnection:
        self.opened.append(options)
        offer = self.offers.popleft()
        if isinstance(offer, Exception):
            raise offer
        offer.heard_at = self.clock.monotonic()
        return offer

    def on_updates(self, updates: list[Update]) -> None:
        names = [update.execution_id for update in updates]
        self.seen.append(names)
        if self.failing in names:
            raise ValueError("a handler's bug")

    def on_connected(self) -> None:
        self.announced += 1
        if self.failing == "on_connected":
            raise ValueError("a handler's bug")

    def connection(self, *script: list[bytes] | Exception) -> FakeConnection:
        """Offer a connection that authorizes, listens, and then does as told."""
        offered = FakeConnection(self.clock)
        offered.script.extend([[AUTHORIZED], [LISTENING], *script])
        self.offers.append(offered)
        return offered

    def steps(self, count: int) -> list[float]:
        return [self.stream.step() for _ in range(count)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.mark.parametrize("url", ["https://x/stream", "nonsense", "ws://", "ws://x:port/"])
def test_a_wrong_address_stops_the_start(url: str) -> None:
    """The setting is judged before a thread starts, and not repeated in the error."""
    with pytest.raises(ConfigError) as caught:
        TradeStream(
            url,
            TradeUpdates("key", "secret"),
            on_updates=lambda _: None,
            on_connected=lambda: None,
        )
    assert "ws:// or wss://" in str(caught.value)


def test_connecting_authenticates_listens_and_announces(world: World) -> None:
    """Two messages out, and only then is the stream connected and on_connected called."""
    connection = world.connection()
    assert (world.stream.state, world.stream.connected) == ("not started", False)
    world.steps(2)
    assert (world.stream.state, world.announced) == ("authenticating", 0)
    world.steps(1)
    assert [message["action"] for message in connection.sent] == ["authenticate", "listen"]
    assert (world.stream.state, world.stream.connected) == ("listening", True)
    assert (world.announced, world.stream.reconnects) == (1, 0)


def test_wss_trusts_what_the_system_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The TLS context is made once; a plain address needs none."""
    worlds = [World(monkeypatch, "wss://127.0.0.1/stream"), World(monkeypatch)]
    for world in worlds:
        monkeypatch.setattr(Connection, "open", world.open)
        world.offers.extend([ConnectionDown("refused"), ConnectionDown("refused")])
        world.steps(2)
    secure, plain = [[options["tls"] for options in world.opened] for world in worlds]
    assert secure[0] is secure[1]
    assert secure[0].verify_mode is ssl.CERT_REQUIRED
    assert plain == [None, None]


def test_all_updates_of_one_read_come_in_one_call(world: World) -> None:
    """The handler gets lists, in order."""
    world.connection([update(1), b"garbage", update(2)], [update(3)])
    world.steps(5)
    assert world.seen == [["e-1", "e-2"], ["e-3"]]


def test_an_update_beside_the_confirmation_counts(world: World) -> None:
    """on_connected comes first, then the update that came in the same read."""
    connection = FakeConnection(world.clock)
    connection.script.append([AUTHORIZED, LISTENING, update(1)])
    world.offers.append(connection)
    world.steps(2)
    assert (world.announced, world.seen) == (1, [["e-1"]])


def test_a_failing_handler_costs_one_update(world: World) -> None:
    """The list is handed in one by one after a failure, and the connection stays."""
    connection = world.connection([update(1), update(2), update(3)], [update(4)])
    world.failing = "e-2"
    world.steps(5)
    assert world.seen == [["e-1", "e-2", "e-3"], ["e-1"], ["e-2"], ["e-3"], ["e-4"]]
    assert world.stream.handler_errors == 2
    assert not connection.closed


def test_a_failing_on_connected_costs_no_connection(world: World) -> None:
    """It is logged and counted, and the updates come."""
    world.connection([update(1)])
    world.failing = "on_connected"
    world.steps(4)
    assert (world.stream.handler_errors, world.seen) == (1, [["e-1"]])
    assert world.stream.connected


def test_pauses_double_up_to_eight_seconds(world: World) -> None:
    """0.25 to 8 s between attempts."""
    world.offers.extend(ConnectionDown("refused") for _ in range(8))
    assert world.steps(8) == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert world.stream.state == "waiting 8.0 s: refused"
    assert not world.stream.connected


def test_chance_takes_up_to_half_of_a_pause(world: World) -> None:
    """Many instances that lost the same server do not come back at once."""
    world.stream._policy = StreamPolicy(draw=lambda: 0.0)
    world.offers.extend(ConnectionDown("refused") for _ in range(2))
    assert world.steps(2) == [0.125, 0.25]


def test_a_short_connection_does_not_reset_the_pauses(world: World) -> None:
    """A server that accepts and drops at once is not hammered."""
    for _ in range(3):
        world.connection(ConnectionDown("closed by the server: 1011", 1011))
    pauses = [pause for pause in world.steps(12) if pause]
    assert pauses == [0.25, 0.5, 1.0]
    assert (world.announced, world.stream.reconnects) == (3, 2)


def test_a_healthy_connection_resets_the_pauses(world: World) -> None:
    """After 30 s of listening the first pause is short again."""
    world.offers.extend(ConnectionDown("refused") for _ in range(4))
    world.steps(4)
    world.connection(ConnectionDown("connection lost"))
    world.steps(3)
    world.clock.advance(30.0)
    assert world.steps(1) == [0.25]


@pytest.mark.parametrize(
    ("retry_after", "pauses"),
    [(20.0, [20.0, 20.0]), (None, [5.0, 10.0]), (0.0, [0.25, 0.5])],
)
def test_a_rate_limited_handshake_is_waited_out(
    world: World, retry_after: float | None, pauses: list[float]
) -> None:
    """Retry-After is honoured, without it the pauses are longer, and 0 is no spin."""
    world.offers.extend(HandshakeRefused(429, retry_after) for _ in range(2))
    assert world.steps(2) == pauses


def test_refused_keys_wait_and_show(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An unauthorized answer is an error in the log, and 30 s until the next attempt."""
    connection = FakeConnection(world.clock)
    connection.script.append([UNAUTHORIZED])
    world.offers.append(connection)
    assert world.steps(2) == [0.0, 30.0]
    assert world.stream.state == "refused: the order stream does not accept the key pair"
    assert connection.closed
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_handshake_waits_and_shows(world: World, status: int) -> None:
    """The same for an HTTP answer."""
    world.offers.append(HandshakeRefused(status))
    assert world.steps(1) == [30.0]
    assert world.stream.state.startswith("refused: ")


def test_other_handshake_answers_are_ordinary_failures(world: World) -> None:
    """A 503 is over in a moment."""
    world.offers.append(HandshakeRefused(503))
    assert world.steps(1) == [0.25]


def test_silence_is_pinged_and_then_given_up(world: World) -> None:
    """10 s without data: a ping; 10 s after that: a new connection."""
    connection = world.connection()
    world.steps(3)
    assert world.steps(1) == [0.0]
    assert (connection.pings, world.clock.monotonic()) == (1, 1010.0)
    assert world.steps(1) == [0.25]
    assert (connection.closed, world.clock.monotonic()) == (True, 1020.0)
    assert world.stream.state == "waiting 0.2 s: no answer to a ping for 10 s"


def test_a_silent_connection_delivers_nothing_long_before_it_is_given_up(world: World) -> None:
    """Two seconds after a ping without an answer; any word from the server makes it good again."""
    connection = world.connection()
    assert not world.stream.delivers
    world.steps(4)
    world.clock.advance(1.9)
    assert world.stream.delivers
    world.clock.advance(0.2)
    assert (world.stream.connected, world.stream.delivers) == (True, False)
    connection.script.append([])
    world.steps(1)
    assert world.stream.delivers


def test_an_answered_ping_keeps_the_connection(world: World) -> None:
    """A pong (a read without a message) counts as life, but not as a message."""
    connection = world.connection()
    world.steps(4)
    world.clock.advance(1.0)
    connection.script.append([])
    world.steps(2)
    assert (connection.pings, connection.closed, world.clock.monotonic()) == (2, False, 1021.0)
    assert world.stream.last_message_at == 1000.0
    assert world.stream.age() == 10.0


def test_a_slow_handler_does_not_make_the_connection_look_dead(world: World) -> None:
    """After a minute in a handler the server is asked before it is given up."""
    connection = world.connection()
    world.steps(3)
    world.clock.advance(60.0)
    assert world.steps(1) == [0.0]
    assert (connection.pings, connection.closed) == (1, False)


def test_a_server_that_never_listens_is_given_up(world: World) -> None:
    """Talking without a confirmation is not enough; 10 s after the handshake it ends."""
    connection = FakeConnection(world.clock)
    connection.script.extend([[AUTHORIZED], [NOT_LISTENING]])
    world.offers.append(connection)
    world.steps(3)
    assert world.steps(1) == [0.25]
    assert world.clock.monotonic() == 1010.0
    assert world.announced == 0


def test_a_subscription_that_is_taken_back_is_made_again(world: World) -> None:
    """A server that stops listening later on is left at once."""
    world.connection([NOT_LISTENING])
    world.steps(3)
    world.clock.advance(10.0)
    assert world.steps(1) == [0.25]
    assert not world.stream.connected


def test_before_the_first_data_there_is_no_age(world: World) -> None:
    """None, not a number that looks like health."""
    assert (world.stream.age(), world.stream.last_message_at) == (None, None)


def test_close_code_and_reason_are_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What the server said when it closed stands in the log."""
    world.connection(ConnectionDown("closed by the server: 1012 restart", 1012))
    world.steps(4)
    record = caplog.records[-1]
    assert (record.__dict__["code"], record.__dict__["why"]) == (
        1012,
        "closed by the server: 1012 restart",
    )


def test_a_loss_during_a_stop_is_no_news(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The interruption that a stop causes is not logged as a failure."""
    world.offers.append(Interrupted("interrupted"))
    assert world.steps(1) == [0.0]
    assert caplog.records == []


def test_each_ten_attempts_in_vain_are_told(world: World) -> None:
    """In a row: one that listens begins the count anew, and losing it is no failed attempt."""
    told: list[str] = []
    world.stream.on_failing = told.append
    refused = [ConnectionDown("connection refused")] * 9
    world.offers.extend(refused)
    world.steps(9)
    world.connection(ConnectionDown("closed"))
    world.steps(4)
    world.offers.extend(refused)
    world.steps(9)
    assert told == []
    world.offers.extend([*refused, *refused, ConnectionDown("connection refused")])
    world.steps(19)
    assert told == [
        "10 attempts to reach the order stream: connection refused",
        "20 attempts to reach the order stream: connection refused",
    ]


def test_a_handshake_that_is_limited_is_no_failed_attempt(world: World) -> None:
    """HTTP 429 says that the broker is there; refused keys do count."""
    told: list[str] = []
    world.stream.on_failing = told.append
    limited, refused = HandshakeRefused(429, None), HandshakeRefused(401, None)
    world.offers.extend([*[limited] * 20, *[refused] * 9])
    world.steps(29)
    assert told == []
    world.offers.append(refused)
    world.steps(1)
    assert len(told) == 1


def test_stopping_closes_the_connection(world: World) -> None:
    """on_stop() leaves nothing open, and may find nothing open."""
    connection = world.connection()
    world.steps(3)
    world.stream.on_stop()
    world.stream.on_stop()
    assert connection.closed
    assert (world.stream.state, world.stream.connected) == ("stopped", False)
    world.stream.request_stop()


def test_updates_give_way_before_they_are_passed_on(world: World) -> None:
    """Orders about to leave come first; what only keeps the connection waits for nothing."""
    ways: list[int] = []
    world.stream.give_way = lambda: ways.append(len(world.seen))
    world.connection([update(1)], [update(2)])
    world.steps(5)
    assert world.seen == [["e-1"], ["e-2"]]
    assert ways[-2:] == [0, 1]
