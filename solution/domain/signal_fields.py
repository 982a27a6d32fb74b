"""The fields of a signal one by one: names, domains, and how their text becomes a value.

What two fields mean together is decided in :mod:`solution.domain.signal_rules`. Every reader
works on the raw bytes of the entry, because the commonest values are then one dictionary look-up,
and raises :class:`~solution.errors.SignalError` and nothing else.
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NoReturn, TypeVar

from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal_model import Action
from solution.errors import SignalError

MAX_ENTRY_BYTES: Final = 64 * 1024
"""All names and values of one entry together."""
MAX_EXTRA_BYTES: Final = 4 * 1024
"""The value of one ``x_`` field."""
MAX_SHOWN: Final = 80
"""Characters of a producer's text that may stand in one of our sentences."""
_MAX_NUMBER: Final = 30
_PLACES: Final = 9  # the finest step the broker takes
_NUMBER = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.([0-9]+))?")
_TICKER = re.compile(rb"[A-Za-z0-9]+(?:[./-][A-Za-z0-9]+)*")
_MAX_TICKER: Final = 20
_EXTRA_NAME = re.compile(r"x_[a-z0-9_.-]{1,62}")
_EPOCH_MS = re.compile(rb"[1-9][0-9]{12}")
_RFC_3339 = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ]"
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")
Fields = Sequence[tuple[bytes, bytes]]
Reader = Callable[[str, bytes], object]


def show(value: str | bytes) -> str:
    """A producer's text, fit for a sentence: quoted, escaped, at most ``MAX_SHOWN`` characters."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return _cut(repr(value[:MAX_SHOWN]))
    return _cut(repr(value[:MAX_SHOWN]) + ("…" if len(value) > MAX_SHOWN else ""))


def _cut(shown: str) -> str:
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"


def decode(name: str, raw: bytes) -> str:
    """The text of a value."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise SignalError(Reason.NOT_UTF8, f"{name}={show(raw)} is not UTF-8 text") from None


def _invalid(name: str, raw: bytes, expected: str) -> NoReturn:
    decode(name, raw)  # bytes that are no text at all have their own reason
    raise SignalError(Reason.INVALID_VALUE, f"{name}={show(raw)} is not {expected}")


def _spellings(word: str) -> tuple[str, str, str]:
    return word, word.upper(), word.capitalize()


def _word(choices: Mapping[str, T]) -> Callable[[str, bytes], T]:
    """Reader of one word out of a few, written lower, UPPER or Capitalised."""
    table = {s.encode(): value for word, value in choices.items() for s in _spellings(word)}
    expected = "one of " + ", ".join(choices)

    def read(name: str, raw: bytes) -> T:
        try:
            return table[raw]
        except KeyError:
            _invalid(name, raw, expected)

    return read


def _number(
    *, places: int = _PLACES, zero: bool = False, most: int | None = None, below: int | None = None
) -> Callable[[str, bytes], Decimal]:
    """Reader of a plain decimal in ASCII digits: no sign, exponent, separator, NaN or infinity.

    Args:
        places: how many decimals may be written.
        zero: whether 0 is in the domain.
        most, below: upper end of the domain, included or not.
    """
    span = ("at least 0" if zero else "greater than 0") + (f" and at most {most}" if most else "")
    span += f" and less than {below}" if below else ""
    expected = f"a plain decimal number with at most {places} decimals, {_MAX_NUMBER} characters"

    def read(name: str, raw: bytes) -> Decimal:
        match = _NUMBER.fullmatch(raw) if len(raw) <= _MAX_NUMBER else None
        if match is None or len(match[1] or b"") > places:
            _invalid(name, raw, expected)
        value = Decimal(raw.decode())
        outside = (most and value > most) or (below and value >= below)
        if outside or not (value or zero):
            _invalid(name, raw, span)
        return value

    return read


def _label(most: int) -> Callable[[str, bytes], str]:
    """Reader of 1 to ``most`` printable characters."""

    def read(name: str, raw: bytes) -> str:
        text = decode(name, raw)
        if not 0 < len(text) <= most or not text.isprintable():
            _invalid(name, raw, f"1 to {most} printable characters")
        return text

    return read


def _ticker(name: str, raw: bytes) -> str:
    if len(raw) > _MAX_TICKER or not (raw.isalnum() or _TICKER.fullmatch(raw)):
        _invalid(name, raw, f"a symbol: letters, digits and . / -, at most {_MAX_TICKER}")
    return raw.decode().upper()


def _ts(name: str, raw: bytes) -> int:
    """Epoch milliseconds; 13 digits, so that seconds or nanoseconds are never taken for them."""
    if _EPOCH_MS.fullmatch(raw):
        return int(raw)
    expected = "RFC 3339 with an offset, or epoch milliseconds (13 digits)"
    text = decode(name, raw)
    if not _RFC_3339.fullmatch(text):
        _invalid(name, raw, expected)
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:  # the form of a date, but no such date
        _invalid(name, raw, expected)
    return (at - _EPOCH) // timedelta(milliseconds=1)


_POSITIVE = _number()
_WEIGHT_PLACES: Final = _MAX_NUMBER  # a weight is often a quotient, written with all its decimals
_SECONDS = _number(below=10_000_000)  # 115 days: longer than any order lives
_DIRECTIONS = {"b": Side.BUY, "buy": Side.BUY, "s": Side.SELL, "sell": Side.SELL}

