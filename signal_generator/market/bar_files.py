"""Bars out of CSV and Parquet files, in time order over all of them, in little memory.

A file is read twice. The first time finds its *runs*, stretches whose times do not fall: one, if
the file is in order of time; one per symbol, if it is in order of symbols. The second time all runs
of all files are read side by side, a piece of each at a time.
"""

import csv
import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from signal_generator.bars import Bar
from signal_generator.market.bar_layout import Layout

_PIECE = 200
"""Rows of each run in memory."""
_MOST_RUNS = 5000
_NEVER = datetime.min.replace(tzinfo=UTC)
_NAMED = 10
"""Bad rows that are named in the log; of further ones the number alone is kept."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file: where it is, for the log and for finding it again."""

    line: int
    place: int
    cells: Sequence[Any]


class Table(Protocol):
    """One file."""

    path: Path
    layout: Layout

    def rows(self, place: int, line: int) -> Iterator[Row]:
        """Its rows from one on."""


class BadRows:
    """Names the rows that cannot be read, up to a number, and counts them."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.count = 0

    def add(self, table: Table, row: Row, error: ValueError) -> None:
        """One more."""
        self.count += 1
        if self.count <= _NAMED:
            self._log.warning("%s, line %d, is left out: %s", table.path, row.line, error)


def open_tables(paths: Iterable[Path]) -> list[Table]:
    """The files, and those in folders.

    Raises:
        ValueError: there is none, or one cannot be used; the text names it.
    """
    found: list[Table] = []
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in {".csv", ".parquet"})
            if not files:
                raise ValueError(f"{path}: no .csv and no .parquet file in it")
        else:
            files = [path]
        found += [_open_table(file) for file in files]
    return found


def merged(tables: Sequence[Table], bad: BadRows) -> Iterator[Bar]:
    """The bars of all files in order of time, and of symbols within a moment.

    Raises:
        ValueError: a file is in no order at all.
    """
    runs = [_bars(table, run, bad) for table in tables for run in _runs(table)]
    return heapq.merge(*runs, key=lambda bar: (bar.timestamp, bar.symbol))


@dataclass(frozen=True, slots=True)
class _Run:
    line: int
    place: int
    rows: int


def _runs(table: Table) -> list[_Run]:
    starts: list[tuple[Row, int]] = []
    last, number = _NEVER, 0
    for row in table.rows(0, 0):
        try:
            moment = table.layout.moment(row.cells)
        except ValueError:
            moment = last  # the row is named when it is read for good
        if not starts or moment < last:
            starts.append((row, number))
        if len(starts) > _MOST_RUNS:
            raise ValueError(f"{table.path}: its rows are in no order; sort them by time")
        last, number = moment, number + 1
    ends = [number for _, number in starts[1:]] + [number] * bool(starts)
    return [
        _Run(row.line, row.place, end - first)
        for (row, first), end in zip(starts, ends, strict=True)
    ]


def _bars(table: Table, run: _Run, bad: BadRows) -> Iterator[Bar]:
    """The bars of a run; the file is open only while a piece of it is read."""
    line, place, left = run.line, run.place, run.rows
    while left:
        piece: list[Bar] = []
        rows = table.rows(place, line)
        for row in rows:
            if left == 0 or len(piece) == _PIECE:
                line, place = row.line, row.place
                break
            left -= 1
            try:
                piece.append(table.layout.bar(row.cells))
            except ValueError as error:
                bad.add(table, row, error)
        else:
            left = 0
        rows.close()  # type: ignore[attr-defined]  # generators
        yield from piece


def _open_table(path: Path) -> Table:
    try:
        if path.suffix.lower() == ".parquet":
            return _Parquet(path)
        return _Csv(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


class _Csv:
    """Places are offsets in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            header = file.readline()
            self._begin = file.tell()
        self.layout = Layout(path, _split(header.decode(errors="replace")))

    def rows(self, place: int, line: int) -> Iterator[Row]:
        line = line or 2
        with self.path.open("rb") as file:
            file.seek(place or self._begin)
            place = file.tell()
            for data in file:
                text = data.decode(errors="replace").rstrip("\r\n")
                if text:
                    yield Row(line, place, _split(text))
                place += len(data)
                line += 1


def _split(text: str) -> list[str]:
    return next(csv.reader([text]), []) if '"' in text else text.rstrip("\r\n").split(",")


class _Parquet:
    """Places are numbers of rows."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError:
            raise ValueError(
                f"{path} needs pyarrow: pip install 'signalpaca[parquet]', or write CSV"
            ) from None
        self.path = path
        self._arrow = pa
        open_file: Any = pq.ParquetFile
        self._open: Callable[[], Any] = lambda: open_file(path, buffer_size=65536, pre_buffer=False)
        try:
            with self._open() as file:
                names = list(file.schema_arrow.names)
                groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        except pa.ArrowException as error:
            raise ValueError(f"{path} is no Parquet file: {error}") from None
        wanted = sorted(Layout(path, names).used.values())
        self._names = [names[i] for i in wanted]
        self._groups = groups
        self.layout = Layout(path, self._names)

    def rows(self, place: int, line: int) -> Iterator[Row]:
        del line
        first = 0
        with self._open() as file:
            for group, size in enumerate(self._groups):
                if first + size > place:
                    yield from self._group_rows(file, group, first, place)
                first += size

    def _group_rows(self, file: Any, group: int, first: int, place: int) -> Iterator[Row]:
        batches = file.iter_batches(1024, row_groups=[group], columns=self._names)
        for batch in batches:
            skip = max(0, place - first)
            if skip < batch.num_rows:
                columns = [self._plain(column.slice(skip)) for column in batch.columns]
                for number, cells in enumerate(zip(*columns, strict=True), first + skip):
                    yield Row(number + 1, number, cells)
            first += batch.num_rows

    def _plain(self, column: Any) -> list[Any]:
        """Times in microseconds: pyarrow makes pandas' own of finer ones."""
        kind = column.type
        if self._arrow.types.is_timestamp(kind):
            column = column.cast(self._arrow.timestamp("us", kind.tz), safe=False)
        values: list[Any] = column.to_pylist()
        return values
