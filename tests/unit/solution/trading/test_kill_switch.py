"""The kill switch."""

import errno
import os
from pathlib import Path

import pytest

from solution.trading.kill_switch import KillSwitch


def switch(file: Path, *, setting: bool = False) -> KillSwitch:
    return KillSwitch(setting=setting, file=file)


def test_off_without_setting_and_file(tmp_path: Path) -> None:
    """Nothing stands in the way."""
    assert switch(tmp_path / "kill").reason() is None


def test_the_setting_is_enough(tmp_path: Path) -> None:
    """No file is needed."""
    assert switch(tmp_path / "kill", setting=True).reason() == "KILL_SWITCH is set"


def test_the_file_is_looked_at_each_time(tmp_path: Path) -> None:
    """Thrown and taken back while the service runs."""
    file = tmp_path / "kill"
    kill = switch(file)
    file.touch()
    thrown = kill.reason()
    file.unlink()
    assert thrown == f"the kill switch file {file} exists"
    assert kill.reason() is None


def test_a_directory_of_that_name_counts(tmp_path: Path) -> None:
    """Whatever is there was put there by somebody."""
    assert switch(tmp_path).reason() is not None


def test_a_link_that_leads_nowhere_counts(tmp_path: Path) -> None:
    """Somebody meant to stop the trading; where the link was to lead does not matter."""
    file = tmp_path / "kill"
    file.symlink_to(tmp_path / "nowhere" / "x")
    assert switch(file).reason() == f"the kill switch file {file} exists"


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    """What cannot be read counts as on."""
    (tmp_path / "file").touch()
    assert "cannot be read" in str(switch(tmp_path / "file" / "kill").reason())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ELOOP, errno.ESTALE])
def test_what_cannot_be_read_counts_as_on(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission, a broken disk, a network share that is gone: nothing may be sent."""

    def broken(_: str) -> None:
        raise OSError(number, "broken")

    kill = switch(Path("/kill"))
    with monkeypatch.context() as patch:  # no longer than it takes: everybody uses it
        patch.setattr(os, "lstat", broken)
        reason = kill.reason()
    assert reason == "the kill switch file /kill cannot be read: broken"
