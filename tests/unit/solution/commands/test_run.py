"""Running the service: exit codes, and what a signal does."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import click
import pytest

from solution import app, logs
from solution.commands import run
from solution.errors import ConfigError, LedgerError, StartupError
from tests.helpers.clocks import eventually
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The test run's own signal handlers come back."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(-1)
    yield
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)


class Logs:
    """Logging that only knows whether it was stopped."""

    stopped = 0

    def stop(self) -> None:
        """Count, and write what was still waiting."""
        Logs.stopped += 1
        click.echo("the log's last line", err=True)


@pytest.fixture
def trader(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A service that raises what the test puts in; with a True it waits for the stop."""
    plan: list[Any] = []

    class Trader:
        def __init__(self, settings: Any, stop: threading.Event) -> None:
            self.stop = stop

        def run(self) -> None:
            for step in plan:
                if isinstance(step, Exception):
                    raise step
                os.kill(os.getpid(), signal.SIGTERM)
                assert self.stop.wait(5.0)

    monkeypatch.setattr(app, "Trader", Trader)
    monkeypatch.setattr(logs, "setup_logging", lambda *_: Logs())
    return plan


def started(shell: Shell, monkeypatch: pytest.MonkeyPatch, **env: str) -> int:
    """The exit code of the service with this environment."""
    for name, value in (shell.env | env).items():
        monkeypatch.setenv(name, value)
    return run.run_service({})


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("SIZING=x"), 2, "configuration: SIZING=x\n"),
        (StartupError("no Redis"), 1, "signalpaca stops: no Redis\n"),
        (LedgerError("disk full"), 1, "signalpaca stops: disk full\n"),
    ],
)
def test_every_failure_is_one_line_and_its_exit_code(
    shell: Shell,
    trader: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    said: str,
) -> None:
    """And logging is stopped in any case, before it: what ended the service is told last."""
    trader.append(error)
    before = Logs.stopped
    assert started(shell, monkeypatch) == code
    banner, *rest = capsys.readouterr().err.splitlines(keepends=True)
    assert banner.startswith("signalpaca ")
    assert "".join(rest) == f"the log's last line\n{said}"
    assert Logs.stopped == before + 1


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "· local exchange · http://127.0.0.1:1 · group solution"),
        ({"DRY_RUN": "true"}, "· dry-run (no order is sent) · "),
        ({"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}, "· LIVE (REAL MONEY) · "),
    ],
)
def test_the_banner_names_the_mode(
    shell: Shell,
    trader: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    env: dict[str, str],
    said: str,
) -> None:
    """Before anything else is said."""
    assert started(shell, monkeypatch, **env) == 0
    assert said in capsys.readouterr().err.splitlines()[0]


def test_a_signal_stops_it_in_order(
    shell: Shell, trader: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM sets the stop; the end is a success."""
    trader.append(True)
    assert started(shell, monkeypatch) == 0


def test_warnings_are_told(
    shell: Shell,
    trader: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A near miss of a setting's name."""
    assert started(shell, monkeypatch, WORKRES="3") == 0
    assert "warning: " in capsys.readouterr().err


@pytest.mark.parametrize("env", [{"WORKERS": "x"}, {"ALPACA_API_KEY": ""}])
def test_wrong_settings_end_before_anything_starts(
    shell: Shell,
    trader: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    env: dict[str, str],
) -> None:
    """Exit code 2."""
    trader.append(StartupError("must not start"))
    assert started(shell, monkeypatch, **env) == 2
    assert capsys.readouterr().err.startswith("configuration: ")


def test_a_log_directory_that_cannot_be_written(
    shell: Shell,
    trader: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2: it is a setting."""

    def refused(*_: object) -> None:
        raise ConfigError("LOG_DIR='/' cannot be written")

    monkeypatch.setattr(logs, "setup_logging", refused)
    assert started(shell, monkeypatch) == 2
    assert "LOG_DIR" in capsys.readouterr().err


def test_the_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging stop must not need SIGKILL."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    stop = threading.Event()
    run._install(stop)
    os.kill(os.getpid(), signal.SIGINT)
    assert eventually(stop.is_set)
    assert ended == []
    os.kill(os.getpid(), signal.SIGINT)
    assert eventually(lambda: ended == [1])


def test_a_signal_while_the_main_thread_starts_another() -> None:
    """The service's start is such a moment: what stops it may need no lock of the main thread.

    A handler that started a thread of its own hung here for ever, and the signal was lost.
    """
    stop = threading.Event()
    run._install(stop)
    with threading._active_limbo_lock:  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGTERM)
        assert eventually(stop.is_set)


def test_another_signal_is_not_a_stop() -> None:
    """A handler that a sizing function installs, say."""
    stop = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        run._install(stop)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not stop.wait(0.1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_leaving_although_a_thread_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exit code, after what was written is flushed."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    run.exit_with(3)
    assert ended == [3]
