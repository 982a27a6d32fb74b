"""The ``trade_updates`` conversation with Alpaca's order stream, without any I/O.

:class:`TradeUpdates` turns received messages into :class:`Update` records and says what to send
next; :mod:`solution.feeds.trade_stream` owns the socket. The conversation (Alpaca, "Websocket
Streaming")::

    we    {"action": "authenticate", "data": {"key_id": …, "secret_key": …}}
    they  {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
    we    {"action": "listen", "data": {"streams": ["trade_updates"]}}
    they  {"stream": "listening", "data": {"streams": ["trade_updates"]}}
    they  {"stream": "trade_updates", "data": {"event": …, "order": {…}, …}}   any number of times

Of the two ways to authenticate that the server takes, this one is what Alpaca's own Python SDK
sends (alpaca-py 0.44, ``TradingStream._auth``); the page shows ``{"action": "auth", "key": …,
"secret": …}`` with the same effect. Paper sends its JSON in binary frames, live in text frames.

The stream has neither replay nor sequence numbers, and may repeat an event: whoever consumes the
updates drops known ``execution_id`` values, and reads the orders by REST after each connect.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import orjson

from solution.domain.crypto import book_symbol
from solution.errors import Unauthorized

log = logging.getLogger(__name__)

STREAM = "trade_updates"

_LISTEN = orjson.dumps({"action": "listen", "data": {"streams": [STREAM]}})
_HEARTBEAT = b"\x01"
_KINDS_LOGGED = 50
_LONGEST_NUMBER = 64
_LARGEST_EXPONENT = 30


class StreamState(StrEnum):
    """How far the conversation has come."""

    AUTHENTICATING = "authenticating"
    """Not authorized, or not yet told that we are listening."""
    LISTENING = "listening"
    REFUSED = "refused"


class StreamRefused(Unauthorized):
    """The order stream does not accept the key pair; trying again at once cannot help."""

    def __init__(self, message: str = "the order stream does not accept the key pair") -> None:
        super().__init__(401, 0, message)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that happened to one of the account's orders.

    ``qty`` (shares) and ``price`` (account currency per share) are those of this execution and
    None for every other event. ``filled_qty`` is the order's total so far, 0 where the message has
    none. Text fields are empty where the message has none; ``event`` and ``status`` may be words
    that this product does not know. ``previous_execution_id`` is the execution that a bust or a
    correction takes back. ``at`` is the broker's RFC 3339 text, ``received`` the
    monotonic clock in seconds.
    """

    event: str
    client_order_id: str
    order_id: str
    order: Mapping[str, Any]
    status: str
    symbol: str
    side: str
    qty: Decimal | None
    price: Decimal | None
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    position_qty: Decimal | None
    execution_id: str
    event_id: str
    at: str
    received: float
    previous_execution_id: str = ""


