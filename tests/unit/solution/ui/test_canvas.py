"""The alternate screen of a terminal."""

import io
import os
import pty
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pytest
from rich.text import Text

from solution.ui.canvas import Canvas, draws, terminal_size
from tests.helpers.terminal import frame, resize


class Terminal(io.StringIO):
    """What a program writes to, of a size that a test sets."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """20×4, with colours and UTF-8."""
    for name in ("NO_COLOR", "COLUMNS", "LINES", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    master, slave = pty.openpty()
    resize(slave, 20, 4)
    yield Terminal(slave)
    os.close(master)
    os.close(slave)


def lines(*texts: str, style: str = "") -> Any:
    """Composes these lines, whatever the size."""

    def compose(width: int, _height: int) -> Sequence[Text]:
        return [Text(text.ljust(width)[:width], style=style) for text in texts]

    return compose


def written(terminal: Terminal) -> str:
    """What came since the last look."""
    text = terminal.getvalue()
    terminal.seek(0)
    terminal.truncate()
    return text


def test_the_terminal_is_left_as_it_was(terminal: Terminal) -> None:
    """The other screen and the cursor come back, also after an error."""
    with pytest.raises(ZeroDivisionError), Canvas(terminal):
        assert written(terminal) == "\x1b[?1049h\x1b[?25l\x1b[2J"
        raise ZeroDivisionError
    assert written(terminal) == "\x1b[?25h\x1b[?1049l"


def test_only_what_changed_is_written(terminal: Terminal) -> None:
    """Nothing at all for the same picture: it cannot flicker, and ssh has little to carry."""
    with Canvas(terminal) as canvas:
        canvas.draw(lines("one", "two", "three"))
        assert frame(written(terminal), 20, 4) == ["one", "two", "three", ""]
        canvas.draw(lines("one", "TWO", "three"))
        assert written(terminal) == "\x1b[2;1HTWO" + " " * 17
        canvas.draw(lines("one", "TWO", "three"))
        assert written(terminal) == ""
        canvas.draw(lines("one"))
        assert written(terminal) == "".join(f"\x1b[{row};1H{' ' * 20}" for row in (2, 3))


def test_another_size_is_drawn_from_scratch(terminal: Terminal) -> None:
    """At the size of now; more lines than rows are cut, never scrolled."""
    with Canvas(terminal) as canvas:
        canvas.draw(lines("one", "two"))
        written(terminal)
        resize(terminal.fileno(), 10, 2)
        canvas.draw(lines("one", "two", "three"))
        assert frame(written(terminal), 10, 2) == ["one", "two"]


def test_colours_where_they_are_wanted(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NO_COLOR`` leaves none."""
    with Canvas(terminal) as canvas:
        canvas.draw(lines("loss", style="red"))
        assert "\x1b[31mloss" in written(terminal)
        monkeypatch.setenv("NO_COLOR", "1")
        canvas.draw(lines("LOSS", style="red"))
        assert "31m" not in written(terminal)


def test_a_terminal_that_shows_ascii_only(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gets marks that it has."""
    monkeypatch.setenv("LC_ALL", "C")
    with Canvas(terminal) as canvas:
        canvas.draw(lines("✓ fill"))
        text = written(terminal)
    assert frame(text, 20, 4)[0] == "+ fill"
    assert text.isascii()


def test_a_terminal_that_does_not_know_its_size(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is taken for what the environment says, else for 80×24."""
    resize(terminal.fileno(), 0, 0)
    monkeypatch.setattr("sys.__stdout__", io.StringIO())
    assert terminal_size(terminal) == (80, 24)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    assert terminal_size(terminal) == (100, 30)
    assert terminal_size(io.StringIO()) == (100, 30)


@pytest.mark.parametrize(
    ("term", "drawn"), [("xterm", True), ("dumb", False), ("unknown", False), ("", False)]
)
def test_what_can_be_drawn_on(
    terminal: IO[Any], monkeypatch: pytest.MonkeyPatch, term: str, drawn: bool
) -> None:
    """A terminal with a cursor to move; never a pipe."""
    monkeypatch.setenv("TERM", term)
    assert draws(terminal) is drawn
    assert draws(io.StringIO()) is False
