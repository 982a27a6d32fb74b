"""The outbox, the two loops around it, and how messages are read."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from paper_exchange.network import sockets
from paper_exchange.network.sockets import Outlet, converse, json_text, read

FAREWELL: Message = {"type": "websocket.send", "text": "too slow"}


class Peer:
    """The other end of a socket: what it says, what it got, and whether it reads."""

    def __init__(self) -> None:
        self.scope: dict[str, object] = {}
        self.says: asyncio.Queue[Message] = asyncio.Queue()
        self.got: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> Message:
        """For the exchange."""
        return await self.says.get()

    async def send(self, message: Message) -> None:
        """For the exchange."""
        await self.reads.wait()
        self.got.put_nowait(message)

    async def close(self, code: int, reason: str) -> None:
        """For the exchange."""
        await self.send({"type": "websocket.close", "code": code, "reason": reason})

    @property
    def socket(self) -> WebSocket:
        """The peer as a socket that has been accepted."""
        return cast("WebSocket", self)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, which comes soon."""

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await work

    asyncio.run(bounded())


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"a":1}', {"a": 1}),
        (b'{"a":1}', {"a": 1}),
        (msgpack.packb({"a": 1}), {"a": 1}),
        (msgpack.packb({n: n for n in "abcdefghijklmnopqrstuvwxyz"})[:9], None),
        (b"\x81\x01\x02", None),
        (b"\x81\x91\x01\x02", None),
        (b"\xff" * 3, None),
        (b"\x01", None),
        (b"", None),
        ("{", None),
    ],
)
def test_read(said: str | bytes, value: object) -> None:
    """Either format is understood in a binary frame; what is neither is None."""
    assert read(said) == value


def test_talk_until_the_client_leaves() -> None:
    """What it says is heard, what waits is sent, and its leaving ends it."""

    async def talk() -> None:
        peer, outlet, heard = Peer(), Outlet(json_text), []
        outlet.push({"n": 1})
        peer.says.put_nowait({"type": "websocket.receive", "text": "hello"})

        def hear(said: str | bytes) -> None:
            heard.append(said)
            outlet.push({"n": 2})

        talk = asyncio.create_task(converse(peer.socket, outlet, hear))
        got = [(await peer.got.get())["text"] for _ in range(2)]
        peer.says.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await talk
        assert (heard, got) == (["hello"], ['{"n":1}', '{"n":2}'])

    run(talk())


def test_hang_up_after_what_waits() -> None:
    """The last words are said before the connection is closed."""

    async def talk() -> None:
        peer, outlet = Peer(), Outlet(json_text)
        outlet.push("bye")
        outlet.hang_up(1000, "done")
        await converse(peer.socket, outlet, lambda _: None)
        assert peer.got.get_nowait()["text"] == '"bye"'
        assert peer.got.get_nowait() == {
            "type": "websocket.close",
            "code": 1000,
            "reason": "done",
        }

    run(talk())


def test_reader_that_is_too_slow() -> None:
    """It is told so as soon as it reads again, and what waited is dropped."""

    async def talk() -> None:
        peer = Peer()
        peer.reads.clear()
        outlet = Outlet(json_text, asyncio.Queue(2), farewell=FAREWELL)
        talk = asyncio.create_task(converse(peer.socket, outlet, lambda _: None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in range(4):
            outlet.push(number)
        peer.reads.set()
        await talk
        assert peer.got.get_nowait() == FAREWELL
        assert peer.got.get_nowait()["code"] == 1008

    run(talk())


def test_reader_that_never_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a moment."""
    monkeypatch.setattr(sockets, "FAREWELL_S", 0.01)

    async def talk() -> None:
        peer = Peer()
        peer.reads.clear()
        outlet = Outlet(json_text, asyncio.Queue(1), farewell=FAREWELL)
        outlet.push(1)
        outlet.push(2)
        await converse(peer.socket, outlet, lambda _: None)
        assert peer.got.empty()

    run(talk())


def test_a_listener_that_fails_is_no_secret() -> None:
    """An error in what hears ends the conversation and surfaces."""

    async def talk() -> None:
        peer = Peer()
        peer.says.put_nowait({"type": "websocket.receive", "text": "x"})

        def hear(_: str | bytes) -> None:
            raise LookupError("defect")

        with pytest.raises(LookupError, match="defect"):
            await converse(peer.socket, Outlet(json_text), hear)

    run(talk())
