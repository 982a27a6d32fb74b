"""Starts services, kills them, and knows when they are dead."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).absolute().parents[1]
_OURS = ("ALPACA_", "APCA_", "REDIS_", "STREAMS", "LEDGER_", "KILL_SWITCH", "SIGNALPACA_")
START_DEADLINE = 30.0


@dataclass
class Life:
    """One service process from start to end.

    ``code`` is None while it lives, negative for the signal that ended it.
    """

    pid: int
    log: Path
    began: float
    code: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    at_end: float = 0.0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that comes too late is no error."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.signal(signal.SIGKILL)
        self.ended.wait(START_DEADLINE)

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    def _close(self, code: int) -> None:
        self.code = code
        self.at_end = time.monotonic()
        self.ended.set()


class Nursery:
    """One forking process for warm starts, and cold starts beside it; a context manager.

    Args:
        directory: where services run and write what they print.
        plant: the mistake planted in each, "" for none.
    """

    def __init__(self, directory: Path, plant: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._plant = plant
        self._lives: dict[int, Life] = {}
        self._began: queue.Queue[Life | None] = queue.Queue()
        self._number = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torture.service", "--nursery"],
            cwd=ROOT,
            env=_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="nursery", daemon=True)
        self._reader.start()
        self._began.get(timeout=START_DEADLINE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for life in list(self._lives.values()):
            life.kill()
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stdout:
            self._process.stdout.close()

    def start(
        self, env: Mapping[str, str], arguments: Sequence[str] = ("-w", "4"), *, cold: bool = False
    ) -> Life:
        """One more service; ``cold`` starts a fresh interpreter as an operator's machine does."""
        self._number += 1
        log = self._directory / f"service-{self._number}.log"
        if cold:
            return self._cold(env, arguments, log)
        order = {
            "env": _environment(env),
            "directory": str(self._directory),
            "log": str(log),
            "arguments": list(arguments),
            "plant": self._plant,
        }
        began = time.monotonic()
        if self._process.stdin is None:
            raise RuntimeError("the nursery is not running")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        life = self._began.get(timeout=START_DEADLINE)
        if life is None:
            raise RuntimeError("the nursery began anew")
        life.log, life.began = log, began
        return life

    def _cold(self, env: Mapping[str, str], arguments: Sequence[str], log: Path) -> Life:
        plant = ["--plant", self._plant] if self._plant else []
        began = time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "torture.service", *plant, *arguments],
                cwd=self._directory,
                env=_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        life = self._lives[process.pid] = Life(process.pid, log, began)

        def wait() -> None:
            life._close(process.wait())
            self._lives.pop(process.pid, None)

        threading.Thread(target=wait, name="cold-life", daemon=True).start()
        return life

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "ready" in message:
                self._began.put(None)
            elif "began" in message:
                pid = message["began"]
                self._lives[pid] = Life(pid, self._directory, time.monotonic())
                self._began.put(self._lives[pid])
            else:
                life = self._lives.pop(message["ended"])
                life._close(message["code"])


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(_OURS)}
    return {**kept, "PYTHONPATH": str(ROOT), **env}
