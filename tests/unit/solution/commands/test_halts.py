"""`signalpaca resume TICKER`."""

from typing import Any

import orjson
import pytest

from solution.commands import halts
from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture(autouse=True)
def _halted(ledger: SqliteLedger) -> None:
    """Two tickers are halted; the service has the ledger open."""
    ledger.set_state("halted:NVDA", "an orphan")
    ledger.set_state("halted:BTC/USD", "another")


def live(client: Any, halted: dict[str, str], name: str = "trader-1") -> None:
    """An instance's picture of itself."""
    client.set(key_of("solution", name), orjson.dumps({"instance": name, "halted": halted}))


def test_one_ticker_trades_again(online: Shell, client: Any, ledger: SqliteLedger) -> None:
    """Confirmed by the instances; the kill switch's file is not touched."""
    switch = online.folder / ".kill_switch"
    switch.touch()
    live(client, {"BTC/USD": "another"})
    result = online.run("resume", "nvda")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "NVDA takes orders again; it was halted: an orphan\n"
    assert ledger.states("halted:") == {"halted:BTC/USD": "another"}
    assert switch.exists()
    told = online.json("resume", "BTCUSD")
    assert (told["symbol"], told["was"], told["confirmed"]) == ("BTC/USD", "another", False)


def test_an_instance_that_still_halts_it(
    online: Shell, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads another ledger, or hangs: exit code 1."""
    monkeypatch.setattr(halts, "CONFIRM_WITHIN", 0.1)
    live(client, {"NVDA": "an orphan"})
    result = online.run("resume", "NVDA")
    assert result.exit_code == 1
    assert "trader-1 still halts it" in result.stderr


def test_nobody_runs(online: Shell, ledger: SqliteLedger) -> None:
    """It counts from the next start on."""
    result = online.run("resume", "NVDA")
    assert result.exit_code == 0
    assert "no instance of group solution runs now" in result.stderr


def test_what_is_not_halted_is_a_no(shell: Shell) -> None:
    """A typing error must not look like success."""
    result = shell.run("resume", "NVDI")
    assert result.exit_code == 1
    assert result.stderr == "NVDI is not halted; halted are: BTC/USD, NVDA\n"


def test_without_redis_it_is_cleared_and_not_confirmed(shell: Shell, ledger: SqliteLedger) -> None:
    """Both are said."""
    result = shell.run("resume", "NVDA")
    assert result.exit_code == 1
    assert result.stderr.startswith("cleared, and not confirmed by any instance")
    assert "halted:NVDA" not in ledger.states("halted:")


def test_without_a_ledger(shell: Shell) -> None:
    """One line."""
    result = shell.run("resume", "NVDA", LEDGER_URL=f"sqlite:///{shell.folder}/none.db")
    assert result.exit_code == 1
    assert result.stderr.startswith("ledger: there is no ledger")
