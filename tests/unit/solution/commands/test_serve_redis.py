"""`signalpaca serve-redis`: a Redis of one program's own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from solution.commands import serve_redis as command
from solution.demo.redis_server import Choice
from tests.helpers.clocks import eventually

ROOT = Path(__file__).parents[4]
Served = tuple["subprocess.Popen[str]", str]


@pytest.fixture
def serve(tmp_path: Path, redis_executable: str) -> Iterator[Callable[[], Served]]:
    """Starts one in the same folder as the one before; returns process and address."""
    with ExitStack() as stack:

        def make() -> Served:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "solution", "--parent", str(os.getpid())),
                    *("serve-redis", "--directory", str(tmp_path / "redis"), "--real"),
                ],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            assert process.stdout
            stack.enter_context(process.stdout)
            found = re.search(r"redis listening on (\S+)", process.stdout.readline())
            assert found
            return process, found[1]

        yield make


def test_what_it_was_told_outlives_it_and_nobody_else_gets_in(
    serve: Callable[[], Served], tmp_path: Path
) -> None:
    """Stopped by SIGTERM; the next one in the same folder, with another password, has it all."""
    process, first = serve()
    with redis.Redis.from_url(first) as client:
        client.xadd("stream", {"a": "1"})
    with (
        redis.Redis.from_url(re.sub(r":[^:@]+@", "", first)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    assert (tmp_path / "redis/redis.conf").stat().st_mode & 0o077 == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    _, second = serve()
    assert second != first
    with redis.Redis.from_url(second) as client:
        assert client.xlen("stream") == 1


def test_it_ends_with_its_server(serve: Callable[[], Served]) -> None:
    """Whoever started it finds out by its end."""
    process, url = serve()
    with redis.Redis.from_url(url) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    assert eventually(lambda: process.poll() == 1, 20)


def test_a_folder_has_one_server(
    serve: Callable[[], Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two would write one append-only file."""
    serve()
    monkeypatch.setattr(command, "LOCK_WITHIN", 0.0)
    monkeypatch.setattr(command, "_stop_on_signals", lambda _: None)
    result = CliRunner().invoke(command.serve_redis, ["--directory", str(tmp_path / "redis")])
    assert result.exit_code == 1
    assert result.output.startswith(f"redis: another program's Redis works in {tmp_path}/redis: ")


def test_a_stand_in_is_not_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(command, "choose", lambda: Choice("a stand-in"))
    monkeypatch.setattr(command, "_stop_on_signals", lambda _: None)
    result = CliRunner().invoke(command.serve_redis, ["--real", "--directory", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("redis: there is no redis-server on this machine: install")
