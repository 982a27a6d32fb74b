"""The conversation with the order stream, message by message."""

import logging
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.errors import Unauthorized
from solution.feeds.trade_updates import StreamRefused, StreamState, TradeUpdates

ORDER = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": "sp-abcdefgh-1",
    "symbol": "NVDA",
    "side": "buy",
    "status": "partially_filled",
    "qty": "10",
    "filled_qty": "4",
    "filled_avg_price": "101.5",
    "updated_at": "2026-10-08T14:30:01Z",
}
FILL = {
    "event": "partial_fill",
    "timestamp": "2026-10-08T14:30:00.123456789Z",
    "at": "2026-10-08T14:30:00.2Z",
    "event_id": "01J9QZ",
    "execution_id": "e-1",
    "price": "101.55",
    "qty": "3",
    "position_qty": "-4",
    "order": ORDER,
}
AUTHORIZED = {
    "stream": "authorization",
    "data": {"status": "authorized", "action": "authenticate"},
}
LISTENING = {"stream": "listening", "data": {"streams": ["trade_updates"]}}


def encoded(message: object) -> bytes:
    return orjson.dumps(message)


def update_message(**changes: object) -> bytes:
    return encoded({"stream": "trade_updates", "data": {**FILL, **changes}})


@pytest.fixture
def talk() -> TradeUpdates:
    conversation = TradeUpdates("key", "s3cret", monotonic=lambda: 12.5)
    conversation.opening()
    return conversation


@pytest.fixture
def listening(talk: TradeUpdates) -> TradeUpdates:
    talk.receive(encoded(AUTHORIZED))
    talk.to_send()
    talk.receive(encoded(LISTENING))
    return talk


def test_the_opening_message_authenticates_with_the_key_pair() -> None:
    """The first message is the one alpaca-py sends."""
    message = orjson.loads(TradeUpdates("key", "s3cret").opening())
    assert message == {
        "action": "authenticate",
        "data": {"key_id": "key", "secret_key": "s3cret"},
    }


def test_authorized_asks_for_the_trade_updates(talk: TradeUpdates) -> None:
    """After "authorized" the listen message goes out, once, and we do not listen yet."""
    assert talk.receive(encoded(AUTHORIZED)) == []
    assert [orjson.loads(message) for message in talk.to_send()] == [
        {"action": "listen", "data": {"streams": ["trade_updates"]}}
    ]
    assert talk.to_send() == []
    assert talk.state is StreamState.AUTHENTICATING


def test_a_repeated_authorization_does_not_listen_twice(talk: TradeUpdates) -> None:
    """A duplicate answer changes nothing."""
    talk.receive(encoded(AUTHORIZED))
    talk.receive(encoded(AUTHORIZED))
    assert len(talk.to_send()) == 1


def test_the_confirmation_makes_it_listening(listening: TradeUpdates) -> None:
    """ "listening" with our stream in it is the state in which updates are certain to come."""
    assert listening.state is StreamState.LISTENING
    assert listening.malformed == 0


@pytest.mark.parametrize("action", ["authenticate", "listen"])
def test_unauthorized_is_a_refusal(talk: TradeUpdates, action: str) -> None:
    """Wrong keys, and a listen before the keys were accepted, raise and show as REFUSED."""
    answer = {"stream": "authorization", "data": {"status": "unauthorized", "action": action}}
    with pytest.raises(StreamRefused) as caught:
        talk.receive(encoded(answer))
    assert talk.state is StreamState.REFUSED
    assert isinstance(caught.value, Unauthorized)
    assert str(caught.value) == "the order stream does not accept the key pair"


def test_a_new_opening_begins_a_new_conversation(talk: TradeUpdates) -> None:
    """After a reconnect nothing of the old connection is left over."""
    talk.receive(encoded(AUTHORIZED))
    talk.opening()
    assert talk.to_send() == []
    assert talk.state is StreamState.AUTHENTICATING
    talk.receive(encoded(AUTHORIZED))
    assert len(talk.to_send()) == 1


