"""Cells of a column as numbers and times, or one sentence about the first that is none."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import inf, isnan

from paper_exchange.clock import to_ns
from paper_exchange.decimals import LARGEST
from paper_exchange.instants import parse_date, parse_instant
from paper_exchange.replay.errors import ReplayError

#: Epoch numbers below these are seconds, milliseconds, microseconds; all others nanoseconds.
_EPOCHS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
_FIRST_DATE, _LAST_DATE = 19_000_101, 21_001_231
_EARLIEST = to_ns(datetime(1900, 1, 1, tzinfo=UTC))
_LATEST = to_ns(datetime(2200, 1, 1, tzinfo=UTC))


class Spot:
    """Where in a file a column's cells stand, for those that cannot be read."""

    def __init__(self, file: str, column: str, first_row: int) -> None:
        self._file = file
        self._column = column
        self._first_row = first_row

    def refusal(self, place: int, cell: object, wanted: str) -> ReplayError:
        """The sentence about one cell."""
        row = self._first_row + place
        return ReplayError(
            f"{self._file}, row {row}, column {self._column}: {cell!r} is not {wanted}"
        )


def numbers(cells: Sequence[object], spot: Spot, *, least: float | None) -> "array[float]":
    """A column of numbers above 0, or (``least`` is 0) of numbers that may be 0 too.

    Raises:
        ReplayError: for the first cell that is none.
    """
    wanted = "a number above 0" if least is None else "a number of at least 0"
    beyond = LARGEST if least is None else inf
    try:
        found = array("d", map(float, cells))  # type: ignore[arg-type]  # what is none raises
    except (TypeError, ValueError):
        place = _first(cells, _is_no_number)
        raise spot.refusal(place, cells[place], wanted) from None

    def wrong(value: object) -> bool:
        number = float(value)  # type: ignore[arg-type]  # all of them were read before
        return not (number > 0 or number == least) or number >= beyond

    if len(found) and (isnan(sum(found)) or wrong(min(found)) or wrong(max(found))):
        place = _first(cells, wrong)
        if beyond <= found[place] < inf:
            wanted = f"below {beyond:,}"
        raise spot.refusal(place, cells[place], wanted)
    return found


def _first(cells: Iterable[object], wrong: Callable[[object], bool]) -> int:
    return next(place for place, cell in enumerate(cells) if wrong(cell))


def _is_no_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]  # that is the question
    except (TypeError, ValueError):
        return True
    return False


class TimeReader:
    """Reads a file's times, all in the notation of the first.

    Attributes:
        dates: the file has bare dates instead of times.
    """

    def __init__(self) -> None:
        self.dates = False
        self._read: Callable[[object], int] | None = None

    def times(self, cells: Sequence[object], spot: Spot) -> "array[int]":
        """A column of times in nanoseconds since the epoch; dates are midnight UTC.

        Raises:
            ReplayError: for the first cell that is none.
        """
        if self._read is None and cells:
            self._read = self._notation(cells[0], spot)
        read = self._read
        found = array("q")
        for place, cell in enumerate(cells):
            try:
                at_ns = read(cell) if read else 0
                if not _EARLIEST <= at_ns < _LATEST:
                    raise ValueError(cell)
            except (TypeError, ValueError, ArithmeticError):
                wanted = "a date like the first one" if self.dates else "a time like the first one"
                raise spot.refusal(place, cell, wanted) from None
            found.append(at_ns)
        return found

    def _notation(self, cell: object, spot: Spot) -> Callable[[object], int]:
        if isinstance(cell, datetime | date):
            self.dates = not isinstance(cell, datetime)
            return _of_object
        text = str(cell).strip()
        try:
            number = Decimal(text)
        except InvalidOperation:
            return self._of_text(text, spot)
        if _FIRST_DATE <= number <= _LAST_DATE:
            self.dates = True
            return _of_compact_date
        factor = next((factor for below, factor in _EPOCHS if abs(number) < below), 1)
        return lambda one: int(Decimal(str(one).strip()) * factor)

    def _of_text(self, text: str, spot: Spot) -> Callable[[object], int]:
        try:
            self.dates = parse_date(text) is not None
            if not self.dates:
                parse_instant(text)
        except ValueError:
            raise spot.refusal(0, text, "a time (ISO 8601 or epoch)") from None
        return _of_date if self.dates else lambda one: parse_instant(str(one).strip())


def _of_object(cell: object) -> int:
    if isinstance(cell, datetime):
        return to_ns(cell if cell.tzinfo else cell.replace(tzinfo=UTC))
    if isinstance(cell, date):
        return to_ns(datetime(cell.year, cell.month, cell.day, tzinfo=UTC))
    raise TypeError(cell)


def _of_date(cell: object) -> int:
    day = parse_date(str(cell).strip())
    if day is None:
        raise ValueError(cell)
    return _of_object(day)


def _of_compact_date(cell: object) -> int:
    return _of_object(datetime.strptime(str(cell).strip(), "%Y%m%d").replace(tzinfo=UTC))
