"""What the commands share that stop and resume trading: giving them, hearing what came of it.

A command takes every way that it has: rows in the ledger, where that can be written from here, and
an entry of the control stream, which reaches a service on another machine. One of them is enough.
What a service says of itself in its status snapshot is what counts as confirmed.
"""

import contextlib
import getpass
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click
import redis

from solution.clock import Deadline, SystemClock
from solution.commands.common import clean, redis_trouble
from solution.config import Settings
from solution.domain import control
from solution.domain.control import Command
from solution.domain.kills import CONTROL_RESUMED
from solution.errors import ConfigError, LedgerError
from solution.ledger import beside
from solution.redis_client import make_client
from solution.ui.reading import part
from solution.ui.snapshot import EXPIRES_S, read_all

CONFIRM_WITHIN = EXPIRES_S + 1.0
"""Seconds; an instance reads the state five times a second, and tells a change at once. What one
that died has said last stands for five seconds: it must not pass for one that does not listen."""
WRITE_WITHIN = 15.0
"""Seconds for the ledger; each of its ways to hang ends before that."""
STREAM_KEEPS = 1_000
TICK = 0.05

Snapshots = Mapping[str, Mapping[str, Any]]


def who() -> str:
    """User and machine, as they are logged by the service."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = "operator"
    return f"{name}@{socket.gethostname()}"


@dataclass(slots=True)
class Told:
    """What a command did and heard.

    Args:
        ledger, stream: why that way failed; "" when it did not, None when it was not tried.
        snapshots: of the running instances; None when Redis could not be asked.
    """

    ledger: str | None = None
    stream: str | None = None
    snapshots: Snapshots | None = None

    @property
    def given(self) -> bool:
        return "" in (self.ledger, self.stream)

    def ways(self) -> dict[str, object]:
        """For ``--json``: true, false with why, or null."""
        named = (("ledger", self.ledger), ("control_stream", self.stream))
        return {name: None if why is None else why or True for name, why in named}

    def failures(self) -> list[str]:
        named = (("ledger", self.ledger), ("control stream", self.stream))
        return [f"{name}: {why}" for name, why in named if why]


class Line:
    """Redis for one command, which goes on without it; what failed is in ``trouble``."""

    def __init__(self, settings: Settings, client: Any) -> None:
        self._settings = settings
        self._client = client
        self.trouble = ""

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            self.trouble = redis_trouble(self._settings, error)

    def now_ms(self) -> int | None:
        """Redis's clock."""
        with self._guarded():
            return self._time_ms()
        return None

    def publish(self, command: Command) -> bool:
        """Give the command on the control stream; whether Redis took it."""
        stream, key = self._settings.control.stream, self._settings.control.key.reveal()
        with self._guarded():
            fields = control.entry(stream, command, key, self._stamp_ms())
            self._client.xadd(stream, fields, maxlen=STREAM_KEEPS, approximate=True)
            return True
        return False

    def _stamp_ms(self) -> int:
        """Redis's clock; this machine's where a user may publish and not ask for the time."""
        try:
            return self._time_ms()
        except redis.ResponseError:
            return SystemClock().epoch_ms()

    def _time_ms(self) -> int:
        seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def snapshots(self) -> Snapshots | None:
        """Of every running instance, by its name."""
        with self._guarded():
            return dict(sorted(read_all(self._client, self._settings.redis.group).items()))
        return None

    def until(self, wanted: Callable[[Snapshots], bool], seconds: float) -> Snapshots | None:
        """The snapshots, once they are as wanted or the time is up."""
        deadline, tick = Deadline(seconds), threading.Event()
        while True:
            found = self.snapshots()
            if found is None or wanted(found) or deadline.passed():
                return found
            tick.wait(TICK)


@contextlib.contextmanager
def line_to(settings: Settings) -> Iterator[Line]:
    """Redis for the block."""
    client = make_client(settings.redis.url)
    try:
        yield Line(settings, client)
    finally:
        client.close()


def give(
    settings: Settings,
    line: Line,
    command: Command,
    rows: Mapping[str, str],
    new: Mapping[str, str] | None = None,
) -> Told:
    """Write the rows and publish the command, at one time: either may hang for seconds.

    Args:
        rows, new: see :func:`solution.ledger.beside.keep`.
    """
    told = Told(ledger="it did not answer")

    def write() -> None:
        told.ledger = in_ledger(settings, lambda url: beside.keep(url, rows, new=new))

    writing = threading.Thread(target=write, name="ledger", daemon=True)
    writing.start()
    told.stream = "" if line.publish(command) else line.trouble
    writing.join(WRITE_WITHIN)
    return told


def in_ledger(settings: Settings, work: Callable[[str], object]) -> str:
    """Do something in the ledger; "" or why it failed."""
    try:
        work(settings.ledger.url)
    except (ConfigError, LedgerError) as error:
        return clean(settings, error)
    return ""


def resumed_at(line: Line) -> dict[str, str]:
    """The row that makes stops published before now no stops any more, for a service that has not
    read them; none without Redis's clock, since another one could hide a later kill."""
    now_ms = line.now_ms()
    return {} if now_ms is None else {CONTROL_RESUMED: str(now_ms)}


def refusal_of(snapshot: Mapping[str, Any]) -> str | None:
    """Why an instance sends no order at all, or None."""
    switch = snapshot.get("kill_switch")
    if switch is not None:
        return str(switch)
    return restriction_of(snapshot) if snapshot.get("trading_state") == "HALTED" else None


def restriction_of(snapshot: Mapping[str, Any]) -> str | None:
    """What an instance says of its trading state, or None where nothing is restricted."""
    if snapshot.get("kill_switch") is not None:
        return str(snapshot["kill_switch"])
    rows = part(snapshot, "restrictions")
    said = [f"{source}: {part(rows, source).get('message')}" for source in rows]
    state = snapshot.get("trading_state")
    return f"{state}: {'; '.join(said)}" if state not in {None, "ACTIVE"} else None


def tickers_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """What an instance says of single tickers: plain symbol → why."""
    found = {**part(snapshot, "reducing"), **part(snapshot, "halted")}
    return {symbol.upper().replace("/", ""): str(why) for symbol, why in found.items()}


def warn(text: str) -> None:
    """One line on standard error."""
    click.echo(text, err=True)
