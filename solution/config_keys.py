"""The keys that signals and commands are signed with, as settings write them.

``kid:secret``, with what the key may do behind it, as in
``tv1:SECRET;symbols=NVDA|AAPL;max_notional=5000``. Messages count keys and quote nothing: what
looks like a kid may be a secret whose kid was forgotten.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from solution.config_values import POSITIVE, SYMBOLS, Rule
from solution.domain.signing import KeyLimit
from solution.security import Secret

SHORTEST_SECRET: Final = 32
"""Characters: what `openssl rand -hex 16` gives, 128 bits, is the least."""
NO_LIMIT: Final = KeyLimit()
_ALL_KEYS: Final = "all keys and their limits stand in SIGNAL_HMAC_KEYS"
_KID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECRET: Final = re.compile(r"[!-+\--:<-~]*")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key; ``limit`` is empty for a key that may do everything."""

    kid: str
    secret: Secret
    limit: KeyLimit = NO_LIMIT


def _parse_key(text: str, name: str = "the key") -> SigningKey:
    key, *limits = text.split(";")
    kid, colon, secret = key.partition(":")
    if not colon or not _KID.fullmatch(kid):
        raise ValueError(f"{name} does not begin with a kid (letters, digits, _ . -) and a colon")
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"the secret of {name} has fewer than {SHORTEST_SECRET} characters")
    if not _SECRET.fullmatch(secret):
        raise ValueError(f"the secret of {name} holds a character that is not printable ASCII")
    return SigningKey(kid, Secret(secret), _parse_limit(name, limits))


def _parse_limit(name: str, items: list[str]) -> KeyLimit:
    given = dict(item.partition("=")[::2] for item in items)
    if len(given) < len(items) or not given.keys() <= {"symbols", "max_notional"}:
        raise ValueError(f"a limit of {name} is not symbols=A|B or max_notional=N, each once")
    symbols: frozenset[str] = frozenset()
    notional: Decimal | None = None
    try:
        if "symbols" in given:
            # Never empty: a key meant to trade nothing must not come to trade everything.
            symbols = frozenset(_symbols(given["symbols"]))
        if "max_notional" in given:
            notional = _amount(given["max_notional"])
    except ValueError:
        raise ValueError(
            f"a limit of {name} is not symbols such as NVDA|AAPL or an amount above 0"
        ) from None
    return KeyLimit(symbols, notional)


def _symbols(text: str) -> tuple[str, ...]:
    found = SYMBOLS.parse(text.replace("|", ","))
    if not found or not isinstance(found, tuple):
        raise ValueError
    return found


def _amount(text: str) -> Decimal:
    found = POSITIVE.parse(text)
    if not isinstance(found, Decimal):
        raise TypeError
    return found


def _parse_keys(text: str) -> tuple[SigningKey, ...]:
    items = [item.strip() for item in re.split(r"[,\n]", text)]
    keys = [
        _parse_key(item, f"key {number}")
        for number, item in enumerate((item for item in items if item), 1)
    ]
    seen: dict[str, int] = {}
    for number, key in enumerate(keys, 1):
        if key.kid in seen:
            raise ValueError(f"keys {seen[key.kid]} and {number} have the same kid")
        seen[key.kid] = number
    if text.strip() and not keys:
        raise ValueError("no key in it")
    return tuple(keys)


def _parse_own_key(text: str) -> SigningKey | None:
    if not text:
        return None
    # Before anything else is wrong with it: a file of all keys is what people have at hand.
    if len([item for item in re.split(r"[,\n]", text) if item.strip()]) > 1:
        raise ValueError(f"exactly one kid:secret is wanted, and there are several; {_ALL_KEYS}")
    if ";" in text:
        raise ValueError(f"exactly one kid:secret is wanted, without limits; {_ALL_KEYS}")
    return _parse_key(text)


def _parse_control_key(text: str) -> Secret:
    if text and len(text) < SHORTEST_SECRET:
        raise ValueError(f"it has fewer than {SHORTEST_SECRET} characters")
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("it holds a space or a character that is not printable ASCII")
    return Secret(text)


CONTROL_KEY = Rule(
    _parse_control_key,
    "at least 32 printable ASCII characters without spaces, such as `openssl rand -hex 32` gives",
)
SIGNING_KEYS = Rule(
    _parse_keys,
    "kid:secret, separated by commas or lines, each secret of at least 32 characters, with limits "
    "where wanted: kid:secret;symbols=NVDA|AAPL;max_notional=5000",
)
SIGNING_KEY = Rule(_parse_own_key, "one kid:secret, the secret of at least 32 characters")
