"""The conversation and the routing of trade_updates, without a socket."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from paper_exchange import streams
from paper_exchange.accounts import Account
from paper_exchange.sockets import Outlet, json_binary
from paper_exchange.streams import Conversation
from tests.unit.paper_exchange.conftest import World

LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
UNAUTHORIZED = "unauthorized"


def say(conversation: Conversation, message: object) -> Mapping[str, object]:
    """The single answer's data."""
    (answer,) = conversation.receive(json.dumps(message))
    data = answer["data"]
    assert isinstance(data, dict)
    return data


@pytest.fixture
def conversation(world: World) -> Conversation:
    """A fresh conversation that knows one pair."""

    def authenticate(key: str, secret: str) -> Account | None:
        return world.account if (key, secret) == ("key", "s") else None

    return Conversation(authenticate)


def test_authenticate_then_listen(conversation: Conversation) -> None:
    """The documented order works."""
    login = {"action": "authenticate", "data": {"key_id": "key", "secret_key": "s"}}
    assert say(conversation, login) == {"status": "authorized", "action": "authenticate"}
    assert say(conversation, LISTEN) == {"streams": ["trade_updates"]}
    assert say(conversation, {"action": "listen", "data": {"streams": ["x"]}}) == {"streams": []}
    assert say(conversation, {"action": "listen"}) == {"streams": []}


@pytest.mark.parametrize(
    "message",
    [
        LISTEN,
        {"action": "auth", "key": "key", "secret": "wrong"},
        {"action": "auth", "key": 1},
        {"action": "dance"},
        {"action": "authenticate", "data": ["key"]},
        [],
        7,
    ],
)
def test_not_authorized(conversation: Conversation, message: object) -> None:
    """Everything else is answered, never with an exception."""
    assert say(conversation, message)["status"] == UNAUTHORIZED
    assert conversation.account is None


def test_noise(conversation: Conversation) -> None:
    """Bytes that are not JSON are answered as unauthorized."""
    (answer,) = conversation.receive(b"\x01")
    assert answer["stream"] == "authorization"


def test_slow_reader_is_cut_off(world: World, conversation: Conversation) -> None:
    """A full backlog marks the reader instead of blocking or growing."""

    async def flood() -> Outlet:
        hub = streams.TradeUpdates(lambda _key, _secret: world.account)
        outlet = Outlet(json_binary, outbox=asyncio.Queue(2))
        hub._clients[outlet] = conversation
        conversation.account, conversation.streams = world.account, ("trade_updates",)
        world.engine.floor.sink = hub.publish
        world.send()
        world.send()
        return outlet

    outlet = asyncio.run(flood())
    assert outlet.too_slow
    assert outlet.outbox.qsize() == 2
