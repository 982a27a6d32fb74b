"""A program at a terminal of its own: what it shows, and what is typed into it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.helpers.clocks import eventually

WITHIN = 20.0

_CLEAR = "\x1b[2J"
_PIECE = re.compile(r"\x1b\[(?P<args>[?0-9;]*)(?P<command>[A-Za-z])|(?P<text>[^\x1b])")


def resize(descriptor: int, columns: int, rows: int) -> None:
    """Give a terminal a size, as its window does."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def frame(text: str, columns: int, rows: int) -> list[str]:
    """The lines that a terminal of that size shows of a drawn screen, without blanks at their ends.

    Knows what a canvas writes: cursor to a place, clear, colours. Text beyond the edge is an error.
    """
    shown, row, column = [[" "] * columns for _ in range(rows)], 0, 0
    for piece in _PIECE.finditer(text):
        command = piece["command"]
        if command == "H":
            row, column = (int(part) - 1 for part in piece["args"].split(";"))
        elif command == "J":
            shown = [[" "] * columns for _ in range(rows)]
        elif piece["text"]:
            shown[row][column] = piece["text"]
            column += 1
    return ["".join(line).rstrip() for line in shown]


class AtTerminal:
    """``python -m solution …`` whose standard streams are a pseudo-terminal; a context manager.

    Args:
        size: columns and rows; without it the terminal does not know them.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        directory: Path,
        *words: str,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._env, self._directory, self._words, self._size = env, directory, words, size
        self._shown = b""

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        if self._size:
            resize(self._master, *self._size)
        self._modes = termios.tcgetattr(self._master)
        command: Sequence[str] = [sys.executable, "-m", "solution", *self._words]
        self.process = subprocess.Popen(
            command,
            cwd=self._directory,
            env=dict(self._env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        """What it has shown so far."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                piece = os.read(self._master, 65_536)
            except OSError:  # it has ended
                break
            if not piece:
                break
            self._shown += piece
        return self._shown.decode(errors="replace")

    def await_text(self, words: str) -> str:
        """Until it shows them."""
        assert eventually(lambda: words in self.text, WITHIN), self.text
        return self.text

    @property
    def is_as_found(self) -> bool:
        """Whether keys are read as before, the cursor is seen, and the screen is the first one."""
        entered, left = self.text.rfind("\x1b[?1049h"), self.text.rfind("\x1b[?1049l")
        shown = self.text.rfind("\x1b[?25h") >= self.text.rfind("\x1b[?25l")
        return termios.tcgetattr(self._master) == self._modes and shown and left >= entered

    def frame(self) -> str:
        """The screen that it has drawn last."""
        assert self._size is not None
        return "\n".join(frame(self.text.rpartition(_CLEAR)[2], *self._size))

    def await_frame(self, words: str) -> str:
        """Until the screen shows them."""
        assert eventually(lambda: words in self.frame(), WITHIN), self.frame()
        return self.frame()

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window, and until it is drawn anew for that."""
        before = self.text.count(_CLEAR)
        self._size = columns, rows
        resize(self._master, columns, rows)
        self.process.send_signal(signal.SIGWINCH)
        assert eventually(lambda: self.text.count(_CLEAR) > before, WITHIN), self.text

    def type(self, line: str) -> None:
        """A line and the Enter key."""
        os.write(self._master, f"{line}\n".encode())

    def wait(self) -> int:
        """Its exit code."""
        assert eventually(lambda: bool(self.text) and self.process.poll() is not None, WITHIN)
        return self.process.wait()
