"""Failpoints: nothing when unarmed, the asked-for hit when armed, refused near a live host."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from solution import failpoints
from solution.config import load_settings
from solution.errors import ConfigError
from torture.plan import POINTS, RARE, UPGRADE
from torture.simulation import points

SOURCE = Path(failpoints.__file__).parent


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Nothing stays armed behind a test."""
    yield
    failpoints.disarm()


def test_an_unarmed_point_does_nothing() -> None:
    """Also one whose neighbour is armed."""
    failpoints.hit("submit.row_durable")
    failpoints.arm(failpoints.parse("submit.before_row=raise"))
    failpoints.hit("submit.row_durable")


def test_exactly_the_asked_for_hit_strikes() -> None:
    """The third, and none after it."""
    failpoints.arm(failpoints.parse("submit.row_durable=raise:3"))
    failpoints.hit("submit.row_durable")
    failpoints.hit("submit.row_durable")
    with pytest.raises(failpoints.Crash, match=r"submit\.row_durable, hit 3"):
        failpoints.hit("submit.row_durable")
    failpoints.hit("submit.row_durable")


def test_a_rule_about_something_counts_nothing_else() -> None:
    """Only hits that name it."""
    failpoints.arm(failpoints.parse("pipeline.taken~id:poison=raise:2"))
    for about in ("nvda|id:one", "nvda|id:poison-1", "nvda|id:two"):
        failpoints.hit("pipeline.taken", about)
    with pytest.raises(failpoints.Crash):
        failpoints.hit("pipeline.taken", "nvda|id:poison-1")


def test_no_except_exception_stops_a_crash() -> None:
    """It stands in for kill -9."""
    assert not issubclass(failpoints.Crash, Exception)


def test_a_pause_waits_and_goes_on() -> None:
    """At least so long."""
    failpoints.arm(failpoints.parse("outbox.sent=pause:0.05"))
    began = time.monotonic()
    failpoints.hit("outbox.sent")
    assert time.monotonic() - began >= 0.05


def test_kill_is_sigkill_to_this_process() -> None:
    """No handler, no exit code of its own; one line says where."""
    program = (
        "from solution import failpoints as f; f.arm(f.parse('a.b=kill:2'));"
        "f.hit('a.b'); print('one', flush=True); f.hit('a.b'); print('two', flush=True)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == b"one\n"
    assert b"failpoint a.b: kill" in ended.stderr


@pytest.mark.parametrize(
    "text", ["submit.row_durable", "x=kill", "a.b=kill:0", "a.b=pause", "a.b=no"]
)
def test_what_is_no_rule_is_named(text: str) -> None:
    """With the text and an example."""
    with pytest.raises(ValueError, match="is no rule such as"):
        failpoints.parse(f"c.d=kill;{text}")


# --- the setting --------------------------------------------------------------------------

LOCAL = {
    "ALPACA_API_KEY": "KEY",
    "ALPACA_SECRET_KEY": "SECRET",
    "ALPACA_TRADING_URL": "http://127.0.0.1:9000",
    "ALPACA_DATA_URL": "http://localhost:9000",
}
ARMED = {"SIGNALPACA_FAILPOINTS": "submit.row_durable=kill:3"}


def test_a_start_on_this_machine_may_be_armed() -> None:
    """The rules stand in the settings; without the variable there are none."""
    settings = load_settings(environ={**LOCAL, **ARMED}, env_file=None)
    assert [(rule.name, rule.action, rule.nth) for rule in settings.failpoints] == [
        ("submit.row_durable", "kill", 3)
    ]
    assert load_settings(environ=LOCAL, env_file=None).failpoints == ()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("ALPACA_TRADING_URL", "https://paper-api.alpaca.markets"),
        ("ALPACA_TRADING_URL", "http://10.0.0.7:9000"),
        ("ALPACA_DATA_URL", "https://data.alpaca.markets"),
        ("ALPACA_STREAM_URL", "ws://10.0.0.7:9000/stream"),
        ("ALPACA_TRADING_URL", ""),
    ],
)
def test_an_armed_start_near_any_other_host_is_refused(name: str, url: str) -> None:
    """In one sentence that names the address."""
    with pytest.raises(ConfigError, match="is not on this machine; unset it") as caught:
        load_settings(environ={**LOCAL, **ARMED, name: url}, env_file=None)
    assert "\n" not in str(caught.value)


def test_a_rule_that_cannot_be_read_stops_the_start() -> None:
    """Armed wrongly is not armed."""
    with pytest.raises(ConfigError, match="SIGNALPACA_FAILPOINTS: 'nonsense' is no rule"):
        load_settings(environ={**LOCAL, "SIGNALPACA_FAILPOINTS": "nonsense"}, env_file=None)


def test_the_setting_stands_in_no_reference() -> None:
    """Nobody is to find it who does not look for it."""
    assert "FAILPOINTS" not in (SOURCE.parent / ".env.example").read_text()


def test_every_point_is_planned_and_every_planned_one_exists() -> None:
    """One that no plan names is never killed at; one that nobody hits kills nothing."""
    assert {*POINTS, *RARE, UPGRADE} == set(points.names())


def test_no_point_is_overlooked() -> None:
    """The grid goes by the names found in the source: as many as there are calls."""
    calls = sum(path.read_text().count("failpoints.hit(") for path in SOURCE.rglob("*.py"))
    assert len(points.names()) == calls == 63


@pytest.mark.parametrize("call", ['"a.b" if x else "c.d"', "name", 'f"a.{b}"', '"a"'])
def test_a_point_without_a_plain_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The search goes by the text, so it must be able to read it."""
    (tmp_path / "module.py").write_text(f'failpoints.hit("x.y")\nfailpoints.hit({call})\n')
    monkeypatch.setattr("solution.__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ValueError, match=r"module\.py"):
        points.names()