@pytest.mark.parametrize("streams", [[], ["account_updates"], None, "trade_updates"])
def test_listening_to_something_else_is_not_listening(talk: TradeUpdates, streams: Any) -> None:
    """The server drops unknown streams from its list; without ours no update will come."""
    talk.receive(encoded({"stream": "listening", "data": {"streams": streams}}))
    assert talk.state is StreamState.AUTHENTICATING
    assert talk.malformed == 1


def test_an_emptied_subscription_ends_listening(listening: TradeUpdates) -> None:
    """A later "listening" without our stream takes the state back."""
    listening.receive(encoded({"stream": "listening", "data": {"streams": []}}))
    assert listening.state is StreamState.AUTHENTICATING


def test_a_fill_arrives_with_all_its_fields(listening: TradeUpdates) -> None:
    """Numbers are Decimals of the text sent, the order is kept whole."""
    (update,) = listening.receive(update_message())
    assert (update.event, update.status, update.symbol, update.side) == (
        "partial_fill",
        "partially_filled",
        "NVDA",
        "buy",
    )
    assert (update.client_order_id, update.order_id) == (ORDER["client_order_id"], ORDER["id"])
    assert (update.qty, update.price) == (Decimal(3), Decimal("101.55"))
    assert (update.filled_qty, update.filled_avg_price) == (Decimal(4), Decimal("101.5"))
    assert update.position_qty == Decimal(-4)
    assert (update.execution_id, update.event_id) == ("e-1", "01J9QZ")
    assert update.at == FILL["timestamp"]
    assert update.received == 12.5
    assert update.order == ORDER


@pytest.mark.parametrize("kind", [bytes, bytearray, bytes.decode])
def test_text_and_binary_frames_mean_the_same(listening: TradeUpdates, kind: Any) -> None:
    """Paper sends binary frames, live text ones."""
    (update,) = listening.receive(kind(update_message()))
    assert update.execution_id == "e-1"


def test_duplicates_are_passed_on(listening: TradeUpdates) -> None:
    """Only the ledger knows which executions it has; the stream's repeats go through."""
    first = listening.receive(update_message())
    assert listening.receive(update_message()) == first


def test_an_update_before_the_confirmation_is_not_lost(talk: TradeUpdates) -> None:
    """An update that overtakes "listening" counts."""
    assert len(talk.receive(update_message())) == 1


def test_an_unknown_event_and_status_pass(listening: TradeUpdates) -> None:
    """New words of the broker must not cost an update."""
    (update,) = listening.receive(
        update_message(event="order_teleported", order={**ORDER, "status": "in_limbo"})
    )
    assert (update.event, update.status) == ("order_teleported", "in_limbo")


def test_absent_fields_become_none_or_empty(listening: TradeUpdates) -> None:
    """The least an update needs is an event and an order with an id."""
    (update,) = listening.receive(
        encoded({"stream": "trade_updates", "data": {"event": "new", "order": {"id": "o-1"}}})
    )
    assert (update.order_id, update.client_order_id, update.at) == ("o-1", "", "")
    assert (update.qty, update.price, update.position_qty) == (None, None, None)
    assert (update.filled_qty, update.filled_avg_price) == (Decimal(0), None)


def test_null_fields_become_none_or_empty(listening: TradeUpdates) -> None:
    """JSON null is the same as absent."""
    nulls = dict.fromkeys(("qty", "price", "position_qty", "execution_id", "timestamp", "at"))
    (update,) = listening.receive(
        update_message(**nulls, order={**ORDER, "filled_qty": None, "filled_avg_price": None})
    )
    assert (update.qty, update.filled_qty, update.execution_id) == (None, Decimal(0), "")
    assert update.at == ORDER["updated_at"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (3, Decimal(3)),
        (0.1, Decimal("0.1")),
        ("NaN", None),
        ("Infinity", None),
        ("1e999999", None),
        ("9" * 65, None),
        ("three", None),
        (True, None),
        ([], None),
    ],
)
def test_odd_numbers(listening: TradeUpdates, text: object, value: Decimal | None) -> None:
    """JSON numbers count by their text; what cannot be calculated with is None."""
    (update,) = listening.receive(update_message(qty=text))
    assert update.qty == value


