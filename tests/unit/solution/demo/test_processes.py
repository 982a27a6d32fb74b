"""Subprocesses of the demo."""

import os
import signal
import threading
from pathlib import Path

import pytest

from solution.clock import Deadline
from solution.demo.processes import DemoError, Process, end_all, environment

PATIENCE = 10.0
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(60)"
)


def python(folder: Path, code: str, **settings: str) -> Process:
    """A program of one line."""
    return Process("program", ("python", "-c", code), folder, settings)


def test_a_line_of_its_output_is_awaited(tmp_path: Path) -> None:
    """The group of the pattern is returned."""
    process = python(tmp_path, "print('port 12')")
    assert process.await_line(r"port (\d+)", Deadline(PATIENCE)) == "12"
    assert process.join(Deadline(PATIENCE)) == 0
    assert process.code == 0


def test_a_program_that_ends_without_the_line(tmp_path: Path) -> None:
    """Its last words are in the error."""
    process = python(tmp_path, "print('a'); raise SystemExit('no luck')")
    with pytest.raises(DemoError, match="program ended: no luck"):
        process.await_line("(never)", Deadline(PATIENCE))


def test_a_program_that_says_nothing_in_time(tmp_path: Path) -> None:
    """It still runs, and is ended by the caller."""
    process = python(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(DemoError, match="program is not ready: it said nothing"):
        process.await_line("(never)", Deadline(0.05))
    process.end(Deadline(PATIENCE))
    assert process.code == -signal.SIGTERM


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """All share one deadline."""
    stubborn = python(tmp_path, STUBBORN)
    stubborn.await_line("(ready)", Deadline(PATIENCE))
    end_all([stubborn], 0.1)
    assert stubborn.code == -signal.SIGKILL
    end_all([stubborn], 0.1)


def test_it_has_a_session_of_its_own(tmp_path: Path) -> None:
    """So that Ctrl-C at the terminal reaches the demo alone."""
    process = python(tmp_path, "import os; print('sid', os.getsid(0))")
    assert int(process.await_line(r"sid (\d+)", Deadline(PATIENCE))) == process.pid
    assert os.getsid(0) != process.pid
    process.end(Deadline(PATIENCE))


def test_the_users_settings_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither names, nor aliases, nor files; the rest of the environment stays."""
    for name in ("KILL_SWITCH", "APCA_API_KEY_ID", "ALPACA_SECRET_KEY_FILE", "STREAMS"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    monkeypatch.setenv("NO_PROXY", "intranet")
    made = environment({"STREAMS": "ours"})
    assert made["STREAMS"] == "ours"
    assert made["SOMETHING_ELSE"] == "kept"
    assert made["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert not {"KILL_SWITCH", "APCA_API_KEY_ID", "ALPACA_SECRET_KEY_FILE"} & set(made)


def test_threads_are_not_needed(tmp_path: Path) -> None:
    """Output goes to a file: nothing is left behind in this process."""
    before = threading.active_count()
    process = python(tmp_path, "print('x' * 1_000_000)")
    assert process.join(Deadline(PATIENCE)) == 0
    assert threading.active_count() == before
    assert len(process.output()) == 1_000_001
