"""Which servers the tests of Redis's behaviour run on, and what a missing one means."""

from pathlib import Path

import pytest

from tests.helpers.listening import NEED_7, VERSIONS, server_of_7
from tests.helpers.redis_server import SERVER_7, all_servers

OLD = {"6.2": "/old/redis-server"}


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has is not looked at."""
    monkeypatch.delenv(NEED_7, raising=False)
    monkeypatch.delenv(SERVER_7, raising=False)


def test_both_supported_versions_are_cases_whatever_is_installed() -> None:
    """A case that is not there cannot be seen to be skipped."""
    assert VERSIONS[:2] == ["6.2", "7"]


def test_the_newest_seven_is_taken() -> None:
    """By its version, not by the order of the search."""
    assert server_of_7({**OLD, "7.0": "/a", "7.4": "/b", "8.0": "/c"}) == "/b"


def test_a_missing_seven_is_skipped_in_sight() -> None:
    """With the reason, which the report of skips shows."""
    with pytest.raises(pytest.skip.Exception, match="no Redis 7"):
        server_of_7(OLD)


@pytest.mark.parametrize("name", [NEED_7, SERVER_7])
def test_a_missing_seven_fails_where_one_is_demanded(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By the flag, or by a path that leads to no Redis 7."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(pytest.fail.Exception, match="no Redis 7"):
        server_of_7(OLD)


def test_a_server_named_in_the_environment_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By what it says of its version."""
    named = tmp_path / "redis-server"
    named.write_text("#!/bin/sh\necho Redis server v=7.2.5 sha=0\n")
    named.chmod(0o755)
    monkeypatch.setenv(SERVER_7, str(named))
    assert all_servers()["7.2"] == str(named)
