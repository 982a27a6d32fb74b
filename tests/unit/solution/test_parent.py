"""A process that ends with its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.clocks import eventually

ROOT = Path(__file__).parents[3]
CHILD = (
    "import os, signal, threading; from {package}.parent import end_with;"
    "told = threading.Event(); signal.signal(signal.SIGTERM, lambda *_: os._exit(7));"
    "end_with({pid}, 0.02); print('up', flush=True); signal.pause()"
)


def started(package: str, pid: int) -> subprocess.Popen[str]:
    """A child that ends with exit code 7 when it is told to by SIGTERM."""
    words = [sys.executable, "-c", CHILD.format(package=package, pid=pid)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_child_whose_parent_lives_stays() -> None:
    """It looks many times and is not told anything."""
    with started("solution", os.getpid()) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        assert not eventually(lambda: child.poll() is not None, 0.3)
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 7


def test_a_child_of_somebody_else_is_told_to_stop() -> None:
    """The way an operator tells it; in both packages that have such children."""
    for package in ("solution", "paper_exchange"):
        with started(package, 1) as child:
            assert child.wait(10) == 7
