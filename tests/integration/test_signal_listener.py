"""SignalListener over a real redis-server: every entry ends in exactly one pair of hands."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solution.feeds.stream_group import StreamGroup
from solution.redis_client import make_client
from tests.helpers.clocks import eventually
from tests.helpers.listening import BUY, GROUP, ME, STREAM, VERSIONS, Hands, server_of
from tests.helpers.redis_server import RedisServer


@pytest.fixture(params=VERSIONS)
def redis_executable(request: pytest.FixtureRequest) -> str:
    """Every Redis there is."""
    return server_of(request.param)


@pytest.fixture
def hands(redis_server: RedisServer) -> Iterator[Hands]:
    """A running listener on an empty server."""
    running = Hands(redis_server).start()
    yield running
    running.stop()


MakeServer = Callable[..., RedisServer]


def test_entries_arrive_in_order_and_stay_pending(hands: Hands) -> None:
    """Each once, in the order of the stream, acknowledged by nobody yet."""
    ids = [hands.add() for _ in range(300)]
    assert eventually(lambda: hands.ids() == ids)
    assert hands.pending() == 300
    hands.acknowledge_all()
    assert (hands.pending(), hands.listener.holding()) == (0, 0)


def test_what_waits_before_the_first_start_is_read(redis_server: RedisServer) -> None:
    """The group begins at 0: nothing published before it exists is skipped."""
    hands = Hands(redis_server)
    ids = [hands.add() for _ in range(3)]
    hands.start()
    assert eventually(lambda: hands.ids() == ids)
    hands.stop()


def test_several_streams_are_read_side_by_side(redis_server: RedisServer) -> None:
    """One group each; arrivals name their stream."""
    hands = Hands(redis_server, ("nvda", "aapl")).start()
    hands.add()
    hands.add({"ticker": "AAPL", "direction": "s"}, "aapl")
    assert eventually(lambda: {a.ref.stream for a in hands.arrivals} == {"nvda", "aapl"})
    hands.stop()


def test_a_lost_reply_is_found_by_a_sweep(hands: Hands) -> None:
    """Redis handed entries out and the answer never came: pending for us, in nobody's hands."""
    group = StreamGroup(make_client(hands.server.url), (STREAM,), GROUP, ME)
    hands.pause_reading()
    lost = [hands.add() for _ in range(3)]
    assert [entry[0] for _, entry in group.read_new(10)] == lost
    hands.room = 1000
    assert eventually(lambda: hands.ids() == lost)
    assert all(arrival.redelivered for arrival in hands.arrivals)


def consumers(hands: Hands) -> set[str]:
    """Whom the group knows."""
    return {row["name"].decode() for row in hands.client.xinfo_consumers(STREAM, GROUP)}


def test_a_dead_peers_entries_are_taken_over(redis_server: RedisServer) -> None:
    """In order, before anything new; the dead consumer is removed, the living one is not."""
    hands = Hands(redis_server)
    ids = [hands.add() for _ in range(5)]
    for name, count in (("dead-1", 2), ("dead-2", 2)):
        group = StreamGroup(make_client(redis_server.url), (STREAM,), GROUP, name)
        group.ensure()
        assert len(list(group.read_new(count))) == count
    alive = StreamGroup(make_client(redis_server.url), (STREAM,), GROUP, "alive")
    theirs = hands.add()
    hands.client.xreadgroup(GROUP, "dead-1", {STREAM: ">"}, count=1)
    assert [entry[0] for _, entry in alive.read_new(10)] == [theirs]
    hands.start()
    assert eventually(lambda: hands.ids() == ids)
    assert eventually(lambda: consumers(hands) == {"alive", ME})
    hands.stop()


@pytest.mark.parametrize("owner", [ME, "dead"])
def test_a_trimmed_pending_entry_is_payload_lost(redis_server: RedisServer, owner: str) -> None:
    """Its content is gone: dead-lettered once, and what follows is delivered."""
    hands = Hands(redis_server)
    lost, kept = hands.add(), hands.add()
    group = StreamGroup(make_client(redis_server.url), (STREAM,), GROUP, owner)
    group.ensure()
    assert len(list(group.read_new(10))) == 2
    hands.client.xdel(STREAM, lost)
    hands.start()
    assert eventually(lambda: hands.ids() == [kept])
    assert hands.letters == {lost: "PAYLOAD_LOST"}
    assert hands.pending() == 2  # also the lost one, until its end is acknowledged
    hands.acknowledge_all()
    assert hands.pending() == 0
    assert eventually(lambda: consumers(hands) == {ME})
    hands.stop()


def test_a_destroyed_group_is_made_anew_from_the_beginning(hands: Hands) -> None:
    """Data loss at Redis: what was handled comes again and is recognised by its row."""
    first = hands.add({**BUY, "signal_id": "one"})
    assert eventually(lambda: hands.ids() == [first])
    hands.acknowledge_all()
    hands.known.add("nvda|id:one")
    hands.client.xgroup_destroy(STREAM, GROUP)
    second = hands.add()
    assert eventually(lambda: hands.ids() == [first, first, second])


def test_a_flushed_server_is_listened_to_again(hands: Hands) -> None:
    """Stream and group gone: both are made anew, and the next signal arrives."""
    hands.client.flushall()
    entry = hands.add()
    assert eventually(lambda: hands.ids() == [entry])


