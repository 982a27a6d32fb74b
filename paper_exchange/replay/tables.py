"""Files as columns of plain numbers, one table for each symbol and kind."""

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from paper_exchange.replay.errors import ReplayError
from paper_exchange.replay.layout import SYMBOL, TIME, Layout, find_layout
from paper_exchange.replay.values import Spot, TimeReader, numbers

#: Rows read at a time: enough to be quick, few enough to be small as Python objects.
CHUNK = 4000
_MAY_BE_ZERO = frozenset({"volume", "trade_count", "vwap", "size", "bid_size", "ask_size"})

#: One piece of a file: its cells by column, in the order of the header.
Chunk = Sequence[Sequence[object]]


@dataclass(slots=True)
class Table:
    """The rows of one symbol and kind, in the order of the files.

    Attributes:
        source: the first file, for error messages.
        columns: numbers by meaning.
        dates: the rows have dates, not times; those are midnight UTC in ``times``.
    """

    kind: str
    source: str
    dates: bool
    times: "array[int]" = field(default_factory=lambda: array("q"))
    columns: dict[str, "array[float]"] = field(default_factory=dict)


Tables = dict[tuple[str, str], Table]


def read_file(path: Path, symbol: str | None, tables: Tables) -> None:
    """Add a file's rows to the tables; ``symbol`` is that of files without a column for it.

    Raises:
        ReplayError: when it cannot be read.
    """
    if path.suffix.lower() == ".parquet":
        from paper_exchange.replay.parquet import parquet_chunks

        header, chunks = parquet_chunks(path)
    else:
        header, chunks = _csv_chunks(path)
    layout = find_layout(str(path), header)
    if SYMBOL not in layout.columns and symbol is None:
        raise ReplayError(
            f"{path}: the file has no column of symbols, and its name is not one: "
            "name it after the symbol, such as AAPL.csv"
        )
    reader = TimeReader()
    row = 0
    for first_row, chunk in chunks:
        row = first_row
        _add(_Source(path, layout, reader, symbol or ""), chunk, first_row, tables)
    if not row:
        raise ReplayError(f"{path}: the file has no rows")


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    layout: Layout
    times: TimeReader
    symbol: str


def _csv_chunks(path: Path) -> tuple[list[str], Iterator[tuple[int, Chunk]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayError(f"{path}: cannot be read as CSV: {_why(error)}") from None
    return header, _csv_rows(path, len(header))


def _csv_rows(path: Path, width: int) -> Iterator[tuple[int, Chunk]]:
    """Chunks with the number of their first row; the header is row 1."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            next(reader)
            rows: list[list[str]] = []
            first = number = 2
            for number, row in enumerate(reader, 2):
                if not row:  # an empty line: what comes after it is a piece of its own
                    if rows:
                        yield first, list(zip(*rows, strict=True))
                    rows, first = [], number + 1
                    continue
                if len(row) != width:
                    raise ReplayError(f"{path}, row {number}: {len(row)} cells instead of {width}")
                rows.append(row)
                if len(rows) == CHUNK:
                    yield first, list(zip(*rows, strict=True))
                    rows, first = [], number + 1
            if rows:
                yield first, list(zip(*rows, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayError(f"{path}: cannot be read as CSV: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it cannot be opened"
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def _add(source: _Source, chunk: Chunk, first_row: int, tables: Tables) -> None:
    layout, path = source.layout, str(source.path)
    places = layout.columns

    def spot(meaning: str) -> Spot:
        return Spot(path, layout.names[places[meaning]], first_row)

    times = source.times.times(chunk[places[TIME]], spot(TIME))
    columns = {
        meaning: numbers(
            chunk[places[meaning]], spot(meaning), least=0 if meaning in _MAY_BE_ZERO else None
        )
        for meaning in layout.values
    }
    _check_rows(source, columns, first_row)
    for symbol, start, stop in _runs(source, chunk, first_row):
        key = (symbol, layout.kind)
        table = tables.get(key)
        if table is None:
            made = {meaning: array("d") for meaning in columns}
            table = Table(layout.kind, path, source.times.dates, columns=made)
            tables[key] = table
        if table.columns.keys() != columns.keys() or table.dates != source.times.dates:
            raise ReplayError(
                f"{path}: {layout.kind} of {symbol} have other columns than in {table.source}"
            )
        table.times.extend(times[start:stop])
        for meaning, column in columns.items():
            table.columns[meaning].extend(column[start:stop])


def _runs(source: _Source, chunk: Chunk, first_row: int) -> Iterator[tuple[str, int, int]]:
    """Symbols with the places of rows in a row that are theirs."""
    place = source.layout.columns.get(SYMBOL)
    if place is None:
        yield source.symbol, 0, len(chunk[0])
        return
    at = 0
    for cell, rows in groupby(chunk[place]):
        count = sum(1 for _ in rows)
        symbol = str(cell or "").strip().upper()
        if not is_symbol(symbol):
            spot = Spot(str(source.path), source.layout.names[place], first_row)
            raise spot.refusal(at, cell, "a symbol")
        yield symbol, at, at + count
        at += count


def is_symbol(text: str) -> bool:
    """Whether this could be a symbol: up to 20 letters, digits, dots, one slash."""
    bare = text.replace(".", "").replace("/", "", 1)
    return 0 < len(text) <= 20 and bare.isascii() and bare.isalnum()


def _check_rows(source: _Source, columns: dict[str, "array[float]"], first_row: int) -> None:
    """High is the highest and low the lowest of a bar; a bid is below its ask, or meets it."""
    if source.layout.kind == "bars":
        order = ("open", "high", "low", "close")
        rows = zip(*(columns[one] for one in order), strict=True)
        for place, (first, high, low, last) in enumerate(rows):
            if not (low <= first <= high and low <= last <= high):
                raise ReplayError(
                    f"{source.path}, row {first_row + place}, column high or low: "
                    f"open {first}, high {high}, low {low}, close {last} cannot be one bar"
                )
    elif source.layout.kind == "quotes":
        pairs = zip(columns["bid_price"], columns["ask_price"], strict=True)
        for place, (bid, ask) in enumerate(pairs):
            if bid > ask:
                raise ReplayError(
                    f"{source.path}, row {first_row + place}, column bid_price: "
                    f"the bid {bid} is above the ask {ask}"
                )
