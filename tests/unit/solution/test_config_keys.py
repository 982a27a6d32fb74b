"""Keys as settings write them."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.config_keys import CONTROL_KEY, NO_LIMIT, SIGNING_KEY, SIGNING_KEYS
from solution.domain.signing import KeyLimit
from solution.security import Secret

ONE = "a" * 32
TWO = "b/+=:" * 8


def keys(text: str) -> list[tuple[str, str, KeyLimit]]:
    """Kid, secret and limit of each."""
    found = SIGNING_KEYS.parse(text)
    assert isinstance(found, tuple)
    return [(key.kid, key.secret.reveal(), key.limit) for key in found]


@pytest.mark.parametrize("between", [",", "\n", " ,\n ", ",\r\n"])
def test_several(between: str) -> None:
    """By commas or lines; a secret may hold what base64 does."""
    assert keys(f"tv1:{ONE}{between}m.2:{TWO}\n") == [
        ("tv1", ONE, NO_LIMIT),
        ("m.2", TWO, NO_LIMIT),
    ]


def test_limits() -> None:
    """Symbols in upper case, money as Decimal; each may stand alone."""
    [both] = keys(f"k:{ONE};symbols=nvda|BTC/USD;max_notional=5000.50")
    assert both[2] == KeyLimit(frozenset({"NVDA", "BTC/USD"}), Decimal("5000.50"))
    assert keys(f"k:{ONE};max_notional=1")[0][2] == KeyLimit(max_notional=Decimal(1))


@pytest.mark.parametrize("text", ["", ONE, "!~" * 16])
def test_the_key_of_commands(text: str) -> None:
    """Any printable ASCII; none where it is empty."""
    found = CONTROL_KEY.parse(text)
    assert isinstance(found, Secret)
    assert found.reveal() == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("k", "fewer than 32 characters"),
        ("a" * 31, "fewer than 32 characters"),
        (f"{ONE} {ONE}", "not printable ASCII"),
        ("é" * 32, "not printable ASCII"),
    ],
)
def test_a_key_of_commands_that_is_none(text: str, words: str) -> None:
    """One that can be guessed opens what it should close."""
    with pytest.raises(ValueError, match=words):
        CONTROL_KEY.parse(text)


def test_nothing() -> None:
    """The default: signals are not signed."""
    assert SIGNING_KEYS.parse("") == ()
    assert SIGNING_KEY.parse("") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("canary", "key 1 does not begin with a kid"),
        ("a" * 40, "key 1 does not begin with a kid"),
        (f"k 1:{ONE}", "key 1 does not begin with a kid"),
        (f":{ONE}", "key 1 does not begin with a kid"),
        (f"k:{ONE[:31]}", "the secret of key 1 has fewer than 32 characters"),
        (f"k:{ONE},l:{ONE[:31]}", "the secret of key 2 has fewer than 32 characters"),
        (f"k:{ONE} {ONE}", "the secret of key 1 holds a character"),
        (f"k:{ONE}é", "the secret of key 1 holds a character"),
        (f"k:{ONE},l:{TWO},k:{TWO}", "keys 1 and 3 have the same kid"),
        (f"k:{ONE};symbols=", "a limit of key 1 is not symbols such as"),
        (f"k:{ONE};symbols=NVDA;symbols=F", "a limit of key 1 is not symbols=A|B or"),
        (f"k:{ONE};symbol=NVDA", "a limit of key 1 is not symbols=A|B or"),
        (f"k:{ONE};max_notional=0", "or an amount above 0"),
        (f"k:{ONE};max_notional=-5", "or an amount above 0"),
        (f"k:{ONE};max_notional=NaN", "or an amount above 0"),
        (f"k:{ONE};", "a limit of key 1 is not symbols=A|B or"),
        (" , ", "no key in it"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    """The key is counted, and nothing of it is quoted."""
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        SIGNING_KEYS.parse(text)
    assert ONE[:31] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"k:{ONE};max_notional=5", "exactly one kid:secret is wanted, without limits"),
        (f"k:{ONE},l:{ONE}", "exactly one kid:secret is wanted, and there are several"),
        (f"k:{ONE}\nl:{ONE};symbols=A", "exactly one kid:secret is wanted, and there are several"),
        (f"k:{ONE};", "exactly one kid:secret is wanted, without limits"),
    ],
)
def test_a_producer_has_one_key_without_limits(text: str, said: str) -> None:
    """Limits would hold for nothing there; the file of all keys is named as what it is."""
    with pytest.raises(ValueError, match=said) as caught:
        SIGNING_KEY.parse(text)
    assert ONE[:31] not in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """With a sentence, and never another error."""
    try:
        SIGNING_KEYS.parse(text)
    except ValueError as e:
        assert str(e)
