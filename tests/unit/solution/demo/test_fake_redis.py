"""The stand-in for Redis: what is corrected, and that upstream still needs it.

When one of the two tests of upstream fails, fakeredis has it right: remove that correction from
``solution/demo/fake_redis.py``.
"""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from fakeredis import TcpFakeServer

from solution.clock import Deadline
from solution.demo.fake_redis import READY
from solution.demo.processes import Process
from solution.feeds.stream_group import StreamGroup
from solution.redis_client import make_client

PATIENCE = 10.0
Connect = Callable[[], Any]


@pytest.fixture
def upstream() -> Iterator[Any]:
    """A client of fakeredis as it comes."""
    server = TcpFakeServer(("127.0.0.1", 0))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = make_client(f"redis://127.0.0.1:{server.server_address[1]}/0")
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The port of a corrected one, a process of its own as in the demo."""
    command = ("python", "-m", "solution.demo.fake_redis", "--port", "0")
    process = Process("redis", command, tmp_path_factory.mktemp("fake"), {})
    yield process.await_line(rf"{READY}(\d+)", Deadline(PATIENCE))
    process.end(Deadline(5.0))


@pytest.fixture
def connect(port: str) -> Iterator[Connect]:
    """Makes clients of the corrected server, which is empty."""
    made: list[Any] = []

    def client() -> Any:
        made.append(make_client(f"redis://127.0.0.1:{port}/0"))
        return made[-1]

    client().flushall()
    yield client
    for each in made:
        each.close()


def read_group(client: Any, *, count: int | None, block: int) -> Any:
    """XREADGROUP of the stream `s`."""
    return client.xreadgroup("g", "c", {"s": ">"}, count=count, block=block)


def seconds(action: Callable[[], Any]) -> float:
    """How long it took."""
    started = time.monotonic()
    action()
    return time.monotonic() - started


def test_upstream_never_blocks_with_count(upstream: Any) -> None:
    """Correction 1: BLOCK 9000 COUNT 10 on an empty stream should take nine seconds."""
    upstream.xgroup_create("s", "g", id="0", mkstream=True)
    assert seconds(lambda: read_group(upstream, count=10, block=9000)) < 8


def test_upstream_loses_entries_without_count(upstream: Any) -> None:
    """Correction 1: a waiting entry should be returned, not only made pending."""
    upstream.xgroup_create("s", "g", id="0", mkstream=True)
    upstream.xadd("s", {"a": "b"})
    assert not read_group(upstream, count=None, block=100)
    assert upstream.xpending("s", "g")["pending"] == 1


def test_upstream_hangs_up_after_an_error(upstream: Any) -> None:
    """Correction 2: the connection should survive an error reply."""
    address = upstream.connection_pool.connection_kwargs
    with socket.create_connection((address["host"], address["port"]), PATIENCE) as connection:
        connection.sendall(b"*1\r\n$6\r\nNOSUCH\r\n")
        assert connection.recv(1000).startswith(b"-ERR unknown command")
        assert connection.recv(1000) == b""


def test_corrected_blocks_and_wakes(connect: Connect) -> None:
    """With and without COUNT: the whole time when nothing comes, at once when something does."""
    reader, writer = connect(), connect()
    reader.xgroup_create("s", "g", id="0", mkstream=True)
    for count in (10, None):
        assert seconds(lambda n=count: read_group(reader, count=n, block=200)) >= 0.19
        timer = threading.Timer(0.1, writer.xadd, ("s", {"n": str(count)}))
        timer.start()
        [[_, [(_, fields)]]] = read_group(reader, count=count, block=3000)
        assert fields == {b"n": str(count).encode()}
        timer.join()


def test_corrected_delivers_what_waits(connect: Connect) -> None:
    """Without COUNT all of it, with COUNT as many."""
    client = connect()
    client.xgroup_create("s", "g", id="0", mkstream=True)
    for number in range(5):
        client.xadd("s", {"n": str(number)})
    [[_, first]] = read_group(client, count=2, block=100)
    [[_, rest]] = read_group(client, count=None, block=100)
    assert [len(first), len(rest)] == [2, 3]


def test_corrected_keeps_the_connection_after_an_error(connect: Connect) -> None:
    """The error is a reply like any other."""
    client = connect()
    client.xgroup_create("s", "g", id="0", mkstream=True)
    with pytest.raises(redis.ResponseError, match="BUSYGROUP"):
        client.xgroup_create("s", "g", id="0", mkstream=True)
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        client.xpending("s", "nobody")
    assert client.ping()


def test_the_listeners_commands(connect: Connect) -> None:
    """Everything of StreamGroup: groups, clocks, pending, claims, refetch, trimming."""
    first = StreamGroup(connect(), ("s",), "g", "one")
    assert first.ensure() == ["s"]
    assert first.ensure() == []
    assert abs(first.now_ms() / 1000 - time.time()) < 5
    writer = connect()
    ids = [writer.xadd("s", {"n": "1", "N": "2"}).decode() for _ in range(3)]
    assert [(s, e[0]) for s, e in first.read_new(10)] == [("s", i) for i in ids]
    assert first.pending_counts("s") == {"one": 3}
    assert list(first.pending_ids("s", "one")) == ids
    assert first.lowest_pending("s") == ids[0]
    assert first.fetch("s", ids[:1])[0][1] == ((b"n", b"1"), (b"N", b"2"))
    second = StreamGroup(connect(), ("s",), "g", "two")
    writer.xdel("s", ids[0])
    assert [entry[1] is None for entry in second.claim("s", ids)] == [True, False, False]
    second.forget_consumer("s", "one")
    assert second.trim("s", int(time.time() * 1000) + 1000) == 0


def test_the_outboxs_commands(connect: Connect) -> None:
    """MULTI, XADD MAXLEN, EXEC and XACK in one pipeline, errors as replies."""
    client = connect()
    client.set("text", "x")
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("MULTI")
    for number in (1, 2):
        pipeline.execute_command("XADD", "e", "MAXLEN", "~", 1000, "*", "event_id", number)
    pipeline.execute_command("EXEC")
    pipeline.execute_command("XACK", "s", "g", "1-1")
    pipeline.execute_command("XADD", "text", "*", "a", "b")
    replies = pipeline.execute(raise_on_error=False)
    assert replies[:3] == [b"OK", b"QUEUED", b"QUEUED"]
    assert len(replies[3]) == 2
    assert replies[4] == 0
    assert isinstance(replies[5], redis.ResponseError)
    assert client.xlen("e") == 2


def test_the_commands_of_status_and_publish(connect: Connect) -> None:
    """A key that expires, SCAN, XREAD BLOCK, bytes that are no text."""
    client, writer = connect(), connect()
    client.set("signalpaca:g:a", b"{}", ex=5)
    assert list(client.scan_iter(match="signalpaca:g:*", count=500)) == [b"signalpaca:g:a"]
    timer = threading.Timer(0.1, writer.xadd, ("e", {b"\xff": b"\x00\r\n"}))
    timer.start()
    [[_, [(_, fields)]]] = client.xread({"e": "$"}, block=3000)
    assert fields == {b"\xff": b"\x00\r\n"}
    timer.join()


def test_it_ends_when_told(tmp_path: Path) -> None:
    """SIGTERM and SIGINT, within a moment."""
    for number in ("TERM", "INT"):
        command = ("python", "-m", "solution.demo.fake_redis")
        process = Process(f"redis-{number}", command, tmp_path, {})
        process.await_line(rf"{READY}(\d+)", Deadline(PATIENCE))
        subprocess.run(["kill", f"-{number}", str(process.pid)], check=True, timeout=5)
        assert process.join(Deadline(5.0)) == 0
