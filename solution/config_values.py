"""From the text of a setting to its value.

A :class:`Rule` is what a field of :class:`solution.config_options.Options` carries in its
annotation: how to read the text, and the words that say what is allowed. A parser raises
``ValueError``; its text, if any, is shown to the user and therefore never quotes the value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import CoreSchema, core_schema

from solution.security import Secret

Weights = tuple[tuple[str, Decimal], ...]
"""Pairs of symbol and share of equity, in the order given."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a text becomes a value.

    Args:
        parse: raises ValueError for what is not allowed.
        allowed: a noun phrase for messages and the reference page.
    """

    parse: Callable[[str], object]
    allowed: str

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        """Let pydantic call :attr:`parse` and nothing else: one reading of a text, not two."""
        return core_schema.no_info_plain_validator_function(self.parse)


class NotionalCap(NamedTuple):
    """A limit on an order's value: an amount, or a fraction of equity, or neither (no limit)."""

    amount: Decimal | None
    fraction: Decimal | None


NamedCaps = tuple[tuple[str, NotionalCap], ...]
"""Pairs of a name and its limit, in the order given."""


_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})")
_SYMBOL = re.compile(r"[A-Z0-9]{1,12}(?:[./-][A-Z0-9]{1,12}){0,2}")
_FLAGS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "off"), False
)


def optional(rule: Rule) -> Rule:
    """The same rule, where the empty text means None."""
    return Rule(lambda text: rule.parse(text) if text else None, rule.allowed)


def _parse_flag(text: str) -> bool:
    value = _FLAGS.get(text.lower())
    if value is None:
        raise ValueError
    return value


FLAG = Rule(_parse_flag, "true or false")


def _parse_decimal(text: str) -> Decimal:
    # Neither sign, exponent, NaN nor Infinity: none of them is meant when somebody writes it here.
    if not _DECIMAL.fullmatch(text):
        raise ValueError
    return Decimal(text)


def whole(low: int, high: int) -> Rule:
    """A whole number within bounds, both included."""

    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Rule(parse, f"a whole number from {low} to {high}")


def decimal(low: str, high: str) -> Rule:
    """A Decimal within bounds, both included."""

    def parse(text: str) -> Decimal:
        value = _parse_decimal(text)
        if not Decimal(low) <= value <= Decimal(high):
            raise ValueError
        return value

    return Rule(parse, f"a number from {low} to {high}")


def seconds(low: str, high: str) -> Rule:
    """A duration as a float number of seconds."""

    def parse(text: str) -> float:
        value = _parse_decimal(text)
        if not Decimal(low) <= value <= Decimal(high):
            raise ValueError
        return float(value)

    return Rule(parse, f"seconds from {low} to {high}")


def _parse_cap(text: str) -> Decimal | None:
    return _parse_decimal(text) or None


CAP = Rule(_parse_cap, "an amount, 0 = no limit")
"""A limit; 0 becomes None, so that nobody compares with a limit of zero."""


def _parse_fraction_cap(text: str) -> Decimal | None:
    value = _parse_decimal(text)
    if value > 1:
        raise ValueError
    return value or None


FRACTION_CAP = Rule(_parse_fraction_cap, "a fraction of equity from 0 to 1 (0.10 = 10 %), 0 = none")


def _parse_multiple_cap(text: str) -> Decimal | None:
    value = _parse_decimal(text)
    if value > 10:
        raise ValueError
    return value or None


MULTIPLE_CAP = Rule(
    _parse_multiple_cap, "a multiple of equity from 0 to 10 (1 = no borrowing), 0 = no limit"
)


def optional_cap(high: str) -> Rule:
    """A number up to ``high``; 0 becomes None."""
    bounded = decimal("0", high)
    return Rule(lambda text: bounded.parse(text) or None, f"{bounded.allowed}; 0 = no limit")


def minutes(low: str, high: str) -> Rule:
    """A duration given in minutes, as a float number of seconds."""

    def parse(text: str) -> float:
        value = _parse_decimal(text)
        if not Decimal(low) <= value <= Decimal(high):
            raise ValueError
        return float(value * 60)

    return Rule(parse, f"minutes from {low} to {high}")


def _parse_notional_cap(text: str) -> NotionalCap:
    if text.endswith("%"):
        percent = _parse_decimal(text.removesuffix("%").rstrip())
        if percent > 100:
            raise ValueError
        return NotionalCap(None, percent / 100 or None)
    return NotionalCap(_parse_cap(text), None)


NOTIONAL_CAP = Rule(_parse_notional_cap, "an amount, or a percentage of equity (10%), 0 = no limit")