def test_ids_that_are_numbers_become_text(listening: TradeUpdates) -> None:
    """Older event ids are integers."""
    (update,) = listening.receive(update_message(event_id=17))
    assert update.event_id == "17"


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"stream":"trade_updates"}',
        b'{"stream":"trade_updates","data":[]}',
        b'{"stream":"authorization","data":{}}',
        update_message(event=None),
        update_message(event=""),
        update_message(order=None),
        update_message(order="o-1"),
        update_message(order={"symbol": "NVDA"}),
        "\ud800",
    ],
)
def test_a_malformed_message_is_counted(listening: TradeUpdates, data: bytes | str) -> None:
    """Nothing a server sends ends the conversation, and its state stays."""
    assert listening.receive(data) == []
    assert listening.malformed == 1
    assert listening.state is StreamState.LISTENING


def test_each_kind_of_malformed_message_is_logged_once(
    listening: TradeUpdates, caplog: pytest.LogCaptureFixture
) -> None:
    """A server gone wrong must not fill the log, and its content stays out of it."""
    for data in (b"secret-ish 1", b"secret-ish 2", b"[]"):
        listening.receive(data)
    assert [record.__dict__["kind"] for record in caplog.records] == ["not_json", "no_data_object"]
    assert listening.malformed == 3


def test_unknown_streams_are_ignored_and_logged_once(
    listening: TradeUpdates, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that we did not ask for is no error."""
    message = encoded({"stream": "account_updates", "data": {}})
    assert listening.receive(message) + listening.receive(message) == []
    assert (listening.ignored, listening.malformed) == (2, 0)
    assert len(caplog.records) == 1


def test_the_number_of_logged_kinds_is_bounded(
    listening: TradeUpdates, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that invents stream names cannot fill memory or log."""
    for number in range(200):
        listening.receive(encoded({"stream": f"s{number}", "data": {}}))
    assert len(caplog.records) == 50
    assert listening.ignored == 200


def test_a_heartbeat_byte_is_nothing(listening: TradeUpdates) -> None:
    """Alpaca's JavaScript SDK knows one-byte frames on this stream."""
    assert listening.receive(b"\x01") == []
    assert listening.malformed == 0


def test_neither_repr_nor_log_shows_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    """The key pair leaves the object in the opening message only."""
    caplog.set_level(logging.DEBUG)
    conversation = TradeUpdates("key", "s3cret")
    conversation.opening()
    conversation.receive(b"garbage")
    assert "s3cret" not in repr(conversation) + caplog.text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = ("event", "order", "qty", "price", "position_qty", "execution_id", "timestamp", "streams")
ORDER_NAMES = ("id", "client_order_id", "status", "filled_qty", "filled_avg_price", "symbol")


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_raise(data: bytes | str) -> None:
    """Whatever arrives is counted or understood."""
    assert TradeUpdates("key", "s3cret").receive(data) == []


@given(
    stream=st.sampled_from(["trade_updates", "listening", "other"]) | json_values,
    data=st.dictionaries(st.sampled_from(NAMES), json_values),
    order=st.dictionaries(st.sampled_from(ORDER_NAMES), json_values),
)
def test_no_json_of_any_shape_raises(
    stream: object, data: dict[str, object], order: dict[str, object]
) -> None:
    """Every field may hold every kind of value; numbers that come out can be calculated with."""
    conversation = TradeUpdates("key", "s3cret")
    message = encoded({"stream": stream, "data": {"event": "fill", **data, "order": order}})
    for update in conversation.receive(message):
        numbers = (update.qty, update.price, update.filled_qty, update.filled_avg_price)
        assert all(number is None or number.is_finite() for number in numbers)
        assert isinstance(update.at, str)
    assert conversation.malformed + conversation.ignored <= 1


@pytest.mark.parametrize("symbol", ["BTC/USD", "BTCUSD"])
def test_a_pair_has_one_symbol(listening: TradeUpdates, symbol: str) -> None:
    """The book's, whichever way an order was sent."""
    order = {**ORDER, "symbol": symbol, "asset_class": "crypto"}
    [update] = listening.receive(update_message(order=order))
    assert update.symbol == "BTC/USD"
