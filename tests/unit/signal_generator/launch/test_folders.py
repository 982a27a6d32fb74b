"""Where the state of an account lives."""

import stat
from pathlib import Path

import pytest

from signal_generator.launch.account import Account
from signal_generator.launch.folders import folder_of
from signal_generator.launch.options import LaunchError
from signal_generator.launch.surroundings import Surroundings

PAPER = "https://paper-api.alpaca.markets"


def test_one_folder_for_each_account(tmp_path: Path) -> None:
    """The same one in every run, for nobody else's eyes, whatever the broker calls the account."""
    around = Surroundings({"SIGNALPACA_HOME": str(tmp_path / "home")})
    folder = folder_of(around, PAPER, Account("id", "PA1"))
    (folder / "ledger.db").touch()
    assert folder == tmp_path / "home/run_trading/paper-api.alpaca.markets-PA1"
    assert folder_of(around, PAPER, Account("id", "PA1")) == folder
    assert (folder / "logs").is_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    odd = folder_of(around, PAPER, Account("id", "../../x"))
    assert odd.parent == folder.parent


def test_by_default_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = folder_of(Surroundings({}), PAPER, Account("id", "PA1"))
    assert folder.is_relative_to(tmp_path / ".signalpaca/run_trading")


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """And how to name another one."""
    (tmp_path / "file").touch()
    around = Surroundings({"SIGNALPACA_HOME": str(tmp_path / "file")})
    with pytest.raises(LaunchError, match=r"cannot be made: .*; SIGNALPACA_HOME names another"):
        folder_of(around, PAPER, Account("id", "PA1"))