READERS: Final[Mapping[str, tuple[str, Reader]]] = {
    "ticker": ("ticker", _ticker),
    "direction": ("side", _word(_DIRECTIONS)),
    "action": ("action", _word({a.value: a for a in Action})),
    "qty": ("size", _POSITIVE),
    "notional": ("size", _POSITIVE),
    "weight": ("size", _number(places=_WEIGHT_PLACES, most=1)),
    "target_qty": ("size", _number(zero=True)),
    "target_weight": ("size", _number(places=_WEIGHT_PLACES, zero=True, most=1)),
    "order_type": ("order_type", _word({t.value: t for t in OrderType})),
    "limit_price": ("limit_price", _POSITIVE),
    "stop_price": ("stop_price", _POSITIVE),
    "trail_price": ("trail_price", _POSITIVE),
    "trail_percent": ("trail_percent", _number(below=100)),
    "time_in_force": ("time_in_force", _word({t.value: t for t in TimeInForce})),
    "take_profit": ("take_profit", _POSITIVE),
    "stop_loss": ("stop_loss", _POSITIVE),
    "stop_loss_limit": ("stop_loss_limit", _POSITIVE),
    "extended_hours": ("extended_hours", _word({"true": True, "false": False})),
    "cancel_after": ("cancel_after", _SECONDS),
    "max_age": ("max_age", _SECONDS),
    "signal_id": ("signal_id", _label(128)),
    "ts": ("ts_ms", _ts),
    "strategy": ("strategy", _label(64)),
    "sig": ("sig", _label(256)),
    "kid": ("kid", _label(64)),
}
"""Field name: the attribute of ``Signal`` it fills, and its reader."""

JSON_FIELD: Final = "json"
# Names other systems use, for the hint only: accepting them would be a second contract.
_ELSEWHERE = {
    "symbol": "ticker",
    "side": "direction",
    "quantity": "qty",
    "amount": "notional",
    "type": "order_type",
    "price": "limit_price",
    "tif": "time_in_force",
    "id": "signal_id",
    "client_order_id": "signal_id",
    "timestamp": "ts",
    "time": "ts",
}
_NAMES: Final = {
    spelling.encode(): name
    for name in (*READERS, JSON_FIELD)
    for spelling in (*_spellings(name), name.title())
}


def collect(fields: Fields) -> tuple[dict[str, bytes], tuple[tuple[str, str], ...]]:
    """Resolve the names of an entry.

    Returns:
        the values by lower-case name, ``x_`` fields included, and the ``x_`` fields once more as
        text under the names as given.

    Raises:
        SignalError: UNKNOWN_FIELD, DUPLICATE_FIELD, NOT_UTF8, TOO_LARGE, INVALID_VALUE.
    """
    given: dict[str, bytes] = {}
    extra: list[tuple[str, str]] = []
    size = 0
    for raw, value in fields:
        size += len(raw) + len(value)
        if size > MAX_ENTRY_BYTES:  # before looking at them: a megabyte must not cost its reading
            raise SignalError(Reason.TOO_LARGE, f"the entry has more than {MAX_ENTRY_BYTES} bytes")
        name = _NAMES.get(raw) or _resolve(raw)
        if name in given:
            raise SignalError(Reason.DUPLICATE_FIELD, f"field {name} is given twice")
        given[name] = value
        if name not in READERS and name != JSON_FIELD:
            extra.append((raw.decode(), _extra_value(name, value)))
    return given, tuple(extra)


def _resolve(raw: bytes) -> str:
    """The canonical name behind an uncommon spelling, or the lower-case name of an ``x_`` field."""
    lowered = raw.lower()
    if known := _NAMES.get(lowered):
        return known
    try:
        name = lowered.decode()
    except UnicodeDecodeError:
        raise SignalError(Reason.NOT_UTF8, f"field name {show(raw)} is not UTF-8 text") from None
    if _EXTRA_NAME.fullmatch(name):
        return name
    if name.startswith("x_"):
        hint = "; after x_ come 1 to 62 of letters, digits, _ . -"
    else:
        hint = _nearest(name)
    raise SignalError(Reason.UNKNOWN_FIELD, f"unknown field {show(raw)}{hint}")


def own_field(raw: bytes, value: bytes) -> tuple[str, str] | None:
    """An ``x_`` field as text under the name as given; None for any other field.

    Raises:
        SignalError: its value is not in the domain.
    """
    name = raw.lower().decode(errors="replace")
    return (raw.decode(), _extra_value(name, value)) if _EXTRA_NAME.fullmatch(name) else None


def _nearest(name: str) -> str:
    if near := _ELSEWHERE.get(name):
        return f"; did you mean {near}?"
    # Comparing is quadratic: no name of ours is anywhere near 40 characters.
    close = difflib.get_close_matches(name, READERS, n=1, cutoff=0.7) if len(name) < 40 else []
    return f"; did you mean {close[0]}?" if close else "; a field of your own starts with x_"


def _extra_value(name: str, raw: bytes) -> str:
    if len(raw) > MAX_EXTRA_BYTES:
        raise SignalError(
            Reason.TOO_LARGE, f"{name} has {len(raw)} bytes, more than {MAX_EXTRA_BYTES}"
        )
    if b"\0" in raw:  # PostgreSQL stores no text with NUL
        _invalid(name, raw, "free of NUL characters")
    return decode(name, raw)


def digest(given: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over all fields: the same for any order of fields and any case of names.

    Names hold no NUL and lengths are written out, so no two contents share one canonical form.
    """
    canonical = [b"%b\0%d:%b" % (n.encode(), len(v), v) for n, v in sorted(given.items())]
    return hashlib.sha256(b"".join(canonical)).hexdigest()
