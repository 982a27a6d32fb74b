"""Tests of signal_generator.blocks.listener, against a real Redis."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from signal_generator.blocks.listener import ExecutionListener
from signal_generator.executions import Execution
from signal_generator.publisher import make_client
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer


class Told:
    """Event ids as they came; fails at one of them."""

    def __init__(self, fails_at: int = 0) -> None:
        self.ids: list[int] = []
        self._fails_at = fails_at

    def __call__(self, update: Execution) -> None:
        if update.event_id == self._fails_at:
            raise RuntimeError("no room")
        self.ids.append(update.event_id)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client as the run makes it."""
    made = make_client(redis_server.url)
    yield made
    made.close()


def tell(client: redis.Redis, *ids: int) -> None:
    """Events with these ids."""
    for event_id in ids:
        client.xadd("executions", {"event_id": event_id, "event": "new"})


def test_only_what_comes_after_the_start_is_told(client: redis.Redis) -> None:
    """And each event once, whatever the service repeats."""
    tell(client, 1, 2)
    told = Told()
    listener = ExecutionListener(client, "executions", told)
    listener.start()
    tell(client, 2, 3, 4, 3, 4, 5)
    assert eventually(lambda: told.ids[-1:] == [5])
    listener.stop()
    assert told.ids == [3, 4, 5]


def test_what_was_missed_is_told_apart(client: redis.Redis) -> None:
    """From the entry that an earlier run ended with; what follows then comes live."""
    missed, told, done = Told(), Told(), []
    tell(client, 1, 2)
    entries: Any = client.xrange("executions")
    tell(client, 2, 3, 4)
    listener = ExecutionListener(
        client, "executions", told, lambda _entry_id, event_id: done.append(event_id)
    )
    listener.catch_up(entries[-1][0], 2, missed)
    tell(client, 5)
    listener.start()
    assert eventually(lambda: told.ids == [5])
    listener.stop()
    assert missed.ids == [3, 4]
    assert done[-1] == 5


def test_one_bad_event_does_not_end_the_others(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one that is no execution nor one that cannot be taken; both are logged."""
    told = Told(fails_at=2)
    listener = ExecutionListener(client, "executions", told)
    listener.start()
    tell(client, 1)
    client.xadd("executions", {"nonsense": "yes"})
    tell(client, 2, 3)
    assert eventually(lambda: told.ids == [1, 3])
    listener.stop()
    assert "is no execution" in caplog.text
    assert "could not be taken" in caplog.text


def test_after_a_failure_it_goes_on_where_it_was(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was told meanwhile is missing, and nothing comes twice."""
    told = Told()
    listener = ExecutionListener(client, "executions", told)
    real, fails = client.xread, [True, True]

    def xread(*args: Any, **options: Any) -> Any:
        if fails:
            fails.pop()
            raise redis.ConnectionError("gone")
        return real(*args, **options)

    tell(client, 1)
    listener._after = "0-0"
    assert listener.step() == 0.0
    monkeypatch.setattr(client, "xread", xread)
    tell(client, 2)
    assert listener.step() < listener.step() <= 1.0
    assert listener.step() == 0.0
    assert told.ids == [1, 2]


def test_without_redis_the_start_fails(redis_server: RedisServer, client: redis.Redis) -> None:
    """A run whose ends nobody hears of does not begin."""
    redis_server.stop()
    with pytest.raises(redis.RedisError):
        ExecutionListener(client, "executions", Told()).start()
