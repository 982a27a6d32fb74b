"""Tests of signal_generator.cli_run and cli_sma: options in, one value out."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from signal_generator import Strategy, cli_run, cli_sma
from signal_generator.bars import Timeframe
from signal_generator.cli import main
from signal_generator.hosts import running
from signal_generator.hosts.running import HostOptions
from signal_generator.sma_crossover import SmaCrossover
from tests.helpers.strategy_hosts import DAY_OF_BARS

DEFAULTS = HostOptions(
    redis_url="redis://localhost:6379/0",
    stream="nvda",
    maxlen=None,
    connect_timeout=10.0,
    as_json=False,
    hmac_key_file=None,
    symbols=(),
    timeframe=Timeframe.MINUTE,
    executions="executions",
    take_over=False,
    stamp=True,
    bars=(),
    publish=False,
    broker_clock=None,
)
VARIABLES = (
    *("REDIS_URL", "SYMBOLS", "BAR_TIMEFRAME", "SMA_FAST", "SMA_SLOW", "EXECUTIONS_STREAM"),
    *("SIGNAL_HMAC_KEY", "SIGNAL_HMAC_KEY_FILE"),
)

Call = tuple[Sequence[tuple[str, Strategy]], HostOptions]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What would be run; nothing is set in the environment."""
    calls: list[Call] = []
    for module in (cli_run, cli_sma):
        monkeypatch.setattr(module, "run", lambda found, options: calls.append((found, options)))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return calls


def invoke(line: str, env: dict[str, str] | None = None) -> Result:
    """One command line."""
    return CliRunner().invoke(main, line.split(), env=env)


def test_defaults(called: list[Call]) -> None:
    """Any strategy by its place; minute bars of the live market to `nvda`."""
    assert invoke("run signal_generator.sma_crossover:SmaCrossover").exit_code == 0
    [([(name, strategy)], options)] = called
    assert (name, type(strategy), options) == ("sma", SmaCrossover, DEFAULTS)


def test_every_option_arrives(called: list[Call]) -> None:
    """Each at its place."""
    line = (
        "sma --fast 3 --slow 7 --symbols tsla,F --timeframe 15Min --executions e --bars a --bars b"
        " --publish --take-over --no-stamp --broker-clock 2.5 --redis-url redis://box --stream s"
        " --maxlen 9 --connect-timeout 1 --hmac-key-file k --json"
    )
    assert invoke(line).exit_code == 0
    [([(name, strategy)], options)] = called
    assert (name, strategy.required_history()) == ("sma", 9)
    assert options == HostOptions(
        redis_url="redis://box",
        stream="s",
        maxlen=9,
        connect_timeout=1.0,
        as_json=True,
        hmac_key_file="k",
        symbols=("TSLA", "F"),
        timeframe=Timeframe.QUARTER,
        executions="e",
        take_over=True,
        stamp=False,
        bars=("a", "b"),
        publish=True,
        broker_clock=2.5,
    )


def test_the_names_of_alpaca_fleece(called: list[Call]) -> None:
    """Its environment is understood as it is."""
    env = {"SYMBOLS": "AAPL,MSFT", "BAR_TIMEFRAME": "1Hour", "SMA_FAST": "5", "SMA_SLOW": "20"}
    assert invoke("sma", env).exit_code == 0
    [([(_, strategy)], options)] = called
    assert strategy.required_history() == 22
    assert (options.symbols, options.timeframe) == (("AAPL", "MSFT"), Timeframe.HOUR)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sma --fast 30 --slow 10", "--fast must be less than --slow: 30 is not less than 10"),
        ("sma --fast 0", "0 is not in the range"),
        ("sma --timeframe 2Min", "'2Min' is none of 1Min, 5Min, 15Min, 1Hour, 1Day"),
        ("sma --symbols NV$DA", "'NV$DA' is not a symbol such as"),
        ("sma --publish", "--publish is for --bars"),
        ("sma --stream executions", "--stream are both 'executions': what becomes of signals"),
        ("sma --executions nvda", "--executions (or EXECUTIONS_STREAM) and --stream are both 'nvd"),
        ("sma --stream=", "a stream needs a name"),
        ("sma --executions=", "a stream needs a name"),
        ("run", "Missing argument"),
        ("run nothing", "'nothing' is neither module:Class nor"),
        ("other", "No such command 'other'"),
    ],
)
def test_one_sentence_names_what_is_wrong(called: list[Call], line: str, said: str) -> None:
    """Exit code 2."""
    result = invoke(line)
    assert (result.exit_code, called) == (2, [])
    assert said in result.output


