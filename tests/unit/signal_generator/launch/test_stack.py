"""What is started, in which order it ends, and what happens in between."""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from signal_generator.launch import LaunchError, Stack, StackOptions, redis_server, service
from signal_generator.launch import account as accounts
from signal_generator.launch.account import Account
from signal_generator.launch.service import Running
from tests.unit.signal_generator.launch.conftest import Programs

Make = Callable[..., Stack]
READY: Mapping[str, Any] = {"redis": {"connected": True}, "pid": 4711}


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def found() -> list[Running]:
    """The instances of the group before ours starts."""
    return []


@pytest.fixture
def make(
    programs: Programs,
    told: list[str],
    found: list[Running],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Make:
    """Makes stacks whose programs are fakes and whose broker and Redis answer at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(accounts, "ask", lambda *_: Account("id-1", "PA1"))
    monkeypatch.setattr(redis_server, "existing", lambda _: "")
    monkeypatch.setattr(redis_server, "now_ms", lambda _: 1_795_203_598_442)

    def find(_url: str, _group: str) -> list[Running]:
        ready = [Running("ours", READY)] if "service" in programs.made else []
        return found or ready

    monkeypatch.setattr(service, "find", find)

    def stack(**changes: Any) -> Stack:
        values: dict[str, Any] = {
            "api_key": "PKKEY",
            "secret_key": "s3cret",
            "tickers": ("NVDA",),
            "environ": {"SIGNALPACA_HOME": str(tmp_path / "home")},
        }
        return Stack(StackOptions(**values | changes), told.append, spawn=programs)

    return stack


def test_the_service_ends_before_what_it_needs(make: Make, programs: Programs) -> None:
    """It and the display first; then the broker it told its last orders to, and its Redis."""
    with make(use_alpaca=False, live_display=True) as at:
        assert at.service_is_ours
        assert at.stream.startswith("blocks-simulated-")
    assert programs.diary == [
        *("start simulator", "start Redis", "start service", "start display"),
        *("terminate service", "terminate display", "end service", "end display"),
        *("terminate simulator", "terminate Redis", "end simulator", "end Redis"),
    ]


def test_the_service_alone_can_be_ended(make: Make, programs: Programs) -> None:
    """What it told last is read from Redis, which is stopped with the rest. That is no trouble."""
    stack = make(use_alpaca=False)
    stack.start()
    stack.stop_service()
    assert programs.diary[-1] == "end service"
    assert set(stack.processes) == {"simulator", "Redis"}
    assert stack.trouble() == ""
    stack.stop()
    assert programs.diary[-1] == "end Redis"


def test_a_renewed_service_is_told_to_send_nothing_older(make: Make, programs: Programs) -> None:
    """The same settings, and Redis and display as they were."""
    stack = make(use_alpaca=False)
    stack.start()
    before = dict(programs.environ["service"])
    programs.environ.clear()
    assert stack.renew_service()
    assert programs.diary[-3:] == ["terminate service", "end service", "start service"]
    assert dict(programs.environ["service"]) == before
    assert "SIGNALS_NOT_BEFORE" in before
    stack.stop()
    assert "end service" in programs.diary[-6:]


def test_anothers_service_is_not_renewed(make: Make, found: list[Running]) -> None:
    """It is used as it is."""
    shown = {"redis": {"connected": True}, "streams": ["blocks"]}
    found.append(Running("theirs", shown))
    stack = make(
        environ={"CONSUMER_GROUP": "mine", "SIGNALPACA_HOME": "home", "REDIS_URL": "redis://x"}
    )
    stack.start()
    assert not stack.renew_service()
    stack.stop()


def test_a_second_stop_does_nothing(make: Make, programs: Programs) -> None:
    """As after a context that was left, when the interpreter ends."""
    stack = make()
    stack.start()
    stack.stop()
    before = list(programs.diary)
    stack.stop()
    assert programs.diary == before
    assert not stack.processes


def test_nothing_is_stopped_that_never_started(make: Make, programs: Programs) -> None:
    make().stop()
    assert not programs.diary


def test_a_start_that_fails_ends_what_it_began(make: Make, programs: Programs) -> None:
    """And the signal's handler is again what it was."""
    del programs.says["Redis"]
    stack = make(use_alpaca=False)
    with pytest.raises(LaunchError, match=r"^the Redis did not start: no more$"):
        stack.start()
    assert programs.diary[-2:] == ["end simulator", "end Redis"]
    assert not stack.processes
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_interrupted_stop_goes_on_where_it_was(make: Make, programs: Programs) -> None:
    """A second Ctrl-C: what had not ended yet ends when stop() is called again."""
    stack = make()
    stack.start()
    programs.made["service"].interrupt = True
    with pytest.raises(KeyboardInterrupt):
        stack.stop()
    stack.stop()
    assert programs.diary.count("end service") == 1
    assert programs.diary[-1] == "end Redis"


def test_sigterm_leaves_through_the_front_door(make: Make, programs: Programs) -> None:
    """As an exception, which ends the context; afterwards SIGTERM is what it was."""
    with pytest.raises(SystemExit) as left, make():
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == 143
    assert programs.diary[-1] == "end Redis"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_users_own_stays(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has one decides by himself when to stop."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with make():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_fork_stops_nothing_of_its_parents(
    make: Make, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker process of the strategy's runs the same `atexit` as the strategy."""
    stack = make()
    stack.start()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        stack.stop()
    assert "terminate service" not in programs.diary
    stack.stop()


def test_a_program_that_ended_by_itself_is_told(make: Make, programs: Programs) -> None:
    """But not a display: that somebody has closed it is no trouble."""
    with (stack := make(live_display=True)) as _:
        programs.made["display"].code = 0
        assert stack.trouble() == ""
        programs.made["service"].code = 1
        assert stack.trouble() == "the service has ended by itself: no more"


def test_one_that_runs_is_used_and_not_stopped(
    make: Make, programs: Programs, found: list[Running], told: list[str]
) -> None:
    """Its own stream of executions is read; a warning says what does not apply."""
    names = {"CONSUMER_GROUP": "mine"}
    theirs = {**READY, "pid": 1, "streams": ["blocks"], "executions": "told"}
    found.append(Running("host:1", theirs))
    with (stack := make(environ={**names, "SIGNALPACA_HOME": "home"})) as at:
        assert (at.service_is_ours, at.stream, at.executions_stream) == (False, "blocks", "told")
        assert stack.trouble() == ""
        found.clear()
        assert [bool(stack.trouble()) for _ in range(2)] == [False, True]
    assert "start service" not in programs.diary
    assert told[-1].startswith("warning: host:1 executes already for mine")


def test_of_two_that_start_at_once_the_faster_one_serves_both(
    make: Make, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours would be its standby and never get ready."""
    group = []

    def find(_url: str, name: str) -> list[Running]:
        group.append(name)
        other = Running("host:1", {**READY, "pid": 1, "streams": [name]})
        return [other] if len(group) > 1 else []

    monkeypatch.setattr(service, "find", find)
    with make() as at:
        assert not at.service_is_ours
        assert "end service" in programs.diary


def test_a_start_can_be_given_up(
    make: Make, programs: Programs, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever turned Ctrl-C into a flag: it may wait for a minute."""
    monkeypatch.setattr(service, "find", lambda *_: [])
    stop = threading.Event()
    stop.set()
    options = make()._options
    with pytest.raises(LaunchError, match=r"^stopped before everything had started$"):
        Stack(options, told.append, stop=stop, spawn=programs).start()
    assert programs.diary[-1] == "end Redis"


def test_a_simulated_run_that_went_well_leaves_nothing(
    make: Make, programs: Programs, tmp_path: Path, told: list[str]
) -> None:
    """One that did not leaves its logs, and says where."""
    with make(use_alpaca=False):
        assert list(tmp_path.glob("signalpaca-simulator-*"))
    assert not list(tmp_path.glob("signalpaca-simulator-*"))
    programs.made.clear()
    with make(use_alpaca=False):
        programs.made["service"].exit_code = 1
    [folder] = tmp_path.glob("signalpaca-simulator-*")
    assert told[-1] == f"the logs of the simulated run are in {folder}"


def test_the_keys_are_on_no_command_line(make: Make, programs: Programs) -> None:
    """The service has them in its environment, and nobody else has them."""
    with make(live_display=True):
        pass
    assert not [name for name, words in programs.words.items() if "s3cret" in " ".join(words)]
    assert [n for n, env in programs.environ.items() if "s3cret" in env.values()] == ["service"]


def test_a_stack_starts_once(make: Make) -> None:
    with (stack := make()) as _, pytest.raises(RuntimeError, match="once"):
        stack.start()
