"""Where an entry is and what was told of it, asked of a real Redis."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from solution.feeds import entry_trace
from solution.feeds.entry_trace import StreamTrace, place_of, told_since
from solution.redis_client import make_client
from tests.helpers.redis_server import RedisServer

GROUP = "solution"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """A client of a fresh Redis."""
    made = make_client(redis_server.url)
    yield made
    made.close()


def trace(client: Any) -> StreamTrace:
    """Of two streams."""
    return StreamTrace(
        client, streams=("nvda", "other"), group=GROUP, executions="executions", explain=str
    )


def test_an_entry_from_unread_to_acknowledged(client: Any) -> None:
    """Unread, pending with somebody, acknowledged, trimmed: each is told apart."""
    client.xgroup_create("nvda", GROUP, "0", mkstream=True)
    client.xadd("nvda", {"ticker": "NVDA"}, id="5-1")
    unread = place_of(client, "nvda", GROUP, "5-1")
    assert (unread.is_read, unread.consumer, unread.is_known) == (False, "", True)
    assert unread.fields == ((b"ticker", b"NVDA"),)
    client.xreadgroup(GROUP, "trader-1", {"nvda": ">"})
    pending = place_of(client, "nvda", GROUP, "5-1")
    assert (pending.is_read, pending.consumer, pending.deliveries) == (True, "trader-1", 1)
    client.xdel("nvda", "5-1")
    trimmed = place_of(client, "nvda", GROUP, "5-1")
    assert (trimmed.fields, trimmed.consumer, trimmed.is_known) == (None, "trader-1", True)
    client.xack("nvda", GROUP, "5-1")
    gone = place_of(client, "nvda", GROUP, "5-1")
    assert (gone.is_read, gone.consumer, gone.is_known) == (True, "", False)


def test_without_stream_or_group_there_is_an_answer_all_the_same(client: Any) -> None:
    """Nothing is made by asking."""
    assert not place_of(client, "nvda", GROUP, "5-1").is_known
    client.xadd("nvda", {"ticker": "NVDA"}, id="5-1")
    found = place_of(client, "nvda", GROUP, "5-1")
    assert (found.is_known, found.is_read) == (True, False)
    assert client.xinfo_groups("nvda") == []


def test_every_configured_stream_is_looked_at(client: Any) -> None:
    """One id may stand in several."""
    for stream in ("nvda", "other", "third"):
        client.xadd(stream, {"ticker": "NVDA"}, id="5-1")
    assert [place.stream for place in trace(client).places("5-1")] == ["nvda", "other"]


def test_events_come_once_each_from_a_moment_on(client: Any, monkeypatch: Any) -> None:
    """Over several pages; a repeated event_id is the same event."""
    monkeypatch.setattr(entry_trace, "PAGE", 2)
    for number in (1, 2, 3, 3, 4):
        client.xadd("executions", {"event_id": str(number), "event": "fill", "final": "1"})
    client.xadd("executions", {"event": "nonsense", "event_id": "x", b"\xff": b"\xff"})
    found = list(told_since(client, "executions", 0))
    assert [one.event_id for one in found] == [1, 2, 3, 4, 0]
    assert (found[0].event, found[0].final) == ("fill", True)
    assert list(told_since(client, "executions", found[-1].at_ms + 1)) == []


def test_a_search_has_an_end(client: Any, monkeypatch: Any) -> None:
    """Ten thousand events at most, whatever the stream holds."""
    monkeypatch.setattr(entry_trace, "PAGE", 2)
    monkeypatch.setattr(entry_trace, "MOST_EVENTS", 4)
    for number in range(1, 10):
        client.xadd("executions", {"event_id": str(number)})
    assert len(list(told_since(client, "executions", 0))) == 4


def test_a_redis_that_does_not_answer_is_asked_once() -> None:
    """What the ledger knows must not wait for one timeout after the other."""
    asked = []

    class Dead:
        def xrange(self, *args: Any, **_kwargs: Any) -> Any:
            asked.append(args)
            raise redis.ConnectionError("away")

    dead = trace(Dead())
    assert dead.places("5-1") == []
    assert dead.place("nvda", "5-1") is None
    assert dead.told_since(0) == ()
    assert (dead.trouble, len(asked)) == ("away", 1)