class TradeUpdates:
    """One side of the conversation; :meth:`opening` begins it anew on each connection.

    Not thread-safe: one thread talks. The counters and the memory of what was logged outlive a
    connection, so that a reconnect does not repeat a warning.

    Args:
        key_id, secret: the account's key pair.
        monotonic: the clock for :attr:`Update.received`.
    """

    def __init__(
        self, key_id: str, secret: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._key_id = key_id
        self._secret = secret
        self._monotonic = monotonic
        self._to_send: list[bytes] = []
        self._asked = False
        self._logged: set[str] = set()
        self.state = StreamState.AUTHENTICATING
        self.malformed = 0
        """Messages that could not be understood, since the start."""
        self.ignored = 0
        """Messages of streams that we did not ask for, since the start."""

    def opening(self) -> bytes:
        """The first message of a new connection; it carries the secret, so it is never logged."""
        self._to_send.clear()
        self._asked = False
        self.state = StreamState.AUTHENTICATING
        data = {"key_id": self._key_id, "secret_key": self._secret}
        return orjson.dumps({"action": "authenticate", "data": data})

    def to_send(self) -> list[bytes]:
        """What is to be sent now, in order; each message is handed out once."""
        messages, self._to_send = self._to_send, []
        return messages

    def receive(self, data: bytes | bytearray | str) -> list[Update]:
        """Take in one message, from a text or a binary frame.

        Returns:
            the updates in it: none or one.

        Raises:
            StreamRefused: the server says ``unauthorized``. Nothing else is ever raised.
        """
        try:
            message = orjson.loads(data)
        except ValueError:
            if data != _HEARTBEAT:  # Alpaca's JavaScript SDK skips such frames on this stream
                self._misfit("not_json")
            return []
        content = message.get("data") if type(message) is dict else None
        if type(content) is not dict:
            self._misfit("no_data_object")
            return []
        stream = message.get("stream")
        if stream == STREAM:
            update = self._update(content)
            return [update] if update is not None else []
        if stream == "authorization":
            self._authorization(content)
        elif stream == "listening":
            self._listening(content)
        else:
            self.ignored += 1
            self._log_once("trade_stream_unknown_stream", _text(stream)[:40])
        return []

    def _authorization(self, content: dict[str, Any]) -> None:
        status = content.get("status")
        if status == "authorized":
            if not self._asked:  # a repeated answer must not make us listen twice
                self._asked = True
                self._to_send.append(_LISTEN)
        elif status == "unauthorized":
            # Also the answer to a "listen" before the keys were accepted, with action "listen".
            self.state = StreamState.REFUSED
            raise StreamRefused
        else:
            self._misfit("authorization_without_status")

    def _listening(self, content: dict[str, Any]) -> None:
        streams = content.get("streams")
        if type(streams) is list and STREAM in streams:
            self.state = StreamState.LISTENING
            return
        # The server drops streams it does not have from the list; without ours nothing will come,
        # so this is no LISTENING, and the caller's deadline ends the connection.
        self.state = StreamState.AUTHENTICATING
        self._misfit("listening_without_trade_updates")

    def _update(self, content: dict[str, Any]) -> Update | None:
        order = content.get("order")
        event = content.get("event")
        if type(order) is not dict or type(event) is not str or not event:
            self._misfit("update_without_event_or_order")
            return None
        get, field = order.get, content.get
        client_order_id, order_id = _text(get("client_order_id")), _text(get("id"))
        if not client_order_id and not order_id:
            self._misfit("update_without_order_id")
            return None
        return Update(
            event,
            client_order_id,
            order_id,
            order,
            _text(get("status")),
            book_symbol(order),
            _text(get("side")),
            _number(field("qty")),
            _number(field("price")),
            _number(get("filled_qty")) or _ZERO,
            _number(get("filled_avg_price")),
            _number(field("position_qty")),
            _text(field("execution_id")),
            _text(field("event_id")),
            _text(field("timestamp") or field("at") or get("updated_at")),
            self._monotonic(),
            _text(field("previous_execution_id")),
        )

    def _misfit(self, kind: str) -> None:
        self.malformed += 1
        self._log_once("trade_stream_malformed_message", kind)

    def _log_once(self, event: str, kind: str) -> None:
        """One warning per kind; never the content, which may be anything of any size."""
        seen = f"{event} {kind}"
        if seen in self._logged or len(self._logged) >= _KINDS_LOGGED:
            return
        self._logged.add(seen)
        log.warning(event, extra={"kind": kind})


_ZERO = Decimal(0)


def _text(value: object) -> str:
    if type(value) is str:
        return value
    return "" if value is None else str(value)


def _number(value: object) -> Decimal | None:
    """A finite decimal of a size that can be calculated with, else None.

    The stream writes numbers as text; a JSON number is taken by its shortest text. ``1e999999``
    is a valid decimal, and writing it out would take a megabyte.
    """
    if value is None:
        return None
    text = value if type(value) is str else str(value)
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        return None
    return number
