"""A fork is what a start is: the same output, the same exit code, and signals that arrive."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import forked
from tests.helpers.service_process import ROOT, World

ENV = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize("words", ["--help", "status", "publish F sideways", "nothing"])
def test_a_command_says_the_same(words: str, tmp_path: Path) -> None:
    """On each stream, and with the same code."""
    started = subprocess.run(
        [sys.executable, "-m", "solution", *words.split()],
        cwd=tmp_path,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = forked.run(words.split(), env=ENV, cwd=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_signals_arrive_and_ends_are_told(make_world: Callable[..., World]) -> None:
    """SIGKILL as a negative code; while it runs there is none."""
    service = make_world().start()
    assert service.process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        service.process.wait(0.01)
    service.kill()
    assert service.process.returncode == service.process.poll() == -signal.SIGKILL


def test_one_that_takes_too_long_is_ended(make_world: Callable[..., World]) -> None:
    """As subprocess.run() does it."""
    made = make_world()
    with pytest.raises(subprocess.TimeoutExpired):
        made.command("-w", "1", timeout=0.2)
