"""What the listener makes of a Redis that lost data: group, tail, content, unread entries."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from solution.domain.reasons import RedisFault
from solution.domain.records import EntryRef
from solution.feeds.stream_group import StreamGroup
from solution.redis_client import make_client
from tests.helpers.clocks import eventually
from tests.helpers.listening import BUY, GROUP, ME, STREAM, VERSIONS, Hands, server_of
from tests.helpers.redis_server import RedisServer

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


def restart_without_tail(server: RedisServer, keep: int) -> None:
    """kill -9, and the end of the append-only file is gone: its first ``keep`` bytes stay."""
    server.kill()
    with aof_of(server).open("r+b") as file:
        file.truncate(keep)
    server.start()


def aof_of(server: RedisServer) -> Any:
    """The file that commands are appended to: one file up to 6.2, the newest of several since 7."""
    found = [*server.directory.glob("appendonly.aof"), *server.directory.glob("*/*.incr.aof")]
    return next(path for path in found if path.is_file())


def test_an_emptied_redis_is_begun_anew_at_0(make_redis_server: MakeServer, listen: Listen) -> None:
    """Streams and groups are gone: made anew, never at `$`, and the alert is counted."""
    server = make_redis_server(aof=True)
    hands = listen(server)
    first = hands.add()
    assert hands.arrive([first])
    restart_without_tail(server, 0)
    entries = [hands.add() for _ in range(5)]
    assert hands.arrive([first, *entries])
    assert eventually(lambda: hands.listener.alerts.get(RedisFault.GROUP_LOST) == 1)
    info: Any = hands.client.xinfo_groups(STREAM)
    assert [row["name"] for row in info] == [GROUP.encode()]


def test_what_is_published_before_the_group_is_back_is_not_skipped(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """NOGROUP while the connection stands: entries of the meantime come first."""
    server = make_redis_server()
    hands = listen(server)
    with hands.client.pipeline() as together:
        together.delete(STREAM)
        together.xadd(STREAM, BUY)
        together.xadd(STREAM, BUY)
        _, *ids = together.execute()
    assert hands.arrive([entry.decode() for entry in ids])
    assert eventually(lambda: hands.listener.alerts.get(RedisFault.GROUP_LOST) == 1)


def test_acknowledged_entries_come_back_with_a_lost_tail(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Acknowledgements and newest entries are gone: what was handled is pending again, and told.

    The ids come again as redelivered, which is what makes the ledger be asked; new signals follow.
    """
    server = make_redis_server(aof=True)
    hands = listen(server)
    kept = [hands.add() for _ in range(3)]
    assert hands.arrive(kept)
    assert eventually(lambda: hands.pending() == 3)
    size = aof_of(server).stat().st_size
    hands.acknowledge_all()
    gone = hands.add()
    assert hands.arrive([*kept, gone])
    assert hands.pending() == 1
    restart_without_tail(server, size)
    assert hands.arrive([*kept, gone, *kept])
    assert all(arrival.redelivered for arrival in hands.arrivals[4:])
    assert hands.pending() == 3
    assert eventually(lambda: hands.listener.alerts.get(RedisFault.TAIL_LOST) == 1)
    assert hands.arrive([*kept, gone, *kept, hands.add()])


