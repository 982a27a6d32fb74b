"""Rows of cells as lines of one width. A row is one line, whatever its cells hold.

rich's own tables wrap, or squeeze every column alike; here the least wanted column goes first.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

GAP = 2
DOT = " · "
MORE = " …"


class Column(NamedTuple):
    """A column; the one with the highest ``rank`` is dropped first, rank 0 never is.

    One that stands last may be content with ``enough`` cells before another is dropped for it.
    """

    name: str
    rank: int = 0
    right: bool = False
    widest: int = 20
    enough: int = 0


Row = Sequence[Text]


def fit(text: Text, width: int) -> Text:
    """Exactly that many cells: cut with an ellipsis, or filled up."""
    if width <= 0:
        return Text()
    line = text.copy()
    line.truncate(width, overflow="ellipsis", pad=True)
    return line


def cut(text: str, width: int) -> str:
    """Without the facts at its end that have no room, where facts stand between middle dots."""
    while cell_len(text) > width:
        head, dot, _ = text.removesuffix(MORE).rpartition(DOT)
        if not dot:
            return text
        text = head + MORE
    return text


def beside(left: Sequence[Text], right: Sequence[Text], *, gap: int = GAP) -> list[Text]:
    """Two blocks of lines as one; the left one's lines are of one width."""
    blank = Text(" " * (left[0].cell_len if left else 0))
    lines = []
    for i in range(max(len(left), len(right))):
        line = (left[i] if i < len(left) else blank).copy()
        line.append(" " * gap)
        lines.append(line.append_text(right[i]) if i < len(right) else line)
    return lines


def grid(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[Text]:
    """The head line and one line per row, none wider than ``width``."""
    widths = [_width(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    kept = list(range(len(columns)))
    content = [min(w, column.enough or w) for w, column in zip(widths, columns, strict=True)]
    while _sum(content, kept) > width:
        last = max(kept, key=lambda i: columns[i].rank)
        if columns[last].rank == 0:
            break
        kept.remove(last)
    over = _sum(widths, kept) - width
    widths[kept[-1]] -= max(0, min(over, widths[kept[-1]] - content[kept[-1]]))
    head = [Text(column.name, style="dim") for column in columns]
    lines = [_line(columns, row, widths, kept) for row in (head, *rows)]
    most = min(width, max(line.cell_len for line in lines))
    return [fit(line, most) for line in lines]


def _width(column: Column, cells: Sequence[Text]) -> int:
    return min(column.widest, max(len(column.name), *(cell.cell_len for cell in cells), 0))


def _sum(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] for i in kept) + GAP * (len(kept) - 1)


def _line(columns: Sequence[Column], row: Row, widths: Sequence[int], kept: Sequence[int]) -> Text:
    line = Text()
    for n, i in enumerate(kept):
        cell = fit(row[i], min(widths[i], row[i].cell_len))
        space = " " * (widths[i] - cell.cell_len)
        line.append(" " * GAP if n else "")
        line.append(space if columns[i].right else "")
        line.append_text(cell)
        line.append("" if columns[i].right else space)
    return line
