"""Subprocesses of the demo: each in its own session, with a log file, ended by its pid."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from solution.clock import Deadline
from solution.config import describe

POLL = 0.02
HERE = "127.0.0.1,localhost"


class DemoError(Exception):
    """The demo cannot go on; one line for the user."""


class Process:
    """One program. Started by the constructor; nothing waits for it there.

    Args:
        name: for messages, and the log file's name.
        command: with ``python`` as the first word for this interpreter.
        folder: its working directory, empty of any ``.env``.
        settings: environment variables of this product; the user's own are not passed on.
        pass_fds: what it keeps open.
        own_session: False leaves it in this process's.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        settings: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        own_session: bool = True,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        words = [sys.executable if word == "python" else word for word in command]
        with self.log.open("wb") as log:
            # Its own session: a Ctrl-C at the terminal is for the demo alone, which then ends
            # its processes in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                words,
                cwd=folder,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=own_session,
                pass_fds=pass_fds,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def await_line(self, pattern: str, deadline: Deadline) -> str:
        """The first group of the first match in its output.

        Raises:
            DemoError: it ended, or said nothing like that in time.
        """
        tick = threading.Event()
        while True:
            ended = self.code is not None
            found = re.search(pattern, self.output())
            if found:
                return found[1]
            if ended or deadline.passed():
                raise DemoError(self.complaint("ended" if ended else "is not ready"))
            tick.wait(POLL)

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def complaint(self, what: str) -> str:
        """One line with the last thing the program said."""
        lines = self.output().strip().splitlines()
        return f"{self.name} {what}: {lines[-1] if lines else 'it said nothing'}"

    def terminate(self) -> None:
        """SIGTERM, once; returns at once."""
        self._signal(signal.SIGTERM)

    def join(self, deadline: Deadline) -> int | None:
        """Wait for its end; the exit code, None if it still runs."""
        try:
            return self._process.wait(max(0.01, deadline.left()))
        except subprocess.TimeoutExpired:
            return None

    def end(self, deadline: Deadline) -> None:
        """SIGTERM, after the deadline SIGKILL; it is gone afterwards."""
        self.terminate()
        if self.join(deadline) is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.code is None:
            self._process.send_signal(number)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without this product's settings, plus ``settings``."""
    ours = {name for option in describe() for name in option.names}
    ours |= {f"{name}_FILE" for name in ours} | {"PAPER_EXCHANGE_KEYS"}
    out = {name: value for name, value in os.environ.items() if name not in ours}
    # The programs must be found from a folder that is not the checkout.
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, out.get("PYTHONPATH", "").split(os.pathsep))]
    out["PYTHONPATH"] = os.pathsep.join(paths)
    # A proxy is for the outside; everything here is on this machine.
    for name in ("NO_PROXY", "no_proxy"):
        out[name] = ",".join(filter(None, [out.get(name, ""), HERE]))
    return out | {"PYTHONUNBUFFERED": "1"} | dict(settings)


def end_all(processes: Sequence[Process], seconds: float) -> None:
    """End every one of them, last started first, within about ``seconds`` together."""
    deadline = Deadline(seconds)
    for process in reversed(processes):
        process.terminate()
    for process in reversed(processes):
        process.end(deadline)