def test_redis_killed_and_restarted_loses_nothing(make_redis_server: MakeServer) -> None:
    """kill -9 with an append-only file: pending and new entries are there again, each once."""
    server = make_redis_server(aof=True)
    hands = Hands(server).start()
    before = [hands.add() for _ in range(20)]
    assert eventually(lambda: hands.ids() == before)
    server.kill()
    assert eventually(lambda: not hands.listener.connected)
    server.start()
    after = [hands.add() for _ in range(20)]
    assert eventually(lambda: hands.ids() == before + after)
    hands.acknowledge_all()
    assert hands.pending() == 0
    hands.stop()


def test_a_frozen_redis_is_noticed_and_survived(make_redis_server: MakeServer) -> None:
    """SIGSTOP: connections stay open and nothing answers; detected while it lasts."""
    server = make_redis_server(aof=True)
    hands = Hands(server).start()
    server.pause()
    assert eventually(lambda: not hands.listener.connected)
    server.unpause()
    entry = hands.add()
    assert eventually(lambda: hands.ids() == [entry])
    hands.stop()


def test_trimming_keeps_what_any_group_still_needs(redis_server: RedisServer) -> None:
    """Old entries go, but none that is pending or unread in any group."""
    client = make_client(redis_server.url)
    group = StreamGroup(client, (STREAM,), GROUP, ME)
    group.ensure()
    old = [client.xadd(STREAM, BUY, id=f"{number}-1") for number in range(1, 2001)]
    assert group.trim(STREAM, 10_000) == 0
    assert len(list(group.read_new(2000))) == 2000
    assert group.trim(STREAM, 10_000) == 0
    client.xack(STREAM, GROUP, *old[:1500])
    assert group.trim(STREAM, 10_000) > 0
    assert client.xrange(STREAM, "1501-1", "1501-1")
    client.xack(STREAM, GROUP, *old)
    group.trim(STREAM, 1800)
    assert client.xrange(STREAM, "1800-1", "1800-1")
    client.close()


# --- whatever a producer writes -------------------------------------------------------------

BAD: list[tuple[str, list[Any]]] = [
    ("MISSING_FIELD", ["direction", "b"]),
    ("MISSING_FIELD", ["ticker", "NVDA"]),
    ("UNKNOWN_TICKER", ["ticker", "ZZZZ", "direction", "b"]),
    ("UNKNOWN_FIELD", ["ticker", "NVDA", "direction", "b", "quantity", "3"]),
    ("DUPLICATE_FIELD", ["ticker", "NVDA", "direction", "b", "Ticker", "AAPL"]),
    ("DUPLICATE_FIELD", ["ticker", "NVDA", "direction", "b", "direction", "s"]),
    ("INVALID_VALUE", ["ticker", "NVDA", "direction", "b", "qty", "NaN"]),
    ("INVALID_VALUE", ["ticker", "NVDA", "direction", "b", "qty", "-1"]),
    ("INVALID_VALUE", ["ticker", "NVDA", "direction", "b", "qty", "1e308"]),
    ("INVALID_VALUE", ["ticker", "NVDA", "direction", "b", "qty", "0"]),
    ("CONFLICTING_FIELDS", ["ticker", "NVDA", "direction", "b", "action", "sell_long"]),
    ("NOT_UTF8", ["ticker", b"\xff\xfe", "direction", "b"]),
    ("NOT_UTF8", ["ticker", "NVDA", "direction", "b", b"\xff", "1"]),
    ("TOO_LARGE", ["ticker", "NVDA", "direction", "b", "x_note", "n" * 1_000_000]),
    ("INVALID_JSON", ["json", "{"]),
    ("FUTURE_TIMESTAMP", ["ticker", "NVDA", "direction", "b", "ts", "4102444800000"]),
    ("EXPIRED", ["ticker", "NVDA", "direction", "b", "ts", "2020-01-01T00:00:00Z"]),
]


def test_every_kind_of_bad_input_has_its_reason_and_stops_nothing(hands: Hands) -> None:
    """Each ends as a dead letter with its code; good signals among them arrive."""
    expected, good = {}, []
    for reason, fields in BAD:
        entry = hands.client.execute_command("XADD", STREAM, "*", *fields)  # type: ignore[no-untyped-call]
        expected[entry.decode()] = reason
        good.append(hands.add())
    assert eventually(lambda: hands.handled() == 2 * len(BAD))
    assert hands.letters == expected
    assert hands.ids() == good


TEXT = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"NVDA", b"b", b"s", b"1", b"0.5", b"market", b"ioc", b"{}", b"[[[["]),
)
NAME = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"ticker", b"direction", b"qty", b"json", b"ts", b"signal_id", b"x_a", b"TICKER", b"sig"]
    ),
)


@given(entries=st.lists(st.lists(st.tuples(NAME, TEXT), min_size=1, max_size=6), min_size=1))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_stop_the_listener_or_leave_an_entry_unaccounted(
    hands: Hands, entries: list[list[tuple[bytes, bytes]]]
) -> None:
    """Any names and values: each entry becomes a signal or a dead letter, and all are pending."""
    before = hands.handled()
    for fields in entries:
        flat = [part for pair in fields for part in pair]
        hands.client.execute_command("XADD", STREAM, "*", *flat)  # type: ignore[no-untyped-call]
    assert eventually(lambda: hands.handled() == before + len(entries))
    assert hands.pending() == len(entries)
    hands.acknowledge_all()
    assert hands.pending() == 0
    assert hands.listener.errors == 0
    assert "INTERNAL_ERROR" not in hands.letters.values()