def test_an_id_given_again_to_another_signal_ends_as_a_dead_letter_while_in_hand(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """The first one's acknowledgement would take it along unseen: it gets its own end at once."""
    server = make_redis_server(aof=True)
    hands = listen(server)
    size = aof_of(server).stat().st_size
    entry = hands.add()
    assert hands.arrive([entry])
    restart_without_tail(server, size)
    hands.client.execute_command("XADD", STREAM, entry, "ticker", "AAPL", "direction", "s")  # type: ignore[no-untyped-call]
    assert eventually(lambda: hands.letters == {entry: "ENTRY_ID_REUSED"})
    assert hands.ids() == [entry]


def test_an_id_given_again_after_its_end_is_a_signal_of_its_own(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Without a signal_id the content is part of the identity: two ids at the broker."""
    server = make_redis_server(aof=True)
    hands = listen(server)
    size = aof_of(server).stat().st_size
    entry = hands.add()
    assert hands.arrive([entry])
    hands.acknowledge_all()
    restart_without_tail(server, size)
    hands.client.execute_command("XADD", STREAM, entry, "ticker", "AAPL", "direction", "s")  # type: ignore[no-untyped-call]
    assert hands.arrive([entry, entry])
    one, two = (arrival.signal.identity for arrival in hands.arrivals)
    assert one != two


@pytest.mark.parametrize("owner", [ME, "dead"])
@pytest.mark.parametrize("how", ["deleted", "trimmed"])
def test_pending_entries_without_content_are_payload_lost(
    redis_server: RedisServer, listen: Listen, owner: str, how: str
) -> None:
    """Ours or a dead peer's, over a page of them; none stays pending for ever."""
    with make_client(redis_server.url) as client:
        ids: Any = [client.xadd(STREAM, BUY) for _ in range(700)]
        group = StreamGroup(client, (STREAM,), GROUP, owner)
        group.ensure()
        assert len(list(group.read_new(1000))) == 700
        if how == "deleted":
            client.xdel(STREAM, *ids[:-1])
        else:
            client.xtrim(STREAM, maxlen=1, approximate=False)
    hands = listen(redis_server)
    assert hands.arrive([ids[-1].decode()])
    assert eventually(lambda: len(hands.letters) == 699)
    assert set(hands.letters.values()) == {"PAYLOAD_LOST"}
    hands.acknowledge_all()
    assert hands.pending() == 0


def test_unread_entries_that_vanish_are_told_by_redis_7(
    make_redis_server: MakeServer, listen: Listen, redis_executable: str
) -> None:
    """A producer's MAXLEN erases the backlog: counted where Redis keeps count, harmless on 6.2."""
    server = make_redis_server()
    hands = listen(server)
    assert hands.arrive([hands.add()])
    hands.pause_reading()
    for _ in range(5):
        hands.add()
    hands.client.xtrim(STREAM, maxlen=0, approximate=False)
    hands.room = 1000
    last = hands.add()
    assert eventually(lambda: hands.ids()[-1] == last)
    tells = "entries-added" in redis.Redis.from_url(server.url).xinfo_stream(STREAM)
    assert tells is (server_of("6.2") != redis_executable)
    found = eventually(lambda: RedisFault.UNREAD_LOST in hands.listener.alerts, 20 if tells else 6)
    assert found is tells


def test_nothing_is_told_of_a_redis_that_lost_nothing(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Kills with an append-only file, deleted and trimmed entries that were read: no alert."""
    server = make_redis_server(aof=True)
    hands = listen(server)
    ids: list[str] = []
    for _ in range(3):
        ids += [hands.add() for _ in range(20)]
        assert hands.arrive(ids)
        hands.acknowledge_all()
        hands.client.xdel(STREAM, *ids[-20::3])
        hands.client.xtrim(STREAM, maxlen=5, approximate=False)
        hands.client.bgrewriteaof()
        assert eventually(lambda: rewritten(hands))  # its child would keep connections open
        server.kill()
        server.start()
    assert hands.add()
    threading.Event().wait(6.0)  # one look at the tails at the least
    assert hands.listener.alerts == {}


def test_an_entry_id_in_the_future_is_told(redis_server: RedisServer, listen: Listen) -> None:
    """Every id after it lies in the future, too: each a dead letter, and one alert."""
    hands = listen(redis_server)
    ahead = int(redis_server_ms(hands)) + 3_600_000
    hands.client.xadd(STREAM, BUY, id=f"{ahead}-0")
    hands.add()
    assert eventually(lambda: list(hands.letters.values()) == ["FUTURE_TIMESTAMP"] * 2)
    assert eventually(lambda: hands.listener.alerts == {RedisFault.ID_IN_FUTURE: 1})


def rewritten(hands: Hands) -> bool:
    """Whether no rewrite of the append-only file is going on or about to."""
    info: Any = hands.client.info("persistence")
    return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]


def redis_server_ms(hands: Hands) -> int:
    """Redis's clock."""
    seconds, _ = hands.client.time()
    return int(seconds) * 1000


def test_a_group_set_beyond_the_end_skips_nothing(
    redis_server: RedisServer, listen: Listen
) -> None:
    """Redis would pass over what comes until ids catch up; set back, it delivers."""
    with make_client(redis_server.url) as client:
        client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        client.xgroup_setid(STREAM, GROUP, "99999999999999-0")
    hands = listen(redis_server)
    assert hands.arrive([hands.add()])
    assert hands.listener.alerts[RedisFault.TAIL_LOST] == 1


def test_dead_letters_of_a_lost_group_are_only_acknowledged(
    make_redis_server: MakeServer, listen: Listen
) -> None:
    """Read as for the first time by the group made anew: they have had their end."""
    hands = listen(make_redis_server())
    dead, other = hands.add(), hands.add()
    assert hands.arrive([dead, other])
    hands.letters[dead] = "POISON"
    hands.arrivals.clear()
    hands.listener.released([EntryRef(STREAM, dead), EntryRef(STREAM, other)])
    hands.client.xgroup_destroy(STREAM, GROUP)
    assert eventually(lambda: [a.ref.entry_id for a in hands.arrivals] == [other])
    assert dead in hands.acknowledged
