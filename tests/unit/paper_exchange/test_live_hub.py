"""The market data websockets as ASGI sees them, on a clock that stands still until it is moved."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import pytest
from starlette.types import Message

from paper_exchange.app import App
from paper_exchange.clock import ManualClock, to_datetime
from paper_exchange.instants import parse_time
from paper_exchange.live.conversation import Conversation
from paper_exchange.live.hub import DataStreams
from paper_exchange.live.messages import JSON
from paper_exchange.live.publisher import Publisher
from paper_exchange.network.connections import Arrival
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.conftest import NOON

KEYS = [(b"apca-api-key-id", b"k"), (b"apca-api-secret-key", b"s")]
PACKED = (b"content-type", b"application/msgpack")
QUOTES = {"action": "subscribe", "quotes": ["KO"]}


class Client:
    """A websocket client without a network."""

    def __init__(self, app: App, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        self._says: asyncio.Queue[Message] = asyncio.Queue()
        self._got: asyncio.Queue[Message] = asyncio.Queue()
        self._packed = PACKED in headers
        scope = {
            "type": "websocket",
            "path": path,
            "headers": headers,
            "query_string": b"",
            "scheme": "ws",
            "server": ("127.0.0.1", 80),
        }
        self._says.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(scope, self._says.get, self._put))

    async def _put(self, message: Any) -> None:
        self._got.put_nowait(message)

    async def frame(self) -> Message:
        """The next thing the exchange does."""
        return await self._got.get()

    async def hear(self) -> list[dict[str, Any]]:
        """The messages of the next frame."""
        frame = await self.frame()
        assert frame["type"] == "websocket.send", frame
        content = msgpack.unpackb(frame["bytes"]) if self._packed else json.loads(frame["text"])
        assert isinstance(content, list)
        return content

    def say(self, message: object) -> None:
        """Send a message in this client's format."""
        form = {"bytes": msgpack.packb(message)} if self._packed else {"text": json.dumps(message)}
        self._says.put_nowait({"type": "websocket.receive", **form})

    async def ask(self, message: object) -> dict[str, Any]:
        """The single answer to a message."""
        self.say(message)
        (answer,) = await self.hear()
        return answer

    async def leave(self) -> None:
        """Go."""
        self._says.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.task

    @property
    def silent(self) -> bool:
        """Whether nothing waits to be read."""
        return self._got.empty()


class Stage:
    """An exchange whose feeds run, and its clock."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(NOON)
        self.app = App(Settings(seed=1, **settings), clock=self.clock)
        self.live = self.app.live

    async def connect(
        self, path: str = "/v2/iex", headers: list[tuple[bytes, bytes]] | None = None
    ) -> Client:
        """A client that has been greeted (and authenticated, with the default headers)."""
        client = Client(self.app, path, KEYS if headers is None else headers)
        assert (await client.frame())["type"] == "websocket.accept"
        assert await client.hear() == [{"T": "success", "msg": "connected"}]
        if headers is None or KEYS[0] in headers:
            assert await client.hear() == [{"T": "success", "msg": "authenticated"}]
        return client

    def step(self, seconds: float) -> None:
        """Move the clock as an administrator does."""
        self.clock.advance(seconds)
        self.live.look()


def play(scene: Callable[[Stage], Awaitable[None]], **settings: Any) -> None:
    """Run a scene while the feeds run; it ends within seconds or fails."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            stage = Stage(**settings)
            stage.live.start()
            try:
                await scene(stage)
            finally:
                await stage.live.stop()

    asyncio.run(bounded())


def test_who_is_connected() -> None:
    """With account and subjects once they are known, until the client leaves."""

    async def scene(stage: Stage) -> None:
        first, second = await stage.connect(), await stage.connect("/v2/sip", headers=[])
        await first.ask({"action": "subscribe", "bars": ["KO", "F"], "statuses": []})
        shown = [
            (one.endpoint, bool(one.account_id), one.subjects) for one in stage.live.connected()
        ]
        assert shown == [("data iex", True, ("bars: KO F",)), ("data sip", False, ())]
        await first.leave()
        await second.leave()
        assert not list(stage.live.connected())

    play(scene)