def _parse_positive(text: str) -> Decimal:
    value = _parse_decimal(text)
    if not value:
        raise ValueError
    return value


POSITIVE = Rule(_parse_positive, "a number above 0")


def choice(*values: str) -> Rule:
    """One of a few words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in values:
            raise ValueError
        return text.lower()

    return Rule(parse, "one of " + ", ".join(values))


def _parse_level(text: str) -> str:
    if text.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError
    return text.upper()


LOG_LEVEL = Rule(_parse_level, "one of DEBUG, INFO, WARNING, ERROR")


def _parse_short(text: str) -> bool:
    if text.lower() == "explicit":
        return True
    if _FLAGS.get(text.lower()) is not False:
        raise ValueError("a bare sell never opens a short")
    return False


ALLOW_SHORT = Rule(_parse_short, "explicit or false")
"""True: `action=short_sell` may open a short."""


def pattern(regex: str, allowed: str) -> Rule:
    """A text that matches as a whole."""
    compiled = re.compile(regex)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return Rule(parse, allowed)


def _split(text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise ValueError("an item is empty")
    return items


def _parse_symbol(text: str) -> str:
    if not _SYMBOL.fullmatch(text.upper()):
        raise ValueError("symbols look like NVDA, BRK.B or BTC/USD")
    return text.upper()


def _parse_symbols(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_parse_symbol(item) for item in _split(text))) if text else ()


SYMBOLS = Rule(_parse_symbols, "symbols separated by commas (NVDA,BRK.B,BTC/USD)")


STREAM = pattern(r"[!-+\--~]{1,128}", "a stream name: printable ASCII, without spaces and commas")


def _parse_streams(text: str) -> tuple[str, ...]:
    names = _split(text)
    if len(set(names)) < len(names):
        raise ValueError("a stream is named twice")
    for name in names:
        STREAM.parse(name)
    return tuple(names)


STREAMS = Rule(_parse_streams, "stream names (printable ASCII, without spaces) separated by commas")


def _parse_weights(text: str) -> Weights:
    pairs: dict[str, Decimal] = {}
    for item in _split(text) if text else []:
        symbol, _, number = item.rpartition(":")
        symbol, weight = _parse_symbol(symbol.strip()), _parse_decimal(number.strip())
        if symbol in pairs:
            raise ValueError(f"{symbol} is listed twice")
        if not 0 < weight <= 1:
            raise ValueError(f"the weight of {symbol} is not above 0 and at most 1")
        pairs[symbol] = weight
    total = sum(pairs.values(), Decimal(0))
    if total > 1:
        raise ValueError(f"the weights add up to {total}, more than 1")
    return tuple(pairs.items())


WEIGHTS = Rule(_parse_weights, "pairs such as NVDA:0.3,AAPL:0.2, each in (0,1], together at most 1")


def _named_caps(name_of: Callable[[str], str]) -> Callable[[str], NamedCaps]:
    def parse(text: str) -> NamedCaps:
        caps: dict[str, NotionalCap] = {}
        for item in _split(text) if text else []:
            name, separator, cap = item.rpartition(":")
            name = name_of(name.strip()) if separator else ""
            if not name or name in caps:
                raise ValueError("each item is a name, a colon and an amount, each name once")
            caps[name] = _parse_notional_cap(cap.strip())
        return tuple(caps.items())

    return parse


TICKER_CAPS = Rule(_named_caps(_parse_symbol), "pairs such as NVDA:20000,TSLA:5% (of equity)")
STRATEGY_CAPS = Rule(_named_caps(str), "pairs such as sma:20000,scalp:5% (of equity)")

SIZING_POLICIES = ("weight", "position_pct", "fixed_qty", "fixed_notional", "all_in")


def _parse_sizing(text: str) -> str:
    if text.lower() in SIZING_POLICIES:
        return text.lower()
    module, _, function = text.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError
    return text


SIZING = Rule(_parse_sizing, "one of " + ", ".join(SIZING_POLICIES) + ", or module:function")


def _parse_credential(text: str) -> Secret:
    # It becomes an HTTP header: a line break in it would smuggle in another one.
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("it holds a space or a character that is not printable ASCII")
    return Secret(text)


CREDENTIAL = Rule(_parse_credential, "the text from Alpaca's dashboard, without spaces")
TEXT = Rule(lambda text: text, "any text")


def _parse_path(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds a control character")
    try:
        Path(text).expanduser()
    except RuntimeError:
        raise ValueError("it names the home directory of nobody here") from None
    return text


PATH = Rule(_parse_path, "a path")
