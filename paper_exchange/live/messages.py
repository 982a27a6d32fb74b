"""Market data messages, each encoded once per codec however many clients it goes to."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Protocol

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
from starlette.types import Message

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND, stamp
from paper_exchange.market import Bar, Quote

Row = dict[str, object]

#: Price levels of an order book, on each side.
_LEVELS = 5


class Codec(Protocol):
    """How a client's frames are written."""

    def encode(self, row: Row, at_ns: int) -> bytes:
        """One message of a frame, ``at_ns`` becoming its ``t``."""
        ...

    def frame(self, parts: Sequence[bytes]) -> Message:
        """A frame of several encoded messages: an array."""
        ...

    def control(self, answer: object) -> Message:
        """A frame of one control message."""
        ...


class JsonCodec:
    """JSON in text frames, times as RFC 3339."""

    def encode(self, row: Row, at_ns: int) -> bytes:
        """See ``Codec``."""
        return orjson.dumps({**row, "t": stamp(at_ns)})

    def frame(self, parts: Sequence[bytes]) -> Message:
        """See ``Codec``."""
        return {"type": "websocket.send", "text": f"[{b','.join(parts).decode()}]"}

    def control(self, answer: object) -> Message:
        """See ``Codec``."""
        return self.frame([orjson.dumps(answer)])


class MsgpackCodec:
    """MessagePack in binary frames, times as its timestamp extension (type -1)."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer()

    def encode(self, row: Row, at_ns: int) -> bytes:
        """See ``Codec``."""
        at = msgpack.Timestamp(*divmod(at_ns, SECOND))
        encoded: bytes = self._packer.pack({**row, "t": at})
        return encoded

    def frame(self, parts: Sequence[bytes]) -> Message:
        """See ``Codec``."""
        head: bytes = self._packer.pack_array_header(len(parts))
        return {"type": "websocket.send", "bytes": head + b"".join(parts)}

    def control(self, answer: object) -> Message:
        """See ``Codec``."""
        return self.frame([self._packer.pack(answer)])


JSON: Codec = JsonCodec()
MSGPACK: Codec = MsgpackCodec()


class DataMessage:
    """One message about one symbol on one channel."""

    __slots__ = ("_at_ns", "_encoded", "channel", "row", "symbol")

    def __init__(self, channel: str, symbol: str, row: Row, at_ns: int) -> None:
        self.channel = channel
        self.symbol = symbol
        self.row = row
        self._at_ns = at_ns
        self._encoded: dict[Codec, bytes] = {}

    def encoded(self, codec: Codec) -> bytes:
        """The message in a codec; the second client that asks gets the same bytes."""
        found = self._encoded.get(codec)
        if found is None:
            found = self._encoded[codec] = codec.encode(self.row, self._at_ns)
        return found


def trade(asset: Asset, quote: Quote) -> DataMessage:
    """The last trade of a tick, on ``trades``."""
    row: Row = {
        "T": "t",
        "S": asset.symbol,
        "i": quote.tick,
        "p": float(quote.last),
        "s": quote.last_size,
    }
    if asset.crypto:
        row["tks"] = "B" if quote.tick % 2 else "S"
    else:
        row |= {"x": "V", "c": ["@"], "z": "C"}
    return DataMessage("trades", asset.symbol, row, quote.at_ns)


def quote(asset: Asset, top: Quote) -> DataMessage:
    """The top of the book, on ``quotes``."""
    row: Row = {
        "T": "q",
        "S": asset.symbol,
        "bp": float(top.bid),
        "bs": top.bid_size,
        "ap": float(top.ask),
        "as": top.ask_size,
    }
    if not asset.crypto:
        row |= {"bx": "V", "ax": "V", "c": ["R"], "z": "C"}
    return DataMessage("quotes", asset.symbol, row, top.at_ns)


def orderbook(asset: Asset, top: Quote) -> DataMessage:
    """The whole book, on ``orderbooks``.

    Every message carries all levels with ``r`` (reset) set, so that a client
    may begin with any of them. The levels below the top follow from it.
    """
    step = max(top.ask - top.bid, asset.increment(top.bid))
    row: Row = {
        "T": "o",
        "S": asset.symbol,
        "b": _side(top.bid, -step, top.bid_size),
        "a": _side(top.ask, step, top.ask_size),
        "r": True,
    }
    return DataMessage("orderbooks", asset.symbol, row, top.at_ns)


def _side(best: Decimal, step: Decimal, size: int) -> list[Row]:
    prices: Iterable[Decimal] = (best + step * level for level in range(_LEVELS))
    return [
        {"p": float(price), "s": size * (level + 1)}
        for level, price in enumerate(prices)
        if price > 0
    ]


_BAR_TYPES = {"bars": "b", "updatedBars": "u", "dailyBars": "d"}


def bar(channel: str, asset: Asset, one: Bar) -> DataMessage:
    """A bar, on ``bars``, ``updatedBars`` or ``dailyBars``."""
    row: Row = {
        "T": _BAR_TYPES[channel],
        "S": asset.symbol,
        "o": float(one.open),
        "h": float(one.high),
        "l": float(one.low),
        "c": float(one.close),
        "v": one.volume,
        "n": one.trades,
        "vw": round(float(one.high + one.low + one.close) / 3, 6),
    }
    return DataMessage(channel, asset.symbol, row, one.start_ns)
