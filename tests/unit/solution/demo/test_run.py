"""The demo's own decisions; whole runs are in tests/acceptance/test_demo.py."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from solution.demo import run as run_module
from solution.demo.processes import DemoError
from solution.demo.run import Options, _Demo, _Extras, run_demo
from solution.demo.stack import STREAM, Plan
from solution.redis_client import make_client
from tests.helpers.redis_server import RedisServer

PLAN = Plan(signals=5, seconds=1.0, seed=7, workers=2)


def test_the_two_extra_signals(redis_server: RedisServer) -> None:
    """One twice under one id, one misspelt; each once, however often it is asked for."""
    client = make_client(redis_server.url)
    extras = _Extras(client)
    for _ in range(2):
        extras.twice(7)
        extras.typo()
    entries = [fields for _, fields in client.xrange(STREAM)]
    client.close()
    assert entries[0] == entries[1]
    assert entries[0][b"signal_id"] == b"demo-7"
    assert b"tikcer" in entries[2]
    assert len(entries) == 3


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """A former run's ledger must not be mixed in."""
    (tmp_path / "ledger.db").touch()
    with pytest.raises(DemoError, match="is not empty"):
        run_demo(Options(plan=PLAN, keep=tmp_path))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """One line."""
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match="file/deep"):
        run_demo(Options(plan=PLAN, keep=tmp_path / "file" / "deep"))


@pytest.mark.parametrize(("code", "kept"), [(0, False), (1, True)])
def test_the_folder_goes_unless_something_was_wrong(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    kept: bool,
) -> None:
    """Then its path is told."""
    seen: list[Any] = []

    class Short:
        def __init__(self, _options: Options, folder: Path) -> None:
            seen.append(folder)

        def run(self) -> int:
            return code

    monkeypatch.setattr(run_module, "_Demo", Short)
    assert run_demo(Options(plan=PLAN)) == code
    assert seen[0].exists() is kept
    assert (str(seen[0]) in capsys.readouterr().err) is kept
    if kept:
        seen[0].rmdir()


def test_the_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """And the handlers of before are put back."""
    before = signal.getsignal(signal.SIGTERM)
    demo = _Demo(Options(plan=PLAN), tmp_path)
    with pytest.raises(KeyboardInterrupt), demo._signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert demo._interrupted
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before
