"""What commands share."""

import sys

import pytest
import redis

from solution.commands import common
from solution.config import load_settings
from tests.unit.solution.commands.conftest import Shell


def test_columns_are_aligned() -> None:
    """Numbers end together, and no line has trailing blanks."""
    assert common.table(("A", "N"), [("xyz", "1"), ("y", "100")], right=(1,)) == (
        "A      N\nxyz    1\ny    100"
    )


def test_a_wrong_setting_is_one_line_and_exit_code_2(shell: Shell) -> None:
    """For every command alike."""
    result = shell.run("status", WORKERS="many")
    assert result.exit_code == 2
    assert result.stderr.startswith("configuration: WORKERS='many'")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("status",), ("publish", "NVDA", "b"), ("resume",)])
def test_no_redis_is_one_line_without_the_password(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Exit code 1."""
    monkeypatch.setattr("solution.commands.publishing.RETRY_FOR", 0.0)
    result = shell.run(*words)
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stderr
    assert "does not answer" in result.stderr
    assert "password-90" not in result.output
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("orders",), ("dead-letters",), ("dead-letters", "show", "1-1")])
def test_no_ledger_is_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    """Exit code 1 and the path."""
    result = shell.run(*words)
    assert result.exit_code == 1
    assert result.stderr == f"ledger: there is no ledger at {shell.ledger}\n"
    assert not shell.ledger.exists()


POSTGRES = "postgresql://u:canary@127.0.0.1:1/x"


@pytest.mark.parametrize(
    "words",
    ["orders", "why x", "reconcile", "dead-letters", "dead-letters show 1-1", "resume NVDA"],
)
def test_a_ledger_without_its_driver_is_a_wrong_configuration(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """One line, exit code 2, as the service itself says it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = shell.run(*words.split(), LEDGER_URL=POSTGRES)
    assert result.exit_code == 2
    assert result.stderr.startswith("configuration: LEDGER_URL names PostgreSQL, whose driver")
    assert len(result.stderr.splitlines()) == 1
    assert "canary" not in result.output


def test_a_refusal_of_redis_is_called_that() -> None:
    """It does answer."""
    settings = load_settings(environ={}, env_file=None)
    said = common.redis_trouble(settings, redis.ResponseError("WRONGTYPE x"))
    assert said == "Redis at redis://localhost:6379/0 refuses: WRONGTYPE x"


def test_errors_lose_secrets_and_line_breaks() -> None:
    """And an error without words is named by its class."""
    settings = load_settings(environ={"ALPACA_SECRET_KEY": "hush-hush"}, env_file=None)
    assert common.clean(settings, "a\n hush-hush ") == "a ********"
    assert common.clean(settings, ValueError()) == "ValueError"
