"""Tests of solution.domain.signal_fields."""

from decimal import Decimal

import pytest

from solution.domain.orders import Side
from solution.domain.signal_fields import (
    MAX_ENTRY_BYTES,
    MAX_EXTRA_BYTES,
    MAX_SHOWN,
    READERS,
    collect,
    show,
)
from solution.errors import SignalError


def value_of(name: str, raw: bytes) -> object:
    """What the field's reader makes of the bytes."""
    return READERS[name][1](name, raw)


def refusal_of(name: str, raw: bytes) -> tuple[str, str]:
    """Reason and sentence with which the field's reader refuses the bytes."""
    with pytest.raises(SignalError) as error:
        value_of(name, raw)
    return error.value.reason, error.value.message


POSITIVE = [
    "qty",
    "notional",
    "limit_price",
    "stop_price",
    "trail_price",
    "take_profit",
    "stop_loss",
    "stop_loss_limit",
]
NUMBERS = [
    *POSITIVE,
    "weight",
    "target_qty",
    "target_weight",
    "trail_percent",
    "cancel_after",
    "max_age",
]


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize(
    "text", ["1", "10", "0.000000001", "1.50", "12345678901234567890.123456789"]
)
def test_plain_decimals(name: str, text: str) -> None:
    """The value is exactly the text."""
    assert value_of(name, text.encode()) == Decimal(text)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        ".5",
        "1.",
        "01",
        "1e3",
        "1E3",
        "1_000",
        "1,000",
        "0x10",
        "nan",
        "NaN",
        "inf",
        "Infinity",
        "None",
        "1.2.3",
        "\u0661",  # a digit, but not ours
        "１",
        "1\x00",
        "1" * 31,
    ],
)
def test_everything_else_is_no_number(name: str, text: str) -> None:
    """No sign, exponent, separator, other alphabet, blank, NaN or infinity; 30 characters."""
    reason, message = refusal_of(name, text.encode())
    assert reason == "INVALID_VALUE"
    assert message.startswith(f"{name}={show(text)} is not a plain decimal")


@pytest.mark.parametrize("name", [*POSITIVE, "weight", "trail_percent", "cancel_after", "max_age"])
@pytest.mark.parametrize("zero", ["0", "0.0", "0.000000000"])
def test_zero_is_no_amount(name: str, zero: str) -> None:
    """Only a target may be 0."""
    reason, message = refusal_of(name, zero.encode())
    assert (reason, "greater than 0" in message) == ("INVALID_VALUE", True)


@pytest.mark.parametrize("name", ["target_qty", "target_weight"])
def test_a_target_may_be_zero(name: str) -> None:
    """0 closes the position."""
    assert value_of(name, b"0") == Decimal(0)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("weight", "1.0", "1.01"),
        ("target_weight", "1", "2"),
        ("trail_percent", "99.999999999", "100"),
        ("cancel_after", "9999999.999999999", "10000000"),
        ("max_age", "0.5", "10000000"),
        ("qty", "0.123456789", "0.1234567891"),
        ("limit_price", "1.123456789", "1.0000000000"),
    ],
)
def test_ends_of_the_domains(name: str, good: str, bad: str) -> None:
    """The last value allowed and the first one refused."""
    assert value_of(name, good.encode()) == Decimal(good)
    assert refusal_of(name, bad.encode())[0] == "INVALID_VALUE"


def test_a_weight_may_be_a_quotient() -> None:
    """What `1/3` prints in most languages is accepted."""
    assert value_of("weight", b"0.3333333333333333") == Decimal("0.3333333333333333")


@pytest.mark.parametrize("text", ["b", "B", "buy", "BUY", "Buy"])
def test_direction_buy(text: str) -> None:
    """Both words, in three spellings."""
    assert value_of("direction", text.encode()) is Side.BUY


@pytest.mark.parametrize("text", ["s", "S", "sell", "SELL", "Sell"])
def test_direction_sell(text: str) -> None:
    """Both words, in three spellings."""
    assert value_of("direction", text.encode()) is Side.SELL


WORDS = {
    "direction": "b, buy, s, sell",
    "action": "buy_long, buy_to_cover, cover_short, short_sell, sell_long, liquidate",
    "order_type": "market, limit, stop, stop_limit, trailing_stop",
    "time_in_force": "day, gtc, ioc, fok, opg, cls",
    "extended_hours": "true, false",
}


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("text", ["", "x", "bUY", "buy ", "1", "yes", "long", "mar\u212aet"])
def test_unknown_words(name: str, text: str) -> None:
    """Any other word is refused with the list of those allowed."""
    reason, message = refusal_of(name, text.encode())
    assert reason == "INVALID_VALUE"
    assert message == f"{name}={show(text)} is not one of {WORDS[name]}"


