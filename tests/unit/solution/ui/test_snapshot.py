"""The instance's picture in Redis."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis

from solution.printable import visible
from solution.redis_client import make_client
from solution.runtime.service import Fatal
from solution.security import MASK
from solution.ui.snapshot import (
    EXPIRES_S,
    NAMES_FOR,
    Instances,
    StatusPublisher,
    key_of,
    read_all,
    read_plausible,
    who_sends_orders,
)
from solution.ui.terminal import screen
from solution.ui.text import short_line, text_lines
from solution.ui.updates import update_line
from tests.helpers.clocks import ManualClock
from tests.helpers.hostile import HOSTILE
from tests.helpers.redis_server import RedisServer

AT = "2026-11-20T15:00:07.123+00:00"
NESTED = b'{"a":' * 900 + b"1" + b"}" * 900


def told(name: str, **changed: Any) -> dict[str, Any]:
    """What every instance says of itself."""
    return {"instance": name, "ledger": "b", "started_ms": 1, "at": AT, **changed}


def without(name: str) -> dict[str, Any]:
    """The same with one thing left out."""
    return {key: value for key, value in told("x").items() if key != name}


ODD = [
    {},
    *(without(name) for name in told("x")),
    told("another"),
    told("x", ledger=""),
    told("x", ledger=["a"]),
    told("x", started_ms="1"),
    told("x", started_ms=True),
    told("x", started_ms=1.5),
    told("x", at="yesterday"),
    told("x", at=5),
    told("x", at="2026-11-20T15:00:07"),
    None,
    5,
    [],
    "text",
    [told("x")],
]


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """A client of a fresh server."""
    made = make_client(redis_server.url)
    yield made
    made.close()


def test_a_step_writes_a_picture_that_expires(
    redis_server: RedisServer, client: "redis.Redis"
) -> None:
    """It is gone five seconds after the instance."""
    publisher = StatusPublisher(
        lambda: make_client(redis_server.url), "g", "one", lambda: {"mode": "paper"}
    )
    assert publisher.step() == 1.0
    assert read_all(client, "g") == {"one": {"mode": "paper"}}
    assert 0 < client.ttl(key_of("g", "one")) <= EXPIRES_S
    publisher.on_stop()
    assert read_all(client, "g") == {}


def test_groups_do_not_see_each_other(client: "redis.Redis") -> None:
    """Another group's instances are not listed."""
    client.set(key_of("a", "one"), "{}")
    client.set(key_of("b", "two"), "{}")
    assert list(read_all(client, "a")) == ["one"]


def test_what_is_no_snapshot_is_left_out(client: "redis.Redis") -> None:
    """A key is anybody's to write who may write to Redis: text, other JSON, another type."""
    client.set(key_of("g", "good"), "{}")
    for name, content in (("a", "no json"), ("b", "[1]"), ("c", "1"), ("d", "\xff")):
        client.set(key_of("g", name), content.encode("latin-1"))
    client.xadd(key_of("g", "stream"), {"a": "b"})
    assert read_all(client, "g") == {"good": {}}


def test_who_looks_many_times_a_second_does_not_search_each_time(client: "redis.Redis") -> None:
    """Known instances are read anew, one that went is gone at once, a new one is found soon."""
    clock, before = ManualClock(), scans(client)
    instances = Instances("g", clock)
    client.set(key_of("g", "a"), '{"n": 1}')
    client.xadd(key_of("g", "stream"), {"a": "b"})
    assert instances.read(client) == {"a": {"n": 1}}
    client.set(key_of("g", "a"), '{"n": 2}')
    client.set(key_of("g", "b"), '{"n": 3}')
    client.set(key_of("other", "c"), "{}")
    assert instances.read(client) == {"a": {"n": 2}}
    client.delete(key_of("g", "a"))
    assert instances.read(client) == {}
    clock.advance(NAMES_FOR)
    assert instances.read(client) == {"b": {"n": 3}}
    assert scans(client) - before == 2


def scans(client: "redis.Redis") -> int:
    """How often Redis was searched."""
    stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_scan", {"calls": 0})["calls"])


