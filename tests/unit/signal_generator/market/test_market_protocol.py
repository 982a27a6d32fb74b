"""The conversation on a market-data websocket."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_generator.bars import Bar, Quote
from signal_generator.market.market_protocol import Heard, MarketConversation, Next

BAR = {
    "T": "b",
    "S": "NVDA",
    "t": "2026-03-02T14:30:00Z",
    "o": 1,
    "h": 2.5,
    "l": 0.5,
    "c": 2,
    "v": 100,
    "n": 3,
    "vw": 1.5,
}
AT = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def talk(*parts: object, bars: tuple[str, ...] = ("NVDA",), quotes: tuple[str, ...] = ()) -> Heard:
    conversation = MarketConversation("key", "secret", bars=bars, quotes=quotes)
    return conversation.hear(json.dumps(parts))


def said(heard: Heard) -> list[dict[str, Any]]:
    return [json.loads(one) for one in heard.say]


def test_the_greeting_is_answered_with_the_keys() -> None:
    """And nothing else, until they are accepted."""
    heard = talk({"T": "success", "msg": "connected"})
    assert said(heard) == [{"action": "auth", "key": "key", "secret": "secret"}]


def test_then_it_subscribes() -> None:
    """To corrections as well, and not to channels that nobody wants."""
    heard = talk({"T": "success", "msg": "authenticated"})
    assert said(heard) == [{"action": "subscribe", "bars": ["NVDA"], "updatedBars": ["NVDA"]}]
    heard = talk({"T": "success", "msg": "authenticated"}, bars=(), quotes=("KO",))
    assert said(heard) == [{"action": "subscribe", "quotes": ["KO"]}]


def test_it_counts_on_data_once_the_subscription_is_confirmed() -> None:
    """What is listed there is what will come; what is not, is trouble."""
    confirmed = {"T": "subscription", "bars": ["NVDA"], "updatedBars": ["NVDA"], "trades": []}
    assert talk(confirmed).subscribed
    heard = talk({**confirmed, "bars": []})
    assert not heard.subscribed
    assert heard.trouble is not None
    assert heard.trouble.then is Next.AGAIN
    assert "bars of NVDA" in heard.trouble.text


def test_bars_corrections_and_quotes_of_one_message() -> None:
    """In the order in which they came."""
    quote = {"T": "q", "S": "NVDA", "t": "2026-03-02T14:30:00.123456789Z", "bp": 1.5, "ap": 1.6}
    heard = talk(BAR, {**BAR, "T": "u", "c": 2.2}, quote, {**BAR, "S": "KO"})
    assert heard.bars == [
        Bar("NVDA", AT, 1, 2.5, 0.5, 2, 100, 3, 1.5),
        Bar("KO", AT, 1, 2.5, 0.5, 2, 100, 3, 1.5),
    ]
    assert heard.corrections == [Bar("NVDA", AT, 1, 2.5, 0.5, 2.2, 100, 3, 1.5)]
    assert heard.quotes == [Quote("NVDA", AT.replace(microsecond=123456), 1.5, 1.6)]
    assert heard.is_data
    assert not heard.malformed


@pytest.mark.parametrize(
    ("code", "then", "words"),
    [
        (400, Next.GO_ON, "no message to it"),
        (401, Next.AGAIN, "keys first"),
        (402, Next.NEVER, "keys are not accepted"),
        (403, Next.GO_ON, "twice"),
        (404, Next.AGAIN, "too late"),
        (405, Next.NEVER, "more symbols than the plan allows"),
        (406, Next.LATER, "another connection has the only place"),
        (407, Next.AGAIN, "too slowly"),
        (409, Next.NEVER, "plan does not include this feed"),
        (410, Next.NEVER, "does not have the channel"),
        (500, Next.AGAIN, "trouble of its own"),
        (599, Next.AGAIN, "not known here"),
    ],
)
def test_what_each_error_leaves_to_be_done(code: int, then: Next, words: str) -> None:
    """In words for people, with the number for whoever looks it up."""
    trouble = talk({"T": "error", "code": code, "msg": "their words"}).trouble
    assert trouble is not None
    assert (trouble.code, trouble.then) == (code, then)
    assert words in trouble.text
    assert f"error {code}: their words" in trouble.text


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({**BAR, "c": "2"}, "b of NVDA: c: '2' is not a number from 0 up"),
        ({**BAR, "c": True}, "c: True is not"),
        ({**BAR, "l": -1}, "l: -1 is not"),
        ({**BAR, "t": "2026-03-02T14:30:00"}, "is not a time with a zone"),
        ({**BAR, "t": 5}, "t: 5 is not a time"),
        ({**BAR, "S": None}, "S: None is not a symbol"),
        ({"T": "error", "code": "406"}, "code: '406' is not a number"),
        ("text", "a part that is no object"),
    ],
)
def test_what_cannot_be_read_is_told_and_harms_nothing_else(part: object, told: str) -> None:
    """The bars around it are taken."""
    heard = talk(BAR, part, BAR)
    assert len(heard.bars) == 2
    (what,) = heard.malformed
    assert told in what


def test_missing_counts_and_averages_are_zero() -> None:
    """Alpaca leaves out, or sets to null, what it does not know."""
    part = {name: value for name, value in BAR.items() if name != "n"} | {"vw": None}
    (bar,) = talk(part).bars
    assert (bar.trade_count, bar.vwap) == (0, 0.0)


def test_unknown_kinds_are_passed_over() -> None:
    """Alpaca adds channels; trades and statuses may come unasked."""
    heard = talk({"T": "t", "S": "NVDA", "p": 1}, {"T": "brand-new"}, {"T": 7}, {})
    assert heard == Heard()


def test_a_message_that_is_no_json() -> None:
    """As a proxy in the way might send it."""
    conversation = MarketConversation("key", "secret", bars=["NVDA"], quotes=[])
    assert conversation.hear("<html>").malformed == ["a message that is no JSON"]
    assert conversation.hear(b"\xff\x00").malformed == ["a message that is no JSON"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


FIELDS = ["bars", "quotes", "S", "t", "o", "v", "vw", "msg", "code"]


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), max_size=3))
def test_no_message_breaks_it(parts: list[dict[str, Any]]) -> None:
    """Whatever a field holds."""
    for kind in ("b", "q", "u", "error", "subscription", "success"):
        heard = talk(*({**part, "T": kind} for part in parts))
        assert len(heard.bars) <= len(parts)
