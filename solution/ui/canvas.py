"""The alternate screen of a terminal: drawn over and over, and left as it was found.

Only lines that changed are written, so nothing flickers, and little goes over a slow connection.
"""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from types import TracebackType
from typing import IO, Any, Self

from rich.console import Console
from rich.text import Text

from solution.ui.charset import in_ascii, needs_ascii

Compose = Callable[[int, int], Sequence[Text]]
"""Lines for that many columns and rows; each is exactly as wide."""

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[2J"


class Canvas:
    """Use as a context manager: leaving it shows what the terminal showed before.

    Args:
        out: a terminal.
    """

    def __init__(self, out: IO[Any] | None = None) -> None:
        self._out = out or sys.stdout
        self._ascii = needs_ascii(self._out)
        self._size = 0, 0
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(_LEAVE)

    def draw(self, compose: Compose) -> None:
        """Show what there is, at the size that the terminal has now."""
        columns, rows = size = terminal_size(self._out)
        lines = self._rendered(compose(columns, rows), columns)[:rows]
        lines += [" " * columns] * (rows - len(lines))
        before, written = self._lines, []
        if size != self._size:
            written, before = [_CLEAR], []
        for row, line in enumerate(lines):
            if row >= len(before) or before[row] != line:
                written.append(f"\x1b[{row + 1};1H{line}")
        self._size, self._lines = size, lines
        if written:
            self._write("".join(written))

    def _rendered(self, lines: Sequence[Text], columns: int) -> list[str]:
        """With the colours that this terminal has: none where ``NO_COLOR`` asks for none."""
        like = Console(file=self._out)
        console = Console(
            file=StringIO(),
            width=columns,
            force_terminal=True,
            color_system=like.color_system or None,  # type: ignore[arg-type] # rich's own name
            legacy_windows=False,
        )
        with console.capture() as captured:
            for line in lines:
                console.print(line, no_wrap=True, crop=True, overflow="crop")
        found = captured.get().split("\n")[:-1]
        return [in_ascii(line) for line in found] if self._ascii else found

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def terminal_size(out: IO[Any]) -> tuple[int, int]:
    """Columns and rows as they are now; a terminal that does not know them is taken for 80×24."""
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        columns = rows = 0
    other = shutil.get_terminal_size()
    return columns or other.columns, rows or other.lines


def draws(out: IO[Any] | None = None) -> bool:
    """Whether it is a terminal that can be drawn on."""
    out = out or sys.stdout
    return out.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
