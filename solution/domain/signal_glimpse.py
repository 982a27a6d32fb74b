"""What an entry tells of its signal although it may be none: a dead letter must find its producer.

Each of a few fields is read by itself. It counts only where the entry holds it once and with a
value that would be valid; of a valid signal exactly what :func:`solution.domain.signal.parse` says
is found.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from solution.domain.signal_fields import (
    JSON_FIELD,
    MAX_ENTRY_BYTES,
    READERS,
    Fields,
    digest,
    own_field,
)
from solution.domain.signal_json import members
from solution.errors import SignalError

_JSON: Final = JSON_FIELD.encode()
_LABELS: Final = frozenset({b"signal_id", b"ticker", b"strategy"})
_MOST_FIELDS: Final = MAX_ENTRY_BYTES // 3
"""More have no room in a valid entry; then a megabyte of own fields must not cost its reading."""
Members = list[tuple[bytes, bytes | None]]
"""Names and values; None for a value that is no scalar."""


class Glimpse(NamedTuple):
    """Empty where nothing is known; ``extra`` as in :class:`solution.domain.signal.Signal`."""

    signal_id: str = ""
    ticker: str = ""
    strategy: str = ""
    extra: tuple[tuple[str, str], ...] = ()


def glimpse(fields: Fields) -> Glimpse:
    """Look at an entry; raises nothing, whatever it holds."""
    try:
        return _look(fields)
    except Exception:  # noqa: BLE001 - a mistake in a reader must not cost the record of an entry
        return Glimpse()


def content_digest(fields: Fields) -> str:
    """The digest of a signal with these fields, be it valid in this version or not.

    Returns:
        empty where the entry can never have been a signal.
    """
    if len(fields) > _MOST_FIELDS:
        return ""
    if len(fields) > 1 and any(raw.lower() == _JSON for raw, _ in fields):
        return ""  # json stands alone
    flat = _flat(fields)
    given = {raw.lower(): value for raw, value in flat if value is not None}
    if len(given) < len(flat):
        return ""  # a name given twice, a value that is no scalar
    try:
        return digest({raw.decode(): value for raw, value in given.items()})
    except UnicodeDecodeError:
        return ""


def _look(fields: Fields) -> Glimpse:
    if len(fields) > _MOST_FIELDS:
        fields = [field for field in fields if field[0].lower() in _LABELS]
    flat = _flat(fields)
    times = Counter(raw.lower() for raw, _ in flat)
    once = [(raw, value) for raw, value in flat if value is not None and times[raw.lower()] == 1]
    by_name = {raw.lower(): value for raw, value in once}
    return Glimpse(
        signal_id=_label("signal_id", by_name),
        ticker=_label("ticker", by_name),
        strategy=_label("strategy", by_name),
        extra=tuple(_extra(once)),
    )


def _flat(fields: Fields) -> Members:
    """The entry's own fields, and the members of its ``json`` where it has one."""
    flat: Members = [(raw, value) for raw, value in fields if raw.lower() != _JSON]
    wrapped = [value for raw, value in fields if raw.lower() == _JSON]
    if len(wrapped) == 1 and len(wrapped[0]) <= MAX_ENTRY_BYTES:
        flat += members(wrapped[0])
    return flat


def _label(name: str, by_name: dict[bytes, bytes]) -> str:
    value = by_name.get(name.encode())
    if value is None:
        return ""
    try:
        return str(READERS[name][1](name, value))
    except SignalError:
        return ""


def _extra(once: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    """The producer's own fields, as many as a valid entry could hold: they are told once more."""
    room = MAX_ENTRY_BYTES
    for raw, value in once:
        room -= len(raw) + len(value)
        if room < 0:
            return
        try:
            pair = own_field(raw, value)
        except SignalError:
            continue
        if pair is not None:
            yield pair
