"""The JSON Schema, the validator and the reference page say the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from solution.domain import signal
from solution.domain.reasons import Reason
from solution.domain.signal import parse
from solution.domain.signal_fields import READERS
from solution.errors import SignalError
from tests.helpers.signal_cases import COMPARED, CONFLICTING, MISSING, VALID

ROOT = Path(signal.__file__).parents[2]
SCHEMA = json.loads(Path(signal.__file__).with_name("signal.schema.json").read_bytes())
PAGE = (ROOT / "docs" / "reference" / "signal.md").read_text()
ENTRY = "1760000000000-0"
# The same examples on every run, and no time limit on a loaded machine.
deterministic = settings(derandomize=True, deadline=None)


def ecma(node: Any) -> Any:
    """The schema with `$` as ECMA-262 means it; in Python's `re` it also precedes a final newline.

    JSON Schema patterns are ECMA-262, so this adapts the tool, not the schema.
    """
    if isinstance(node, list):
        return [ecma(item) for item in node]
    if not isinstance(node, dict):
        return node
    adapted = {}
    for key, value in node.items():
        name = re.sub(r"\$$", r"\\Z", key) if key.startswith("^") else key
        text = key == "pattern" and isinstance(value, str)
        adapted[name] = re.sub(r"\$$", r"\\Z", value) if text else ecma(value)
    return adapted


VALIDATOR = Draft202012Validator(ecma(SCHEMA))


def refusal(pairs: list[tuple[bytes, bytes]]) -> SignalError | None:
    """The validator's refusal, or None."""
    try:
        parse("nvda", ENTRY, pairs)
    except SignalError as error:
        return error
    return None


def flat(content: dict[str, str]) -> SignalError | None:
    """The refusal of these fields."""
    return refusal([(n.encode(), v.encode()) for n, v in content.items()])


def as_json(content: dict[str, Any]) -> SignalError | None:
    """The refusal of the same as one object in the field json."""
    return refusal([(b"json", json.dumps(content).encode())])


def verdicts(content: dict[str, str]) -> tuple[bool, bool, bool]:
    """Accepted by the schema, as fields, as json."""
    return VALIDATOR.is_valid(content), flat(content) is None, as_json(content) is None


def fields(text: str) -> dict[str, str]:
    """`name=value` pairs separated by blanks."""
    return dict(pair.split("=") for pair in text.split())


def test_the_schema_is_a_schema() -> None:
    """It is valid under its own meta-schema."""
    Draft202012Validator.check_schema(SCHEMA)  # raises if not
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_same_fields() -> None:
    """Every field of the validator is in the schema, and the other way round."""
    assert set(SCHEMA["properties"]) == set(READERS)


@pytest.mark.parametrize("text", VALID)
def test_valid_signals(text: str) -> None:
    """All three accept them."""
    assert verdicts(fields(text)) == (True, True, True)


@pytest.mark.parametrize("text", [case[0] for case in (*CONFLICTING, *MISSING)])
def test_invalid_signals(text: str) -> None:
    """All three refuse them."""
    assert verdicts(fields(text)) == (False, False, False)


@pytest.mark.parametrize("text", [case[0] for case in COMPARED])
def test_comparisons_are_beyond_the_schema(text: str) -> None:
    """Documented difference: a schema compares no two values."""
    assert verdicts(fields(text)) == (True, False, False)


GOOD = {"ticker": "NVDA", "direction": "b"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"Ticker": "NVDA", "Direction": "b"}, (False, True, True)),
        ({**GOOD, "ts": "2026-02-30T00:00:00Z"}, (True, False, False)),
        ({**GOOD, "signal_id": "\u202e"}, (True, False, False)),
        ({**GOOD, "x_a": "ä" * 4000}, (True, False, False)),
    ],
)
def test_documented_differences(content: dict[str, str], expected: tuple[bool, bool, bool]) -> None:
    """Case of names, calendar dates, printability, bytes: the section 'Beyond the schema'."""
    assert verdicts(content) == expected


