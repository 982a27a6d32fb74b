"""Tests of signal_generator.blocks.outbox, against a real Redis."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from signal_generator.blocks.outbox import Outbox
from signal_generator.publisher import RetryPolicy, make_client
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer

QUICK = RetryPolicy(give_up_after=20.0, first_pause=0.01, longest_pause=0.05)


def block(*ids: str) -> list[dict[str, str]]:
    """Signals with these identities."""
    return [{"ticker": "AAPL", "direction": "b", "signal_id": name} for name in ids]


class Given:
    """What was given up, and why."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.why = ""

    def __call__(self, ids: Sequence[str], why: str) -> None:
        self.ids.extend(ids)
        self.why = why


@contextmanager
def outbox(
    url: str, policy: RetryPolicy = QUICK, stream: str = "nvda"
) -> Iterator[tuple[Outbox, Given]]:
    """One that is closed in the end."""
    given, client = Given(), make_client(url)
    made = Outbox(client, stream, given, policy=policy)
    try:
        yield made, given
    finally:
        made.close()
        client.close()


def published(server: RedisServer) -> list[str]:
    """The identities in the stream, in order."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        entries: Any = client.xrange("nvda")
        return [fields["signal_id"] for _, fields in entries]


class Cut:
    """Makes the answer to the next transaction get lost, or the next one fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception, *, after: bool) -> None:
        from signal_generator.blocks import outbox as module

        real: Callable[..., None] = module._transact
        self.left = 1
        self.release = threading.Event()

        def transact(connection: Any, stream: str, signals: Any) -> None:
            if not self.left:
                assert self.release.wait(20)
                return real(connection, stream, signals)
            self.left -= 1
            if after:
                real(connection, stream, signals)
            raise error

        monkeypatch.setattr(module, "_transact", transact)


def test_a_block_is_there_when_submit_returns(redis_server: RedisServer) -> None:
    """In its order, all of it."""
    with outbox(redis_server.url) as (made, given):
        made.submit(block("a", "b", "c"))
        assert published(redis_server) == ["a", "b", "c"]
    assert not given.ids


def test_a_lost_answer_is_repeated_with_the_same_ids(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service knows the second entries by them; nothing is given up."""
    cut = Cut(monkeypatch, redis.TimeoutError("Timeout reading from socket"), after=True)
    with outbox(redis_server.url) as (made, given):
        made.submit(block("a", "b"))
        cut.release.set()
        assert made.drain(20)
        assert published(redis_server) == ["a", "b", "a", "b"]
    assert not given.ids


def test_blocks_behind_a_waiting_one_keep_their_order(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The strategy goes on meanwhile, and its next block does not overtake."""
    cut = Cut(monkeypatch, redis.ConnectionError("reset"), after=False)
    with outbox(redis_server.url) as (made, _):
        made.submit(block("a"))
        made.submit(block("b"))
        made.submit(block("c"))
        assert published(redis_server) == []
        cut.release.set()
        assert made.drain(20)
        assert published(redis_server) == ["a", "b", "c"]
        made.submit(block("d"))
        assert published(redis_server)[-1] == "d"


def test_a_refused_block_is_given_up_as_a_whole(redis_server: RedisServer) -> None:
    """The key holds no stream; the server's own words are told."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("nvda", "text")
    with outbox(redis_server.url) as (made, given):
        made.submit(block("a", "b"))
    assert given.ids == ["a", "b"]
    assert "WRONGTYPE" in given.why


def test_a_full_redis_is_tried_again(redis_server: RedisServer) -> None:
    """An error that passes; not one signal of the block is in before all are."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("maxmemory", "1")
        with outbox(redis_server.url) as (made, given):
            made.submit(block("a", "b"))
            assert published(redis_server) == []
            client.config_set("maxmemory", "0")
            assert made.drain(20)
            assert published(redis_server) == ["a", "b"]
    assert not given.ids


def test_without_redis_a_block_is_given_up(redis_server: RedisServer) -> None:
    """After a while, and is told of; the strategy was not blocked."""
    redis_server.stop()
    policy = RetryPolicy(give_up_after=0.1, first_pause=0.01, longest_pause=0.05)
    with outbox(redis_server.url, policy) as (made, given):
        made.submit(block("a"))
        assert eventually(lambda: given.ids == ["a"])
    assert "efused" in given.why


def test_closing_gives_up_what_waits_and_takes_no_more(redis_server: RedisServer) -> None:
    """Nothing vanishes with the run."""
    redis_server.stop()
    with outbox(redis_server.url) as (made, given):
        made.submit(block("a"))
        made.submit(block("b"))
        made.close()
        assert given.ids == ["a", "b"]
        made.submit(block("c"))
    assert given.ids == ["a", "b", "c"]
    assert given.why == "the run has ended"


def test_a_big_block_is_one_transaction(redis_server: RedisServer) -> None:
    """Thousands of signals, in order."""
    ids = [f"s-{i}" for i in range(5000)]
    with outbox(redis_server.url) as (made, _):
        made.submit(block(*ids))
        assert published(redis_server) == ids
