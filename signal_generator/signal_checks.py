"""Whether the fields of a signal can be taken by a consumer, before they are published.

The contract is docs/reference/signal.md. It is told here once more, and not imported: packages meet
only on the wire. A strategy's author should hear of a mistake where it was made, with a traceback,
and not from a dead letter. Tests hold this to the consumer's JSON Schema, in both directions.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Fields = Mapping[str, str]

#: Bytes of one entry and of one field of the producer's own.
_MOST_BYTES = 65_536
_MOST_OWN = 4_096
_OWN_NAME = re.compile(r"x_[A-Za-z0-9_.-]{1,62}")
_PAIR = re.compile(r"/|^(?=.{6})[A-Z0-9]+(?:USD[CT]?|BTC)\Z")
_PART = re.compile(r"\.[0-9]*[1-9]")


class WrongSignal(ValueError):
    """What a strategy returned cannot be a signal; the text names the field and the value."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What the text of a field looks like."""

    pattern: str
    expected: str
    most: int = 30
    zero: bool = False

    def holds(self, text: str) -> bool:
        fits = len(text) <= self.most and re.fullmatch(self.pattern, text) is not None
        return fits and (self.zero or not re.fullmatch(r"0(?:\.0+)?", text))


def _words(*words: str) -> _Form:
    return _Form("|".join(words), f"one of {', '.join(words)}")


_DECIMAL = r"(?:0|[1-9][0-9]*)(?:\.[0-9]{1,9})?"
_RATIO = r"0(?:\.[0-9]+)?|1(?:\.0+)?"
_positive = _Form(_DECIMAL, "a number above 0 with at most 9 decimals")
_seconds = _Form(r"(?:0|[1-9][0-9]{0,6})(?:\.[0-9]{1,9})?", "seconds above 0, below 10,000,000")
_FORMS = {
    "ticker": _Form(r"[A-Z0-9]+(?:[./-][A-Z0-9]+)*", "a symbol such as NVDA or BTC/USD", 20),
    "action": _words(
        *("buy_long", "buy_to_cover", "cover_short", "short_sell", "sell_long", "liquidate")
    ),
    "order_type": _words("market", "limit", "stop", "stop_limit", "trailing_stop"),
    "time_in_force": _words("day", "gtc", "ioc", "fok", "opg", "cls"),
    "weight": _Form(_RATIO, "a share above 0, at most 1"),
    "target_weight": _Form(_RATIO, "a share from 0 to 1", zero=True),
    "target_qty": _Form(_DECIMAL, "a number from 0 with at most 9 decimals", zero=True),
    "trail_percent": _Form(r"(?:0|[1-9][0-9]?)(?:\.[0-9]{1,9})?", "above 0 and below 100"),
    "cancel_after": _seconds,
    "max_age": _seconds,
    **dict.fromkeys(("qty", "notional", "limit_price", "stop_price", "trail_price"), _positive),
    **dict.fromkeys(("take_profit", "stop_loss", "stop_loss_limit"), _positive),
}
_LABELS = {"strategy": 64, "signal_id": 128}

