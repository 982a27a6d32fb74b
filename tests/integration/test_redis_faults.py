"""What the listener does when Redis does not serve: each fault has its code, and none its loss."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from solution.clock import Deadline
from solution.feeds.signal_listener import SignalListener
from solution.redis_client import make_client
from tests.helpers.clocks import eventually
from tests.helpers.listening import GROUP, STREAM, VERSIONS, Hands, server_of
from tests.helpers.redis_server import RedisServer
from tests.helpers.tcp_proxy import TcpProxy

MakeServer = Callable[..., RedisServer]
Listen = Callable[..., Hands]


@pytest.fixture(params=VERSIONS)
def redis_executable(request: pytest.FixtureRequest) -> str:
    """Every Redis there is."""
    return server_of(request.param)


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Makes listeners, started; ended with the test."""
    made: list[Hands] = []

    def make(server: RedisServer, *arguments: Any, **options: Any) -> Hands:
        made.append(Hands(server, *arguments, **options))
        return made[-1].start()

    yield make
    for hands in made:
        hands.stop()


# --- away, silent, half-open ------------------------------------------------------------------


def test_restarts_and_kills_lose_nothing(make_redis_server: MakeServer, listen: Listen) -> None:
    """Stopped or killed, ten times in all: every signal once, in order; the fault is named."""
    server = make_redis_server(aof=True)
    hands = listen(server)
    ids: list[str] = []
    for number in range(10):
        ids.append(hands.add())
        (server.kill if number % 2 else server.stop)()
        assert hands.in_trouble("REDIS_UNREACHABLE")
        assert eventually(lambda: not hands.listener.connected)
        server.start()
        ids.append(hands.add())
        assert eventually(lambda: hands.ids()[-1:] == ids[-1:])
    assert hands.ids() == ids
    assert eventually(lambda: hands.listener.trouble == "")
    hands.acknowledge_all()
    assert hands.pending() == 0
    assert hands.listener.alerts == {}


def test_a_paused_redis_is_named_silent(make_redis_server: MakeServer, listen: Listen) -> None:
    """SIGSTOP: noticed by its code while it lasts; signals published after it are read."""
    server = make_redis_server()
    hands = listen(server)
    server.pause()
    assert hands.in_trouble("REDIS_SILENT")
    server.unpause()
    assert hands.arrive([hands.add()])
    assert eventually(lambda: hands.listener.trouble == "")


@pytest.mark.parametrize("also_new", [False, True])
def test_a_half_open_connection_is_left(
    make_redis_server: MakeServer, listen: Listen, also_new: bool
) -> None:
    """The way is dead and nobody says so; a new connection goes through, now or after a while."""
    server = make_redis_server()
    with TcpProxy(server.port) as proxy:
        hands = listen(server, url=f"redis://127.0.0.1:{proxy.port}/0")
        first = hands.add()
        assert hands.arrive([first])
        proxy.hang(also_new=also_new)
        second = hands.add()
        assert hands.in_trouble("REDIS_SILENT")
        proxy.heal()
        assert hands.arrive([first, second])
        hands.stop()
        hands.start()  # the fixture stops it


