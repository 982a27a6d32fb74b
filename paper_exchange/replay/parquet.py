"""Parquet files, through pyarrow if it is installed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from paper_exchange.replay.errors import ReplayError

_CHUNK = 4_000
#: Bytes of a column read at a time, instead of all of it.
_BUFFER = 1 << 20


def parquet_chunks(path: Path) -> tuple[list[str], Iterator[tuple[int, Sequence[Sequence[Any]]]]]:
    """The names of the columns, and their cells in pieces with the number of the first row.

    Raises:
        ReplayError: when the file cannot be read, or pyarrow is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ReplayError(
            f"{path}: Parquet files need pyarrow: pip install 'signalpaca[parquet]'"
        ) from None
    try:
        file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)
        header = list(file.schema_arrow.names)
    except (OSError, pa.ArrowException) as error:
        raise ReplayError(f"{path}: cannot be read as Parquet: {_first_line(error)}") from None
    return header, _rows(path, file, pa)


def _rows(path: Path, file: Any, pa: Any) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
    """Rows are counted from 1 here: there is no header among them."""
    row = 1
    try:
        for batch in file.iter_batches(batch_size=_CHUNK, use_threads=False):
            yield row, [_cells(column, pa) for column in batch.columns]
            row += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise ReplayError(f"{path}: cannot be read as Parquet: {_first_line(error)}") from None
    finally:
        file.close()
        pa.default_memory_pool().release_unused()


def _cells(column: Any, pa: Any) -> Sequence[Any]:
    """Timestamps become nanoseconds, without the detour over datetime that would cut them."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    cells: Sequence[Any] = column.to_pylist()
    return cells


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