@pytest.mark.parametrize(
    "member", ['"qty":1e3', '"qty":1E3', '"target_qty":-0.0', '"qty":1.0000000000', '"ts":1.76e12']
)
def test_how_a_number_is_written_is_beyond_the_schema(member: str) -> None:
    """Documented difference: a schema sees a number's value, not its text."""
    text = '{{"ticker":"NVDA",{}{}}}'.format(member, ',"direction":"b"' * ("target" not in member))
    assert VALIDATOR.is_valid(json.loads(text))
    assert refusal([(b"json", text.encode())]) is not None


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("qty", 1, True),
        ("qty", 0, False),
        ("qty", -1, False),
        ("qty", 1.5, True),
        ("weight", 1, True),
        ("weight", 1.5, False),
        ("cancel_after", 9999999, True),
        ("cancel_after", 10000000, False),
        ("trail_percent", 100, False),
        ("ts", 1760000000000, True),
        ("ts", 1760000000, False),
        ("extended_hours", False, True),
        ("extended_hours", 0, False),
        ("signal_id", 7, False),
        ("signal_id", True, False),
        ("strategy", 7, False),
        ("qty", True, False),
        ("qty", None, False),
        ("x_a", 7, True),
        ("x_a", True, True),
        ("x_a", None, False),
        ("x_a", [1], False),
        ("action", {}, False),
    ],
)
def test_values_of_other_types(name: str, value: object, valid: bool) -> None:
    """Numbers and booleans in json: where the field takes them, and only there."""
    content = {**GOOD, name: value}
    assert (VALIDATOR.is_valid(content), as_json(content) is None) == (valid, valid)


# Values near the borders of every domain, so that chance finds both sides of every rule.
SAMPLES = {
    "ticker": ["NVDA", "nvda", "BTC/USD", "BTCUSD", "BRK.B", "", "A B", "NVDA\n", "A" * 21],
    "direction": ["b", "BUY", "Sell", "s", "long", ""],
    "action": [
        "buy_long",
        "BUY_TO_COVER",
        "cover_short",
        "Short_sell",
        "sell_long",
        "liquidate",
        "close",
    ],
    "order_type": ["market", "LIMIT", "stop", "Stop_limit", "trailing_stop", "oco"],
    "time_in_force": ["day", "GTC", "Ioc", "fok", "opg", "cls", "gtd"],
    "extended_hours": ["true", "True", "false", "FALSE", "1"],
    "ts": ["1760000000000", "2026-10-08T10:00:00Z", "2026-10-08 10:00:00.5-04:00", "1760000000"],
    "signal_id": ["7", "a" * 128, "a" * 129, "", "\n"],
    "strategy": ["sma", "a" * 65],
    "sig": ["c2ln", "a" * 257],
    "kid": ["k", ""],
    "x_a": ["", "1", "\0"],
    "X_B": ["\n"],
    "x_": ["1"],
    "y": ["1"],
}
NUMBERS = [
    "1",
    "0",
    "0.0",
    "0.5",
    "1.0",
    "1.5",
    "100",
    "-1",
    "1e3",
    "01",
    "1.0000000001",
    "x",
    "1\n",
]
samples = st.lists(
    st.sampled_from(sorted({*READERS, *SAMPLES})).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(SAMPLES.get(name, NUMBERS)))
    ),
    max_size=5,
).map(dict)
starts = st.sampled_from(
    [
        GOOD,
        {"ticker": "NVDA"},
        {"ticker": "BTC/USD", "direction": "buy"},
        {},
        {**GOOD, "order_type": "limit", "limit_price": "1"},
        {"ticker": "NVDA", "direction": "s"},
    ]
)


@settings(deterministic, max_examples=500)
@given(starts, samples)
def test_any_combination(start: dict[str, str], more: dict[str, str]) -> None:
    """Schema, fields and json give one verdict on any combination of borderline values."""
    content = {**start, **more}
    error = flat(content)
    assume(error is None or "must be greater than" not in error.message)
    assert verdicts(content) == (error is None,) * 3


