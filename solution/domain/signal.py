"""The signal: what a producer may say, read from one stream entry.

The contract for producers is ``docs/reference/signal.md``; ``signal.schema.json`` beside this
module says the same for machines, and tests hold the three together. Pure: no I/O, no clock.
"""

from functools import lru_cache
from typing import Any, Final

from solution.domain.signal_fields import JSON_FIELD, READERS, Fields, collect, digest
from solution.domain.signal_json import flatten_json
from solution.domain.signal_model import Action, Signal, SizeKind
from solution.domain.signal_rules import (
    check_side,
    check_terms,
    check_time_in_force,
    conflict,
    default_time_in_force,
    missing,
)

__all__ = [
    "Action",
    "Signal",
    "SizeKind",
    "check_time_in_force",
    "contents",
    "default_time_in_force",
    "parse",
]

_SIZES: Final = {kind.value: kind for kind in SizeKind}
_ALONE: Final = frozenset(
    {"ticker", "direction", "qty", "weight", "target_qty", "target_weight", "cancel_after"}
    | {"max_age", "signal_id", "ts", "strategy", "sig", "kid"}
)
"""Fields that need no look at the order's terms; nearly every signal has no others."""
_REPEATED_FIELDS: Final = 3
_REPEATED_BYTES: Final = 100
"""Entries that are remembered have at most so many fields, and bytes in them."""
_REMEMBERED: Final = 1024


def parse(stream: str, entry_id: str, fields: Fields) -> Signal:
    """Read one stream entry.

    Args:
        stream: name of the stream.
        entry_id: ``milliseconds-sequence``, as Redis gives it.
        fields: names and values in the order received, repetitions included.

    Raises:
        SignalError: the entry is no valid signal; the message names the field and the value.
    """
    # Most producers say the same few things again and again (a ticker and a direction): what was
    # read once is not read again, only the place of the entry differs. 4 µs become 2, and 100
    # become 50 where other work has emptied the processor's caches since the last signal.
    short = len(fields) <= _REPEATED_FIELDS and sum(len(v) for _, v in fields) <= _REPEATED_BYTES
    content = _read_again(tuple(fields)) if short else _read(fields)
    return content._replace(stream=stream, entry_id=entry_id)


def contents(fields: Fields) -> tuple[dict[str, bytes], tuple[tuple[str, str], ...]]:
    """Values by lower-case name, of either form, and the ``x_`` fields under the names as given.

    Raises:
        SignalError: as :func:`solution.domain.signal_fields.collect`, or no such JSON.
    """
    given, extra = collect(fields)
    return collect(flatten_json(given)) if JSON_FIELD in given else (given, extra)


def _read(fields: Fields) -> Signal:
    """What the fields say, wherever they stand: a signal without stream and entry id."""
    given, extra = contents(fields)
    values: dict[str, Any] = {}
    for name, raw in given.items():
        if name in READERS:
            attribute, reader = READERS[name]
            values[attribute] = reader(name, raw)
            if name in _SIZES:
                if "size_kind" in values:
                    conflict(values["size_kind"], name, "only one size may be given")
                values["size_kind"] = _SIZES[name]
    if "ticker" not in values:
        missing("ticker is missing: send the symbol, for example NVDA")
    signal = Signal(stream="", entry_id="", digest=digest(given), extra=extra, **values)
    check_side(signal)
    if not given.keys() <= _ALONE:
        check_terms(signal)
    return signal


_read_again = lru_cache(_REMEMBERED)(_read)
