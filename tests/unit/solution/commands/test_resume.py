"""`signalpaca resume`."""

from typing import Any

import orjson
import pytest

from solution.clock import SystemClock
from solution.domain.flattening import Closing, Flattening
from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell

STREAM = "signalpaca:control:solution"
KEY = "the-key-of-32-characters-or-more"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solution.commands.resume.CONFIRM_WITHIN", 0.2)


def says(client: Any, **shown: Any) -> None:
    """The instance's snapshot."""
    client.set(key_of("solution", "a"), orjson.dumps({"kill_switch": None, **shown}))


# --- all ----------------------------------------------------------------------------------------


def test_resume_removes_the_file(online: Shell) -> None:
    """A second time there is nothing to remove, which is no error."""
    path = online.folder / ".kill_switch"
    path.touch()
    assert online.run("resume").stdout == f"removed {path}\n"
    assert not path.exists()
    again = online.run("resume")
    assert again.exit_code == 0
    assert again.stdout == f"{path} did not exist\n"
    assert online.json("resume")["removed"] is False


def test_resume_lifts_every_restriction_of_the_account(online: Shell, ledger: SqliteLedger) -> None:
    """Whoever restricted it; a kill that is under way ends; tickers and the rest stay."""
    online.run("kill")
    online.run("reduce-only")
    ledger.set_state("trading_state:daily_loss", "nonsense")
    ledger.set_state("circuit_breaker_state", '{"tripped": true}')
    ledger.set_state("halted:NVDA", "an orphan")
    ledger.set_state("account", "mine")
    result = online.run("resume")
    assert result.exit_code == 0, result.stderr
    assert "lifted HALTED by operator: killed by " in result.stdout
    assert "lifted REDUCING by operator_reducing: reduce-only by " in result.stdout
    assert "lifted HALTED by daily_loss" in result.stdout
    assert "closed the circuit breaker" in result.stdout
    assert "ends here: new" in result.stdout
    assert set(ledger.states("")) == {"account", "control_resumed", "halted:NVDA"}


def test_resume_tells_who_still_refuses(online: Shell, client: Any) -> None:
    """An instance with KILL_SWITCH in its environment, another file, or a limit that tripped."""
    says(client, kill_switch="KILL_SWITCH is set")
    result = online.run("resume")
    assert result.exit_code == 1
    assert "a: KILL_SWITCH is set" in result.stdout
    assert "a still refuses" in result.stderr
    loss = {"daily_loss": {"state": "REDUCING", "message": "lost 5%"}}
    says(client, trading_state="REDUCING", restrictions=loss)
    told = online.json("resume")
    assert told["instances"] == {"a": "REDUCING: daily_loss: lost 5%"}
    assert told["confirmed"] is False


def test_resume_of_an_empty_ticker_is_no_resume_of_all(online: Shell) -> None:
    """`resume "$TICKER"` with an unset variable must not send orders again."""
    path = online.folder / ".kill_switch"
    path.touch()
    result = online.run("resume", "")
    assert result.exit_code == 2
    assert "TICKER is empty" in result.stderr
    assert path.exists()


def test_resume_cannot_undo_the_setting(online: Shell) -> None:
    """It says so, and fails."""
    result = online.run("resume", KILL_SWITCH="true")
    assert result.exit_code == 1
    assert "unset it and restart" in result.stderr


def test_resume_of_something_that_is_no_file(online: Shell) -> None:
    """One line, exit code 1."""
    (online.folder / "folder").mkdir()
    result = online.run("resume", KILL_SWITCH_FILE="folder")
    assert result.exit_code == 1
    assert "cannot be removed" in result.stderr


def test_where_the_ledger_is_out_of_reach_the_service_is_asked(online: Shell, client: Any) -> None:
    """Signed; without a key nothing may be asked that allows more."""
    env = {"LEDGER_URL": f"sqlite:///{online.folder}/none.db"}
    result = online.run("resume", CONTROL_HMAC_KEY=KEY, **env)
    assert result.exit_code == 0, result.stderr
    assert "asked for on the control stream" in result.stdout
    [(_, entry)] = client.xrange(STREAM)
    assert entry[b"command"] == b"resume"
    assert b"sig" in entry
    online.run("resume", **env)
    assert client.xlen(STREAM) == 1