_SIZES = ("qty", "notional", "weight", "target_qty", "target_weight")
_PRICES = ("limit_price", "stop_price", "trail_price", "trail_percent")
_BRACKET = ("take_profit", "stop_loss")
_SHARES = ("day", "gtc")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What holds where `when` names the field that brings it about.

    Args:
        needs: must be there. never: must not. only: where there, one of these. whole: ``qty`` is.
    """

    when: Callable[[Fields], str]
    needs: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole: bool = False

    def broken_by(self, fields: Fields) -> str:
        """The first field that is wrong with it, and how; empty where all is well."""
        cause = self.when(fields)
        problem = next(self._problems(fields), "") if cause else ""
        return f"{problem} with {_shown(fields, cause)}" if problem else ""

    def _problems(self, fields: Fields) -> Iterator[str]:
        yield from (f"{name}: missing" for name in self.needs if name not in fields)
        never = (name for name in self.never if name in fields)
        yield from (f"{_shown(fields, name)}: not possible" for name in never)
        for name, allowed in self.only.items():
            if fields.get(name, allowed[0]) not in allowed:
                yield f"{_shown(fields, name)}: must be {' or '.join(allowed)}"
        if self.whole and _PART.search(fields.get("qty", "")):
            yield f"{_shown(fields, 'qty')}: must be whole shares"


def _has(*names: str) -> Callable[[Fields], str]:
    return lambda fields: next((name for name in names if name in fields), "")


def _is(name: str, *values: str) -> Callable[[Fields], str]:
    return lambda fields: name if fields.get(name) in values else ""


def _part_of_a_share(fields: Fields) -> str:
    return "qty" if _PART.search(fields.get("qty", "")) else _has("notional")(fields)


def _share_in_parts(fields: Fields) -> str:
    return "" if _pair(fields) else _part_of_a_share(fields)


def _pair(fields: Fields) -> str:
    return "ticker" if _PAIR.search(fields["ticker"]) else ""


def _long_bracket(fields: Fields) -> str:
    short = fields.get("action") == "short_sell"
    return "" if short else _has(*_BRACKET)(fields)


_RULES = (
    _Rule(_has("target_qty", "target_weight"), never=("direction", "action", *_BRACKET)),
    _Rule(
        _is("action", "buy_long", "buy_to_cover", "cover_short"),
        only={"direction": ("b",)},
    ),
    _Rule(_is("action", "short_sell", "sell_long"), only={"direction": ("s",)}),
    _Rule(_is("action", "liquidate"), never=("notional", "weight", *_BRACKET)),
    _Rule(_is("action", "short_sell"), never=("notional",), whole=True),
    *(_Rule(_has(price), needs=("order_type",)) for price in _PRICES),
    _Rule(_has("stop_loss_limit"), needs=("stop_loss",)),
    _Rule(_is("order_type", "market"), never=_PRICES),
    _Rule(_is("order_type", "limit"), ("limit_price",), _PRICES[1:]),
    _Rule(_is("order_type", "stop"), ("stop_price",), ("limit_price", *_PRICES[2:])),
    _Rule(_is("order_type", "stop_limit"), ("limit_price", "stop_price"), _PRICES[2:]),
    _Rule(_is("order_type", "trailing_stop"), never=("limit_price", "stop_price", *_BRACKET)),
    _Rule(
        _has(*_BRACKET),
        never=("notional",),
        only={"time_in_force": _SHARES, "extended_hours": ("false",)},
        whole=True,
    ),
    _Rule(_long_bracket, ("direction",), only={"direction": ("b",), "action": ("buy_long",)}),
    _Rule(
        _is("extended_hours", "true"),
        ("order_type",),
        only={"order_type": ("limit",), "time_in_force": _SHARES},
    ),
    _Rule(
        _is("time_in_force", "ioc", "fok", "opg", "cls"), only={"order_type": ("market", "limit")}
    ),
    _Rule(_part_of_a_share, only={"order_type": ("market", "limit", "stop", "stop_limit")}),
    _Rule(_share_in_parts, only={"time_in_force": ("day",)}),
    _Rule(_has("notional"), only={"order_type": ("market",)}),
    _Rule(
        _pair,
        never=_BRACKET,
        only={
            "order_type": ("market", "limit", "stop_limit"),
            "time_in_force": ("gtc", "ioc"),
            "extended_hours": ("false",),
        },
    ),
    _Rule(lambda f: _pair(f) and _is("action", "short_sell")(f), never=("ticker",)),
)


def check(fields: Fields) -> None:
    """Nothing where a consumer can take these fields, the words among them in lower case.

    Raises:
        WrongSignal: it cannot; the text begins with the field at fault.
    """
    for name, text in fields.items():
        _check_one(name, text)
    problem = next(_problems(fields), "")
    if problem:
        raise WrongSignal(problem)
    if sum(len(name) + len(text.encode()) for name, text in fields.items()) > _MOST_BYTES:
        raise WrongSignal(f"metadata: the whole signal is larger than {_MOST_BYTES} bytes")


def _problems(fields: Fields) -> Iterator[str]:
    decided = _has("direction", "target_qty", "target_weight")(fields)
    if not decided and fields.get("action") != "liquidate":
        yield "side: missing; only a target or action=liquidate goes without"
    sizes = [_shown(fields, name) for name in _SIZES if name in fields]
    if len(sizes) > 1:
        yield f"{' and '.join(sizes)}: at most one size"
    trails = ("trail_price", "trail_percent")
    if fields.get("order_type") == "trailing_stop" and sum(t in fields for t in trails) != 1:
        yield "order_type=trailing_stop: needs one of trail_price and trail_percent"
    yield from filter(None, (rule.broken_by(fields) for rule in _RULES))


def is_symbol(text: str) -> bool:
    """Whether a signal may name it as its ``ticker``."""
    return _FORMS["ticker"].holds(text)


def _check_one(name: str, text: str) -> None:
    """The value of one field by itself."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise WrongSignal(f"{name}: {text!r} cannot be written as UTF-8") from None
    if name.startswith("x_"):
        if not _OWN_NAME.fullmatch(name):
            raise WrongSignal(f"metadata: {name[2:]!r} is no name of 1 to 62 of A-Z a-z 0-9 _ . -")
        if size > _MOST_OWN or "\0" in text:
            raise WrongSignal(f"metadata: {name[2:]} is longer than {_MOST_OWN} bytes or holds NUL")
    elif name in _LABELS:
        if not text.isprintable() or not 0 < len(text) <= _LABELS[name]:
            raise WrongSignal(f"{name}: {text!r} is not printable text of 1 to {_LABELS[name]}")
    elif name in _FORMS and not _FORMS[name].holds(text):
        raise WrongSignal(f"{name}: {text!r} is not {_FORMS[name].expected}")


def _shown(fields: Fields, name: str) -> str:
    return f"{name}={fields[name]}"
