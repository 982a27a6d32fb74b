"""Where blocks of orders come from: a strategy's host that publishes, and blockpaca itself."""

import contextlib
import itertools
import os
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from benchmarks import broker_data
from benchmarks.bench import SIGNAL_DEADLINE, Bench
from benchmarks.processes import START_DEADLINE, Child

BLOCKPACA = "blockpaca"
_SCRIPT = Path(__file__).with_name("blocks_blockpaca.py")


class Source(Protocol):
    """A strategy whose blocks become orders at the broker."""

    child: Child

    def block(self, size: int) -> None:
        """The strategy returns a block."""

    def returned(self) -> list[int]:
        """When it did, each time, in monotonic nanoseconds. The last thing asked."""


class Publisher:
    """Publishes a block as one transaction of XADDs, as ``run_trading`` does."""

    def __init__(self, place: Bench, stream: str, child: Child, *, minimal: bool) -> None:
        self.child = child
        self._redis = place.redis
        self._stream = stream
        self._tickers = itertools.cycle(place.tickers)
        self._minimal = minimal
        self._returned: list[int] = []

    def block(self, size: int) -> None:
        names = list(itertools.islice(self._tickers, size))
        self._returned.append(time.monotonic_ns())
        with self._redis.pipeline(transaction=True) as pipe:
            for name in names:
                pipe.xadd(self._stream, self._fields(name))
            pipe.execute()

    def returned(self) -> list[int]:
        return self._returned

    def _fields(self, ticker: str) -> dict[Any, Any]:
        if self._minimal:
            return {"ticker": ticker, "direction": "b"}
        return fields_of(ticker, str(uuid.uuid4()))


def fields_of(ticker: str, signal_id: str) -> dict[Any, Any]:
    """One order of a block as a signal: bought at market, one share, for the day."""
    terms = {"qty": "1", "action": "buy_long", "order_type": "market", "time_in_force": "day"}
    about = {"signal_id": signal_id, "strategy": "blocks"}
    return {"ticker": ticker, "direction": "b", **terms, **about}


class Blockpaca:
    """blockpaca in processes of its own; its strategy hears over a socket when to return."""

    def __init__(self, child: Child, link: socket.socket) -> None:
        self.child = child
        self._link = link

    def block(self, size: int) -> None:
        self._link.sendall(b"%d\n" % size)

    def returned(self) -> list[int]:
        self._link.sendall(b"\n")
        with self._link.makefile("rb") as said:
            found: list[int] = orjson.loads(said.readline())
        return found


@contextlib.contextmanager
def publishing(place: Bench, pipeline: str, workers: int) -> Iterator[Source]:
    """A pipeline of the benchmarks, warm, and who publishes to it."""
    stream = place.new_stream("blocks")
    with place.running(pipeline, stream, workers) as child:
        warm = {"ticker": broker_data.WARM_UP, "direction": "b"}
        place.redis.xadd(stream, warm)
        place.await_posts(child, 1, SIGNAL_DEADLINE)
        minimal = not pipeline.startswith("service")
        yield Publisher(place, stream, child, minimal=minimal)


@contextlib.contextmanager
def blockpaca(place: Bench, python: str, workers: int) -> Iterator[Source]:
    """blockpaca, its strategy waiting for the first word.

    Args:
        python: an interpreter that has it.
        workers: processes that post; 0 leaves the number to it.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=place.directory))
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        door.settimeout(START_DEADLINE)
        command = [python, str(_SCRIPT), str(door.getsockname()[1]), str(place.broker.port)]
        command += [str(workers), ",".join(place.tickers), folder]
        child = stack.enter_context(Child(BLOCKPACA, command, Path(folder), announces=False))
        stack.callback(_end_group, child)
        try:
            link, _ = door.accept()
        except TimeoutError:
            raise child.failed("is not ready in time") from None
        stack.enter_context(link)
        link.settimeout(SIGNAL_DEADLINE)
        yield Blockpaca(child, link)


def _end_group(child: Child) -> None:
    """It does not end its processes when it is ended; they are of the group that it leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)


def cpu_of_group(child: Child) -> float:
    """CPU seconds, user and system, of a process and of those that it started."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == child.process.pid:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")