@pytest.fixture
def _flattening(ledger: SqliteLedger) -> None:
    """Requests of all kinds; one is done."""
    now_ms, hour = SystemClock().epoch_ms(), 3_600_000
    sent = {"c-1": Closing("NVDA", "sell", "10", "OPEN")}
    for request in (
        Flattening("kill", (), "kill by me", 1, orders=sent),
        Flattening("one", ("NVDA",), "me", 1),
        Flattening("two", ("NVDA", "F"), "me", 1),
        Flattening("old", (), "me", 1, done_ms=2),
        Flattening("eos-today", (), "the end", 1, stocks_only=True, until_ms=now_ms + hour),
        Flattening("eos-over", (), "the end", 1, stocks_only=True, until_ms=now_ms - hour),
    ):
        ledger.set_state(request.key, request.to_json())


@pytest.mark.usefixtures("_flattening")
def test_resume_withdraws_what_would_sell(online: Shell, ledger: SqliteLedger) -> None:
    """Else what signals buy next would be sold at once; a session's end goes on, and is told."""
    result = online.run("resume")
    assert result.exit_code == 0, result.stderr
    told = result.stdout.splitlines()
    assert (
        "withdrew flatten kill (kill by me); sent already and not taken back: sell 10 NVDA" in told
    )
    assert "withdrew flatten one (me)" in told
    goes_on = "flatten eos-today goes on: the end; to end it: signalpaca flatten --withdraw"
    assert [line for line in told if "goes on" in line] == [goes_on]
    assert set(ledger.states("flatten:")) == {"flatten:old", "flatten:eos-today"}


@pytest.mark.usefixtures("_flattening")
def test_resume_of_a_ticker_withdraws_its_own(online: Shell, ledger: SqliteLedger) -> None:
    """What closes others too is not this ticker's to end."""
    result = online.run("resume", "nvda")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "withdrew flatten one (me)\n"
    assert "flatten:one" not in ledger.states("flatten:")
    assert len(ledger.states("flatten:")) == 5


# --- one ticker ---------------------------------------------------------------------------------


@pytest.fixture
def _halted(ledger: SqliteLedger) -> None:
    """Two tickers are halted; the service has the ledger open."""
    ledger.set_state("halted:NVDA", "an orphan")
    ledger.set_state("halted:BTC/USD", "another")


@pytest.mark.usefixtures("_halted")
def test_one_ticker_trades_again(online: Shell, client: Any, ledger: SqliteLedger) -> None:
    """Confirmed by the instances; the kill switch's file is not touched."""
    switch = online.folder / ".kill_switch"
    switch.touch()
    says(client, halted={"BTC/USD": "another"})
    result = online.run("resume", "nvda")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "NVDA takes orders again; it was halted: an orphan\n"
    assert ledger.states("halted:") == {"halted:BTC/USD": "another"}
    assert switch.exists()
    told = online.json("resume", "BTCUSD")
    assert (told["symbol"], told["was"], told["confirmed"]) == ("BTC/USD", "another", False)


@pytest.mark.usefixtures("_halted")
def test_a_ticker_that_only_reduced_opens_again(online: Shell, ledger: SqliteLedger) -> None:
    """Both kinds of a ticker's restriction are lifted at once."""
    online.run("reduce-only", "nvda")
    assert "reducing:NVDA" in ledger.states("")
    assert online.run("resume", "NVDA").exit_code == 0
    assert set(ledger.states("")) == {"halted:BTC/USD"}


@pytest.mark.usefixtures("_halted")
def test_an_instance_that_still_halts_it(online: Shell, client: Any) -> None:
    """It reads another ledger, or hangs: exit code 1."""
    says(client, halted={"NVDA": "an orphan"})
    result = online.run("resume", "NVDA")
    assert result.exit_code == 1
    assert "a still halts it" in result.stderr


@pytest.mark.usefixtures("_halted")
def test_nobody_runs(online: Shell) -> None:
    """It counts from the next start on."""
    result = online.run("resume", "NVDA")
    assert result.exit_code == 0
    assert "no instance of group solution runs now" in result.stderr


@pytest.mark.usefixtures("_halted")
def test_what_is_not_halted_is_a_no(shell: Shell) -> None:
    """A typing error must not look like success."""
    result = shell.run("resume", "NVDI")
    assert result.exit_code == 1
    assert result.stderr == "NVDI is not halted; halted are: BTC/USD, NVDA\n"


@pytest.mark.usefixtures("_halted")
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
