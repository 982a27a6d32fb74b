"""`signalpaca breaker`."""

from typing import Any

import orjson
import pytest

from solution.commands import breaker
from solution.ledger.sqlite import SqliteLedger
from solution.trading.breaker_row import KEY, Standing
from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell

AT = 1_772_636_400_000
OPEN = Standing(tripped=True, failures=5, at_ms=AT, why="HTTP 500")


def live(client: Any, state: str, name: str = "trader-1") -> None:
    """An instance's picture of itself."""
    shown = {"instance": name, "breaker": {"state": state}}
    client.set(key_of("solution", name), orjson.dumps(shown))


def test_an_open_breaker_is_exit_code_1(shell: Shell, ledger: SqliteLedger) -> None:
    """With what opened it and when; no Redis is needed."""
    ledger.set_state(KEY, OPEN.text())
    result = shell.run("breaker", "status")
    assert result.exit_code == 1
    assert result.stdout == (
        "open: 5 failures in a row, 5 open it; the last at 2026-03-04 15:00:00 UTC: HTTP 500\n"
    )
    told = shell.json("breaker", "status")
    figures = {"tripped": True, "failures": 5, "at_ms": AT, "why": "HTTP 500", "probe": ""}
    assert told == {"limit": 5, **figures}


def test_a_closed_breaker(shell: Shell, ledger: SqliteLedger) -> None:
    """Without a row, or with fewer failures than open it."""
    assert shell.run("breaker", "status").stdout == "closed: 0 failures in a row, 5 open it\n"
    ledger.set_state(KEY, Standing(failures=2, at_ms=AT, why="HTTP 500").text())
    result = shell.run("breaker", "status", CIRCUIT_BREAKER_FAILURES="0")
    assert result.exit_code == 0
    assert result.stdout.startswith("closed: 2 failures in a row, CIRCUIT_BREAKER_FAILURES is 0")


@pytest.mark.parametrize("row", ["{", "[]", '{"tripped": true}', "null"])
def test_a_row_that_cannot_be_read(shell: Shell, ledger: SqliteLedger, row: str) -> None:
    """An open breaker, as for the service; a reset is what ends it."""
    ledger.set_state(KEY, row)
    assert shell.run("breaker", "status").exit_code == 1
    assert "cannot be read" in shell.json("breaker", "status")["why"]


def test_reset(online: Shell, client: Any, ledger: SqliteLedger) -> None:
    """The row is gone, and every instance says so."""
    ledger.set_state(KEY, OPEN.text())
    live(client, "closed")
    result = online.run("breaker", "reset")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("reset; it was open: 5 failures in a row")
    assert ledger.get_state(KEY) is None
    told = online.json("breaker", "reset")
    assert told == {
        "reset": False,
        "was": {"tripped": False, "failures": 0},
        "instances": ["trader-1"],
        "still_open_in": [],
        "confirmed": True,
    }


@pytest.mark.parametrize("state", ["open", "half-open"])
def test_an_instance_in_which_it_is_still_open(
    online: Shell, client: Any, ledger: SqliteLedger, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads another ledger, or has opened anew: exit code 1."""
    monkeypatch.setattr(breaker, "CONFIRM_WITHIN", 0.1)
    live(client, state)
    result = online.run("breaker", "reset")
    assert result.exit_code == 1
    assert result.stdout == "there was no failure\n"
    assert "it is open in trader-1" in result.stderr
    assert ledger.get_state(KEY) is None


def test_nobody_runs(online: Shell, ledger: SqliteLedger) -> None:
    """It counts from the next start on."""
    ledger.set_state(KEY, OPEN.text())
    result = online.run("breaker", "reset")
    assert result.exit_code == 0
    assert "no instance of group solution runs now" in result.stderr


def test_without_redis_it_is_reset_and_not_confirmed(shell: Shell, ledger: SqliteLedger) -> None:
    """Both are said."""
    ledger.set_state(KEY, OPEN.text())
    result = shell.run("breaker", "reset")
    assert result.exit_code == 1
    assert result.stderr.startswith("reset, and not confirmed by any instance")
    assert ledger.get_state(KEY) is None


@pytest.mark.parametrize("word", ["status", "reset"])
def test_without_a_ledger(shell: Shell, word: str) -> None:
    """One line each, and the exit codes of every command."""
    missing = shell.run("breaker", word, LEDGER_URL=f"sqlite:///{shell.folder}/none.db")
    assert missing.exit_code == 1
    assert missing.stderr.startswith("ledger: there is no ledger")