def test_a_moved_clock_is_told_at_once() -> None:
    """Each step brings the tick at which the clock stands then."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        assert (await client.ask({**QUOTES, "trades": ["KO", "NOPE"]}))["T"] == "subscription"
        first = await client.hear()
        assert [one["T"] for one in first] == ["t", "q"]
        stage.step(3600)
        later = [one for one in await client.hear() if one["T"] == "q"]
        assert [one["t"] for one in later] == ["2026-11-20T18:00:00Z"]
        await client.leave()
        assert not list(stage.live.connected())

    play(scene)


def test_a_step_right_after_the_answer_loses_no_bar() -> None:
    """Whoever has been told of its subscription hears of every minute that ends from then on.

    The clock is moved before the feeds have had a turn since.
    """

    async def scene(stage: Stage) -> None:
        station = stage.live._by_path["/v2/iex"]
        client = station.join(JSON, lambda: None, Arrival(1, 0, ""))
        client.greet(("k", "s"))
        client.hear('{"action":"subscribe","bars":["KO"]}')
        said = client.outlet.outbox.qsize()
        stage.clock.advance(60)
        list(station.publish(stage.clock.now_ns()))
        assert client.outlet.outbox.qsize() == said + 1
        station.leave(client)

    play(scene)


def test_each_client_in_its_own_codec() -> None:
    """The same quote, as text and as msgpack with a timestamp."""

    async def scene(stage: Stage) -> None:
        text = await stage.connect()
        binary = await stage.connect(headers=[*KEYS, PACKED])
        await text.ask(QUOTES)
        (alone,) = await text.hear()
        await binary.ask({"action": "subscribe", "quotes": ["*"]})
        stage.step(0.25)
        (plain,) = await text.hear()
        everything: list[dict[str, Any]] = []
        while not any(one["S"] == "KO" and one["bp"] == plain["bp"] for one in everything):
            everything += await binary.hear()
        assert parse_time(plain["t"]) > parse_time(alone["t"])
        assert all(isinstance(one["t"], msgpack.Timestamp) for one in everything)
        await text.leave()
        await binary.leave()

    play(scene)


def test_only_what_is_asked_for() -> None:
    """After an unsubscribe only the rest arrives, and without subscriptions nothing runs."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        await client.ask({"action": "subscribe", "quotes": ["KO", "F"]})
        assert {one["S"] for one in await client.hear()} == {"KO", "F"}
        left = await client.ask({"action": "unsubscribe", "quotes": ["F"]})
        assert left["quotes"] == ["KO"]
        stage.step(1)
        assert {one["S"] for one in await client.hear()} == {"KO"}
        await client.ask({"action": "unsubscribe", "quotes": ["KO"]})
        stage.clock.advance(1)
        assert await stage.live._round() is None
        assert client.silent
        await client.leave()

    play(scene)


def test_unknown_symbols_are_silent() -> None:
    """They are echoed, and wake nobody up."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        answer = await client.ask({"action": "subscribe", "trades": ["NOPE", "BTC/USD", "TWTR"]})
        assert answer["trades"] == ["NOPE", "BTC/USD", "TWTR"]
        assert await stage.live._round() is None
        await client.leave()

    play(scene)


@pytest.mark.parametrize("path", ["/v1beta3/crypto/us", "/v1beta1/crypto", "/v1beta2/crypto/"])
def test_crypto_and_its_older_paths(path: str) -> None:
    """All of them have order books."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect(path)
        await client.ask({"action": "subscribe", "orderbooks": ["BTC/USD"]})
        (book,) = await client.hear()
        assert book["b"][0]["p"] < book["a"][0]["p"]
        await client.leave()

    play(scene)


def test_the_test_symbol_always_moves() -> None:
    """Even on an exchange whose prices stand still and whose doors are shut."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect("/v2/test")
        await client.ask({"action": "subscribe", "quotes": ["FAKEPACA"]})
        prices = []
        for _ in range(20):
            prices.append((await client.hear())[0]["bp"])
            stage.step(10)
        assert len(set(prices)) > 10
        assert stage.app.exchange.assets.find("FAKEPACA") is None
        await client.leave()

    play(scene, volatility=0.0, session="nyse", data_feeds=())


def test_the_delayed_feed_is_late() -> None:
    """By fifteen minutes, with the prices of then."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect("/v2/delayed_sip")
        await client.ask(QUOTES)
        (quote,) = await client.hear()
        assert quote["t"] == "2026-11-20T16:45:00Z"
        now = stage.clock.now_ns()
        assert stage.app.exchange.market.quote("KO", now).at_ns == now
        await client.leave()

    play(scene)