@pytest.mark.parametrize(
    ("line", "env", "said"),
    [
        ("sma", {}, "sma names no symbols: give --symbols"),
        ("sma --symbols F --bars no-such.csv", {}, "no-such.csv"),
        ("sma --symbols F", {}, "ALPACA_API_KEY is not set"),
        ("sma --symbols F", {"EXECUTIONS_STREAM": "nvda"}, "--stream are both 'nvda'"),
        ("sma --symbols F", {"STREAM_FEED": "otc"}, "STREAM_FEED must be iex or sip, not 'otc'"),
        ("sma --symbols F --bars DAY --publish --redis-url http://x", {}, "not a usable Redis"),
    ],
)
def test_settings_that_cannot_be_used(
    line: str, env: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before anything is started, exit code 2."""
    for name in (*VARIABLES, "ALPACA_API_KEY", "APCA_API_KEY_ID", "STREAM_FEED", "DATA_FEED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(running, "_log_to_stderr", lambda: None)
    result = invoke(line.replace("DAY", str(DAY_OF_BARS)), env)
    assert result.exit_code == 2
    assert said in result.output


def test_a_strategy_that_says_nonsense_of_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Before anything is started too."""
    monkeypatch.setattr(running, "_log_to_stderr", lambda: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    path = tmp_path / "nonsense_of_a_test.py"
    path.write_text(
        "from signal_generator import Strategy\n"
        "class Odd(Strategy):\n    symbols = ('F',)\n    def required_history(self): return 0\n"
    )
    result = invoke(f"run {path}:Odd --bars {DAY_OF_BARS}")
    assert result.exit_code == 2
    assert "Odd: required_history returned 0: must be from 1" in result.output


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ('("TSLA")', "Odd: symbols is 'TSLA': must be a tuple such as ('NVDA',)"),
        ("5", "Odd: symbols is 5: must be a tuple"),
        ('("TSLA", "A;B")', "Odd: symbols: 'A;B' is not a symbol such as NVDA"),
        ("[None]", "Odd: symbols: None is not a symbol"),
    ],
)
def test_a_strategy_whose_symbols_are_none(
    symbols: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A text is a sequence of letters, and each letter might be a symbol: no bar would come."""
    monkeypatch.setattr(running, "_log_to_stderr", lambda: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    path = tmp_path / "symbols_of_a_test.py"
    path.write_text(
        f"from signal_generator import Strategy\nclass Odd(Strategy):\n    symbols = {symbols}\n"
    )
    result = invoke(f"run {path}:Odd --bars {DAY_OF_BARS}")
    assert result.exit_code == 2
    assert said in result.output


def test_help_of_every_command() -> None:
    """And the list of all of them."""
    listed = invoke("--help").output
    assert all(name in listed for name in ("random", "run", "sma"))
    assert "MODULE:CLASS" in invoke("run --help").output


def test_random_imports_none_of_it() -> None:
    """It starts without what strategies need."""
    code = """if True:
        import sys
        from click.testing import CliRunner
        from signal_generator.cli import main
        assert CliRunner().invoke(main, ["random", "--symbols", "a b"]).exit_code == 2
        heavy = {"pandas", "numpy", "alpaca", "requests", "signal_generator.cli_run"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
