"""What is answered on a market data websocket, without a socket."""

from typing import Any

import pytest

from paper_exchange.books.accounts import Account
from paper_exchange.live.conversation import Answer, Conversation, House
from paper_exchange.live.feeds import CRYPTO, IEX, DataFeed
from tests.unit.paper_exchange.conftest import World

AUTH = {"action": "auth", "key": "key", "secret": "s"}
STOCKS = (
    "trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances",
    "corrections", "cancelErrors",
)  # fmt: skip


@pytest.fixture
def open_to(world: World) -> Any:
    """Begins a conversation with whoever knows the pair key/s."""

    def authenticate(key: str, secret: str) -> Account | None:
        return world.account if (key, secret) == ("key", "s") else None

    def begin(feed: DataFeed = IEX, *, login: bool = True, **house: Any) -> Conversation:
        conversation = Conversation(feed, House(authenticate=authenticate, **house))
        if login:
            assert say(conversation, AUTH) == {"T": "success", "msg": "authenticated"}
        return conversation

    return begin


def say(conversation: Conversation, message: object) -> Answer:
    """The single answer to a message."""
    (answer,) = conversation.receive(message)
    return answer


def code(conversation: Conversation, message: object) -> object:
    """The code of the error that answers a message."""
    answer = say(conversation, message)
    assert answer["T"] == "error"
    assert isinstance(answer["msg"], str)
    return answer["code"]


def lists(**channels: list[str]) -> dict[str, object]:
    """A stock feed's subscription message with these channels filled."""
    return {"T": "subscription", **{name: channels.get(name, []) for name in STOCKS}}


def test_greeting(open_to: Any) -> None:
    """Without credentials in the handshake, only the greeting comes."""
    conversation = open_to(login=False)
    assert conversation.greet(None) == [{"T": "success", "msg": "connected"}]
    assert conversation.account is None


def test_credentials_of_the_handshake(open_to: Any, world: World) -> None:
    """Headers authenticate; a message that tries again is refused, and changes nothing."""
    conversation = open_to(login=False)
    greeting, answer = conversation.greet(("key", "s"))
    assert (greeting["msg"], answer["msg"]) == ("connected", "authenticated")
    assert code(conversation, AUTH) == 403
    assert conversation.account is world.account


def test_wrong_credentials_may_be_corrected(open_to: Any) -> None:
    """402 leaves the connection open for another try."""
    conversation = open_to(login=False)
    assert code(conversation, {**AUTH, "secret": "x"}) == 402
    assert not conversation.over
    assert say(conversation, AUTH)["msg"] == "authenticated"


@pytest.mark.parametrize(
    "message",
    [None, [], 7, "subscribe", {}, {"action": "dance"}, {"action": "auth", "key": 1}, {1: 2}],
)
def test_invalid_syntax(open_to: Any, message: object) -> None:
    """What is no known action is 400, before and after authentication alike."""
    conversation = open_to(login=False)
    assert code(conversation, message) == 400


@pytest.mark.parametrize("lists_", [{"trades": "AAPL"}, {"bars": [1]}, {"quotes": {"A": 1}}])
def test_lists_must_be_lists_of_symbols(open_to: Any, lists_: dict[str, object]) -> None:
    """Nothing is subscribed to by a message that is wrong in one place."""
    conversation = open_to()
    assert code(conversation, {"action": "subscribe", "dailyBars": ["KO"], **lists_}) == 400
    assert say(conversation, {"action": "subscribe"}) == lists()


def test_not_authenticated(open_to: Any) -> None:
    """Subscribing comes after authentication."""
    assert code(open_to(login=False), {"action": "subscribe", "trades": ["KO"]}) == 401


def test_time_is_up(open_to: Any) -> None:
    """404 and the end for who has not authenticated, nothing for who has."""
    silent, prompt = open_to(login=False), open_to()
    assert [answer["code"] for answer in silent.lapse()] == [404]
    assert (prompt.lapse(), silent.over, prompt.over) == ([], True, False)


def test_turned_away(open_to: Any) -> None:
    """No entitlement is 409, no room 406; both end the connection."""
    for house, expected in (({"entitled": False}, 409), ({"has_room": lambda _: False}, 406)):
        conversation = open_to(login=False, **house)
        assert code(conversation, AUTH) == expected
        assert conversation.over
        assert conversation.account is None


def test_each_answer_is_the_whole_subscription(open_to: Any) -> None:
    """Lists add up, repeat nothing, keep their order, and shrink again."""
    conversation = open_to()
    say(conversation, {"action": "subscribe", "bars": ["*"], "quotes": ["KO", "F", "KO"]})
    added = say(conversation, {"action": "subscribe", "quotes": ["A", "F"], "lulds": ["*"]})
    assert added == lists(bars=["*"], quotes=["KO", "F", "A"], lulds=["*"])
    left = say(conversation, {"action": "unsubscribe", "quotes": ["F", "B"], "bars": ["*"]})
    assert left == lists(quotes=["KO", "A"], lulds=["*"])


def test_corrections_come_with_trades(open_to: Any) -> None:
    """And go with them."""
    conversation = open_to()
    both = say(conversation, {"action": "subscribe", "trades": ["KO"], "corrections": ["F"]})
    assert both == lists(trades=["KO"], corrections=["F", "KO"], cancelErrors=["KO"])
    left = say(conversation, {"action": "unsubscribe", "trades": ["KO"]})
    assert left == lists(corrections=["F"])


def test_channels_of_another_feed(open_to: Any) -> None:
    """Order books of stocks are 410; empty and null lists are how some clients say nothing."""
    conversation = open_to()
    assert code(conversation, {"action": "subscribe", "orderbooks": ["KO"]}) == 410
    polite = {"action": "subscribe", "orderbooks": [], "news": None, "trades": None}
    assert say(conversation, polite) == lists()
    crypto = say(open_to(CRYPTO), {"action": "subscribe", "orderbooks": ["BTC/USD"]})
    assert crypto == {
        "T": "subscription",
        "trades": [],
        "quotes": [],
        "orderbooks": ["BTC/USD"],
        "bars": [],
        "updatedBars": [],
        "dailyBars": [],
    }
    assert code(open_to(CRYPTO), {"action": "subscribe", "statuses": ["BTC/USD"]}) == 410


def test_symbol_limit(open_to: Any) -> None:
    """Trades and quotes count, bars do not; past the limit everything stays as it was."""
    conversation = open_to(symbol_limit=3)
    full = {"action": "subscribe", "trades": ["A", "B"], "quotes": ["A"], "bars": ["*"]}
    before = say(conversation, full)
    assert code(conversation, {"action": "subscribe", "quotes": ["B"]}) == 405
    assert code(conversation, {"action": "subscribe", "trades": ["*"]}) == 405
    assert say(conversation, full) == before
    say(conversation, {"action": "unsubscribe", "trades": ["A"]})
    assert say(conversation, {"action": "subscribe", "quotes": ["B"]})["quotes"] == ["A", "B"]


def test_wants(open_to: Any) -> None:
    """A client gets its symbols, and everything behind a star."""
    conversation = open_to()
    say(conversation, {"action": "subscribe", "quotes": ["KO"], "bars": ["*"]})
    wanted = [("quotes", "KO"), ("bars", "F")]
    assert all(conversation.wants(*one) for one in wanted)
    unwanted = [("quotes", "F"), ("trades", "KO"), ("orderbooks", "KO")]
    assert not any(conversation.wants(*one) for one in unwanted)