def test_who_does_not_authenticate_in_time_is_shown_out() -> None:
    """With 404, and the connection is closed."""

    async def scene(stage: Stage) -> None:
        stage.app.live = DataStreams(
            stage.app.exchange, stage.app.desk.authenticate, auth_within=0.01
        )
        client = await stage.connect(headers=[])
        assert await client.hear() == [{"T": "error", "code": 404, "msg": "auth timeout"}]
        assert (await client.frame())["type"] == "websocket.close"
        await client.task
        assert not list(stage.app.live.connected())

    play(scene)


def test_the_new_connection_is_refused() -> None:
    """The limit counts per account and feed, and a place that is left is free again."""

    async def scene(stage: Stage) -> None:
        first = await stage.connect()
        elsewhere = await stage.connect("/v2/sip")
        second = await stage.connect(headers=[])
        refusal = await second.ask({"action": "auth", "key": "k", "secret": "s"})
        assert refusal == {"T": "error", "code": 406, "msg": "connection limit exceeded"}
        assert (await second.frame())["type"] == "websocket.close"
        await second.task
        await first.leave()
        third = await stage.connect()
        await third.leave()
        await elsewhere.leave()

    play(scene, data_connections=1)


def test_a_feed_that_is_not_open() -> None:
    """409 for whoever authenticates there."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect("/v2/sip", headers=[])
        refusal = await client.ask({"action": "auth", "key": "k", "secret": "s"})
        assert (refusal["code"], refusal["msg"]) == (409, "insufficient subscription")
        assert (await client.frame())["type"] == "websocket.close"
        await client.task

    play(scene, data_feeds=("iex",))


def test_a_defect_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500, and the connection goes on."""

    def fail(_: Conversation, __: object) -> None:
        raise LookupError("defect")

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        with monkeypatch.context() as patch:
            patch.setattr(Conversation, "receive", fail)
            assert (await client.ask(QUOTES))["code"] == 500
        assert (await client.ask(QUOTES))["T"] == "subscription"
        await client.leave()

    play(scene)
    assert [record.message for record in caplog.records] == ["data_message_failed"]


def test_one_bad_round_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged, and the next step is told again."""

    def fail(*_: object) -> None:
        raise LookupError("defect")

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        with monkeypatch.context() as patch:
            patch.setattr(Publisher, "due", fail)
            await client.ask(QUOTES)
            with pytest.raises(LookupError):
                await stage.live._round()
        stage.step(1)
        assert (await client.hear())[0]["T"] == "q"
        await client.leave()

    with caplog.at_level(logging.ERROR):
        play(scene)
    assert {record.message for record in caplog.records} == {"publishing_failed"}


def test_slow_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """407 to whoever falls too far behind."""
    monkeypatch.setattr("paper_exchange.live.station.BACKLOG", 2)

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        await client.ask(QUOTES)
        await client.hear()
        for _ in range(4):
            # Rounds that leave the sender no time to send.
            stage.clock.advance(1)
            for station in stage.live._stations:
                list(station.publish(stage.clock.now_ns()))
        assert await client.hear() == [{"T": "error", "code": 407, "msg": "slow client"}]
        assert (await client.frame())["code"] == 1008
        await client.task

    play(scene)


def test_pauses_follow_the_ticks() -> None:
    """The next round comes just after the next tick, by the exchange's clock."""

    async def scene(stage: Stage) -> None:
        client = await stage.connect()
        await client.ask(QUOTES)
        await client.hear()
        stage.clock.advance(0.1)
        assert await stage.live._round() == 151_000_000
        stage.clock.ns = stage.clock.ns // 250_000_000 * 250_000_000 + 249_999_000
        # Just behind the tick; real rounds are never closer than a fiftieth of a second.
        assert await stage.live._round() == 1_001_000
        await client.leave()

    play(scene)
    assert to_datetime(ManualClock(NOON).ns) == NOON
