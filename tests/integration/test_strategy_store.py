"""What strategies remember, against a real redis-server: both or neither, and one host."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from signal_generator import publisher
from signal_generator.hosts import lease as lease_module
from signal_generator.hosts.kept import Interrupted, Kept, TakenOver
from signal_generator.hosts.lease import Held, Lease
from signal_generator.hosts.store import Outlet, RedisStore
from signal_generator.publisher import Refused, make_client
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer
from tests.helpers.tcp_proxy import TcpProxy

SIGNAL = {"ticker": "NVDA", "direction": "b", "signal_id": "s:1"}
KEY = "signal_generator:s"


class Hosts:
    """Stores of one server, each of a host of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stop = threading.Event()
        self.shown: list[tuple[str, str]] = []
        self._clients: list[redis.Redis] = []

    def lease(self, owner: str) -> Lease:
        client = make_client(self.url)
        self._clients.append(client)
        return Lease(client, "s", owner, self.stop)

    def store(self, owner: str, *, take_over: bool = False, stream: str = "nvda") -> RedisStore:
        client = make_client(self.url)
        self._clients.append(client)
        lease = self.lease(owner)
        outlet = Outlet(stream, published=lambda i, f: self.shown.append((i, f["signal_id"])))
        return RedisStore(
            client,
            outlet,
            owner=owner,
            stop=self.stop,
            lease=lambda _: lease,
            take_over=take_over,
        )

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def hosts(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Hosts whose leases end after 0.4 s, and that wait 0.3 s for an answer."""
    monkeypatch.setattr(lease_module, "LENGTH", 400)
    monkeypatch.setattr(lease_module, "_LOOK_EVERY", 0.02)
    monkeypatch.setattr(publisher, "SOCKET_TIMEOUT", 0.3)
    made = Hosts(redis_server.url)
    yield made
    made.close()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """Looks at Redis by itself."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as made:
        yield made


def stream(client: Any) -> list[dict[str, str]]:
    """What was published."""
    return [fields for _, fields in client.xrange("nvda")]


def test_what_is_kept_comes_back(hosts: Hosts, client: Any) -> None:
    """State, positions and counters, to the next host, with the signals in the stream."""
    store = hosts.store("a")
    kept = replace(
        store.open("s"),
        state='{"x": [1.5]}',
        bars={"NVDA|1Min": "2026-03-06T14:30:00+00:00"},
        execution="5-1",
        seen=("1:a", "2:b"),
        counter=3,
    )
    after = store.commit("s", kept, [SIGNAL, {**SIGNAL, "signal_id": "s:2"}])
    store.close("s")
    again = hosts.store("b").open("s")
    assert again == replace(after, version=after.version + 1)
    assert [fields["signal_id"] for fields in stream(client)] == ["s:1", "s:2"]
    assert hosts.shown == [
        (entry_id, fields["signal_id"]) for entry_id, fields in client.xrange("nvda")
    ]


def test_nothing_is_kept_at_first(hosts: Hosts, client: Any) -> None:
    """But a counter that no start before can have reached, should Redis have lost its memory."""
    kept = hosts.store("a").open("s")
    assert kept == Kept(version=1, counter=kept.counter)
    client.flushall()
    assert hosts.store("b").open("s").counter > kept.counter > 1_700_000_000_000


def test_a_second_host_is_refused(hosts: Hosts) -> None:
    """While the first renews its lease; the sentence says what to do."""
    first = hosts.store("a")
    first.open("s")
    renewing = threading.Event()
    lease = hosts.lease("a")

    def renew() -> None:
        while not renewing.wait(0.05):
            lease.renew()

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(Held, match="s runs already in a: end that one, or take it over with"):
            hosts.store("b").open("s")
    finally:
        renewing.set()
        thread.join()


def test_a_lease_that_nobody_renews_is_waited_for(hosts: Hosts) -> None:
    """As after a crash: no hand is needed."""
    hosts.store("a").open("s")
    assert hosts.store("b").open("s").version == 2


def test_a_stop_ends_the_wait_for_a_lease(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once."""
    monkeypatch.setattr(lease_module, "LENGTH", 60_000)
    hosts.store("a").open("s")
    hosts.stop.set()
    with pytest.raises(Interrupted):
        hosts.store("b").open("s")


def test_who_was_taken_over_publishes_no_more(hosts: Hosts, client: Any) -> None:
    """However late it wakes up; and its lease tells it too."""
    first = hosts.store("a")
    kept = first.open("s")
    second = hosts.store("b", take_over=True)
    mine = second.open("s")
    with pytest.raises(TakenOver, match="the strategy s was taken over by b"):
        first.commit("s", kept, [SIGNAL])
    with pytest.raises(TakenOver, match="by b"):
        hosts.lease("a").renew()
    assert stream(client) == []
    second.commit("s", mine, [SIGNAL])
    assert stream(client) == [SIGNAL]


def test_a_release_is_only_of_ones_own(hosts: Hosts) -> None:
    """The host that was taken over does not let a third one in."""
    first = hosts.store("a")
    first.open("s")
    second = hosts.store("b", take_over=True)
    second.open("s")
    first.close("s")
    assert first.held() == ()
    hosts.lease("b").renew()
    with pytest.raises(TakenOver):
        hosts.lease("a").renew()


def test_a_stream_that_is_none_leaves_nothing_behind(hosts: Hosts, client: Any) -> None:
    """XADD fails inside the transaction, which undoes nothing by itself."""
    store = hosts.store("a")
    kept = store.open("s")
    client.set("nvda", "text")
    with pytest.raises(Refused, match="WRONGTYPE"):
        store.commit("s", replace(kept, counter=9), [SIGNAL])
    assert client.hmget(KEY, "version", "counter", "writer") == ["1", str(kept.counter), "a"]
    client.delete("nvda")
    store.commit("s", kept, [SIGNAL])
    assert stream(client) == [SIGNAL]


@pytest.mark.parametrize("setting", ["maxmemory", "min-replicas-to-write"])
def test_what_redis_refuses_for_now_leaves_nothing_behind_and_passes(
    make_redis_server: Callable[..., RedisServer], hosts: Hosts, setting: str
) -> None:
    """No room, or too few replicas (as while Redis cannot save): tried until it works."""
    server = make_redis_server()
    hosts.url = server.url
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        store = hosts.store("a")
        kept = store.open("s")
        client.config_set(setting, "1")
        done = threading.Thread(target=lambda: store.commit("s", kept, [SIGNAL]), daemon=True)
        done.start()
        assert eventually(lambda: int(client.info("stats")["total_error_replies"]) > 1)  # type: ignore[index]
        assert (client.xlen("nvda"), client.hget(KEY, "version")) == (0, "1")
        client.config_set(setting, "0")
        done.join(20)
        assert stream(client) == [SIGNAL]


def test_a_lost_answer_is_settled_by_reading_back(
    hosts: Hosts, redis_server: RedisServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction worked and nobody heard: it is not done again."""
    with TcpProxy(redis_server.port) as proxy:
        hosts.url = f"redis://127.0.0.1:{proxy.port}/0"
        store = hosts.store("a")
        kept = store.open("s")
        sent = store._client.pipeline

        class Deaf(redis.client.Pipeline):
            def execute(self, raise_on_error: bool = True) -> Any:
                super().execute(raise_on_error)
                monkeypatch.setattr(store._client, "pipeline", sent)
                raise redis.TimeoutError("no answer came")

        def deaf() -> Any:
            return Deaf(store._client.connection_pool, store._client.response_callbacks, True, None)

        monkeypatch.setattr(store._client, "pipeline", deaf)
        after = store.commit("s", kept, [SIGNAL])
    assert stream(client) == [SIGNAL]
    assert client.hget(KEY, "version") == str(after.version)
    assert hosts.shown == [("", "s:1")]


def test_redis_that_was_away_gets_it_later(
    hosts: Hosts, make_redis_server: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """However long; told once that it is away, once that it is back."""
    server = make_redis_server(aof=True)
    hosts.url = server.url
    store = hosts.store("a")
    kept = store.open("s")
    server.stop()
    done = threading.Thread(target=lambda: store.commit("s", kept, [SIGNAL]), daemon=True)
    done.start()
    assert eventually(lambda: "trying again" in caplog.text)
    server.start()
    done.join(20)
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert stream(client) == [SIGNAL]
    assert caplog.text.count("trying again") == 1
    assert caplog.text.count("answers again") == 1


def test_a_stop_ends_the_wait_for_redis(
    hosts: Hosts, make_redis_server: Callable[..., RedisServer]
) -> None:
    """At once; neither state nor signal is there."""
    server = make_redis_server(aof=True)
    hosts.url = server.url
    store = hosts.store("a")
    kept = store.open("s")
    server.stop()
    hosts.stop.set()
    with pytest.raises(Interrupted):
        store.commit("s", kept, [SIGNAL])
    store.close("s")
    server.start()
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert (stream(client), client.hget(KEY, "version")) == ([], "1")


def test_redis_that_lost_it_gets_it_anew(
    hosts: Hosts, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty Redis is no other host."""
    store = hosts.store("a")
    kept = store.commit("s", replace(store.open("s"), counter=4), [])
    client.flushall()
    store.commit("s", kept, [SIGNAL])
    assert stream(client) == [SIGNAL]
    assert client.hget(KEY, "counter") == "4"
    assert "has lost what was last kept of s" in caplog.text
