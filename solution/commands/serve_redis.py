"""``signalpaca serve-redis``: a Redis for one program, on this machine, as long as that runs."""

import contextlib
import fcntl
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from solution.clock import Deadline
from solution.commands.common import Failed
from solution.demo.processes import DemoError
from solution.demo.redis_server import INSTALL, Lasting, Redis, choose, start
from solution.private_files import make_directory, open_private

READY = "redis listening on "
LOCK_WITHIN = 10.0
"""Seconds for the server of an earlier run to end, that stops while this one starts."""
STOP_WITHIN = 3.0
LOOK_EVERY = 0.2


@click.command("serve-redis", hidden=True)
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR"
)
@click.option("--real", is_flag=True, help="Nothing but a redis-server will do.")
def serve_redis(*, directory: Path, real: bool) -> None:
    """Serve from DIR until SIGTERM, SIGINT or the end of ``--parent``; print the URL."""
    stop = threading.Event()
    _stop_on_signals(stop)
    try:
        choice = choose()
        if real and not choice.path:
            # The stand-in forgets what waits in it when its process dies.
            raise DemoError(f"there is no redis-server on this machine: {INSTALL}")
        make_directory(directory)
        with _own(directory.absolute(), stop) as lock:
            lasting = Lasting(password=secrets.token_urlsafe(24), lock=lock)
            _serve(start(choice, directory.absolute(), lasting), stop)
    except (DemoError, OSError) as e:
        raise Failed(f"redis: {e}") from None


def _serve(redis: Redis, stop: threading.Event) -> None:
    try:
        click.echo(f"{READY}{redis.url}")
        while not stop.wait(LOOK_EVERY):
            if redis.process.code is not None:
                raise DemoError(redis.process.complaint("ended by itself"))
    finally:
        redis.process.end(Deadline(STOP_WITHIN))


@contextlib.contextmanager
def _own(directory: Path, stop: threading.Event) -> Iterator[int]:
    """A lock on the directory: two servers would write one append-only file.

    Raises:
        DemoError: another program's Redis lives there.
    """
    deadline = Deadline(LOCK_WITHIN)
    lock = open_private(directory / "lock", os.O_RDWR)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.passed() or stop.wait(LOOK_EVERY):
                    raise DemoError(
                        f"another program's Redis works in {directory}: end that program, or give "
                        "both one Redis by REDIS_URL"
                    ) from None
        yield lock
    finally:
        os.close(lock)


def _stop_on_signals(stop: threading.Event) -> None:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # In a thread: the main one may hold the event's lock at this moment.
        threading.Thread(target=stop.set, daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
