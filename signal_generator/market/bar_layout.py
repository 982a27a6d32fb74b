"""Which column of a table of bars is what, and a row of it as a bar."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from signal_generator.bars import Bar
from signal_generator.market.bar_times import is_crypto
from signal_generator.sessions import NEW_YORK

#: As pandas, Alpaca's JSON and the usual exporters call them; case does not count.
_NAMES = {
    "time": ("timestamp", "t", "datetime", "date", "time"),
    "symbol": ("symbol", "ticker", "s"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v"),
    "trade_count": ("trade_count", "n"),
    "vwap": ("vwap", "vw"),
}
_NEEDED = ("time", "open", "high", "low", "close")
_NANOSECOND = 10**9
#: Above these an epoch number is of nanoseconds, microseconds, milliseconds.
_EPOCHS = ((10**17, _NANOSECOND), (10**14, 10**6), (10**11, 10**3))


class Layout:
    """Reads the rows of one file.

    Args:
        columns: names as the file's header has them.

    Raises:
        ValueError: a column is missing; the text names the file and the column.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        found = {
            name.strip().strip('"').lstrip("\ufeff").lower(): i for i, name in enumerate(columns)
        }
        self._index = {
            what: found[name]
            for what, names in _NAMES.items()
            for name in reversed(names)
            if name in found
        }
        missing = [what for what in _NEEDED if what not in self._index]
        if missing:
            raise ValueError(f"{path}: no column {' and none '.join(missing)}")
        self._symbol = re.split(r"[_ ]", path.stem)[0].upper()
        #: Of the file's columns those that are used, by what they are used for.
        self.used: Mapping[str, int] = self._index

    def bar(self, cells: Sequence[Any]) -> Bar:
        """One row.

        Raises:
            ValueError: the text names the column and the value.
        """
        symbol = self._text_symbol(cells)
        return Bar(
            symbol,
            self.moment(cells),
            open=self._number(cells, "open"),
            high=self._number(cells, "high"),
            low=self._number(cells, "low"),
            close=self._number(cells, "close"),
            volume=self._number(cells, "volume", 0.0),
            trade_count=int(self._number(cells, "trade_count", 0.0)),
            vwap=self._number(cells, "vwap", 0.0),
        )

    def moment(self, cells: Sequence[Any]) -> datetime:
        """When the row's bar begins, in UTC; raises as :meth:`bar` does."""
        value = self._cell(cells, "time")
        try:
            moment = _moment(value)
        except (ValueError, OverflowError, OSError):
            raise ValueError(f"time: {value!r} is not a time") from None
        if isinstance(moment, datetime):
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Days are New York's, as Alpaca's daily bars of shares are; those of crypto are UTC's.
        zone = UTC if is_crypto(self._text_symbol(cells)) else NEW_YORK
        return datetime.combine(moment, time(), zone).astimezone(UTC)

    def _text_symbol(self, cells: Sequence[Any]) -> str:
        if "symbol" not in self._index:
            return self._symbol
        symbol = str(self._cell(cells, "symbol") or "").strip().upper()
        if not symbol:
            raise ValueError("symbol: it is empty")
        return symbol

    def _number(self, cells: Sequence[Any], what: str, default: float | None = None) -> float:
        value = self._cell(cells, what) if what in self._index else None
        if default is not None and value in {None, ""}:
            return default
        try:
            number = float(value)  # type: ignore[arg-type]  # None is an error like any text
        except (TypeError, ValueError):
            number = math.nan
        if default is not None and math.isnan(number):
            return default  # how pandas writes what it does not know
        if not math.isfinite(number) or number < 0:
            raise ValueError(f"{what}: {value!r} is not a number from 0 up")
        return number

    def _cell(self, cells: Sequence[Any], what: str) -> Any:
        index = self._index[what]
        if index >= len(cells):
            raise ValueError(f"{what}: the row ends before it")
        return cells[index]


def _moment(value: Any) -> datetime | date:
    if isinstance(value, date):  # a datetime is one
        return value
    text = str(value).strip()
    if re.fullmatch(r"\d{9,}(\.\d*)?", text):
        number = float(text)
        scale = next((scale for above, scale in _EPOCHS if number >= above), 1)
        return datetime.fromtimestamp(number / scale, UTC)
    return _PARSE[len(text) <= len("2024-01-02")](text)


_PARSE: tuple[Callable[[str], datetime | date], ...] = (datetime.fromisoformat, date.fromisoformat)
