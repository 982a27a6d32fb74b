"""Programs that are no processes."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError


class FakeProgram:
    """What :class:`Child` is to the stack; `diary` has what was asked of all of them, in order."""

    def __init__(self, name: str, says: Mapping[str, str], diary: list[str]) -> None:
        self.name = name
        self.pid = 4711
        self.code: int | None = None
        self.process: Any = object()
        self.exit_code = 0
        self.interrupt = False
        self._says, self._diary = says, diary

    def await_line(self, pattern: str, deadline: Deadline) -> str:
        if self.name not in self._says:
            raise LaunchError(f"the {self.name} did not start: {self.last_words()}")
        return self._says[self.name]

    def last_words(self) -> str:
        return "no more"

    def terminate(self) -> None:
        self._diary.append(f"terminate {self.name}")

    def end(self, deadline: Deadline) -> bool:
        if self.interrupt:
            self.interrupt = False
            raise KeyboardInterrupt
        self._diary.append(f"end {self.name}")
        self.code = self.exit_code
        return True


class Programs:
    """Starts fakes and remembers how."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.says = {"Redis": "redis://:p@127.0.0.1:1/0", "simulator": "http://127.0.0.1:2"}
        self.made: dict[str, FakeProgram] = {}
        self.words: dict[str, Sequence[str]] = {}
        self.environ: dict[str, Mapping[str, str]] = {}

    def __call__(
        self, name: str, words: Sequence[str], environ: Mapping[str, str], log: Path | None
    ) -> FakeProgram:
        self.diary.append(f"start {name}")
        self.words[name], self.environ[name] = words, environ
        self.made[name] = FakeProgram(name, self.says, self.diary)
        return self.made[name]


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture(autouse=True)
def usual_sigterm() -> Iterator[None]:
    """As a script finds it: coverage has a handler of its own, which would end the tests."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)
