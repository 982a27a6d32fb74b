"""A program at a terminal of its own: what it shows, and what is typed into it."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.helpers.clocks import eventually

WITHIN = 20.0


class AtTerminal:
    """``python -m solution …`` whose standard streams are a pseudo-terminal; a context manager."""

    def __init__(self, env: Mapping[str, str], directory: Path, *words: str) -> None:
        self._env, self._directory, self._words = env, directory, words
        self._shown = b""

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
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

    def type(self, line: str) -> None:
        """A line and the Enter key."""
        os.write(self._master, f"{line}\n".encode())

    def wait(self) -> int:
        """Its exit code."""
        assert eventually(lambda: bool(self.text) and self.process.poll() is not None, WITHIN)
        return self.process.wait()
