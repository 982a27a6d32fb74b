"""The start's patience, who else is alive, and where a sizing function is looked for."""

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from solution import startup
from solution.config import load_settings
from solution.errors import NoBudget, RateLimited, StartupError, Unauthorized
from solution.redis_client import make_client
from tests.helpers.redis_server import free_port


class Scripted:
    """Raises what it is given, one a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


class Waits:
    """Stands in for the stop event: remembers the pauses, waits for none."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def is_set(self) -> bool:
        return False


def test_a_start_waits_for_the_budget_that_its_predecessor_used() -> None:
    """HTTP 429 and an empty budget are answers to wait for, not reasons to give up."""
    call = Scripted(RateLimited("slow down", retry_after=7.0), NoBudget("none"))
    waits: Any = Waits()
    assert startup.patiently(call, waits) == "answer"
    assert call.calls == 3
    assert waits.pauses == [7.0, 1.0]


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ("mine", "its lock file .*deleted; it ends at its next order: start again then"),
        ("another", "already serves group solution with ledger another"),
    ],
)
def test_another_living_instance_stops_the_start(
    ledger: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be done depends on whose ledger it trades on."""
    settings = load_settings(
        environ={
            "ALPACA_API_KEY": "K",
            "ALPACA_SECRET_KEY": "S",
            "LEDGER_URL": f"sqlite:///{tmp_path}/l.db",
        },
        env_file=None,
    )
    mine = startup.ledger_name(settings)
    other = {
        "ledger": mine if ledger == "mine" else ledger,
        "host": socket.gethostname(),
        "pid": os.getppid(),
    }
    monkeypatch.setattr(startup, "read_plausible", lambda _client, _group: ({"a": other}, ()))
    server: Any = fakeredis.FakeRedis()
    with pytest.raises(StartupError, match=words):
        startup.check_redis(lambda: server, settings)
    other["ledger"], other["host"] = mine, "elsewhere"
    startup.check_redis(lambda: server, settings)  # dead, and not forgotten yet


def test_other_errors_end_the_start_at_once() -> None:
    """Wrong keys do not become right by waiting."""
    call = Scripted(Unauthorized(401, 0, "unauthorized."))
    with pytest.raises(Unauthorized):
        startup.patiently(call, threading.Event())
    assert call.calls == 1


def test_a_stop_ends_the_wait() -> None:
    """SIGTERM while the start waits for a slot."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(NoBudget):
        startup.patiently(Scripted(NoBudget("none")), stop)


def test_a_wait_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that never comes is a broker that does not answer."""
    monkeypatch.setattr(startup, "BUDGET_WITHIN", 0.0)
    with pytest.raises(NoBudget):
        startup.patiently(Scripted(NoBudget("none")), threading.Event())


@pytest.mark.parametrize(
    ("other", "alive"),
    [
        ({"host": socket.gethostname(), "pid": os.getppid()}, True),
        ({"host": socket.gethostname(), "pid": os.getpid()}, False),  # a container's pid 1 again
        ({"host": socket.gethostname(), "pid": 2**22 + 1}, False),
        ({"host": "elsewhere", "pid": os.getppid()}, False),
        ({}, False),
    ],
)
def test_which_instance_is_alive_here(other: dict[str, Any], alive: bool) -> None:
    """Only a process of this machine can be asked."""
    assert startup._runs_here(other) is alive


def test_a_sizing_function_is_found_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console script `signalpaca` does not have it on its path, as `python -m` does."""
    (tmp_path / "sizing_of_mine.py").write_text("def one_share(*_):\n    return 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in {"", str(tmp_path)}])
    settings = load_settings(environ={"SIZING": "sizing_of_mine:one_share"}, env_file=None)
    custom: Any = startup.sizing_rules(settings).custom
    assert custom(None, None, None) == 1


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({}, "paper"),
        ({"ALPACA_TRADING_URL": "http://127.0.0.1:1"}, "local exchange"),
        ({"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}, "live"),
        (
            {
                "ALPACA_PAPER": "false",
                "ALLOW_LIVE_TRADING": "true",
                "ALPACA_TRADING_URL": "http://127.0.0.1:1",
            },
            "live",
        ),
        ({"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true", "DRY_RUN": "true"}, "dry-run"),
    ],
)
def test_the_mode_in_one_word(environ: dict[str, str], mode: str) -> None:
    """Real money is what ALPACA_PAPER says, at whichever host; a dry run is one everywhere."""
    assert startup.mode_of(load_settings(environ=environ, env_file=None)) == mode


@pytest.mark.parametrize(
    ("beside", "dry_run", "mode"),
    [
        ({"mode": "paper", "streams": ["nvda"]}, "true", "shadow"),
        ({"mode": "live", "streams": ["nvda"]}, "true", "shadow"),
        ({"mode": "paper", "streams": ["other"]}, "true", "dry-run"),
        ({"mode": "shadow", "streams": ["nvda"]}, "true", "dry-run"),
        ({"mode": "dry-run", "streams": ["nvda"]}, "true", "dry-run"),
        ({"mode": "paper", "streams": ["nvda"]}, "false", "paper"),
    ],
)
def test_a_dry_run_beside_the_real_service_is_its_shadow(
    beside: dict[str, Any], dry_run: str, mode: str
) -> None:
    """Of the same stream, and only beside one that sends orders."""
    server: Any = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    server.set("signalpaca:solution:one", json.dumps(beside))
    settings = load_settings(environ={"DRY_RUN": dry_run}, env_file=None)
    assert startup.mode_beside(lambda: server, settings) == mode


def test_the_mode_is_not_guessed_without_redis() -> None:
    """One line, as for the other questions of the start."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    settings = load_settings(environ={"DRY_RUN": "true"}, env_file=None)
    with pytest.raises(StartupError, match="does not answer"):
        startup.mode_beside(lambda: make_client(url), settings)
