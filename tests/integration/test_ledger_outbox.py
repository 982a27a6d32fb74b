"""Ledger, writer and publisher together, against a real redis-server that fails and returns."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from solution.clock import Deadline
from solution.domain.records import Change, EntryRef, State
from solution.ledger import open_ledger, schema
from solution.ledger.outbox import OutboxPublisher
from solution.ledger.writer import OutcomeWriter
from tests.helpers.clocks import eventually
from tests.helpers.ledger_rows import make_end, make_event, make_intent
from tests.helpers.redis_server import RedisServer

PATIENCE = 20.0
GROUP = "solution"


class Chain:
    """The service's way out: put() at one end, Redis at the other.

    Args:
        ledger_url: where the ledger is.
        url: where Redis is.
        timeout: seconds until the publisher calls Redis silent.
    """

    def __init__(self, ledger_url: str, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self.acked: list[EntryRef] = []
        self.ledger = open_ledger(ledger_url)
        self.publisher = OutboxPublisher(self.ledger, self.connect, group=GROUP, memory_limit=300)
        self.publisher.on_released = self.released
        self.writer = OutcomeWriter(self.ledger, self.publisher.publish)

    def connect(self) -> redis.Redis:
        """A client as the service makes it."""
        return redis.Redis.from_url(
            self._url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def released(self, refs: Iterable[EntryRef]) -> None:
        self.acked += refs

    def start(self) -> "Chain":
        self.publisher.start()
        self.writer.start()
        return self

    def flush(self) -> bool:
        """Wait until all is committed, published and acknowledged."""
        deadline = Deadline(PATIENCE)
        return self.writer.flush(deadline) and self.publisher.flush(deadline)

    def stop(self) -> None:
        self.writer.stop(Deadline(PATIENCE))
        self.publisher.stop(Deadline(PATIENCE))
        self.ledger.close()


@pytest.fixture(autouse=True)
def _counted_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event ids that a reader can count with."""
    monkeypatch.setattr(schema, "EVENTS_PER_MS", 0)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def make_chain(ledger_url: str) -> Iterator[Callable[..., Chain]]:
    """Makes chains on one ledger; ended with the test."""
    made: list[Chain] = []

    def make(url: str, timeout: float = 5.0) -> Chain:
        made.append(Chain(ledger_url, url, timeout))
        return made[-1]

    yield make
    for chain in made:
        chain.stop()


def client(server: RedisServer) -> redis.Redis:
    """A client of the test's own."""
    return redis.Redis.from_url(server.url, decode_responses=True)


def deliver(server: RedisServer, count: int) -> list[EntryRef]:
    """Add entries and read them as the service's group: they are pending now."""
    with client(server) as connection:
        connection.xgroup_create("nvda", GROUP, id="0", mkstream=True)
        for number in range(count):
            connection.xadd("nvda", {"ticker": "NVDA"}, id=f"{number + 1}-0")
        connection.xreadgroup(GROUP, "one", {"nvda": ">"}, count=count)
    return [EntryRef("nvda", f"{number + 1}-0") for number in range(count)]


def published(server: RedisServer) -> list[int]:
    """The event ids in the executions stream, in its order."""
    with client(server) as connection:
        entries: Any = connection.xrange("executions")
    return [int(fields["event_id"]) for _, fields in entries]


def pending(server: RedisServer) -> int:
    """How many entries are delivered and not acknowledged."""
    with client(server) as connection:
        summary: Any = connection.xpending("nvda", GROUP)
    return int(summary["pending"])


def without_repeats(ids: Iterable[int]) -> list[int]:
    """What a consumer that deduplicates by event_id sees."""
    return list(dict.fromkeys(ids))


def outcome(ref: EntryRef) -> Change:
    """An entry's end: two events and its acknowledgement."""
    number = int(ref.entry_id.split("-")[0])
    first, last = make_event(number, "new"), make_event(number, final=True)
    return Change(events=(first, last), ack=(ref,))


