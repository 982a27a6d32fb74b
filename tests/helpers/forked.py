"""``python -m solution …`` without half a second of imports: forked from a process that did them.

One process per run of the tests, the stock, imports the programs (the service, and the exchange)
and waits. For each start it forks a child that goes on as ``python -m`` would: session, directory,
environment and output of its own, and ``__main__`` is run. What stands between (the keeper) tells
how the child ended.

What a process has only by being started anew (its command line in ``/proc``, what Python reads from
the environment before the program) needs a real start.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from paper_exchange.testing import Running

ROOT = Path(__file__).resolve().parents[2]
_NUMBER = 8
_START_WITHIN = 60.0


class Forked:
    """A child of the stock; of :class:`subprocess.Popen` it has what tests ask for.

    Args:
        words: behind ``python -m solution``.
        env: its whole environment.
        out, err: where it writes.
        module: another program.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        out: IO[bytes],
        err: IO[bytes],
        module: str = "solution",
    ) -> None:
        self._module = module
        self.returncode: int | None = None
        self._told, theirs = socket.socketpair()
        with theirs:
            request = {"module": module, "words": list(words), "env": dict(env), "cwd": str(cwd)}
            _stock().fork(request, [theirs.fileno(), out.fileno(), err.fileno()])
        self._told.settimeout(_START_WITHIN)
        self.pid = _number(self._told)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The same once it has ended.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = _number(self._told)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self._module, timeout or 0.0) from None
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To the child, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run(
    words: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """``signalpaca WORDS…`` to its end, like :func:`subprocess.run` with its output captured.

    Raises:
        subprocess.TimeoutExpired: it is killed then.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(words, env=env, cwd=cwd, out=out, err=err)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        said, wrong = out.read().decode(), err.read().decode()
    return subprocess.CompletedProcess(["signalpaca", *words], code, said, wrong)


@contextlib.contextmanager
def exchange(directory: Path, *options: str) -> Iterator[Running]:
    """Like :func:`paper_exchange.testing.running`; what it says of errors is in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    reads, writes = os.pipe()
    with os.fdopen(reads) as told, os.fdopen(writes, "wb") as out:
        with (directory / "exchange.log").open("wb") as err:
            words, env = ("--port", "0", *options), os.environ
            process: Any = Forked(
                words, env=env, cwd=ROOT, out=out, err=err, module="paper_exchange"
            )
        out.close()
        try:
            url = told.readline().partition(" listening on ")[2].strip()
            assert url, (directory / "exchange.log").read_text()
            yield Running(url, process)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- the stock, seen from the tests ---------------------------------------------------------------


class _Stock:
    """The process that forks, and the way to it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C at the terminal is for pytest alone
            )
        atexit.register(self.close)

    def fork(self, request: Mapping[str, Any], fds: Sequence[int]) -> None:
        content = json.dumps(request).encode()
        with self._mutex:
            socket.send_fds(self._control, [len(content).to_bytes(_NUMBER, "big")], fds)
            self._control.sendall(content)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


_stock = functools.cache(_Stock)


def _number(source: socket.socket) -> int:
    return int.from_bytes(_exactly(source, _NUMBER), "big", signed=True)


def _exactly(source: socket.socket, size: int) -> bytes:
    """So many bytes; they are sent together, so that a timeout comes before the first or never."""
    content = b""
    while len(content) < size:
        part = source.recv(size - len(content))
        if not part:
            raise EOFError("the process that forks is gone")
        content += part
    return content


# --- the stock itself -----------------------------------------------------------------------------


def _prepare() -> None:
    """Import all that a start, or a command, imports in its functions."""
    commands = importlib.import_module("solution.commands")
    for module in pkgutil.iter_modules(commands.__path__, "solution.commands."):
        importlib.import_module(module.name)
    ledgers = ("solution.ledger.sqlite", "solution.ledger.postgres")
    for name in ("solution.app", *ledgers, "paper_exchange.cli", "paper_exchange.server"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or the children's collections would copy every page


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each request: returns it in the child, and None in the stock at the tests' end."""
    while True:
        head, fds, _, _ = socket.recv_fds(control, _NUMBER, 3)
        if not head:
            return None
        request: dict[str, Any] = json.loads(_exactly(control, int.from_bytes(head, "big")))
        if os.fork() == 0:
            control.close()
            if _keep(fds):
                return request
            os._exit(0)
        for fd in fds:
            os.close(fd)
        _bury()


def _bury() -> None:
    """Keepers that have ended."""
    with contextlib.suppress(ChildProcessError):  # there is none
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(fds: Sequence[int]) -> bool:
    """Fork the child: True in it; in the keeper False, once it has told how the child ended."""
    told, out, err = socket.socket(fileno=fds[0]), fds[1], fds[2]
    child = os.fork()
    if child == 0:
        told.close()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        return True
    os.close(out)
    os.close(err)
    told.sendall(child.to_bytes(_NUMBER, "big"))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):  # nobody waits any more
        told.sendall(code.to_bytes(_NUMBER, "big", signed=True))
    return False


def _become(request: Mapping[str, Any]) -> None:
    """Go on as a new process would."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.path[:] = [request["cwd"], *(path for path in sys.path if path != request["cwd"])]
    sys.argv = [request["module"], *request["words"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _prepare()
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        asked = _serve(inherited)
    if asked is not None:
        _become(asked)
