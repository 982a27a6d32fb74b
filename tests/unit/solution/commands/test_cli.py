"""The root command."""

import importlib
import subprocess
import sys

import click
import pytest

from solution.commands import cli
from solution.commands import run as run_module
from tests.unit.solution.commands.conftest import Shell


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_of_the_table_exists_and_has_help(shell: Shell, name: str) -> None:
    """The table's module holds a command of that name, and its help needs no setting."""
    module = importlib.import_module(f"solution.commands.{cli.COMMANDS[name][0]}")
    assert isinstance(getattr(module, name.replace("-", "_")), click.Command)
    assert shell.run(name, "--help", WORKERS="nonsense").exit_code == 0


def test_help_lists_the_commands(shell: Shell) -> None:
    """One line each."""
    out = shell.run("--help").stdout
    assert all(name in out for name in cli.COMMANDS)


def test_an_unknown_command_is_wrong_usage(shell: Shell) -> None:
    """Exit code 2 and its name."""
    result = shell.run("stauts")
    assert result.exit_code == 2
    assert "stauts" in result.stderr


def test_options_reach_the_service(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options win over the environment, --set takes any name."""
    seen = {}
    monkeypatch.setattr(run_module, "run_service", lambda given: seen.update(given) or 0)
    monkeypatch.setattr(run_module, "exit_with", lambda code: seen.update(code=code))
    words = ("-w", "8", "--dry-run", "--ordering", "none", "--set", "log_level=DEBUG")
    assert shell.run(*words).exit_code == 0
    assert seen == {
        "WORKERS": "8",
        "DRY_RUN": "true",
        "ORDERING": "none",
        "LOG_LEVEL": "DEBUG",
        "code": 0,
    }


def test_set_needs_a_value(shell: Shell) -> None:
    """`--set NAME` alone is wrong usage."""
    assert shell.run("--set", "WORKERS").exit_code == 2


def test_options_reach_the_commands(shell: Shell) -> None:
    """`signalpaca -s … config` shows them as options."""
    rows = shell.json("-s", "WORKERS=9", "config")["settings"]
    assert {"name": "WORKERS", "value": "9", "source": "option"}.items() <= next(
        row for row in rows if row["name"] == "WORKERS"
    ).items()


def test_help_imports_no_trading() -> None:
    """`--help` must not pay for the service."""
    code = (
        "import sys; from click.testing import CliRunner; from solution.commands.cli import main; "
        "CliRunner().invoke(main, ['--help']); "
        "sys.exit(any(m in sys.modules for m in ('solution.app', 'redis', 'pydantic', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


@pytest.mark.parametrize(
    "words", ["top --refresh=nan", "demo --seconds=nan", "publish X b --wait=nan"]
)
def test_no_number_of_seconds_is_wrong_usage(shell: Shell, words: str) -> None:
    """NaN lies in every range: no comparison with it is true."""
    result = shell.run(*words.split())
    assert result.exit_code == 2
    assert "nan is not a number" in result.stderr
