"""The conversation and the routing of trade_updates, without a socket."""

import asyncio
import json
from collections.abc import Mapping

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import pytest

from paper_exchange.books.accounts import Account
from paper_exchange.live import trade_updates as streams
from paper_exchange.live.trade_updates import Conversation
from paper_exchange.network.connections import Arrival
from paper_exchange.network.sockets import Outlet, json_binary
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
        {"action": "auth"},
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


def test_names_that_are_no_names(conversation: Conversation) -> None:
    """Whatever stands in the list of streams, the answer lists the known ones, each once."""
    say(conversation, {"action": "auth", "key": "key", "secret": "s"})
    names = [["trade_updates"], None, 7, {"a": 1}, "trade_updates", "trade_updates"]
    answer = say(conversation, {"action": "listen", "data": {"streams": names}})
    assert answer == {"streams": ["trade_updates"]}


def test_a_failed_second_login_changes_nothing(conversation: Conversation, world: World) -> None:
    """It is answered as unauthorized, and the stream goes on."""
    say(conversation, {"action": "auth", "key": "key", "secret": "s"})
    again = say(conversation, {"action": "auth", "key": "key", "secret": "wrong"})
    assert again["status"] == UNAUTHORIZED
    assert conversation.account is world.account
    assert say(conversation, LISTEN) == {"streams": ["trade_updates"]}


def test_messages_in_msgpack(conversation: Conversation) -> None:
    """A client that asked for MessagePack may also speak it."""
    login = {"action": "authenticate", "data": {"key_id": "key", "secret_key": "s"}}
    (answer,) = conversation.receive(msgpack.packb(login))
    assert answer["data"] == {"status": "authorized", "action": "authenticate"}


def test_no_room(world: World) -> None:
    """The connection beyond the limit is refused and ended."""
    conversation = Conversation(lambda _key, _secret: world.account, lambda _account: False)
    answer = say(conversation, {"action": "auth", "key": "key", "secret": "s"})
    assert (answer["status"], answer["message"]) == (UNAUTHORIZED, "connection limit exceeded")
    assert conversation.over
    assert conversation.account is None


def test_room_is_counted_per_account(world: World) -> None:
    """One account's connections do not use up another one's room."""
    hub = streams.TradeUpdates(lambda key, _: world.open_account(key), connections_each=1)
    login = {"action": "auth", "key": "key", "secret": "s"}
    first, second = (Conversation(hub._authenticate, hub._has_room) for _ in range(2))
    hub._clients = {Outlet(json_binary): first, Outlet(json_binary): second}
    assert say(first, login)["status"] == "authorized"
    assert say(first, login)["status"] == "authorized"
    assert say(second, login)["status"] == UNAUTHORIZED
    assert say(second, {**login, "key": "other"})["status"] == "authorized"


def test_who_is_connected(world: World) -> None:
    """With account and streams once they are known."""
    hub = streams.TradeUpdates(lambda _key, _secret: world.account)
    for number in range(2):
        outlet = Outlet(json_binary)
        hub._clients[outlet] = Conversation(hub._authenticate)
        hub._arrivals[outlet] = Arrival(number, 0, "agent")
    first = next(iter(hub._clients.values()))
    first.account, first.streams = world.account, ("trade_updates",)
    assert [(one.arrival.number, one.account_id, one.subjects) for one in hub.connected()] == [
        (0, world.account.id, ("trade_updates",)),
        (1, None, ()),
    ]


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
