"""The service that runs already, and the wait for ours."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import redis

from signal_generator.launch import service
from signal_generator.launch.account import Account
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError
from signal_generator.launch.service import Borrowed, Running, await_ready, check, find
from signal_generator.launch.service_settings import Names
from tests.helpers.redis_server import RedisServer, free_port
from tests.unit.signal_generator.launch.conftest import FakeProgram

NAMES = Names("mine", "blocks", "told")
HERE = {"host": socket.gethostname(), "redis": {"connected": True}}
THEIRS: Mapping[str, Any] = {
    "streams": ["nvda", "blocks"],
    "account": {"id": "id-1"},
    "broker": "https://paper",
}


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        yield client


def put(client: redis.Redis, name: str, shown: object) -> None:
    client.set(f"signalpaca:mine:{name}", json.dumps(shown))


def test_only_live_ones_of_the_group_count(client: redis.Redis, redis_server: RedisServer) -> None:
    """Not one that was killed here a moment ago, nor a shadow, nor what is no status at all."""
    put(client, "alive", {**HERE, "pid": os.getpid()})
    put(client, "elsewhere", {**HERE, "host": "other", "pid": 1 << 30})
    put(client, "killed", {**HERE, "pid": 1 << 30})
    put(client, "shadow", {**HERE, "pid": os.getpid(), "mode": "shadow"})
    put(client, "list", [1])
    client.set("signalpaca:mine:text", "{")
    client.set("signalpaca:other:alive", json.dumps(HERE))
    found = {one.name: one for one in find(redis_server.url, "mine")}
    assert set(found) == {"alive", "elsewhere"}
    assert found["alive"].is_ready
    assert not Running("starting", {"redis": {"connected": False}}).is_ready


def test_redis_must_answer() -> None:
    with pytest.raises(LaunchError, match="Redis does not answer"):
        find(f"redis://127.0.0.1:{free_port()}/0", "mine")


def test_a_borrowed_service_that_has_gone_is_told(
    client: redis.Redis, redis_server: RedisServer
) -> None:
    """At the second look without it: one that is restarted in between ends no run."""
    service = Borrowed(redis_server.url, "mine")
    put(client, "theirs", {**HERE, "pid": os.getpid()})
    assert service.trouble() == ""
    client.flushall()
    assert service.trouble() == ""
    put(client, "restarted", {**HERE, "pid": os.getpid()})
    assert service.trouble() == ""
    client.flushall()
    assert service.trouble() == ""
    assert "the service of mine" in service.trouble()


def test_a_redis_that_does_not_answer_says_nothing_of_a_borrowed_service() -> None:
    service = Borrowed(f"redis://127.0.0.1:{free_port()}/0", "mine")
    assert (service.trouble(), service.trouble()) == ("", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account": {"id": "id-2"}}, r"already serves group mine on another account \(id-2\)"),
        ({"broker": "https://live"}, "mine at https://live, not at https://paper"),
        ({"streams": ["nvda"]}, "does not read the stream blocks: add it to its STREAMS"),
        ({"streams": None}, "does not read the stream blocks"),
    ],
)
def test_one_that_would_trade_elsewhere_is_refused(change: dict[str, Any], why: str) -> None:
    """Rather than used, or joined by a second one."""
    account = Account("id-1", "PA1")
    check(Running("host:1", THEIRS), NAMES, "https://paper", account)
    with pytest.raises(LaunchError, match=why):
        check(Running("host:1", {**THEIRS, **change}), NAMES, "https://paper", account)


def ready(pid: int) -> Running:
    return Running(f"host:{pid}", {**HERE, "pid": pid})


def test_waiting_ends_with_the_refusal_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, in its own words."""
    monkeypatch.setattr(service, "find", lambda *_: [])
    program = FakeProgram("service", {}, [])
    program.code = 2
    with pytest.raises(LaunchError, match=r"^the service did not start: no more$"):
        await_ready(program, "", NAMES, Deadline, print)


def test_a_long_start_is_told_once_and_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In time means by the deadline; the reason is what it said last."""
    monkeypatch.setattr(service, "find", lambda *_: [])
    monkeypatch.setattr(service, "START_WITHIN", 0.2)
    monkeypatch.setattr(service, "PATIENCE", 0.0)
    told: list[str] = []
    program = FakeProgram("service", {}, [])
    with pytest.raises(LaunchError, match=r"^the service is not ready in time: no more$"):
        await_ready(program, "", NAMES, Deadline, told.append)
    assert told == ["the service still starts: no more"]


def test_ours_is_told_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its process; one that does not read yet is waited for."""
    rounds = iter([[], [Running("x", {"pid": 4711})], [ready(4711)], [ready(1)]])
    monkeypatch.setattr(service, "find", lambda *_: next(rounds))
    wait = partial(await_ready, FakeProgram("service", {}, []), "", NAMES, Deadline, print)
    assert wait() is None
    assert wait() == ready(1)
