"""The one field ``json``: a whole signal as one JSON object, which is what a webhook sends."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NoReturn

from solution.domain.reasons import Reason
from solution.domain.signal_fields import JSON_FIELD, READERS, Fields, decode, show
from solution.errors import SignalError

_TEXT_ONLY: Final = frozenset(
    {"ticker", "direction", "action", "order_type", "time_in_force", "extended_hours"}
    | {"signal_id", "strategy", "sig", "kid"}
)


class _NumberText(str):
    """A JSON number exactly as it was written."""

    __slots__ = ()


class _Object(list[tuple[str, object]]):
    """The members of a JSON object in order, duplicates included."""


def _no_constant(text: str) -> NoReturn:
    raise SignalError(Reason.INVALID_JSON, f"json: {text} is not JSON")


# Not orjson: it keeps the last of two equal keys without a word and turns numbers into floats.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_float=_NumberText,
    parse_int=_NumberText,
    parse_constant=_no_constant,
)


def flatten_json(given: Mapping[str, bytes]) -> Fields:
    """The members of the ``json`` field as if they had been the entry's fields.

    Raises:
        SignalError: CONFLICTING_FIELDS, NOT_UTF8, INVALID_JSON, INVALID_VALUE.
    """
    others = [name for name in given if name != JSON_FIELD]
    if others:
        message = f"json and {others[0]} cannot stand together: json carries the whole signal"
        raise SignalError(Reason.CONFLICTING_FIELDS, message)
    return list(_flat(_decoded(given[JSON_FIELD])))


def members(raw: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """What can be read of a ``json`` field that may be broken; None for a value that cannot."""
    try:
        decoded = _decoded(raw)
    except SignalError:
        return
    for key, value in decoded:
        try:
            yield from _flat([(key, value)])
        except SignalError:
            yield key.encode(errors="replace"), None


def _decoded(raw: bytes) -> _Object:
    text = decode(JSON_FIELD, raw)
    try:
        decoded = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        message = f"json={show(text)} does not parse: {error.msg} at character {error.pos}"
        raise SignalError(Reason.INVALID_JSON, message) from None
    except RecursionError:
        raise SignalError(Reason.INVALID_JSON, "json is nested too deeply") from None
    if not isinstance(decoded, _Object):
        raise SignalError(Reason.INVALID_JSON, f"json={show(text)} is not one object")
    return decoded


def _flat(pairs: Iterable[tuple[str, object]]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in pairs:
        name = key.lower()
        if name == JSON_FIELD:
            raise SignalError(Reason.INVALID_JSON, "json holds a member json")
        yield _encode(key, key), _encode(key, _scalar(name, key, value))


def _scalar(name: str, key: str, value: object) -> str:
    """The text a scalar would have had as a flat field."""
    if isinstance(value, bool):
        if name != "extended_hours" and name in READERS:
            message = f"{name} is {str(value).lower()} in json, not text or a number"
            raise SignalError(Reason.INVALID_VALUE, message)
        return "true" if value else "false"
    # A number for an identifier is refused: producers that keep numbers as floats would give two
    # signals one id without noticing.
    if isinstance(value, _NumberText) and name in _TEXT_ONLY:
        message = f"{name}={show(value)} is a number in json, not text"
        raise SignalError(Reason.INVALID_VALUE, message)
    if not isinstance(value, str):
        kind = "null" if value is None else "nested"
        raise SignalError(Reason.INVALID_JSON, f"json: the value of {show(key)} is {kind}")
    return value


def _encode(key: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape and UTF-8 cannot write
        message = f"json: {show(key)} holds half a surrogate pair, which is no text"
        raise SignalError(Reason.NOT_UTF8, message) from None
