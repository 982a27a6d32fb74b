"""The values of a fault's options: read from text or JSON, checked, and written again."""

import re
from collections.abc import Callable

_LONGEST_MS = 600_000
_LARGEST_COUNT = 1_000_000_000
_LONGEST_TEXT = 65_536
#: Close codes an endpoint may send (RFC 6455, 7.4; the rest are reserved).
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
#: Headers that describe the body; the exchange writes them itself.
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding"})


class BadFault(ValueError):
    """A fault that cannot be understood; the message is one sentence."""


def shown(value: object) -> str:
    """A value as errors show it, short whatever it is."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)[:80]
    return f"a {type(value).__name__}"


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def reader(name: str, value: object) -> int:
        number = _as_int(value)
        if number is None or not low <= number <= high:
            raise BadFault(
                f"{name} must be a whole number from {low} to {high}, not {shown(value)}"
            )
        return number

    return reader


def _as_int(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _probability(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise BadFault(f"{name} must be a number from 0 to 1, not {shown(value)}")
    return number


def _duration(name: str, value: object) -> tuple[int, int]:
    """``100`` or ``100-300``, in milliseconds."""
    ends = value.split("-") if isinstance(value, str) else [value]
    numbers = [_as_int(end) for end in ends]
    low, high = numbers[0], numbers[-1]
    if low is None or high is None or len(ends) > 2 or not 0 <= low <= high <= _LONGEST_MS:
        raise BadFault(
            f"{name} must be milliseconds from 0 to {_LONGEST_MS} such as 100 or 100-300, "
            f"not {shown(value)}"
        )
    return low, high


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or (name != "body" and not value):
        raise BadFault(f"{name} must be text, not {shown(value)}")
    return value


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in {"true", "false"}:
        raise BadFault(f"{name} must be true or false, not {shown(value)}")
    return value == "true"


def _one_of(*allowed: str) -> Callable[[str, object], str]:
    def reader(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise BadFault(f"{name} must be {' or '.join(allowed)}, not {shown(value)}")
        return value

    return reader


def _answer(name: str, value: object) -> str:
    number = _as_int(value)
    if value in ("none", "reset"):
        return str(value)
    if number is None or not 400 <= number <= 599:
        raise BadFault(
            f"{name} must be none, reset or a status from 400 to 599, not {shown(value)}"
        )
    return str(number)


def _close_code(name: str, value: object) -> int:
    number = _as_int(value)
    if number not in _CLOSE_CODES or number is None:
        raise BadFault(
            f"{name} must be a close code such as 1001, 1011 or 4000, not {shown(value)}"
        )
    return number


def _headers(name: str, value: object) -> tuple[tuple[str, str], ...]:
    """A JSON object, or ``Name: value`` lines."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and all(isinstance(line, str) for line in value):
        pairs = [_header_line(name, line) for line in value]
    else:
        raise BadFault(f"{name} must be an object of header names and values, not {shown(value)}")
    for key, content in pairs:
        if not (
            _HEADER_NAME.fullmatch(key)
            and isinstance(content, str)
            and _HEADER_VALUE.fullmatch(content)
            and key.lower() not in _OWN_HEADERS
        ):
            raise BadFault(f"{name} {shown(key)} cannot be sent with the value {shown(content)}")
    return tuple(pairs)


def _header_line(name: str, line: str) -> tuple[str, str]:
    key, colon, content = line.partition(":")
    if not colon:
        raise BadFault(f"{name} must be 'Name: value', not {shown(line)}")
    return key.strip(), content.strip()


_READERS: dict[str, Callable[[str, object], object]] = {
    "key": _text,
    "client": _text,
    "symbol": _text,
    "event": _text,
    "body": _text,
    "p": _probability,
    "next": _whole(1, _LARGEST_COUNT),
    "skip": _whole(0, _LARGEST_COUNT),
    "requests": _whole(1, _LARGEST_COUNT),
    "ms": _duration,
    "when": _one_of("before", "after"),
    "how": _one_of("close", "reset"),
    "status": _whole(400, 599),
    "taken": _flag,
    "limit_headers": _flag,
    "answer": _answer,
    "code": _close_code,
    "headers": _headers,
}


def read(name: str, value: object) -> object:
    """The checked value of an option.

    Raises:
        BadFault: naming the option and the value.
    """
    return _READERS[name](name, value)


def written(name: str, value: object) -> object:
    """A checked value as JSON."""
    if name == "ms" and isinstance(value, tuple):
        low, high = value
        return low if low == high else f"{low}-{high}"
    return dict(value) if name == "headers" and isinstance(value, tuple) else value