@pytest.mark.parametrize("name", WORDS)
def test_every_listed_word_is_read(name: str) -> None:
    """The lists in the sentences are the words accepted."""
    words = WORDS[name].split(", ")
    assert [str(value_of(name, w.encode()))[0].lower() for w in words] == [w[0] for w in words]


@pytest.mark.parametrize("name", ["true", "TRUE", "True"])
def test_extended_hours_true(name: str) -> None:
    """As Python, JSON and shells write it."""
    assert value_of("extended_hours", name.encode()) is True


@pytest.mark.parametrize(
    ("text", "ticker"),
    [
        ("NVDA", "NVDA"),
        ("nvda", "NVDA"),
        ("BRK.B", "BRK.B"),
        ("btc/usd", "BTC/USD"),
        ("BF-B", "BF-B"),
        ("A", "A"),
        ("1INCH/USD", "1INCH/USD"),
        ("A" * 20, "A" * 20),
    ],
)
def test_tickers(text: str, ticker: str) -> None:
    """Symbols are kept in upper case."""
    assert value_of("ticker", text.encode()) == ticker


@pytest.mark.parametrize(
    "text",
    [
        "",
        " NVDA",
        "NVDA ",
        "NVDA\n",
        "NV DA",
        ".B",
        "B.",
        "A..B",
        "A//B",
        "$NVDA",
        "NVDA;",
        "A_B",
        "A" * 21,
        "../x",
        "\u039dVDA",
        "é",
        "A\x00",
    ],
)
def test_bad_tickers(text: str) -> None:
    """Blanks, other alphabets, stray or doubled separators, too long."""
    assert refusal_of("ticker", text.encode())[0] == "INVALID_VALUE"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1760000000123", 1760000000123),
        ("2025-10-09T08:53:20Z", 1760000000000),
        ("2025-10-09t08:53:20.1z", 1760000000100),
        ("2025-10-09 08:53:20.123456789+00:00", 1760000000123),
        ("2025-10-09T04:53:20.123-04:00", 1760000000123),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00+14:00", -62135647200000),
    ],
)
def test_times(text: str, ms: int) -> None:
    """Epoch milliseconds, or RFC 3339 with an offset."""
    assert value_of("ts", text.encode()) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1760000000",
        "1760000000123456",
        "0760000000123",
        "-1760000000123",
        "1760000000123.0",
        "2025-10-09",
        "2025-10-09T08:53:20",
        "2025-10-09T08:53Z",
        "2025-02-30T00:00:00Z",
        "2025-10-09T24:00:00Z",
        "2025-10-09T08:53:60Z",
        "0000-01-01T00:00:00Z",
        "now",
        "2025-10-09T08:53:20+24:00",
        "2025-10-09T08:53:20Z\n",
        "20251009T085320Z",
    ],
)
def test_bad_times(text: str) -> None:
    """Seconds, nanoseconds, local times, impossible dates."""
    reason, message = refusal_of("ts", text.encode())
    assert (reason, message.startswith(f"ts={show(text)}")) == ("INVALID_VALUE", True)


LABELS = {"signal_id": 128, "strategy": 64, "sig": 256, "kid": 64}


@pytest.mark.parametrize(("name", "most"), LABELS.items())
@pytest.mark.parametrize("letter", ["a", " ", "ü", "株", "😀"])
def test_longest_labels(name: str, most: int, letter: str) -> None:
    """Printable text of any language; characters are counted, not bytes."""
    text = "a" + letter * (most - 1)
    assert value_of(name, text.encode()) == text


@pytest.mark.parametrize(("name", "most"), LABELS.items())
def test_bad_labels(name: str, most: int) -> None:
    """Empty, too long, or with characters that do not print."""
    bad = ["", "a" * (most + 1), "a\n", "\0", "\x7f", "\u202e", "\x1b[31m", "\u2028"]
    assert {refusal_of(name, text.encode())[0] for text in bad} == {"INVALID_VALUE"}


@pytest.mark.parametrize("name", READERS)
def test_no_text_at_all(name: str) -> None:
    """Bytes that are not UTF-8 have their own reason, in every field."""
    reason, message = refusal_of(name, b"\xff\xfe")
    assert (reason, message) == ("NOT_UTF8", f"{name}=b'\\xff\\xfe' is not UTF-8 text")


