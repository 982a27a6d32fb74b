"""The Redis that is there, or one of our own."""

from pathlib import Path

import pytest
import redis

from signal_generator.launch import redis_server as module
from signal_generator.launch.options import LaunchError
from signal_generator.launch.redis_server import existing, forget, now_ms, start
from signal_generator.launch.surroundings import Surroundings
from tests.helpers.redis_server import RedisServer, free_port
from tests.unit.signal_generator.launch.conftest import Programs


def nowhere() -> str:
    return f"redis://:canary@127.0.0.1:{free_port()}/0"


def test_one_that_answers_is_used(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is named, in the environment or in `.env`; else the usual one."""
    assert existing(Surroundings({"REDIS_URL": redis_server.url})) == redis_server.url
    assert existing(Surroundings({}, {"REDIS_URL": redis_server.url})) == redis_server.url
    monkeypatch.setattr(module, "DEFAULT", redis_server.url)
    assert existing(Surroundings({})) == redis_server.url


def test_without_a_name_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then one of our own is started."""
    monkeypatch.setattr(module, "DEFAULT", nowhere())
    assert existing(Surroundings({"REDIS_URL": ""})) == ""


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"REDIS_URL": nowhere()}, r"^REDIS_URL is set and cannot be used \("),
        ({"REDIS_URL": "http://canary"}, "not a usable Redis address"),
        ({"REDIS_URL_FILE": "/canary"}, "not REDIS_URL_FILE"),
    ],
)
def test_one_that_is_named_is_not_replaced(environ: dict[str, str], why: str) -> None:
    """Nobody would look where the signals then go; no password is repeated."""
    with pytest.raises(LaunchError, match=why) as caught:
        existing(Surroundings(environ))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("real", "said"), [(True, True), (False, False)])
def test_real_orders_wait_in_a_real_server(programs: Programs, real: bool, said: bool) -> None:
    """The stand-in forgets them when it dies."""
    start(programs, Surroundings({}), Path("/somewhere"), real=real)
    words = programs.words["Redis"]
    assert list(words[:4]) == ["solution", "serve-redis", "--directory", "/somewhere/redis"]
    assert ("--real" in words) is said


def test_what_a_simulated_run_leaves_is_deleted(redis_server: RedisServer) -> None:
    """And nothing else; a Redis that has gone takes it along."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.mset({"a": 1, "b": 1})
        forget(redis_server.url, "a", "never")
        assert not client.exists("a")
        assert client.exists("b")
    forget(nowhere(), "a")


def test_time_is_that_of_the_streams_ids(redis_server: RedisServer) -> None:
    """An entry that is added after it is not older."""
    before = now_ms(redis_server.url)
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        entry = str(client.xadd("stream", {"a": "1"}))
    assert before <= int(entry.split("-", maxsplit=1)[0]) <= now_ms(redis_server.url)
    with pytest.raises(LaunchError, match="Redis does not answer"):
        now_ms(nowhere())
