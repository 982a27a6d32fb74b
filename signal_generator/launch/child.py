"""One program that was started: its output in a file, its end by its process id."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError

LOOK_EVERY = 0.02
_ROOT = str(Path(__file__).resolve().parents[2])
_HERE = "127.0.0.1,localhost"
_PREFIXES = ("configuration: ", "signalpaca stops: ", "Error: ", "redis: ")


class Program(Protocol):
    """What the stack needs of a :class:`Child`."""

    name: str
    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int: ...
    @property
    def code(self) -> int | None: ...
    def await_line(self, pattern: str, deadline: Deadline) -> str: ...
    def last_words(self) -> str: ...
    def terminate(self) -> None: ...
    def end(self, deadline: Deadline) -> bool: ...


class Spawn(Protocol):
    """Starts a program: :class:`Child`, or a test's own."""

    def __call__(
        self, name: str, words: Sequence[str], environ: Mapping[str, str], log: Path | None
    ) -> Program: ...


class Child:
    """``python -m`` something, which ends when this process does.

    Args:
        name: for messages.
        words: the module and its arguments; ``--parent`` and our process id come right after it.
        environ: all of its environment but where to find the module.
        log: what it prints goes there; None leaves it on this terminal.
    """

    def __init__(
        self, name: str, words: Sequence[str], environ: Mapping[str, str], log: Path | None
    ) -> None:
        self.name = name
        self._log = log
        module, *arguments = words
        # Not -m alone: a `solution.py` or `redis.py` beside the user's script is not meant.
        command = [sys.executable, "-P", "-m", module, "--parent", str(os.getpid()), *arguments]
        out = _private(log) if log is not None else None
        try:
            # A session of its own: a Ctrl-C at the terminal ends the strategy first, and whoever
            # kills its group kills what it started as well.
            self.process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                command,
                env=_findable(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT if out is not None else subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise LaunchError(f"the {name} cannot be started: {error.strerror}") from None
        finally:
            if out is not None:
                os.close(out)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()

    def await_line(self, pattern: str, deadline: Deadline) -> str:
        """The first group of the first match in its output.

        Raises:
            LaunchError: it ended, or said nothing like that in time.
        """
        while True:
            ended = self.code is not None
            found = re.search(pattern, self._output())
            if found:
                return found[1]
            if ended:
                raise LaunchError(f"the {self.name} did not start: {self.last_words()}")
            if deadline.passed():
                raise LaunchError(f"the {self.name} is not ready in time: {self.last_words()}")
            deadline.pause(LOOK_EVERY)

    def last_words(self) -> str:
        """Why it ended, as it says itself, in one line."""
        lines = [line.strip() for line in self._output().splitlines() if line.strip()]
        said = [line for line in lines if line.startswith(_PREFIXES)] or lines
        if not said:
            return "it said nothing"
        for prefix in _PREFIXES:
            said[-1] = said[-1].removeprefix(prefix)
        return said[-1]

    def terminate(self) -> None:
        """SIGTERM; returns at once."""
        if self.code is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self, deadline: Deadline) -> bool:
        """Wait for its end until then; after that it is killed with its group.

        Returns:
            whether it ended by itself.
        """
        try:
            self.process.wait(max(0.01, deadline.left()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False
        return True

    def _output(self) -> str:
        return self._log.read_text(errors="replace") if self._log is not None else ""


def _private(path: Path) -> int:
    """An empty file that nobody else may read: Redis's address in it has a password."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)
    return handle


def _findable(environ: Mapping[str, str]) -> dict[str, str]:
    paths = [_ROOT, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    out = {**environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    # A proxy is for the outside.
    for name in ("NO_PROXY", "no_proxy"):
        out[name] = ",".join(filter(None, [out.get(name, ""), _HERE]))
    return out