def test_in_calm_weather_each_event_arrives_once_and_in_order(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """600 orders from four threads: every event once, every entry acknowledged, nothing left."""
    entries = deliver(redis_server, 600)
    chain = make_chain(redis_server.url).start()

    def work(mine: list[EntryRef]) -> None:
        for ref in mine:
            number = int(ref.entry_id.split("-")[0])
            chain.ledger.begin(make_intent(number))
            chain.writer.put(make_end(number))

    threads = [threading.Thread(target=work, args=(entries[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chain.flush()
    assert published(redis_server) == list(range(1, 601))
    assert pending(redis_server) == 0
    assert sorted(ref.entry_id for ref in chain.acked) == sorted(ref.entry_id for ref in entries)
    assert chain.ledger.open_intents() == []
    assert chain.ledger.unpublished(10) == []


def test_an_entry_in_the_stream_carries_the_documented_fields(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """event_id stands first, then the event's own fields in their order."""
    chain = make_chain(redis_server.url).start()
    event = make_event(1, final=True, message="größer", extra=(("x_note", "1"),))
    chain.writer.put(Change(events=(event,)))
    assert chain.flush()
    with client(redis_server) as connection:
        [(_, fields)] = connection.xrange("executions")
    assert list(fields) == [
        *("event_id", "stream", "entry_id", "client_order_id", "event", "final", "message"),
        *("at", "x_note"),
    ]
    assert (fields["event_id"], fields["final"], fields["message"]) == ("1", "1", "größer")


def test_redis_killed_in_the_middle_loses_and_reorders_nothing(
    make_redis_server: Callable[..., RedisServer], make_chain: Callable[..., Chain]
) -> None:
    """Killed while events flow, away for a while, back: at least once, in order, all acked."""
    server = make_redis_server(aof=True)
    entries = deliver(server, 900)
    chain = make_chain(server.url).start()
    for ref in entries[:300]:
        chain.writer.put(outcome(ref))
    assert eventually(lambda: len(chain.acked) > 50)
    server.kill()
    for ref in entries[300:]:
        chain.writer.put(outcome(ref))
    assert chain.writer.flush(Deadline(PATIENCE))
    assert eventually(lambda: chain.publisher.trouble != "")
    assert chain.publisher.pending > 300
    server.start()
    assert chain.flush()
    assert without_repeats(published(server)) == list(range(1, 1_801))
    assert pending(server) == 0
    assert set(chain.acked) == set(entries)


def test_a_silent_redis_is_noticed_and_asked_again(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """A frozen server answers nothing: after the timeout the same events go again."""
    entries = deliver(redis_server, 10)
    chain = make_chain(redis_server.url, timeout=0.2).start()
    redis_server.pause()
    for ref in entries:
        chain.writer.put(outcome(ref))
    assert eventually(lambda: "Timeout" in chain.publisher.trouble)
    redis_server.unpause()
    assert chain.flush()
    assert without_repeats(published(redis_server)) == list(range(1, 21))
    assert pending(redis_server) == 0


def test_out_of_memory_holds_events_and_lets_acknowledgements_through(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """XACK needs the row, not the XADD; the events follow when there is memory again."""
    entries = deliver(redis_server, 20)
    chain = make_chain(redis_server.url).start()
    with client(redis_server) as connection:
        connection.config_set("maxmemory", "1")
        for ref in entries:
            chain.writer.put(outcome(ref))
        assert eventually(lambda: len(chain.acked) == 20)
        assert (pending(redis_server), published(redis_server)) == (0, [])
        assert "OutOfMemory" in chain.publisher.trouble
        connection.config_set("maxmemory", "0")
    assert chain.flush()
    assert published(redis_server) == list(range(1, 41))


def test_a_group_that_vanished_holds_nothing_up(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """Redis came back empty: there is nothing to acknowledge, and the events still go."""
    entries = deliver(redis_server, 3)
    with client(redis_server) as connection:
        connection.flushall()
    chain = make_chain(redis_server.url).start()
    for ref in entries:
        chain.writer.put(outcome(ref))
    assert chain.flush()
    assert published(redis_server) == list(range(1, 7))
    assert chain.acked == entries


def test_a_stream_of_another_type_is_trouble_until_it_is_gone(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """Somebody's key in the place of `executions` holds the events back and loses none."""
    chain = make_chain(redis_server.url).start()
    with client(redis_server) as connection:
        connection.set("executions", "mine")
        chain.writer.put(outcome(EntryRef("nvda", "1-0")))
        assert eventually(lambda: "WRONGTYPE" in chain.publisher.trouble)
        connection.delete("executions")
    assert chain.flush()
    assert published(redis_server) == [1, 2]


def test_what_a_stopped_service_could_not_publish_goes_at_the_next_start(
    redis_server: RedisServer, make_chain: Callable[..., Chain]
) -> None:
    """Redis is away during the stop; the rows are in the ledger and come first next time."""
    chain = make_chain(redis_server.url).start()
    redis_server.stop()
    for number in range(1, 4):
        chain.ledger.begin(make_intent(number))
        chain.writer.put(make_end(number, ack=()))
    chain.stop()
    redis_server.start()
    again = make_chain(redis_server.url).start()
    again.writer.put(Change(events=(make_event(9),)))
    assert again.flush()
    assert published(redis_server) == [1, 2, 3, 4]
    assert again.ledger.find(make_intent(3).identity).state is State.FILLED
