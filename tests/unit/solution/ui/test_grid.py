"""Rows of cells as lines of one width."""

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from solution.ui.grid import Column, beside, cut, fit, grid

COLUMNS = (Column("name", widest=6), Column("qty", 1, right=True), Column("note", 2))


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def rows(*cells: tuple[str, str, str]) -> list[list[Text]]:
    return [[Text(cell) for cell in row] for row in cells]


def test_columns_are_as_wide_as_what_they_hold() -> None:
    """Numbers end together; no column is wider than it may be."""
    assert plain(grid(COLUMNS, rows(("ab", "1", "x"), ("abcdefgh", "1000", "")), 80)) == [
        "name     qty  note",
        "ab         1  x   ",
        "abcde…  1000      ",
    ]


def test_the_least_wanted_column_goes_first() -> None:
    """One of rank 0 stays, and is cut."""
    cells = rows(("abcdef", "1000", "x"))
    assert plain(grid(COLUMNS, cells, 13)) == ["name     qty", "abcdef  1000"]
    assert plain(grid(COLUMNS, cells, 11)) == ["name  ", "abcdef"]
    assert plain(grid(COLUMNS, cells, 3)) == ["na…", "ab…"]


def test_a_last_column_that_is_content_with_less_keeps_the_others() -> None:
    """It gives way before one of them is dropped."""
    columns = (*COLUMNS[:2], Column("", 0, widest=60, enough=4))
    assert plain(grid(columns, rows(("ab", "1", "a long story")), 18))[1] == "ab      1  a long…"
    assert plain(grid(columns, rows(("ab", "1", "a long story")), 14))[1] == "ab    a long …"


def test_no_rows() -> None:
    """The head alone."""
    assert plain(grid(COLUMNS, [], 80)) == ["name  qty  note"]


def test_two_blocks_side_by_side() -> None:
    """The shorter one is filled up, on either side."""
    left, right = [Text("ab"), Text("cd")], [Text("x")]
    assert plain(beside(left, right)) == ["ab  x", "cd  "]
    assert plain(beside(right, left, gap=1)) == ["x ab", "  cd"]
    assert plain(beside([], right)) == ["  x"]


def test_whole_facts_are_cut() -> None:
    """Where there is none to spare, the text is left to the ellipsis."""
    text = "one 1 · two 2 · three 3"
    assert cut(text, 23) == text
    assert cut(text, 22) == "one 1 · two 2 …"
    assert cut(text, 14) == "one 1 …"
    assert cut(text, 3) == "one 1 …"


@given(st.text("a全e\u0301", max_size=12), st.integers(0, 15))
def test_a_line_fits_exactly(text: str, width: int) -> None:
    """In cells, of which a wide character takes two."""
    assert fit(Text(text), width).cell_len == width


@given(
    st.lists(st.tuples(*[st.text("ab全· ", max_size=30)] * 3), max_size=4),
    st.integers(1, 60),
)
def test_all_lines_are_of_one_width(cells: list[tuple[str, str, str]], width: int) -> None:
    """And none is wider than asked for."""
    lines = grid(COLUMNS, rows(*cells), width)
    assert len(lines) == 1 + len(cells)
    assert len({line.cell_len for line in lines}) == 1
    assert lines[0].cell_len <= width
