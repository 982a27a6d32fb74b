"""`signalpaca reduce-only`."""

from typing import Any

import orjson
import pytest

from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solution.commands.reduce_only.CONFIRM_WITHIN", 0.2)


def says(client: Any, **shown: Any) -> None:
    """The instance's snapshot."""
    client.set(key_of("solution", "a"), orjson.dumps({"kill_switch": None, **shown}))


def test_the_account_only_reduces(online: Shell, client: Any, ledger: SqliteLedger) -> None:
    """A row of its own, so that it never takes a kill back."""
    online.run("kill")
    by = {"operator_reducing": {"state": "REDUCING", "message": "by hand"}}
    says(client, trading_state="REDUCING", restrictions=by)
    result = online.run("reduce-only")
    assert result.exit_code == 0, result.stderr
    assert "a: REDUCING: operator_reducing: by hand" in result.stdout
    rows = ledger.states("trading_state:")
    assert orjson.loads(rows["trading_state:operator"])["state"] == "HALTED"
    assert orjson.loads(rows["trading_state:operator_reducing"])["state"] == "REDUCING"


def test_one_ticker_only_reduces(online: Shell, client: Any, ledger: SqliteLedger) -> None:
    """By any spelling; confirmed under the broker's."""
    says(client, reducing={"BTC/USD": "by hand"})
    result = online.run("reduce-only", "btcusd")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "BTCUSD: asked for: only orders that shrink a position\n"
    assert list(ledger.states("")) == ["reducing:BTCUSD"]
    entry = client.xrevrange("signalpaca:control:solution", count=1)[0][1]
    assert (entry[b"command"], entry[b"ticker"]) == (b"reduce-only", b"BTCUSD")


def test_an_instance_that_does_not_say_so(online: Shell, client: Any) -> None:
    """Exit code 1, also in JSON."""
    says(client, trading_state="ACTIVE")
    result = online.run("reduce-only")
    assert result.exit_code == 1
    assert "a does not say so" in result.stderr
    told = online.run("reduce-only", "NVDA", "--json")
    assert told.exit_code == 1
    assert orjson.loads(told.stdout)["confirmed"] is False


def test_nothing_to_reach_anybody_by(shell: Shell) -> None:
    """Neither ledger nor Redis."""
    result = shell.run("reduce-only")
    assert result.exit_code == 1
    assert "nothing was restricted" in result.stderr


def test_an_empty_ticker_is_not_all(online: Shell, ledger: SqliteLedger) -> None:
    """A variable that is not set must not stop every entry."""
    result = online.run("reduce-only", " ")
    assert result.exit_code == 2
    assert ledger.states("") == {}


def test_nobody_runs(online: Shell, ledger: SqliteLedger) -> None:
    """It counts from the next start on."""
    result = online.run("reduce-only", "NVDA")
    assert result.exit_code == 0
    assert "no instance of group solution runs now" in result.stderr
