"""`signalpaca demo`: what the options mean; that it runs is in the acceptance tests."""

from typing import Any

import pytest

from solution.commands import demo
from solution.demo.processes import DemoError
from solution.demo.run import Options
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What a demo that does not run was asked for."""
    found: list[Options] = []

    def run(options: Options) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr(demo, "run_demo", run)
    return found


@pytest.mark.parametrize(
    ("words", "signals", "seconds", "plain"),
    [
        ((), 90, 30.0, False),
        (("--seconds", "2", "--plain"), 6, 2.0, True),
        (("--signals", "6"), 6, 2.0, False),
        (("--signals", "6", "--seconds", "1"), 6, 1.0, False),
    ],
)
def test_the_options(
    shell: Shell,
    asked: list[Options],
    words: tuple[str, ...],
    signals: int,
    seconds: float,
    plain: bool,
) -> None:
    """Three signals a second unless both are given; a screen unless lines are."""
    assert shell.run("demo", *words).exit_code == 0
    [options] = asked
    assert (options.plan.signals, options.plan.seconds) == (signals, seconds)
    assert options.plain is plain


@pytest.mark.parametrize("error", [1, DemoError("exchange is not ready")])
def test_a_demo_that_failed(shell: Shell, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    """Exit code 1: something does not add up, or it could not run."""

    def run(_options: Options) -> int:
        if isinstance(error, Exception):
            raise error
        return int(error)

    monkeypatch.setattr(demo, "run_demo", run)
    result = shell.run("demo")
    assert result.exit_code == 1
    assert result.stderr == ("" if error == 1 else "demo: exchange is not ready\n")
