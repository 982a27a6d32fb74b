"""Tests of signal_generator.hosts.loading."""

import subprocess
import sys
from pathlib import Path

import pytest

from signal_generator.hosts.loading import CannotLoad, load

SOURCE = """
from signal_generator import Strategy
import helper_beside

class Good(Strategy):
    pass

class Named(Strategy):
    name = "other"

class Unnamed(Strategy):
    name = "a b"

class Failing(Strategy):
    def __init__(self):
        raise ValueError("no key")

class Plain:
    pass

value = 5
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of strategies, with a module beside it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    (tmp_path / "helper_beside.py").write_text("")
    path = tmp_path / "mine_of_a_test.py"
    path.write_text(SOURCE)
    return str(path)


def test_a_file_and_what_stands_beside_it(file: str) -> None:
    """Called by the class's name, or by its own."""
    assert [name for name, _ in load([f"{file}:Good", f"{file}:Named"])] == ["Good", "other"]


def test_a_module() -> None:
    """As Python imports it."""
    [(name, strategy)] = load(["signal_generator.sma_crossover:SmaCrossover"])
    assert (name, strategy.required_history()) == ("sma", 32)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing", "'nothing' is neither module:Class nor path/to/file.py:Class"),
        (":X", "is neither module:Class nor"),
        ("FILE:", "is neither module:Class nor"),
        ("FILE:Missing", "Missing is no class there that derives from Strategy"),
        ("FILE:Plain", "Plain is no class there that derives from Strategy"),
        ("FILE:value", "value is no class there that derives from Strategy"),
        ("FILE:Failing", r"Failing\(\) failed: ValueError\('no key'\) \(.*_test.py, line 16\)"),
        ("FILE:Unnamed", "its name 'a b' is not 1 to 48 of"),
        ("no_such_module_here:X", "importing no_such_module_here failed: ModuleNotFoundError"),
        ("no_such_file.py:X", "there is no file no_such_file.py"),
    ],
)
def test_what_cannot_be_loaded(file: str, target: str, said: str) -> None:
    """One line that says what was typed and why not."""
    with pytest.raises(CannotLoad, match=said) as refused:
        load([target.replace("FILE", file)])
    assert "\n" not in str(refused.value)


def test_a_file_with_a_mistake(file: str) -> None:
    """The mistake is named."""
    Path(file).write_text("x = (")
    with pytest.raises(CannotLoad, match="SyntaxError"):
        load([f"{file}:Good"])


@pytest.mark.parametrize("wrong", ["1 / 0", "raise SystemExit(0)"])
def test_a_file_that_fails_names_its_line(file: str, wrong: str) -> None:
    """Also one that would end the whole command, and with exit code 0."""
    Path(file).write_text(f"import helper_beside\n\n{wrong}\n")
    with pytest.raises(CannotLoad, match=r"mine_of_a_test\.py, line 3\)"):
        load([f"{file}:Good"])


def test_two_of_one_name(file: str) -> None:
    """They would share one memory."""
    with pytest.raises(CannotLoad, match="there is a strategy called Good already; set its name"):
        load([f"{file}:Good", f"{file}:Good"])


def test_the_working_directory_is_searched(file: str) -> None:
    """Also by a console script, to which Python gives another place."""
    code = "import sys; sys.path[0] = '/'; from signal_generator.hosts.loading import load; "
    code += "print(load(['mine_of_a_test:Good'])[0][0])"
    root = str(Path(__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(file).parent,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "Good\n"
