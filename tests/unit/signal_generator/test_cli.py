"""Tests of signal_generator.cli."""

import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from click.testing import CliRunner

from signal_generator import app
from signal_generator.app import RunOptions
from signal_generator.cli import main

DEFAULTS = RunOptions(
    redis_url="redis://localhost:6379/0",
    stream="nvda",
    maxlen=None,
    connect_timeout=10.0,
    interval=1.0,
    count=None,
    always=False,
    as_json=False,
)

Call = tuple[Callable[[], Any], RunOptions, Sequence[str]]


@pytest.fixture
def produced(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[Callable[[], Any], RunOptions, Sequence[str]]]:
    """Record what would be run instead of running it; no REDIS_URL is set."""
    calls: list[tuple[Callable[[], Any], RunOptions, Sequence[str]]] = []
    monkeypatch.setattr(
        app, "produce", lambda draw, options, symbols: calls.append((draw, options, symbols))
    )
    monkeypatch.delenv("REDIS_URL", raising=False)
    return calls


def test_defaults(produced: list[Any]) -> None:
    """Without options: NVDA to `nvda` each second, at half a percent, in market hours."""
    result = CliRunner().invoke(main, ["random"])
    assert result.exit_code == 0
    draw, options, _ = produced[0]
    assert options == DEFAULTS
    signals = [fields for _ in range(100_000) if (fields := draw())]
    assert abs(len(signals) - 500) < 115
    assert {fields["Ticker"] for fields in signals} == {"NVDA"}
    assert {fields["Direction"] for fields in signals} == {"b", "s"}


def test_every_option_arrives(produced: list[Any]) -> None:
    """Each option reaches the place it is for."""
    line = (
        "random --probability 1 --symbols nvda,AAPL,NVDA --direction s --seed 3 --signal-ids"
        " --interval 0.5 --count 7 --always --redis-url redis://box --stream s1 --maxlen 50"
        " --connect-timeout 0 --json"
    )
    assert CliRunner().invoke(main, line.split()).exit_code == 0
    draw, options, _ = produced[0]
    assert options == RunOptions(
        redis_url="redis://box",
        stream="s1",
        maxlen=50,
        connect_timeout=0.0,
        interval=0.5,
        count=7,
        always=True,
        as_json=True,
    )
    drawn = [draw() for _ in range(50)]
    assert {fields["Ticker"] for fields in drawn} == {"NVDA", "AAPL"}
    assert {fields["Direction"] for fields in drawn} == {"s"}
    assert len({fields["signal_id"] for fields in drawn}) == 50


def test_redis_url_from_the_environment(produced: list[Any]) -> None:
    """REDIS_URL stands in for the option, which wins."""
    CliRunner().invoke(main, ["random"], env={"REDIS_URL": "redis://env"})
    CliRunner().invoke(
        main, ["random", "--redis-url", "redis://opt"], env={"REDIS_URL": "redis://env"}
    )
    assert [options.redis_url for _, options, _ in produced] == ["redis://env", "redis://opt"]


@pytest.mark.parametrize(
    "line",
    [
        "random --probability 1.1",
        "random --probability nan",
        "random --interval 0",
        "random --interval nan",
        "random --interval inf",
        "random --count 0",
        "random --maxlen 0",
        "random --connect-timeout -1",
        "random --symbols ,",
        "random --symbols NVDA;AAPL",
        "random --symbols NVDA,",
        "random --direction x",
        "random --seed half",
        "random --stream=",
        "random extra",
        "unknown",
    ],
)
def test_wrong_usage_exits_2(produced: list[Any], line: str) -> None:
    """Nothing runs, and the message names what is wrong."""
    result = CliRunner().invoke(main, line.split())
    assert result.exit_code == 2
    assert "Error:" in result.stderr
    assert produced == []


@pytest.mark.parametrize("symbol", ["BRK.B", "BTC/USD", "A"])
def test_symbols_with_punctuation(produced: list[Any], symbol: str) -> None:
    """Share classes and crypto pairs are symbols too."""
    result = CliRunner().invoke(main, ["random", "--symbols", symbol, "--probability", "1"])
    assert result.exit_code == 0
    assert produced[0][0]()["Ticker"] == symbol


def test_module_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m signal_generator --help` lists the command and exits 0."""
    monkeypatch.setattr(sys, "argv", ["signal_generator", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("signal_generator", run_name="__main__")
    assert caught.value.code == 0


def test_help_loads_nothing_heavy() -> None:
    """The command line itself costs neither a Redis client nor a data library."""
    code = (
        "import signal_generator.cli, sys; print({'redis', 'pandas', 'alpaca'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "set()"
