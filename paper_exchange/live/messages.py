"""Market data messages, each encoded once per codec however many clients it goes to."""

from collections.abc import Sequence
from typing import Protocol

import msgpack  # type: ignore[import-untyped]  # ships no stubs
import orjson
from starlette.types import Message

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND
from paper_exchange.prices.history import BarRow, TradeRow
from paper_exchange.prices.quotes import Quote
from paper_exchange.prices.rows import Row, bar_json, orderbook_json, quote_json, trade_json


class Codec(Protocol):
    """How a client's frames are written."""

    def encode(self, row: Row, at_ns: int) -> bytes:
        """One message of a frame; ``at_ns`` is its ``t`` where that is no text."""
        ...

    def frame(self, parts: Sequence[bytes]) -> Message:
        """A frame of several encoded messages: an array."""
        ...

    def control(self, answer: object) -> Message:
        """A frame of one control message."""
        ...


class JsonCodec:
    """JSON in text frames, times as RFC 3339."""

    def encode(self, row: Row, at_ns: int) -> bytes:  # noqa: ARG002  -- the protocol's signature
        """See ``Codec``."""
        return orjson.dumps(row)

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


def _message(channel: str, kind: str, asset: Asset, row: Row, at_ns: int) -> DataMessage:
    return DataMessage(channel, asset.symbol, {"T": kind, "S": asset.symbol, **row}, at_ns)


def trade(asset: Asset, one: TradeRow) -> DataMessage:
    """A trade, on ``trades``."""
    return _message("trades", "t", asset, trade_json(asset, one), one.at_ns)


def quote(asset: Asset, top: Quote) -> DataMessage:
    """The top of the book, on ``quotes``."""
    return _message("quotes", "q", asset, quote_json(asset, top), top.at_ns)


def orderbook(asset: Asset, top: Quote) -> DataMessage:
    """The whole book, on ``orderbooks``.

    Every message carries all levels with ``r`` (reset) set, so that a client
    may begin with any of them.
    """
    return _message("orderbooks", "o", asset, {**orderbook_json(asset, top), "r": True}, top.at_ns)


_BAR_TYPES = {"bars": "b", "updatedBars": "u", "dailyBars": "d"}


def bar(channel: str, asset: Asset, one: BarRow) -> DataMessage:
    """A bar, on ``bars``, ``updatedBars`` or ``dailyBars``."""
    return _message(channel, _BAR_TYPES[channel], asset, bar_json(one), one.at_ns)
