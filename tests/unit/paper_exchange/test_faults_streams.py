"""What rules do to messages on their way to one client, without a socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from paper_exchange.faults.rules import Faults
from paper_exchange.faults.spec import parse_text
from paper_exchange.live.faults import StreamFaults
from paper_exchange.live.messages import DataMessage
from paper_exchange.network.sockets import HANG_UP, Outlet, json_text


def trade(number: int, symbol: str = "KO") -> DataMessage:
    """A market data message, known by its price."""
    return DataMessage("trades", symbol, {"T": "t", "S": symbol, "p": number}, 0)


CONTROL = {"T": "success", "msg": "authenticated", "p": 0}


def encode(payload: object) -> Message:
    """An array, as all market data."""
    return json_text([payload.row if isinstance(payload, DataMessage) else payload])


class Wire:
    """An outlet of the market data stream behind the rules, and what has left it."""

    def __init__(self, *rules: str) -> None:
        self.faults = Faults(1, [parse_text(f"data: {text}") for text in rules])
        self.outlet = Outlet(encode)
        streams = StreamFaults(self.faults)
        agent = {"user-agent": "APCA-PY/0.44.0"}
        self.outlet.tamper = streams.tamper("data", self.outlet, agent, lambda: "k")

    def push(self, *numbers: int) -> None:
        """Send trades with these prices."""
        for number in numbers:
            self.outlet.push(trade(number))

    @property
    def left(self) -> list[object]:
        """The prices that have been sent, or the end of the connection."""
        return [
            _known_by(self.outlet.outbox.get_nowait()) for _ in range(self.outlet.outbox.qsize())
        ]


def _known_by(message: Message) -> object:
    if message is HANG_UP:
        return "reset"
    if message["type"] == "websocket.close":
        return message["code"]
    return json.loads(message["text"])[0]["p"]


def on_a_loop(scene: Callable[[], Awaitable[object]]) -> object:
    """Timers need a running loop."""
    return asyncio.run(_run(scene))


async def _run(scene: Callable[[], Awaitable[object]]) -> object:
    return await asyncio.wait_for(scene(), 5)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("drop next=1", [0, 2, 3]),
        ("drop event=q", [0, 1, 2, 3]),
        ("drop symbol=NVDA", [0, 1, 2, 3]),
        ("drop key=k client=APCA symbol=KO event=t", [0]),
        ("duplicate skip=1 next=1", [0, 1, 2, 2, 3]),
        ("reorder next=1", [0, 2, 1, 3]),
        ("reorder", [0, 2, 1]),
        ("silence skip=1", [0, 1]),
        ("disconnect skip=1", [0, 1, 1011]),
        ("disconnect when=after code=4000", [0, 1, 4000]),
        ("disconnect when=after how=reset", [0, 1, "reset"]),
    ],
)
def test_market_data(rule: str, left: list[object]) -> None:
    """Of a control message and three trades."""

    async def scene() -> list[object]:
        wire = Wire(rule)
        wire.outlet.push(CONTROL)
        wire.push(1, 2, 3)
        return wire.left

    assert on_a_loop(scene) == left


def test_falsy_without_rules() -> None:
    """Without rules a message goes straight to the outbox; a rule added later counts."""

    async def scene() -> None:
        wire = Wire()
        assert not wire.outlet.tamper
        wire.faults.add(parse_text("data: reorder next=1"))
        wire.push(1)
        wire.faults.clear()
        assert wire.outlet.tamper  # something is still held back
        wire.push(2)
        assert wire.left == [2, 1]
        assert not wire.outlet.tamper

    on_a_loop(scene)


def test_delayed_messages_keep_their_order() -> None:
    """What comes after a delayed message waits behind it, answers included."""

    async def scene() -> None:
        wire = Wire("delay ms=20 next=1", "delay ms=1 next=1")
        wire.push(1, 2, 3)
        wire.outlet.push(CONTROL)
        assert wire.left == []
        got = [_known_by(await wire.outlet.outbox.get()) for _ in range(4)]
        assert got == [1, 2, 3, 0]
        wire.push(4)
        assert wire.left == [4]

    on_a_loop(scene)


def test_each_reordered_message_waits_its_own_time() -> None:
    """The timer of the one before it does not let it go early."""

    async def scene() -> None:
        wire = Wire("reorder ms=40 next=1", "reorder ms=500 next=1")
        wire.push(1, 2, 3)
        assert wire.left == [2, 1]
        await asyncio.sleep(0.06)
        assert wire.left == []
        wire.push(4)
        assert wire.left == [4, 3]

    on_a_loop(scene)


def test_a_disconnect_sends_what_was_delayed_first() -> None:
    """A close comes after what was said before it."""

    async def scene() -> None:
        wire = Wire("delay ms=500 next=1", "disconnect")
        wire.push(1, 2, 3)
        wire.outlet.push(CONTROL)
        assert wire.left == [1, 1011]

    on_a_loop(scene)


def test_silence_ends_with_its_time() -> None:
    """What was swallowed does not come back."""

    async def scene() -> None:
        wire = Wire("silence ms=10 next=1")
        wire.push(1, 2)
        wire.outlet.push(CONTROL)
        await asyncio.sleep(0.02)
        wire.push(3)
        assert wire.left == [3]

    on_a_loop(scene)


def test_refusals() -> None:
    """By place and User-Agent, before anything is known of the client."""
    streams = StreamFaults(Faults(1, [parse_text("stream: refuse status=503 client=PY next=1")]))
    scope = {"headers": [(b"user-agent", b"APCA-PY")]}
    assert streams.refuses("data", scope) is None
    assert streams.refuses("stream", {"headers": []}) is None
    assert streams.refuses("stream", scope) == 503
    assert streams.refuses("stream", scope) is None