@pytest.mark.parametrize("text", HOSTILE)
def test_no_snapshot_commands_the_terminal(client: "redis.Redis", text: str) -> None:
    """In status, in top's lines and on its screen, wherever it stands."""
    row = {"symbol": text, "side": text, "qty": text, "state": text, "reason": text, "at": text}
    shown = {
        "instance": text,
        "mode": text,
        "kill_switch": text,
        "halted": {text: text},
        "threads": {text: False},
        "redis": {"connected": False, "trouble": text},
        "stream": {"connected": False, "state": text},
        "positions": [row],
        "recent": [row],
        "counts": {text: 1},
    }
    client.set(key_of("g", text), orjson.dumps(shown))
    [(name, snapshot)] = read_all(client, "g").items()
    assert name.isprintable()
    lines = [*text_lines(snapshot), short_line(snapshot), update_line(snapshot["recent"][0])]
    assert all(line.isprintable() for line in lines)
    drawn = [line.plain for line in screen([snapshot], width=200, height=30, notes=[text])]
    assert all(line.isprintable() for line in drawn)
    assert visible(text)[:6] in "".join(drawn)


def test_a_lost_redis_is_outlived(redis_server: RedisServer, client: "redis.Redis") -> None:
    """The step does not raise, and writes again when Redis is back."""
    publisher = StatusPublisher(lambda: make_client(redis_server.url), "g", "one", lambda: {"n": 1})
    publisher.step()
    redis_server.stop()
    assert publisher.step() == 1.0
    redis_server.start()
    publisher.step()
    assert read_all(client, "g") == {"one": {"n": 1}}
    redis_server.stop()
    publisher.on_stop()


def test_of_two_instances_the_later_one_ends_itself(
    redis_server: RedisServer, client: "redis.Redis"
) -> None:
    """A suspended machine wakes up beside its successor: the elder goes on."""
    pictures = {"elder": told("elder", ledger="a"), "later": told("later", started_ms=2)}
    elder, later = (
        StatusPublisher(lambda: make_client(redis_server.url), "g", name, lambda p=picture: p)
        for name, picture in pictures.items()
    )
    for publisher in (elder, later, elder, later, elder):
        publisher.step()
    with pytest.raises(Fatal, match="elder"):
        later.step()
    assert read_all(client, "g").keys() == {"elder", "later"}


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_key_that_no_instance_wrote_stops_nobody(
    client: "redis.Redis", redis_server: RedisServer, odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    """It is ignored with one warning, however often it is met."""
    client.set(key_of("g", "x"), json.dumps(odd), ex=EXPIRES_S)
    assert read_plausible(client, "g") == ({}, {"x"})
    publisher = StatusPublisher(
        lambda: make_client(redis_server.url), "g", "me", lambda: told("me", ledger="a")
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(9):
            publisher.step()
    assert [record.message for record in caplog.records] == ["status_keys_ignored"]
    publisher.on_stop()


@pytest.mark.parametrize("life", [None, EXPIRES_S + 100])
def test_a_key_that_does_not_expire_as_ours_do_stops_nobody(
    client: "redis.Redis", life: int | None
) -> None:
    """A copy that was kept looks like an instance otherwise."""
    client.set(key_of("g", "x"), orjson.dumps(told("x")), ex=life)
    assert read_plausible(client, "g") == ({}, {"x"})
    client.expire(key_of("g", "x"), EXPIRES_S)
    assert read_plausible(client, "g") == ({"x": told("x")}, frozenset())


def test_a_name_that_was_redacted_is_an_instance_all_the_same(client: "redis.Redis") -> None:
    """A short password may be part of a host's name; the guard must not go with it."""
    shown = told(f"{MASK}-host")
    client.set(key_of("g", "prod-host"), orjson.dumps(shown), ex=EXPIRES_S)
    assert read_plausible(client, "g") == ({"prod-host": shown}, frozenset())


def test_nesting_beyond_all_use_is_left_out(client: "redis.Redis") -> None:
    """Python's recursion ends before JSON's does."""
    client.set(key_of("g", "x"), NESTED, ex=EXPIRES_S)
    assert read_all(client, "g") == {}
    assert read_plausible(client, "g") == ({}, {"x"})


@pytest.mark.parametrize("streams", [5, None, {"nvda": 1}, "nvda"])
def test_streams_of_another_kind_are_any_stream(client: "redis.Redis", streams: object) -> None:
    """Whoever asks wants to be sure that nobody sends an order."""
    client.set(key_of("g", "x"), orjson.dumps({"mode": ["paper"], "streams": streams}))
    assert who_sends_orders(client, "nvda") == key_of("g", "x")