# --- names ----------------------------------------------------------------------------------------


def collected(*pairs: tuple[bytes, bytes]) -> tuple[dict[str, bytes], tuple[tuple[str, str], ...]]:
    """What collect makes of the pairs."""
    return collect(pairs)


def refused(*pairs: tuple[bytes, bytes]) -> tuple[str, str]:
    """Reason and sentence with which collect refuses the pairs."""
    with pytest.raises(SignalError) as error:
        collect(pairs)
    return error.value.reason, error.value.message


@pytest.mark.parametrize("name", [*READERS, "json"])
def test_names_in_any_case(name: str) -> None:
    """lower, UPPER, Capitalised, Title_Case and anything between."""
    spellings = {name, name.upper(), name.capitalize(), name.title(), name.swapcase()}
    spellings.add(name[:-1] + name[-1].upper())
    assert [list(collect([(s.encode(), b"1")])[0]) for s in spellings] == [[name]] * len(spellings)


def test_given_twice() -> None:
    """Also in another case, also with the same value."""
    assert refused((b"qty", b"1"), (b"Qty", b"1")) == (
        "DUPLICATE_FIELD",
        "field qty is given twice",
    )
    assert refused((b"x_a", b"1"), (b"X_A", b"2"))[0] == "DUPLICATE_FIELD"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (b"tiker", "did you mean ticker?"),
        (b"limit-price", "did you mean limit_price?"),
        (b"limitPrice", "did you mean limit_price?"),
        (b"symbol", "did you mean ticker?"),
        (b"Side", "did you mean direction?"),
        (b"price", "did you mean limit_price?"),
        (b"zzz", "a field of your own starts with x_"),
        (b"", "a field of your own starts with x_"),
        (b"q" * 500, "a field of your own starts with x_"),
        (b"x_", "after x_ come 1 to 62 of letters, digits, _ . -"),
        (b"x_a b", "after x_ come 1 to 62 of letters, digits, _ . -"),
        (b"x_a\n", "after x_ come 1 to 62 of letters, digits, _ . -"),
        ("x_ä".encode(), "after x_ come 1 to 62 of letters, digits, _ . -"),
    ],
)
def test_unknown_names(name: bytes, hint: str) -> None:
    """A typo never trades, and the sentence helps to find it."""
    assert refused((name, b"1")) == ("UNKNOWN_FIELD", f"unknown field {show(name)}; {hint}")


def test_name_that_is_no_text() -> None:
    """A name must be UTF-8 too."""
    expected = ("NOT_UTF8", r"field name b'x_\xff' is not UTF-8 text")
    assert refused((b"x_\xff", b"1")) == expected


def test_own_fields_keep_their_names() -> None:
    """They are echoed as given, in the order given; the digest folds their case."""
    given, extra = collected((b"x_b", b"1"), (b"X_Order.Ref-1", "\u00e4\n".encode()))
    assert given == {"x_b": b"1", "x_order.ref-1": "\u00e4\n".encode()}
    assert extra == (("x_b", "1"), ("X_Order.Ref-1", "\u00e4\n"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"a" * (MAX_EXTRA_BYTES + 1), "TOO_LARGE"),
        (b"a\0b", "INVALID_VALUE"),
        (b"\xff", "NOT_UTF8"),
    ],
)
def test_bad_own_fields(value: bytes, reason: str) -> None:
    """Too long, with NUL (which PostgreSQL cannot keep), or no text."""
    assert refused((b"x_a", value))[0] == reason


def test_largest_own_field() -> None:
    """4 KiB and not one byte more."""
    assert collected((b"x_a", b"a" * MAX_EXTRA_BYTES))[1][0][1] == "a" * MAX_EXTRA_BYTES


def test_entry_size() -> None:
    """Names and values count together; the limit itself is allowed."""
    room = MAX_ENTRY_BYTES - len("json")
    assert collected((b"json", b" " * room))[0]
    assert refused((b"json", b" " * (room + 1)))[0] == "TOO_LARGE"


@pytest.mark.parametrize(
    "hostile", [b"\x1b[2J\r\n\0" * 50, b"\xff" * 5000, "\u202e😀".encode() * 99]
)
def test_hostile_text_is_shown_escaped_and_short(hostile: bytes) -> None:
    """No control character, and never more than 80 characters of it."""
    shown = show(hostile)
    assert shown.isprintable()
    assert len(shown) <= MAX_SHOWN
