"""`python -m signal_generator random` against a real redis-server."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from signal_generator import publisher as publisher_module
from signal_generator.publisher import OutcomeUnclear, Publisher, Refused, make_client
from signal_generator.runtime import SignalStop
from tests.helpers.redis_server import RedisServer, free_port

COMMAND = [sys.executable, "-m", "signal_generator", "random", "--always", "--probability", "1"]
PLAIN = {"Ticker": "NVDA", "Direction": "b"}
WITH_ID = PLAIN | {"signal_id": "5d1d"}


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """An independent client that looks at the stream."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def publisher(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A publisher that takes a silence of 0.5 s for a lost answer."""
    monkeypatch.setattr(publisher_module, "SOCKET_TIMEOUT", 0.5)
    with SignalStop() as stop:
        publisher = Publisher(make_client(redis_server.url), "nvda", stop=stop)
        yield publisher
        publisher.close()


def finish(*options: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run the generator to its own end."""
    return subprocess.run(
        [*COMMAND, "--redis-url", url, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def begin(*options: str, url: str) -> subprocess.Popen[str]:
    """Start the generator; use as a context manager."""
    return subprocess.Popen(
        [*COMMAND, "--redis-url", url, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Poll until the condition holds or time is up."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (held := condition()) and time.monotonic() < deadline:
        pause.wait(0.01)
    return held


def test_count_and_json(redis_server: RedisServer, client: redis.Redis) -> None:
    """Each line of output is an entry of the stream, which holds the two fields exactly."""
    done = finish("--count", "3", "--interval", "0.01", "--json", url=redis_server.url)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    entries: Any = client.xrange("nvda")
    assert (done.returncode, done.stderr) == (0, "published 3 signals\n")
    assert [(line["entry_id"], line["fields"]) for line in lines] == entries
    assert [sorted(fields) for _, fields in entries] == [["Direction", "Ticker"]] * 3


def test_same_seed_same_stream(redis_server: RedisServer, client: redis.Redis) -> None:
    """Two runs on one seed publish the same signals."""
    for stream in ("one", "two"):
        options = ("--seed", "5", "--symbols", "NVDA,AAPL", "--stream", stream)
        finish(*options, "--count", "20", "--interval", "0.001", url=redis_server.url)
    one, two = ([fields for _, fields in client.xrange(s) or ()] for s in ("one", "two"))
    assert len(one) == 20
    assert one == two


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(redis_server: RedisServer, number: signal.Signals) -> None:
    """In the middle of an hour's pause: exit code 0, and one line with the count."""
    with begin("--interval", "3600", url=redis_server.url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "published 1 signal\n", "")


def test_redis_that_never_was(redis_server: RedisServer) -> None:
    """One line, exit code 1, and no password in it."""
    url = f"redis://user:pa55@127.0.0.1:{free_port()}/0"
    done = finish("--connect-timeout", "0.3", url=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Connection refused" in done.stderr
    assert "pa55" not in done.stderr


def test_redis_that_comes_late(redis_server: RedisServer) -> None:
    """Started first, the generator waits for its Redis without a word."""
    redis_server.stop()
    with begin("--count", "1", url=redis_server.url) as process:
        redis_server.start()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (out.splitlines()[-1], err) == ("published 1 signal", "")


def test_wrong_password(make_redis_server: Callable[..., RedisServer]) -> None:
    """A password that will not get better is not tried for ten seconds, nor shown."""
    server = make_redis_server(arguments=("--requirepass", "right"))
    done = finish(url=server.url.replace("redis://", "redis://:pa55@"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pa55" not in done.stderr


def test_key_of_another_type(redis_server: RedisServer, client: redis.Redis) -> None:
    """A stream name that is taken ends the run with the reason."""
    client.set("nvda", "text")
    done = finish(url=redis_server.url)
    assert done.returncode == 1
    assert "WRONGTYPE" in done.stderr


def test_outage(make_redis_server: Callable[..., RedisServer]) -> None:
    """Redis is killed and comes back: the run goes on, and what it reported is in the stream."""
    server = make_redis_server(aof=True)
    with (
        begin("--interval", "0.01", "--signal-ids", "--json", url=server.url) as process,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(5)]
        server.kill()
        trouble = process.stderr.readline()
        server.start()
        recovery = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        stored = {entry_id for entry_id, _ in client.xrange("nvda") or ()}
    reported = {json.loads(line)["entry_id"] for line in [*lines, *out.splitlines()]}
    assert "trying again" in trouble
    assert "answers again" in recovery
    assert (process.returncode, err) == (0, f"published {len(reported)} signals\n")
    assert reported <= stored


def test_lost_answer_makes_no_second_entry(
    redis_server: RedisServer, client: redis.Redis, publisher: Publisher
) -> None:
    """A hanging server takes one XADD from a signal without id, however long it hangs."""
    publisher.connect(10)
    redis_server.pause()
    with pytest.raises(OutcomeUnclear, match="Timeout"):
        publisher.publish(PLAIN)
    redis_server.unpause()
    assert eventually(lambda: client.xlen("nvda") == 1)
    # The late answer to the lost command must not be taken for the answer to the next one.
    entry_id = publisher.publish(PLAIN)
    entries: Any = client.xrange("nvda")
    assert [i for i, _ in entries][1:] == [entry_id]


def test_lost_answer_with_id_is_sent_again(
    redis_server: RedisServer, client: redis.Redis, publisher: Publisher
) -> None:
    """It gets through in the end, and all its entries carry the one id."""
    publisher.connect(10)
    redis_server.pause()
    wake = threading.Timer(1.2, redis_server.unpause)
    wake.start()
    entry_id = publisher.publish(WITH_ID)
    wake.join()
    entries: Any = client.xrange("nvda")
    assert entry_id in [i for i, _ in entries]
    assert [fields for _, fields in entries] == [WITH_ID] * len(entries)
    assert len(entries) >= 2


def test_restart_between_signals_is_no_doubt(
    redis_server: RedisServer, client: redis.Redis, publisher: Publisher
) -> None:
    """A connection that died while idle is replaced before the next signal uses it."""
    publisher.publish(PLAIN)
    redis_server.restart()
    publisher.publish(PLAIN)
    assert client.xlen("nvda") == 1


def test_full_memory_is_waited_out(
    redis_server: RedisServer, client: redis.Redis, publisher: Publisher
) -> None:
    """Refused for lack of memory, a signal without id is published once when there is some."""
    client.config_set("maxmemory", "1")
    relief = threading.Timer(0.3, client.config_set, ("maxmemory", "0"))
    relief.start()
    publisher.publish(PLAIN)
    relief.join()
    assert client.xlen("nvda") == 1


def test_no_permission_is_final(redis_server: RedisServer, client: redis.Redis) -> None:
    """A user without XADD is refused at once."""
    client.acl_setuser("reader", enabled=True, passwords="+pw", keys="*", commands=["+ping"])
    url = redis_server.url.replace("redis://", "redis://reader:pw@")
    with SignalStop() as stop:
        publisher = Publisher(make_client(url), "nvda", stop=stop)
        with pytest.raises(Refused, match="permissions"):
            publisher.publish(WITH_ID)
        publisher.close()


def test_maxlen_keeps_the_stream_short(redis_server: RedisServer, client: redis.Redis) -> None:
    """About 10 entries are asked for; Redis trims by whole nodes of 100."""
    with SignalStop() as stop:
        publisher = Publisher(make_client(redis_server.url), "nvda", stop=stop, maxlen=10)
        for _ in range(350):
            publisher.publish(PLAIN)
        publisher.close()
    assert 10 <= client.xlen("nvda") <= 200


def test_environment_gives_the_address(redis_server: RedisServer, client: redis.Redis) -> None:
    """REDIS_URL alone is enough."""
    done = subprocess.run(
        [*COMMAND, "--count", "1"],
        env=os.environ | {"REDIS_URL": redis_server.url},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, client.xlen("nvda")) == (0, 1)
