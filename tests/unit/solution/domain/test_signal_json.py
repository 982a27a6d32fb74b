"""Tests of solution.domain.signal_json."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.signal import Signal, parse
from solution.domain.signal_fields import MAX_ENTRY_BYTES, READERS
from solution.errors import SignalError

ENTRY = "1760000000000-0"
# The same examples on every run, and no time limit on a loaded machine.
deterministic = settings(derandomize=True, deadline=None)


def read(text: str | bytes) -> Signal:
    """Parse an entry with the one field json."""
    raw = text if isinstance(text, bytes) else text.encode()
    return parse("nvda", ENTRY, [(b"json", raw)])


def refusal(text: str | bytes) -> tuple[str, str]:
    """Reason and sentence with which the json is refused."""
    with pytest.raises(SignalError) as error:
        read(text)
    return error.value.reason, error.value.message


def test_same_as_flat() -> None:
    """The object gives the signal, and the digest, that its members would give as fields."""
    text = """{"Ticker": "NVDA", "direction": "b", "qty": 1.50, "order_type": "limit",
        "limit_price": "101.5", "extended_hours": true, "time_in_force": "day",
        "ts": 1760000000123, "x_n": 1e3, "x_b": false, "x_t": "\\u00e4"}"""
    fields = [
        (b"x_t", "ä".encode()),
        (b"ticker", b"NVDA"),
        (b"direction", b"b"),
        (b"qty", b"1.50"),
        (b"order_type", b"limit"),
        (b"limit_price", b"101.5"),
        (b"extended_hours", b"true"),
        (b"time_in_force", b"day"),
        (b"ts", b"1760000000123"),
        (b"x_n", b"1e3"),
        (b"x_b", b"false"),
    ]
    one, other = read(text), parse("nvda", ENTRY, fields)
    assert one.digest == other.digest
    assert dict(one.extra) == dict(other.extra) == {"x_n": "1e3", "x_b": "false", "x_t": "ä"}


def test_numbers_are_exact() -> None:
    """A number is its text; a float would have changed it."""
    text = '{"ticker":"NVDA","direction":"b","qty":12345678901234567890.123456789}'
    assert read(text).size == Decimal("12345678901234567890.123456789")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"NVDA"',
        "1",
        "null",
        "{'ticker': 'NVDA'}",
        '{"ticker": "NVDA",}',
        "{} {}",
        '{"ticker":"NVDA","direction":"b","qty":NaN}',
        '{"qty":Infinity}',
        '{"qty":-Infinity}',
        '{"ticker":null}',
        '{"x_a":{}}',
        '{"x_a":[1]}',
        '{"json":"{}"}',
        '{"JSON":{}}',
        "\ufeff{}",
        '{"x_a":"\n"}',
        "[" * 60000,
        '{"a":' * 10000,
    ],
)
def test_not_one_flat_object(text: str) -> None:
    """Anything but one object of scalars is refused."""
    reason, message = refusal(text)
    assert (reason, message.startswith("json")) == ("INVALID_JSON", True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "MISSING_FIELD"),
        ('{"ticker":"A","ticker":"A","direction":"b"}', "DUPLICATE_FIELD"),
        ('{"ticker":"A","Ticker":"A","direction":"b"}', "DUPLICATE_FIELD"),
        ('{"ticker":"A","direction":"b","side":"b"}', "UNKNOWN_FIELD"),
        ('{"ticker":"A","direction":"b","qty":1e3}', "INVALID_VALUE"),
        ('{"ticker":"A","direction":"b","qty":-1}', "INVALID_VALUE"),
        ('{"ticker":"A","direction":"b","qty":true}', "INVALID_VALUE"),
        ('{"ticker":"A","direction":"b","signal_id":17}', "INVALID_VALUE"),
        ('{"ticker":"A","direction":"b","extended_hours":1}', "INVALID_VALUE"),
        ('{"ticker":"A","direction":"b","x_a":"\\ud800"}', "NOT_UTF8"),
        ('{"ticker":"A","direction":"b","x_\\udfff":"1"}', "NOT_UTF8"),
        ('{"ticker":"A","direction":"b","x_a":"\\u0000"}', "INVALID_VALUE"),
        (b'{"x_a":"\xff"}', "NOT_UTF8"),
        (b" " * (MAX_ENTRY_BYTES + 1), "TOO_LARGE"),
    ],
)
def test_refusals(text: str | bytes, reason: str) -> None:
    """The members are judged as fields are."""
    assert refusal(text)[0] == reason


def test_not_beside_other_fields() -> None:
    """json carries the whole signal."""
    with pytest.raises(SignalError) as error:
        parse("nvda", ENTRY, [(b"json", b"{}"), (b"qty", b"1")])
    assert error.value.reason == "CONFLICTING_FIELDS"
    assert error.value.message.startswith("json and qty cannot stand together")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
members = st.dictionaries(
    st.sampled_from([*READERS, "json", "x_a", "X_A"]) | st.text(max_size=6),
    scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=2), scalars),
    max_size=8,
)


@deterministic
@given(members)
def test_any_object_gives_a_signal_or_a_clean_refusal(content: dict[str, object]) -> None:
    """No JSON raises anything but SignalError, nor puts control characters into the sentence."""
    refusals = []
    try:
        read(json.dumps(content))
    except SignalError as error:
        refusals.append(error)
    assert all(e.reason and e.message.isprintable() and len(e.message) < 300 for e in refusals)


@deterministic
@given(st.binary(max_size=60) | st.text('{}[]":,\\u01e-tfnx_ ', max_size=40).map(str.encode))
def test_any_bytes_in_json(raw: bytes) -> None:
    """Neither do bytes that are no JSON."""
    assert refusal(raw)[0] in {
        "INVALID_JSON",
        "NOT_UTF8",
        "UNKNOWN_FIELD",
        "MISSING_FIELD",
        "DUPLICATE_FIELD",
    }
