"""How requests are spelled and what answers mean, as tables."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest

from solution.alpaca_protocol import (
    decoded,
    list_of_objects,
    loads_exactly,
    member,
    object_of,
    query,
    segment,
    verdict,
    without_secrets,
)
from solution.errors import (
    DuplicateOrder,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    SignalpacaError,
    Unauthorized,
)
from solution.http_common import Response
from solution.security import Redactor

NOW = 1_790_000_000.0
POST, GET, PATCH = "POST /v2/orders", "GET /v2/orders/1", "PATCH /v2/orders/1"
PAGE = b"<html>denied</html>"


def said(message: str, code: int | None = None) -> bytes:
    """An error body as the broker writes it."""
    return orjson.dumps({"message": message} | ({} if code is None else {"code": code}))


VERDICTS: list[tuple[str, int, bytes, type[SignalpacaError]]] = [
    # keys
    (POST, 401, said("unauthorized."), Unauthorized),
    (POST, 401, PAGE, Unauthorized),
    (POST, 401, b"", Unauthorized),
    (POST, 403, said("forbidden."), Unauthorized),
    # a definite no
    (POST, 403, said("insufficient buying power", 40310000), Rejected),
    (POST, 403, b'{"code":40310000}', Rejected),
    (POST, 422, said("qty must be > 0", 40010001), Rejected),
    (POST, 422, said("client_order_id must be no more than 128 characters", 40010001), Rejected),
    (POST, 400, said("request body format is invalid", 40010000), Rejected),
    ("DELETE /v2/orders/1", 422, said('order is already in "filled" state', 42210000), Rejected),
    (GET, 404, said("order not found for 1", 40410000), NotFound),
    (GET, 404, said("position does not exist"), NotFound),
    (GET, 404, said("endpoint not found", 40410000), Rejected),
    # the order exists
    (POST, 422, said("client_order_id must be unique", 40010001), DuplicateOrder),
    (POST, 422, said("Client order ID already exists", 42210000), DuplicateOrder),
    (PATCH, 422, said("client_order_id must be unique", 40010001), DuplicateOrder),
    (GET, 422, said("client_order_id must be unique", 40010001), Rejected),
    (POST, 409, said("client_order_id must be unique", 40010001), DuplicateOrder),
    (POST, 409, said("order already exists", 40910000), DuplicateOrder),
    (POST, 409, said("account is being migrated", 40910000), Rejected),
    # the rate limit
    (POST, 429, said("too many requests."), RateLimited),
    (GET, 429, PAGE, RateLimited),
    # nobody knows
    (POST, 500, said("internal server error occurred", 50010000), OutcomeUnknown),
    (GET, 500, b"", OutcomeUnknown),
    (POST, 502, PAGE, OutcomeUnknown),
    (POST, 504, b'{"message":"timeout"}', OutcomeUnknown),
    (POST, 301, b"", OutcomeUnknown),
    (POST, 307, said("moved"), OutcomeUnknown),
    (POST, 408, said("request timeout", 40810000), OutcomeUnknown),
    (POST, 403, PAGE, OutcomeUnknown),
    (GET, 404, PAGE, OutcomeUnknown),
    (GET, 404, b'{"detail":"Not Found"}', OutcomeUnknown),
    (GET, 404, b'["message"]', OutcomeUnknown),
    (POST, 422, b"", OutcomeUnknown),
    (POST, 413, PAGE, OutcomeUnknown),
    (POST, 199, b"{}", OutcomeUnknown),
    (POST, 600, b"{}", OutcomeUnknown),
]


@pytest.mark.parametrize(("what", "status", "body", "kind"), VERDICTS)
def test_each_answer_has_its_meaning(
    what: str, status: int, body: bytes, kind: type[SignalpacaError]
) -> None:
    """The table of the module, row by row; the class is exactly this one."""
    assert type(verdict(what, Response(status, {}, body), now=NOW)) is kind


def test_a_rejection_carries_what_the_broker_said() -> None:
    """Status, code, words, and the extras that tell causes of one code apart."""
    body = {"code": 40310000, "message": "insufficient qty", "available": "20"}
    error = verdict(POST, Response(403, {}, orjson.dumps(body)), now=NOW)
    assert isinstance(error, Rejected)
    assert (error.status, error.code, error.message) == (403, 40310000, "insufficient qty")
    assert error.body == body


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "7", "x-ratelimit-reset": str(NOW + 30)}, 7.0),
        ({"x-ratelimit-reset": "1790000030"}, 30.0),
        ({"x-ratelimit-reset": "1789999990"}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 15:00:00 GMT"}, None),
        ({"retry-after": "-1", "x-ratelimit-reset": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_how_long_to_wait_after_429(headers: dict[str, str], wait: float | None) -> None:
    """Retry-After first, then the reset time, else unknown; nothing else is believed."""
    error = verdict(POST, Response(429, headers, b""), now=NOW)
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a\r\nb\x1b[31m", r"a\r\nb\x1b[31m"),
        ("\u202egnp", r"\u202egnp"),
        ("x" * 600, "x" * 500),
        ("\n" * 600, r"\n" * 250),
        ("Müller", "Müller"),
    ],
)
def test_the_brokers_words_cannot_forge_a_log_line(message: str, shown: str) -> None:
    """Control and direction characters are escaped, and 500 characters are enough."""
    error = verdict(POST, Response(422, {}, said(message, 1)), now=NOW)
    assert isinstance(error, Rejected)
    assert error.message == shown


def test_an_unclear_answer_names_status_and_type_only() -> None:
    """Pages are not quoted."""
    error = verdict(POST, Response(502, {"content-type": "text/html"}, PAGE), now=NOW)
    assert str(error) == "POST /v2/orders: HTTP 502 (text/html) is no verdict of the broker"


def test_our_keys_are_blotted_out_of_an_echo() -> None:
    """A debugging server that repeats the request does not get the keys into our errors."""
    response = Response(400, {"a": "b"}, b'{"message":"APCA-API-SECRET-KEY: hush"}')
    said = without_secrets(response, Redactor(["hush", ""])).body
    assert said == b'{"message":"APCA-API-SECRET-KEY: ********"}'


@pytest.mark.parametrize("body", [b"<html>hush", b"[" * 1_000 + b'"hush"' + b"]" * 1_000])
def test_what_cannot_be_searched_is_not_kept(body: bytes) -> None:
    """Neither a page nor JSON that is nested without end is shown to anybody."""
    assert without_secrets(Response(400, {}, body), Redactor(["hush"])).body == b""


def test_an_echo_in_other_letters_is_found() -> None:
    """JSON may write every character as an escape, and a header may hold the key too."""
    told = "".join(f"\\u{ord(c):04x}" for c in "hush")
    response = Response(400, {"content-type": "hush"}, f'{{"message":"{told}"}}'.encode())
    clean = without_secrets(response, Redactor(["hush"]))
    assert clean.body == b'{"message":"********"}'
    assert clean.headers == {"content-type": "********"}


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id":', b'{"a":NaN}', b"\xff"])
def test_a_success_without_json_is_an_unknown_outcome(body: bytes) -> None:
    """200 with anything else than JSON may have worked."""
    with pytest.raises(OutcomeUnknown, match="that are no JSON"):
        decoded(POST, Response(200, {}, body))


@pytest.mark.parametrize("body", [b"NaN", b"-Infinity", b"[" * 100_000, b'{"p":1.}'])
def test_the_exact_reader_refuses_what_is_no_json(body: bytes) -> None:
    """The standard library would take NaN, and nests until it breaks."""
    with pytest.raises(OutcomeUnknown):
        decoded(GET, Response(200, {}, body), loads_exactly)


def test_prices_are_read_from_their_text() -> None:
    """Every number is a Decimal with the digits that were sent, whole ones too."""
    value = loads_exactly(b'{"p":190.10,"q":0.1,"w":190,"e":1e-8}')
    assert value == {
        "p": Decimal("190.10"),
        "q": Decimal("0.1"),
        "w": Decimal(190),
        "e": Decimal("1E-8"),
    }
    assert {type(number) for number in value.values()} == {Decimal}
    assert str(value["p"]) == "190.10"


def test_no_content_is_none() -> None:
    """204 has no body to decode."""
    assert decoded("DELETE /v2/orders/1", Response(204, {}, b"")) is None


def test_values_of_another_shape_are_unknown_outcomes() -> None:
    """A list where an object belongs, null, or a list of numbers."""
    with pytest.raises(OutcomeUnknown):
        object_of("/a", [])
    with pytest.raises(OutcomeUnknown):
        object_of("/a", None)
    with pytest.raises(OutcomeUnknown):
        list_of_objects("/a", {})
    with pytest.raises(OutcomeUnknown):
        list_of_objects("/a", [1])
    with pytest.raises(OutcomeUnknown):
        member("/a", {"trades": [1]}, "trades")
    assert member("/a", {"trades": None}, "trades") == {}


@pytest.mark.parametrize("text", ["", " ", ".", "..", " . "])
def test_an_empty_segment_would_address_the_whole_collection(text: str) -> None:
    """DELETE /v2/orders/ cancels everything, so no id is an error."""
    with pytest.raises(ValueError, match="not an id"):
        segment(text)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("BTC/USD", "BTC%2FUSD"), ("BRK.B", "BRK.B"), ("a?b#c d", "a%3Fb%23c%20d"), ("ä", "%C3%A4")],
)
def test_segments_are_percent_encoded(text: str, encoded: str) -> None:
    """Nothing in an id can reach the query or another path."""
    assert segment(text) == encoded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (500, "500"),
        ("asc", "asc"),
        (Decimal("1E-7"), "0.0000001"),
        (date(2026, 11, 20), "2026-11-20"),
        (datetime(2026, 11, 20, 15, 0, 0, 123456, UTC), "2026-11-20T15:00:00.123456Z"),
        (
            datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=-5))),
            "2026-11-20T15:00:00Z",
        ),
    ],
)
def test_query_values_as_the_api_spells_them(value: Any, text: str) -> None:
    """Lower-case booleans, plain decimals, RFC 3339 in UTC."""
    assert query({"a": value, "left_out": None}) == {"a": text}


def test_a_time_without_a_zone_is_refused() -> None:
    """Which instant it means would be a guess."""
    with pytest.raises(ValueError, match="must know its zone"):
        query({"after": datetime(2026, 11, 20)})  # noqa: DTZ001  # the mistake under test
