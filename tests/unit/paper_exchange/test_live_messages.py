"""How market data is written in either codec."""

from decimal import Decimal
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
import pytest

from paper_exchange.assets import Asset
from paper_exchange.live import messages
from paper_exchange.live.messages import JSON, MSGPACK, DataMessage
from paper_exchange.prices.history import BarRow
from paper_exchange.prices.market import Quote
from paper_exchange.prices.rows import last_trade
from tests.unit.paper_exchange.conftest import World

AT = 1_700_000_000_250_000_001
QUOTE = Quote("KO", AT, Decimal("69.99"), Decimal("70.01"), 100, 300, Decimal(70), 7, AT, 12)
TRADE = last_trade(QUOTE)


def fields(message: DataMessage) -> dict[str, Any]:
    """A message as a JSON client reads it."""
    (one,) = orjson.loads(JSON.frame([message.encoded(JSON)])["text"])
    assert isinstance(one, dict)
    return one


@pytest.fixture
def stock(world: World) -> Asset:
    """A stock."""
    found = world.exchange.assets.find("KO")
    assert found is not None
    return found


@pytest.fixture
def coin(world: World) -> Asset:
    """A crypto pair."""
    found = world.exchange.assets.find("BTC/USD")
    assert found is not None
    return found


def test_stock_trade_and_quote(stock: Asset) -> None:
    """The documented keys, with numbers as numbers."""
    assert fields(messages.trade(stock, TRADE)) == {
        "T": "t", "S": "KO", "i": 12, "p": 70.0, "s": 7, "x": "V", "c": ["@"], "z": "A",
        "t": "2023-11-14T22:13:20.250000001Z",
    }  # fmt: skip
    assert fields(messages.quote(stock, QUOTE)) == {
        "T": "q", "S": "KO", "bp": 69.99, "bs": 100, "ap": 70.01, "as": 300, "bx": "V", "ax": "V",
        "c": ["R"], "z": "A", "t": "2023-11-14T22:13:20.250000001Z",
    }  # fmt: skip


def test_crypto_trade_quote_and_book(coin: Asset) -> None:
    """Crypto has a taker's side and a book, and no exchanges or conditions."""
    assert set(fields(messages.trade(coin, TRADE))) == {"T", "S", "i", "p", "s", "tks", "t"}
    assert set(fields(messages.quote(coin, QUOTE))) == {"T", "S", "bp", "bs", "ap", "as", "t"}
    book = fields(messages.orderbook(coin, QUOTE))
    assert (book["T"], book["r"]) == ("o", True)
    assert book["b"][:2] == [{"p": 69.99, "s": 100}, {"p": 69.97, "s": 200}]
    assert book["a"][:2] == [{"p": 70.01, "s": 300}, {"p": 70.03, "s": 600}]


def test_a_book_has_no_prices_below_zero(coin: Asset) -> None:
    """Levels end where prices do."""
    cheap = Quote("X", AT, Decimal("0.02"), Decimal("0.03"), 1, 1, Decimal("0.02"), 1)
    assert [level["p"] for level in fields(messages.orderbook(coin, cheap))["b"]] == [0.02, 0.01]


@pytest.mark.parametrize(("channel", "kind"), [("bars", "b"), ("updatedBars", "u")])
def test_bar(stock: Asset, channel: str, kind: str) -> None:
    """A bar is dated by its start."""
    one = BarRow(AT, 1.0, 4.0, 1.0, 2.0, 100, 10, 2.333333)
    assert fields(messages.bar(channel, stock, one)) == {
        "T": kind, "S": "KO", "o": 1.0, "h": 4.0, "l": 1.0, "c": 2.0, "v": 100, "n": 10,
        "vw": 2.333333, "t": "2023-11-14T22:13:20.250000001Z",
    }  # fmt: skip


def test_msgpack_has_timestamps(stock: Asset) -> None:
    """``t`` is the timestamp extension, exact to the nanosecond; the rest is as in JSON."""
    message = messages.trade(stock, TRADE)
    frame = MSGPACK.frame([message.encoded(MSGPACK)] * 2)["bytes"]
    first, second = msgpack.unpackb(frame)
    assert first["t"] == msgpack.Timestamp(1_700_000_000, 250_000_001)
    assert first == second
    assert {**first, "t": None} == {**fields(message), "t": None}


def test_control_frames_are_arrays_of_one() -> None:
    """In both codecs."""
    assert JSON.control({"T": "success"})["text"] == '[{"T":"success"}]'
    assert msgpack.unpackb(MSGPACK.control({"T": "success"})["bytes"]) == [{"T": "success"}]


def test_encoded_once_per_codec(stock: Asset) -> None:
    """The second client gets the bytes of the first."""
    message = messages.trade(stock, TRADE)
    assert message.encoded(JSON) is message.encoded(JSON)
    assert message.encoded(MSGPACK) is message.encoded(MSGPACK)
    assert message.encoded(JSON) != message.encoded(MSGPACK)
