"""The demo's programs: how they are called, and that nothing is left behind."""

from contextlib import closing
from pathlib import Path

import pytest

from solution.config import load_settings
from solution.demo import stack as stack_module
from solution.demo.processes import DemoError
from solution.demo.redis_server import choose
from solution.demo.stack import Plan, Stack
from solution.redis_client import make_client
from tests.helpers.clocks import eventually


def plan(signals: int = 90, seconds: float = 30.0) -> Plan:
    """A plan with the usual seed."""
    return Plan(signals=signals, seconds=seconds, seed=7, workers=2)


@pytest.mark.parametrize(
    ("signals", "seconds", "limit"),
    [(90, 30, 200), (15, 1, 200), (180, 60, 200), (500, 10, 4500), (10_000, 3000, 300)],
)
def test_alpacas_limit_is_kept_where_it_suffices(signals: int, seconds: float, limit: int) -> None:
    """Else it is raised, for a minute at least as long as the signals come."""
    assert plan(signals, seconds).limit == limit


def test_the_services_settings_are_valid(tmp_path: Path) -> None:
    """Local, paper, nothing of the user's."""
    one = Stack(choose(), plan(), tmp_path)
    one.exchange_url = "http://127.0.0.1:1"
    one.redis = type("R", (), {"url": "redis://127.0.0.1:1/0"})()  # type: ignore[assignment]
    settings = load_settings(environ=one.settings(), env_file=None)
    assert settings.warnings == ()
    assert settings.ledger.path == tmp_path / "ledger.db"
    assert settings.redis.streams == (stack_module.STREAM,)


@pytest.mark.parametrize(
    ("signals", "seconds", "interval", "probability"),
    [(90, 30.0, "0.050000", "0.150000"), (5000, 10.0, "0.001000", "0.500000")],
)
def test_the_generators_pace(
    tmp_path: Path, signals: int, seconds: float, interval: str, probability: str
) -> None:
    """Draws per second times probability is the rate; slower than its finest interval never."""
    one = Stack(choose(), plan(signals, seconds), tmp_path)
    one.redis = type("R", (), {"url": "redis://127.0.0.1:1/0"})()  # type: ignore[assignment]
    words = list(one._generator_command())
    assert words[words.index("--interval") + 1] == interval
    assert words[words.index("--probability") + 1] == probability
    assert words[words.index("--count") + 1] == str(signals)


def test_all_programs_run_and_all_are_ended(tmp_path: Path) -> None:
    """Also when something fails in between."""
    with pytest.raises(ZeroDivisionError), Stack(choose(), plan(), tmp_path) as one:
        with closing(make_client(one.redis.url)) as client:
            assert eventually(lambda: one.is_ready(client), 20.0)
        running = list(one._started)
        assert [process.code for process in running] == [None, None, None]
        raise ZeroDivisionError
    assert all(process.code is not None for process in running)


def test_a_start_that_fails_ends_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange is up when Redis is found to be missing."""
    one = Stack(choose(), plan(), tmp_path)

    def broken(*_: object) -> None:
        raise DemoError("no Redis")

    monkeypatch.setattr(stack_module, "start", broken)
    with pytest.raises(DemoError, match="no Redis"):
        one.__enter__()
    assert [process.code is None for process in one._started] == [False]


def test_a_program_that_ended_by_itself_is_named(tmp_path: Path) -> None:
    """With its exit code."""
    with Stack(choose(), plan(), tmp_path) as one:
        one.check_alive()
        one._started[0].terminate()
        one._started[0]._process.wait(5)
        with pytest.raises(DemoError, match=r"exchange ended by itself \(exit code -?\d+\)"):
            one.check_alive()
