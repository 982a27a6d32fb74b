"""One program: how it is started, what it said, how it ends."""

import os
import stat
import threading
from pathlib import Path

import pytest

from signal_generator.launch.child import Child
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError
from tests.helpers.clocks import eventually


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Modules of this test are found."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "NO_PROXY": "mine"}


def module(folder: Path, code: str) -> list[str]:
    (folder / "a_program.py").write_text(code)
    return ["a_program", "words"]


def test_it_knows_whose_it_is_and_that_it_is_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    """Session of its own, no input, no proxy to this machine, nothing of the user's folder."""
    words = module(
        tmp_path,
        "import os, sys\nprint(sys.argv[1:], os.getsid(0) == os.getpid(), sys.stdin.read(),"
        " '' in sys.path, os.environ['NO_PROXY'], flush=True)\n",
    )
    log = tmp_path / "out"
    child = Child("program", words, environ, log)
    shown = child.await_line(r"(.+)\n", Deadline(20))
    assert shown == f"['--parent', '{os.getpid()}', 'words'] True  False mine,127.0.0.1,localhost"
    assert child.end(Deadline(20))
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('x\\nconfiguration: A is wrong\\n\\n')", "A is wrong"),
        ("print('signalpaca stops: no broker\\nlate line')", "no broker"),
        ("print('first\\nlast')", "last"),
        ("pass", "it said nothing"),
    ],
)
def test_its_last_words_say_why(
    code: str, said: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    """The line with the refusal, without what stands before it; else the last one."""
    child = Child("program", module(tmp_path, code), environ, tmp_path / "out")
    with pytest.raises(LaunchError, match=rf"^the program did not start: {said}$"):
        child.await_line("never", Deadline(20))


def test_it_is_not_waited_for_for_ever(tmp_path: Path, environ: dict[str, str]) -> None:
    """Nor is one that does not end when asked: it is killed, and what it started in its group."""
    words = module(
        tmp_path,
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(other.pid, flush=True)\nsignal.pause()\n",
    )
    child = Child("program", words, environ, tmp_path / "out")
    other = int(child.await_line(r"(\d+)\n", Deadline(20)))
    with pytest.raises(LaunchError, match="is not ready in time"):
        child.await_line("never", Deadline(0))
    child.terminate()
    assert not child.end(Deadline(0.1))
    assert child.code == -9
    assert eventually(lambda: not is_alive(other))


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_wait_can_be_given_up(tmp_path: Path, environ: dict[str, str]) -> None:
    """By the user's own stop flag."""
    stop = threading.Event()
    stop.set()
    child = Child("program", module(tmp_path, "input()"), environ, tmp_path / "out")
    try:
        with pytest.raises(LaunchError, match="stopped before everything had started"):
            child.await_line("never", Deadline(20, stop))
    finally:
        child.end(Deadline(20))
