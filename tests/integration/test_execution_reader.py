"""The reader of `executions` against a real redis-server."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from signal_generator.hosts.execution_reader import ExecutionReader, entry_order
from signal_generator.publisher import PublishError, make_client
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer


class Reading:
    """One reader and what it brought."""

    def __init__(self, url: str) -> None:
        self.stop = threading.Event()
        self.got: list[tuple[str, int]] = []
        self.failed: list[PublishError] = []
        self.reader = ExecutionReader(
            make_client(url),
            "executions",
            lambda entry_id, update: self.got.append((entry_id, update.event_id)),
            self.stop,
            failed=self.failed.append,
        )

    def events(self) -> list[int]:
        return [event_id for _, event_id in self.got]

    def end(self) -> None:
        self.stop.set()
        self.reader.join(10)


@pytest.fixture
def reading(redis_server: RedisServer) -> Iterator[Reading]:
    """A reader that is not started."""
    made = Reading(redis_server.url)
    yield made
    made.end()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """The service's side."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as made:
        yield made


def tell(client: Any, event_id: int, **fields: str) -> str:
    """One entry."""
    told = {"event_id": str(event_id), "event": "fill", **fields}
    return str(client.xadd("executions", told))


def test_from_a_position_on(reading: Reading, client: Any) -> None:
    """What stands there and what comes later, in order; not the entry of the position itself."""
    first, second = tell(client, 1), tell(client, 2)
    reading.reader.start(first)
    assert eventually(lambda: reading.events() == [2])
    third = tell(client, 3)
    assert eventually(lambda: reading.got == [(second, 2), (third, 3)])


def test_the_end_is_behind_everything(reading: Reading, client: Any) -> None:
    """And the beginning where nothing was told yet."""
    assert reading.reader.end() == "0-0"
    assert reading.reader.end() != tell(client, 1) == reading.reader.end()


def test_what_is_none_is_told_and_passed_over(
    reading: Reading, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One entry that cannot be read does not hide the next."""
    wrong = client.xadd("executions", {"a": "b"})
    tell(client, 2)
    reading.reader.start("0-0")
    assert eventually(lambda: reading.events() == [2])
    assert f"executions {wrong}: not an execution" in caplog.text


def test_a_trimmed_stream_is_told(
    reading: Reading, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What was between is gone; what is left is read."""
    first = tell(client, 1)
    tell(client, 2)
    tell(client, 3)
    client.xtrim("executions", maxlen=1, approximate=False)
    reading.reader.start(first)
    assert eventually(lambda: reading.events() == [3])
    assert "executions was trimmed to" in caplog.text


def test_a_stream_that_went_back_is_followed_from_its_end(
    reading: Reading, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A Redis restored from a copy: what it tells from now on has smaller ids, and is heard."""
    client.xadd("executions", {"event_id": "1", "event": "new"}, id="5-0")
    reading.reader.start("9-0")
    assert eventually(lambda: "Redis has lost entries" in caplog.text)
    client.xadd("executions", {"event_id": "2", "event": "fill"}, id="6-0")
    assert eventually(lambda: reading.events() == [2])


def test_redis_that_goes_and_comes_back(
    reading: Reading, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its data even: told, and followed."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as before:
        last = tell(before, 1)
    caplog.set_level(logging.WARNING)
    reading.reader.start(last)
    redis_server.restart()
    assert eventually(lambda: "Redis has lost entries" in caplog.text)
    with redis.Redis.from_url(redis_server.url) as after:
        tell(after, 2)
    assert eventually(lambda: reading.events() == [2])


def test_a_refusal_ends_it(reading: Reading, client: Any) -> None:
    """A key that is no stream stays none."""
    client.set("executions", "text")
    reading.reader.start("0-0")
    assert eventually(lambda: bool(reading.failed))
    assert "WRONGTYPE" in str(reading.failed[0])


def test_ids_in_their_order() -> None:
    """By number, not by letter."""
    assert sorted(["10-0", "9-10", "9-9", ""], key=entry_order) == ["", "9-9", "9-10", "10-0"]
