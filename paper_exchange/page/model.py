"""What a page is made of: facts, and panels of rows of cells. Plain text only; html.py escapes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """A button in a cell: a form with hidden fields.

    Attributes:
        label: on the button.
        says: what it does, for those who do not see the row.
    """

    url: str
    fields: tuple[tuple[str, str], ...]
    label: str
    says: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; ``look`` names CSS classes and ``title`` is what hovering tells."""

    text: str
    look: str = ""
    title: str = ""
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row; the key is unique in its panel, and the first cell is the row's heading."""

    key: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, its CSS classes (``num`` aligns numbers) and its size, ``xs`` to ``xl``.

    Widths are fixed, so that nothing moves sideways when the contents change.
    """

    label: str
    look: str = ""
    size: str = "m"


@dataclass(frozen=True, slots=True)
class Panel:
    """A table with what belongs to it.

    Attributes:
        id: of the element.
        note: beside the caption: how many there are, how many are shown.
        empty: what is said while there are no rows.
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    empty: str = ""


#: Short texts outside tables, by the id of the element that shows them.
Facts = dict[str, str]