def test_a_reply_lost_on_a_dead_way_is_read_again(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Redis delivered it into the void: pending for us, found right after the reconnect."""
    server = make_redis_server()
    with TcpProxy(server.port) as proxy:
        hands = listen(server, url=f"redis://127.0.0.1:{proxy.port}/0")
        proxy.hang(also_new=False)
        lost = hands.add()
        assert hands.arrive([lost])
        assert hands.arrivals[0].redelivered or proxy.accepted > 1
        hands.stop()
        hands.start()


# --- there, and not serving -------------------------------------------------------------------


def test_loading_is_waited_for(make_redis_server: MakeServer, listen: Listen) -> None:
    """A Redis that reads its data says LOADING: named, and nothing lost when it is done."""
    # Microseconds per key; the server looks up from its loading after every thousand.
    server = make_redis_server(aof=True, arguments=("--key-load-delay", "250"))
    hands = listen(server)
    with hands.client.pipeline(transaction=False) as pipe:
        for number in range(15_000):
            pipe.set(f"ballast:{number}", "x")
        pipe.execute()
    first = hands.add()
    assert hands.arrive([first])
    server.kill()
    server.start(while_loading=True)
    assert hands.in_trouble("REDIS_LOADING")
    assert eventually(lambda: hands.listener.connected, 60)
    assert hands.arrive([first, hands.add()])


def test_a_demoted_master_is_named_readonly(make_redis_server: MakeServer, listen: Listen) -> None:
    """REPLICAOF under the listener's feet: it neither reads nor spins, and goes on afterwards."""
    server, other = make_redis_server(), make_redis_server()
    hands = listen(server)
    first = hands.add()
    assert hands.arrive([first])
    with redis.Redis.from_url(other.url) as client:
        client.xgroup_create(STREAM, GROUP, "0", mkstream=True)  # what it will be a copy of
    hands.client.replicaof("127.0.0.1", other.port)
    assert hands.in_trouble("REDIS_READONLY")
    tries = hands.listener.reconnects
    assert eventually(lambda: hands.listener.reconnects > tries)
    hands.client.replicaof("NO", "ONE")
    assert eventually(lambda: hands.listener.trouble == "")
    hands.listener.released([arrival.ref for arrival in hands.arrivals])
    assert hands.arrive([first, hands.add()])


def test_out_of_memory_stops_no_signal(make_redis_server: MakeServer, listen: Listen) -> None:
    """XADD is refused; what waits is read and acknowledged, also over a new connection."""
    server = make_redis_server()
    hands = listen(server)
    first = hands.add()
    assert hands.arrive([first])
    hands.pause_reading()
    ids = [first, *(hands.add() for _ in range(10))]
    hands.client.config_set("maxmemory", "1")
    with pytest.raises(redis.OutOfMemoryError):
        hands.add()
    hands.client.client_kill_filter(_type="normal", skipme=True)
    hands.room = 1000
    assert hands.arrive(ids)
    assert hands.listener.reconnects > 0
    hands.acknowledge_all()
    assert hands.pending() == 0
    assert eventually(lambda: hands.listener.trouble == "")


def test_a_redis_that_cannot_save_gives_nothing_new(
    make_redis_server: MakeServer, listen: Listen, tmp_path: Path
) -> None:
    """MISCONF: XREADGROUP is a write, so reading stops, by name; repaired, it goes on."""
    server = make_redis_server()
    hands = listen(server)
    hands.pause_reading()
    entry = hands.add()
    obstacle = server.directory / "dump.rdb"
    obstacle.mkdir()  # root may write everywhere, but not rename a file over a directory
    hands.client.config_set("save", "3600 1000000")
    hands.client.bgsave()
    assert eventually(lambda: _saved(hands.client) == "err")
    hands.room = 1000
    assert hands.in_trouble("REDIS_MISCONF")
    assert hands.ids() == []
    obstacle.rmdir()
    hands.client.bgsave()
    assert eventually(lambda: _saved(hands.client) == "ok")
    assert hands.arrive([entry])
    assert eventually(lambda: hands.listener.trouble == "")


def _saved(client: "redis.Redis") -> str:
    info: Any = client.info("persistence")
    return "" if info["rdb_bgsave_in_progress"] else str(info["rdb_last_bgsave_status"])


def test_too_few_replicas_is_named(make_redis_server: MakeServer, listen: Listen) -> None:
    """NOREPLICAS: a master alone takes no writes, reading included."""
    server = make_redis_server()
    hands = listen(server)
    entry = hands.add()
    assert hands.arrive([entry])
    hands.client.config_set("min-replicas-to-write", "1")
    assert hands.in_trouble("REDIS_NOREPLICAS")
    hands.client.config_set("min-replicas-to-write", "0")
    assert hands.arrive([entry, hands.add()])


# --- who we are -------------------------------------------------------------------------------


def _trouble_of(server: RedisServer, url: str) -> str:
    """What a listener with this address says, once it says something."""
    hands = Hands(server, url=url)
    listener: SignalListener = hands.listener
    listener.start()
    try:
        assert eventually(lambda: listener.trouble != "")
        return listener.trouble
    finally:
        assert listener.stop(Deadline(20.0))
        hands.client.close()


def test_wrong_and_missing_passwords_are_told_apart(make_redis_server: MakeServer) -> None:
    """NOAUTH, WRONGPASS, NOPERM: three codes for three mistakes."""
    server = make_redis_server()
    with make_client(server.url) as admin:
        admin.execute_command("ACL SETUSER reader on >pw ~* &* +@all -xreadgroup")
        admin.execute_command("CONFIG SET requirepass right")
    at = f"127.0.0.1:{server.port}/0"
    assert _trouble_of(server, f"redis://{at}").startswith("REDIS_NOAUTH: ")
    assert _trouble_of(server, f"redis://:wrong@{at}").startswith("REDIS_WRONGPASS: ")
    assert _trouble_of(server, f"redis://reader:pw@{at}").startswith("REDIS_NOPERM: ")


def test_a_user_who_may_make_no_groups_reads_those_there_are(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Least rights: the administrator made the group; one stream is out of bounds, and told."""
    server = make_redis_server()
    with make_client(server.url) as admin:
        admin.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        admin.xgroup_create("aapl", GROUP, "0", mkstream=True)
        admin.execute_command(
            "ACL SETUSER least on >pw ~nvda &* +xreadgroup +xack +xpending +xclaim +xrange +time "
            "+ping +client"
        )
    url = f"redis://least:pw@127.0.0.1:{server.port}/0"
    hands = listen(server, (STREAM, "aapl"), url=url)
    assert hands.arrive([hands.add()])
    assert hands.listener.trouble.startswith("aapl: REDIS_NOPERM: ")


# --- one stream among several -----------------------------------------------------------------


def test_a_key_of_the_wrong_type_stops_its_own_stream_alone(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """There from the start or put there later: reported, retried, and the others are read."""
    server = make_redis_server()
    with redis.Redis.from_url(server.url) as client:
        client.set("broken", "not a stream")
    hands = listen(server, ("broken", STREAM, "later"))
    assert hands.arrive([hands.add()])
    assert hands.listener.trouble.startswith("broken: REDIS_WRONGTYPE: ")
    assert hands.listener.connected
    hands.client.delete("later")
    hands.client.rpush("later", "nor this")
    assert hands.in_trouble("later: REDIS_WRONGTYPE")
    second = hands.add()
    assert eventually(lambda: hands.ids()[-1] == second)
    hands.client.delete("broken", "later")
    assert eventually(lambda: hands.listener.trouble == "")
    ids = [hands.add(stream="broken"), hands.add(stream="later"), hands.add()]
    assert eventually(lambda: set(hands.ids()) >= set(ids))
    assert hands.listener.reconnects == 0


def test_two_listeners_of_one_name_lose_nothing(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """The service's names are unique; should two meet all the same, no entry is lost."""
    server = make_redis_server()
    one, two = listen(server), listen(server)
    ids = [one.add() for _ in range(50)]
    assert eventually(lambda: {*one.ids(), *two.ids()} == set(ids))
    for hands in (one, two):
        hands.acknowledge_all()
    assert one.pending() == 0


# --- how soon ---------------------------------------------------------------------------------


def test_a_waiting_signal_is_read_soon_after_the_return(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Published while the listener was cut off: read without waiting for a sweep of seconds."""
    server = make_redis_server(aof=True)
    hands = listen(server)
    server.kill()
    assert hands.in_trouble("REDIS_UNREACHABLE")
    threading.Event().wait(1.0)  # long enough for the pauses to have grown to their end
    server.start()
    assert hands.arrive([hands.add()])
