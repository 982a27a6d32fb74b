"""`signalpaca check --probe` as it is typed, interrupted, and refused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from paper_exchange.testing import Running, running
from solution.commands.probing import Interrupts
from tests.helpers.clocks import eventually
from tests.helpers.service_process import ROOT
from tests.unit.solution.commands.conftest import Shell
from tests.unit.solution.probe.conftest import SECRET, Account

LIVE = {"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One for this module."""
    with running("--rate-limit", "0") as one:
        yield one


@pytest.fixture
def account(exchange: Running) -> Account:
    """Of its own."""
    return Account(exchange)


def environment(account: Account) -> dict[str, str]:
    """Of a probe of it, with a ledger that must not come to be."""
    return {
        "ALPACA_API_KEY": account.key,
        "ALPACA_SECRET_KEY": SECRET,
        "ALPACA_TRADING_URL": account.exchange.url,
        "ALPACA_DATA_URL": account.exchange.url,
        "SYMBOLS": "BTC/USD,F",
    }


def test_the_report_for_people(shell: Shell, account: Account) -> None:
    """A line per assumption, the sum, and that nothing is left; no ledger was made."""
    result = shell.run("check", "--probe", **environment(account))
    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.output
    assert lines[0] == f"{account.exchange.url}: at most one share of F, at half price"
    assert any(line.startswith("confirmed  ioc while open") for line in lines)
    assert any(line.startswith("untested   429") for line in lines)
    assert " confirmed, 0 different, " in lines[-2]
    assert lines[-1] == "every order of the probe has ended"
    assert not shell.ledger.exists()
    assert SECRET not in result.output


def test_the_report_for_programs(shell: Shell, account: Account) -> None:
    """One document; exit code 1 for a difference, whose advice stands beside it."""
    account.fault("stream: drop event=canceled")
    result = shell.run("check", "--probe", "--json", "--symbol", "nvda", **environment(account))
    report = orjson.loads(result.stdout)
    assert result.exit_code == 1
    assert (report["ok"], report["left_open"], report["interrupted"]) == (False, [], False)
    [row] = [r for r in report["findings"] if r["verdict"] == "different"]
    assert row["name"] == "event of a cancel"
    assert row["advice"]
    assert {o["symbol"] for o in account.ask("v2/orders?status=all")} == {"NVDA"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (LIVE, "ALPACA_PAPER=false: the probe sends orders, and never to a live account"),
        ({"ALPACA_API_KEY": "AK0123456789ABCDEF"}, "is the key id of a live account"),
        ({"ALPACA_API_KEY": ""}, "ALPACA_API_KEY and ALPACA_SECRET_KEY must both be set"),
        ({"SYMBOLS": "BTC/USD"}, "name one with --symbol"),
        (
            {"ALPACA_TRADING_URL": "https://api.alpaca.markets", "ALPACA_STREAM_URL": ""},
            "that is Alpaca's live host",
        ),
    ],
)
def test_what_is_not_probed(
    shell: Shell, account: Account, changes: dict[str, str], said: str
) -> None:
    """Exit code 2, one line, and the exchange heard nothing."""
    result = shell.run("check", "--probe", **{**environment(account), **changes})
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    heard = account.ask("admin/log")["entries"]
    assert [e for e in heard if e["key_id"] in {account.key, changes.get("ALPACA_API_KEY")}] == []


def test_a_symbol_belongs_to_a_probe(shell: Shell) -> None:
    """Without it the option would be ignored in silence."""
    assert shell.run("check", "--symbol", "F").exit_code == 2


def test_a_symbol_without_a_price(shell: Shell, account: Account) -> None:
    """One line, exit code 1, no order."""
    result = shell.run("check", "--probe", "--symbol", "NOSUCH", **environment(account))
    assert result.exit_code == 1
    assert "NOSUCH has no price" in result.stderr
    assert account.ask("v2/orders?status=all") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_open(
    account: Account, tmp_path: Path, number: signal.Signals
) -> None:
    """While an order rests and its lookup hangs: it is cancelled, whatever else is pressed."""
    account.fault("GET /v2/orders:by_client_order_id: hang_before skip=1 next=1")
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("ALPACA_", "APCA_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "solution", "check", "--probe"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(ROOT), **environment(account)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    day = lambda: [o for o in account.open_orders() if o["time_in_force"] == "day"]  # noqa: E731
    assert eventually(lambda: bool(day()), 20)
    process.send_signal(number)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "interrupted; every order of the probe has ended" in out
    assert "Traceback" not in err
    assert account.open_orders() == []


def test_no_signal_ends_the_cleaning_up() -> None:
    """And after the first one there is no other."""
    interrupts, seen = Interrupts(), []

    def clean_up() -> list[str]:
        os.kill(os.getpid(), signal.SIGINT)
        seen.append("not interrupted")
        return []

    before = signal.getsignal(signal.SIGINT)
    with interrupts.caught():
        assert interrupts.held(clean_up) == []
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert seen == ["not interrupted"]
    assert signal.getsignal(signal.SIGINT) is before