@deterministic
@given(
    st.sampled_from(sorted(READERS)),
    st.text("0123456789.-+eE_ \n", max_size=14) | st.text(max_size=8),
)
def test_any_text_in_any_field(name: str, text: str) -> None:
    """The domains of the fields are the same, character by character."""
    assume(text.isprintable() or not READERS[name][1].__qualname__.startswith("_label"))
    content = {**GOOD, name: text}
    assert VALIDATOR.is_valid(content) is (flat(content) is None)


@deterministic
@given(
    st.sampled_from([n for n in sorted(READERS) if "price" not in n]),
    st.integers(-200, 20_000).map(lambda n: n / 100) | st.integers(-5, 10**14),
)
def test_any_number_in_any_field(name: str, number: float) -> None:
    """The same for numbers in json."""
    assume(not (name == "ts" and isinstance(number, float)))
    content = {**GOOD, name: number}
    assert VALIDATOR.is_valid(content) is (as_json(content) is None)


# --- the reference page ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*READERS, "json", "x_"])
def test_every_field_is_in_the_reference(name: str) -> None:
    """Each has a row of its own in a table."""
    assert re.search(rf"^\| `{name}", PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    "word",
    sorted({str(w) for p in SCHEMA["properties"].values() for w in p.get("enum", [])}),
)
def test_every_word_is_in_the_reference(word: str) -> None:
    """Each word a field may hold is listed."""
    assert f"`{word.lower()}`" in PAGE


REASONS = [
    Reason.MISSING_FIELD,
    Reason.UNKNOWN_FIELD,
    Reason.DUPLICATE_FIELD,
    Reason.INVALID_VALUE,
    Reason.CONFLICTING_FIELDS,
    Reason.NOT_UTF8,
    Reason.TOO_LARGE,
    Reason.INVALID_JSON,
]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_in_the_reference(reason: Reason) -> None:
    """Each reason a signal can be refused with has a row and an example."""
    assert re.search(rf"^\| `{reason}` \| .+ \| `.+` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    ("reason", "example"),
    re.findall(r"^\| `([A-Z_0-9]+)` \| .+ \| `(XADD .+)` \|$", PAGE, re.MULTILINE),
)
def test_examples_of_reasons(reason: str, example: str) -> None:
    """What the page says is refused is refused, for the reason it says."""
    words = [w.strip("'") for w in re.findall(r"'[^']*'|\S+", example)[3:]]
    pairs = [(n.encode(), v.encode()) for n, v in zip(words[::2], words[1::2], strict=True)]
    error = refusal(pairs)
    assert error is not None
    assert error.reason == reason


@pytest.mark.parametrize("command", re.findall(r"^redis-cli XADD (.+)$", PAGE, re.MULTILINE))
def test_shell_examples(command: str) -> None:
    """Every redis-cli line of the page publishes a valid signal."""
    words = [w.strip("'") for w in re.findall(r"'[^']*'|\S+", command)[2:]]
    pairs = [(n.encode(), v.encode()) for n, v in zip(words[::2], words[1::2], strict=True)]
    assert refusal(pairs) is None


@pytest.mark.parametrize(
    "block", re.findall(r"^```json\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
)
def test_json_examples(block: str) -> None:
    """Every JSON block of the page is a valid signal for the schema and the validator."""
    assert VALIDATOR.is_valid(json.loads(block))
    assert refusal([(b"json", block.encode())]) is None


@pytest.mark.parametrize(
    "snippet", re.findall(r"(?ms)^```(?:python|js)\n(.+?)^```", PAGE), ids=["python", "node"]
)
def test_snippets_name_real_fields(snippet: str) -> None:
    """The fields in the snippets of other languages are fields of the schema."""
    named = re.findall(r'[{,]\s*"?(\w+)"?:', snippet)
    assert {"ticker", "direction", "signal_id"} == set(named) <= set(READERS)
