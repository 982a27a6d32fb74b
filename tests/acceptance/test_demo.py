"""`signalpaca demo` as a user runs it: a process, its output, its exit code."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.terminal import AtTerminal

PATIENCE = 60.0
DEMO = (sys.executable, "-m", "solution", "demo")


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*DEMO, *options], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def mine(folder: Path) -> list[str]:
    """Processes whose command line or directory is in the folder of one demo."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").resolve() == folder.resolve():
                found.append((entry / "cmdline").read_text())
    return found


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A long demo in `tmp_path/run`, trading."""
    command = [*DEMO, "--seconds", "60", "--keep", str(tmp_path / "run")]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if " published, " in line and not line.startswith("0 of"):
            break
    yield process
    process.kill()
    process.communicate(timeout=PATIENCE)


def test_every_signal_ends_exactly_once(tmp_path: Path) -> None:
    """Fifteen random ones, one published twice, one misspelt; the ledger is kept on request."""
    folder = tmp_path / "run"
    result = demo("--signals", "15", "--seconds", "1.5", "--keep", str(folder))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "✓ all 18 entries ended exactly once, none is pending" in result.stdout
    assert "18 published, 1 of them a second time" in result.stdout
    assert "dead letters  1: 1 UNKNOWN_FIELD" in result.stdout
    assert re.search(r"latency +p50 \d+\.\d ms", result.stdout)
    assert "✗" not in result.stdout.partition("signals  ")[2]
    assert (folder / "ledger.db").is_file()
    assert mine(folder) == []


def test_without_a_redis_server() -> None:
    """The stand-in carries it too, and the demo says which it was."""
    result = demo("--signals", "10", "--seconds", "1", "--redis", "fakeredis")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "fakeredis, a stand-in in memory" in result.stdout


def test_ctrl_c_ends_it_in_order(started: subprocess.Popen[str], tmp_path: Path) -> None:
    """With the summary, and nothing is left running."""
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=PATIENCE)
    assert started.returncode == 0, out + err
    assert "interrupted; counted is what was published" in out
    assert "ended exactly once, none is pending" in out
    assert mine(tmp_path / "run") == []


def test_a_service_that_dies_fails_the_demo(started: subprocess.Popen[str], tmp_path: Path) -> None:
    """One line, exit code 1, and the other programs are ended."""
    [pid] = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if f"--ppid-{started.pid}" == _ppid(entry) and "solution\0-w" in _command(entry)
    ]
    os.kill(pid, signal.SIGKILL)
    _, err = started.communicate(timeout=PATIENCE)
    assert started.returncode == 1
    assert "demo: service ended by itself (exit code -9)" in err
    assert str(tmp_path / "run") in err
    assert mine(tmp_path / "run") == []


def _ppid(entry: Path) -> str:
    with suppress(OSError):
        return f"--ppid-{(entry / 'stat').read_text().rpartition(')')[2].split()[1]}"
    return ""


def _command(entry: Path) -> str:
    with suppress(OSError):
        return (entry / "cmdline").read_text()
    return ""


def test_on_a_terminal_it_shows_the_screen_of_top(tmp_path: Path) -> None:
    """Positions and updates while it runs, then the summary on the screen of before."""
    plain = ("LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR")
    env = {name: value for name, value in os.environ.items() if name not in plain}
    env |= {"TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])}
    words = ("demo", "--signals", "6", "--seconds", "1")
    with AtTerminal(env, tmp_path, *words, size=(120, 40)) as person:
        assert person.wait() == 0
        live, _, after = person.text.partition("\x1b[?1049l")
        assert person.is_as_found
    assert "╭" in live
    assert "unrealised" in live
    assert "pending_new" in live
    assert "\x1b" not in after
    assert after.strip().startswith("redis      ")
    assert "✓ all 9 entries ended exactly once" in after
