"""The torture harness does to a real Redis what its plan says, and leaves it well."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from solution.domain.reasons import RedisFault
from solution.redis_client import SOCKET_TIMEOUT, fault_of, make_client
from tests.helpers.redis_server import RedisServer
from torture.book import Book
from torture.ledgers import LedgerFile
from torture.nursery import Life
from torture.oracle import GROUP, STREAM, TOLD, Oracle
from torture.redis_faults import OBSTACLE, RedisFaults
from torture.redis_proxy import RedisProxy
from torture.signals import Made


class Witness:
    """Stands in for a life and its end: while a fault waits for that, it tries to publish."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[RedisFault] = []
        self.waited = 0.0

    @property
    def ended(self) -> "Witness":
        return self

    def wait(self, seconds: float) -> None:
        self.waited = seconds
        self.look()

    def look(self, patience: float = 0.2) -> None:
        """Publish once over a connection of its own."""
        client = make_client(self.url, socket_timeout=patience)
        try:
            client.xadd("elsewhere", {"a": "b"})
        except redis.RedisError as e:
            self.seen.append(fault_of(e))
        finally:
            client.close()


class Scene:
    """One Redis with its faults, and an entry that was read and told."""

    def __init__(self, server: RedisServer, proxy: RedisProxy, directory: Path) -> None:
        self.proxy = proxy
        self.client: Any = redis.Redis.from_url(server.url, decode_responses=True)
        self.client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        self.entry = self.client.xadd(STREAM, {"ticker": "QQ"})
        self.client.xreadgroup(GROUP, "one", {STREAM: ">"})
        self.client.xadd(
            TOLD, {"event_id": "1", "entry_id": self.entry, "event": "fill", "final": "1"}
        )
        book = Book("1", {}, lambda *_: None, lambda *_: None)
        self.oracle = Oracle(book, LedgerFile(directory / "none.db"), self.client)
        self.faults = RedisFaults(server, proxy, self.client, self.oracle, "1")
        self.witness = Witness(server.url)

    def do(self, name: str) -> None:
        """Let it happen; afterwards Redis takes everything again."""
        assert self.faults.do(name, cast("Life", self.witness))
        before = len(self.witness.seen)
        self.witness.look()
        assert len(self.witness.seen) == before


@pytest.fixture
def scene(make_redis_server: Callable[..., RedisServer], tmp_path: Path) -> Iterator[Scene]:
    server = make_redis_server(aof=True, arguments=("--dbfilename", OBSTACLE))
    with RedisProxy(server.port) as proxy:
        made = Scene(server, proxy, tmp_path)
        yield made
        made.client.close()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("full", RedisFault.OUT_OF_MEMORY),
        ("read-only", RedisFault.READONLY),
        ("cannot save", RedisFault.MISCONF),
        ("pause", RedisFault.SILENT),
        ("hang", RedisFault.SILENT),
    ],
)
def test_a_redis_that_refuses_or_is_silent(scene: Scene, name: str, fault: RedisFault) -> None:
    """What it says meanwhile is what the fault is there for."""
    scene.do(name)
    assert scene.witness.seen == [fault]


def test_a_hang_is_longer_than_the_service_waits(scene: Scene) -> None:
    """Else nobody would notice."""
    scene.do("hang")
    assert scene.witness.waited > SOCKET_TIMEOUT


def test_a_slow_start_says_loading(scene: Scene) -> None:
    """Whoever asks meanwhile hears it; all that was there is there again."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            scene.witness.look(SOCKET_TIMEOUT)

    asking = threading.Thread(target=ask)
    asking.start()
    scene.faults.do("slow to load", cast("Life", scene.witness))
    stop.set()
    asking.join()
    assert RedisFault.LOADING in scene.witness.seen, scene.witness.seen
    assert scene.client.xlen(STREAM) == 1


def test_half_open_connections_are_silent_and_new_ones_are_not(scene: Scene) -> None:
    """The bytes are swallowed both ways; nothing of it reaches Redis."""
    old = make_client(scene.proxy.url, socket_timeout=0.2)
    new = make_client(scene.proxy.url, socket_timeout=5)
    old.ping()
    scene.do("half-open")
    with pytest.raises(redis.TimeoutError):
        old.set("swallowed", "1")
    assert new.get("swallowed") is None
    assert scene.witness.waited > SOCKET_TIMEOUT
    old.close()
    new.close()


def test_the_oracle_hears_of_a_lost_tail(scene: Scene) -> None:
    """An entry that is gone may have no end; an event that is gone was told all the same."""
    scene.do("tail lost")
    scene.client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    assert scene.oracle.gone == {scene.entry}
    assert not scene.client.exists(TOLD)
    scene.oracle.published[scene.entry] = Made({}, "", "", "market")
    assert scene.oracle.open_ends() == []


def test_the_oracle_hears_of_trimmed_entries(scene: Scene) -> None:
    """Those that were read, pending or not; what nobody has read stays."""
    unread = scene.client.xadd(STREAM, {"ticker": "QQ"})
    scene.faults.trim()
    assert scene.oracle.trimmed == {scene.entry}
    assert [entry for entry, _ in scene.client.xrange(STREAM)] == [unread]
    assert scene.client.xpending(STREAM, GROUP)["pending"] == 1
