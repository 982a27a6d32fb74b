"""What happens to a real Redis in the middle of a life, and what the oracle must know of it.

Each fault begins, lasts and ends within one call, so nobody publishes meanwhile: a producer whose
XADD is refused tries again.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import redis

from torture.aof import Command, append_only_file, cut
from torture.nursery import Life
from torture.oracle import GROUP, STREAM, TOLD, Oracle, entry_key
from torture.plan import SILENT_FOR
from torture.redis_proxy import RedisProxy
from torture.redis_server import RedisServer, answers_ping, free_port

OBSTACLE = "obstacle.rdb"
"""A directory where Redis wants to put its snapshot: root may write everywhere, but not that."""
PAUSE = 0.2
TROUBLE = 0.4
"""Seconds for which Redis refuses."""
BALLAST = 5000
"""Keys to be read at a slow start: Redis looks up from its reading after every thousand."""
LOAD_DELAY = 150
"""Microseconds for each of them, and for each command before."""
LOADED_WITHIN = 30.0
LONGEST_TAIL = 60
"""Commands that are lost with the end of the file, at most: those of some tenths of a second."""


class RedisFaults:
    """Does to one round's Redis what a plan names.

    Args:
        server: with an append-only file, and OBSTACLE as the name of its snapshot.
        proxy: between the service and it.
        client: of Redis, directly, with decoded answers.
        oracle: told what was lost.
        seed: how much is lost.
    """

    def __init__(
        self, server: RedisServer, proxy: RedisProxy, client: Any, oracle: Oracle, seed: str
    ) -> None:
        self._server = server
        self._proxy = proxy
        self._redis = client
        self._oracle = oracle
        self._draw = Random(f"{seed}/redis")
        self._named: Mapping[str, tuple[str, Callable[[Life], object]]] = {
            "kill": ("kill -9, restart", self._kill),
            "pause": ("SIGSTOP", lambda life: self._pause(life, PAUSE)),
            "reset": ("connections reset", lambda _: proxy.reset()),
            "lose a reply": (
                "",  # counted when one is lost
                lambda _: proxy.lose_next_reply(b"direction"),
            ),
            "full": ("out of memory", self._fill),
            "read-only": ("READONLY", self._demote),
            "cannot save": ("MISCONF", self._break_saving),
            "slow to load": ("LOADING", self._load_slowly),
            "hang": (f"SIGSTOP for {SILENT_FOR} s", lambda life: self._pause(life, SILENT_FOR)),
            "half-open": ("half-open connections", self._swallow),
            "tail lost": ("tail lost", self._lose_tail),
        }

    def do(self, name: str, life: Life) -> str:
        """Let it happen, for as long as the life lasts at most; returns what to count it as."""
        told, happen = self._named[name]
        happen(life)
        return told

    # --- gone for a while -----------------------------------------------------------------

    def _kill(self, _life: Life) -> None:
        self._server.kill()
        self._server.start()

    def _pause(self, life: Life, seconds: float) -> None:
        self._server.pause()
        life.ended.wait(seconds)
        self._server.unpause()

    def _swallow(self, life: Life) -> None:
        self._proxy.swallow()
        life.ended.wait(SILENT_FOR)

    def _load_slowly(self, _life: Life) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for number in range(BALLAST):
                pipe.set(f"ballast:{number}", "x")
            pipe.execute()
        self._server.kill()
        self._server.start(while_loading=True, arguments=("--key-load-delay", str(LOAD_DELAY)))
        _await(lambda: answers_ping(self._server.port), "Redis does not end its loading")

    # --- there, and refusing --------------------------------------------------------------

    def _fill(self, life: Life) -> None:
        with self._set(life, maxmemory=("1", "0")):
            pass

    def _demote(self, life: Life) -> None:
        """A replica of nobody: it serves what it has, and takes nothing."""
        self._redis.replicaof("127.0.0.1", free_port())
        life.ended.wait(TROUBLE)
        self._redis.replicaof("NO", "ONE")

    def _break_saving(self, life: Life) -> None:
        (self._server.directory / OBSTACLE).mkdir(exist_ok=True)
        with self._set(life, save=("3600 1000000", "")):
            self._redis.bgsave()
            _await(self._saving_failed, "Redis saves although it cannot")

    def _saving_failed(self) -> bool:
        info = self._redis.info("persistence")
        return not info["rdb_bgsave_in_progress"] and info["rdb_last_bgsave_status"] == "err"

    @contextlib.contextmanager
    def _set(self, life: Life, **options: tuple[str, str]) -> Iterator[None]:
        """Options with their wrong and their right values."""
        for name, (wrong, _) in options.items():
            self._redis.config_set(name, wrong)
        yield
        life.ended.wait(TROUBLE)
        for name, (_, right) in options.items():
            self._redis.config_set(name, right)

    # --- what is lost ---------------------------------------------------------------------

    def _lose_tail(self, _life: Life) -> None:
        """The last commands never happened, as far as Redis knows."""
        self._server.kill()
        lost = cut(append_only_file(self._server.directory), self._draw.randint(1, LONGEST_TAIL))
        self._oracle.redis_lost_more()
        for command in lost:
            self._tell_of(command)
        self._server.start()

    def _tell_of(self, command: Command) -> None:
        added = added_by(command)
        if added is None:
            return
        stream, entry, fields = added
        if stream == STREAM:
            self._oracle.gone.add(entry)
        elif stream == TOLD:
            self._oracle.heard(fields)  # told once, whatever became of it

    def trim(self) -> None:
        """Somebody trims the stream, and takes what is read and not acknowledged yet with it."""
        groups = []
        with contextlib.suppress(redis.ResponseError):  # no stream yet
            groups = [each for each in self._redis.xinfo_groups(STREAM) if each["name"] == GROUP]
        for group in groups:
            ms, sequence = entry_key(group["last-delivered-id"])
            read = self._redis.xrange(STREAM, "-", f"{ms}-{sequence}")
            self._oracle.trimmed.update(entry for entry, _ in read)
            self._redis.xtrim(STREAM, minid=f"{ms}-{sequence + 1}", approximate=False)


def added_by(command: Command) -> tuple[str, str, dict[str, str]] | None:
    """Stream, entry id and fields of an XADD as it stands in the file; None for others."""
    words = [word.decode(errors="replace") for word in command]
    if words[0].upper() != "XADD":
        return None
    stream, rest = words[1], words[2:]
    while "-" not in rest[0]:  # options, as MAXLEN = 1000
        rest = rest[1:]
    return stream, rest[0], dict(zip(rest[1::2], rest[2::2], strict=True))


def _await(done: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + LOADED_WITHIN
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.01)
