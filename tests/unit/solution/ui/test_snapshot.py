"""The instance's picture in Redis."""

import io
from collections.abc import Iterator

import orjson
import pytest
import redis
from rich.console import Console

from solution.printable import visible
from solution.redis_client import make_client
from solution.runtime.service import Fatal
from solution.ui.snapshot import EXPIRES_S, StatusPublisher, key_of, read_all
from solution.ui.terminal import screen, short_line, text_lines, update_line
from tests.helpers.hostile import HOSTILE
from tests.helpers.redis_server import RedisServer


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
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(screen([snapshot], notes=[visible(text)]))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(line.isprintable() for line in drawn.splitlines())
    assert visible(text)[:6] in drawn


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
    pictures = {
        "elder": {"ledger": "a", "started_ms": 1},
        "later": {"ledger": "b", "started_ms": 2},
    }
    elder, later = (
        StatusPublisher(lambda: make_client(redis_server.url), "g", name, lambda p=picture: p)
        for name, picture in pictures.items()
    )
    for publisher in (elder, later, elder, later, elder):
        publisher.step()
    with pytest.raises(Fatal, match="elder"):
        later.step()
    assert read_all(client, "g").keys() == {"elder", "later"}
