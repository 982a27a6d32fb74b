"""`signalpaca kill` and `resume`."""

import threading
from typing import Any

import orjson
import pytest

from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solution.commands.kill.CONFIRM_WITHIN", 0.3)


def says(client: Any, reason: str | None) -> None:
    """The instance's snapshot."""
    client.set(key_of("solution", "a"), orjson.dumps({"kill_switch": reason}))


def test_kill_creates_the_file_and_says_what_it_does_not_do(online: Shell) -> None:
    """The absolute path is named; resting orders are not cancelled."""
    result = online.run("kill")
    path = online.folder / ".kill_switch"
    assert result.exit_code == 0
    assert path.exists()
    assert result.stdout.startswith(f"created {path}: no new orders are sent")
    assert "NOT cancelled" in result.stdout
    assert "no instance of group solution runs now" in result.stderr


def test_a_second_kill_says_that_it_was_on_already(online: Shell) -> None:
    """Whoever reads "created" would think that trading went on until now."""
    assert online.json("kill")["created"] is True
    again = online.run("kill")
    assert again.exit_code == 0
    assert again.stdout.startswith(f"it was on already: {online.folder / '.kill_switch'}: no new")
    assert online.json("kill")["created"] is False


def test_a_link_that_leads_nowhere_is_on_and_can_be_removed(online: Shell) -> None:
    """As the service sees it."""
    path = online.folder / ".kill_switch"
    path.symlink_to("/nowhere/x")
    result = online.run("kill")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"it was on already: {path}")
    assert online.run("resume").stdout == f"removed {path}\n"
    assert not path.is_symlink()


def test_kill_is_confirmed_by_the_instances(online: Shell, client: Any) -> None:
    """A snapshot from before the file is waited out."""
    says(client, None)
    timer = threading.Timer(0.1, says, (client, "the file exists"))
    timer.start()
    result = online.run("kill")
    timer.join()
    assert result.exit_code == 0
    assert "a: the file exists" in result.stdout


def test_an_instance_that_does_not_see_the_file_fails_the_command(
    online: Shell, client: Any
) -> None:
    """It was started elsewhere: the user must know."""
    says(client, None)
    result = online.run("kill")
    assert result.exit_code == 1
    assert "not confirmed within 0.3 s: a does not look at this file" in result.stderr
    told = online.run("kill", "--json")
    assert told.exit_code == 1
    assert orjson.loads(told.stdout)["confirmed"] is False


def test_without_redis_the_file_is_made_all_the_same(shell: Shell) -> None:
    """Exit code 1: nobody confirmed it."""
    result = shell.run("kill", KILL_SWITCH_FILE="deep/inside/stop")
    assert result.exit_code == 1
    assert (shell.folder / "deep/inside/stop").exists()
    assert result.stderr.startswith("not confirmed by any instance: Redis at")


def test_a_file_that_cannot_be_made(shell: Shell) -> None:
    """One line, exit code 1."""
    (shell.folder / "file").touch()
    result = shell.run("kill", KILL_SWITCH_FILE="file/stop")
    assert result.exit_code == 1
    assert "file/stop cannot be created" in result.stderr


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


def test_resume_tells_who_still_refuses(online: Shell, client: Any) -> None:
    """An instance with KILL_SWITCH in its environment, or another file."""
    says(client, "KILL_SWITCH is set")
    result = online.run("resume")
    assert result.exit_code == 1
    assert "a: KILL_SWITCH is set" in result.stdout
    assert "a still refuses" in result.stderr


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
