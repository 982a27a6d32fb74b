"""Which columns of a file mean what, by their names."""

from collections.abc import Sequence
from dataclasses import dataclass

from paper_exchange.replay.errors import ReplayError

TIME = "time"
SYMBOL = "symbol"

_NAMES: dict[str, tuple[str, ...]] = {
    TIME: ("timestamp", "t", "datetime", "date", "time"),
    SYMBOL: ("symbol", "ticker"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v"),
    "trade_count": ("trade_count", "n"),
    "vwap": ("vwap", "vw"),
    "price": ("price", "p"),
    "size": ("size", "s"),
    "bid_price": ("bid_price", "bp"),
    "bid_size": ("bid_size", "bs"),
    "ask_price": ("ask_price", "ap"),
    "ask_size": ("ask_size", "as"),
}
#: What a row of each kind must have, and what it may.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bars": (("open", "high", "low", "close"), ("volume", "trade_count", "vwap")),
    "quotes": (("bid_price", "ask_price"), ("bid_size", "ask_size")),
    "trades": (("price",), ("size",)),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read.

    Attributes:
        kind: ``bars``, ``quotes`` or ``trades``.
        columns: the place of each meaning among the file's columns.
        names: what the file calls its columns.
    """

    kind: str
    columns: dict[str, int]
    names: tuple[str, ...]

    @property
    def values(self) -> list[str]:
        """The meanings of the columns with numbers, in the order in which they are kept."""
        needed, possible = KINDS[self.kind]
        return [*needed, *(one for one in possible if one in self.columns)]


def find_layout(where: str, header: Sequence[str]) -> Layout:
    """The layout that a file's header tells of; case and spaces around names do not matter.

    Raises:
        ReplayError: when it is none, or is ambiguous.
    """
    names = [name.strip().lower() for name in header]
    columns: dict[str, int] = {}
    for meaning, accepted in _NAMES.items():
        found = [place for place, name in enumerate(names) if name in accepted]
        if len(found) > 1:
            both = " and ".join(header[place].strip() for place in found[:2])
            raise ReplayError(f"{where}: the columns {both} both mean {meaning}")
        if found:
            columns[meaning] = found[0]
    kind = next(
        (kind for kind, (needed, _) in KINDS.items() if columns.keys() >= set(needed)), None
    )
    if kind is None:
        raise ReplayError(
            f"{where}: the header names neither bars (open, high, low, close) nor trades (price) "
            "nor quotes (bid_price, ask_price)"
        )
    if TIME not in columns:
        raise ReplayError(f"{where}: the header names no column of times (timestamp, date, time)")
    return Layout(kind, columns, tuple(name.strip() for name in header))
