"""Tests of signal_generator.cli_scalp."""

import logging
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from signal_generator import cli_scalp
from signal_generator.cli import main
from signal_generator.scalper import ScalpAlgo
from signal_generator.scalping.strategy import ScalpStrategy

OURS = (logging.StreamHandler, logging.FileHandler)
MINE = "from signal_generator import ScalpAlgo\nclass Mine(ScalpAlgo): ...\nclass Other: ...\n"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Record what would be run instead of running it."""
    calls: list[Any] = []
    monkeypatch.setattr(
        cli_scalp, "run", lambda strategies, options: calls.append((strategies, options))
    )
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "EXECUTIONS_STREAM"):
        monkeypatch.delenv(name, raising=False)
    return calls


@pytest.fixture(autouse=True)
def no_logging() -> Iterator[None]:
    """The root logger is as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in [one for one in root.handlers if type(one) in OURS and one not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["scalp", *arguments])


def test_the_originals_command_line(started: list[Any]) -> None:
    """One machine for each symbol, in the order given."""
    done = _run("--lot", "2500.5", "TSLA", "fb,AAPL")
    assert done.exit_code == 0, done.output
    (((name, strategy),), options) = started[0]
    assert (name, strategy.name, strategy.symbols) == ("scalp", "scalp", ("TSLA", "FB", "AAPL"))
    assert isinstance(strategy, ScalpStrategy)
    assert strategy._settings.lot == Decimal("2500.5")
    assert strategy._settings.cancel_after == 120
    assert strategy._make_algo is ScalpAlgo
    assert options.timeframe.value == "1Min"
    assert options.stamp


def test_an_algorithm_of_ones_own(started: list[Any], tmp_path: Path) -> None:
    """From a file, by the class's name."""
    (tmp_path / "mine_for_scalp.py").write_text(MINE)
    assert _run("--algo", "mine_for_scalp.py:Mine", "TSLA").exit_code == 0
    (((_, strategy),), _options) = started[0]
    assert strategy._make_algo.__name__ == "Mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument 'SYMBOL...'"),
        (("BTC/USD",), "BTC/USD: the scalper trades shares"),
        (("T$LA",), "'T$LA' is not a symbol"),
        (("--lot", "nan", "TSLA"), "nan is not a finite number"),
        (("--lot", "0", "TSLA"), "0.0 is not in the range"),
        (("--algo", "nowhere.py:Mine", "TSLA"), "nowhere.py:Mine: there is no file nowhere.py"),
        (
            ("--algo", "mine_2.py:Other", "TSLA"),
            "Other is no class there that derives from ScalpAlgo",
        ),
        (("--algo", "Mine", "TSLA"), "'Mine' is neither module:Class nor path/to/file.py:Class"),
        (("--stream", "executions", "TSLA"), "--stream are both 'executions'"),
        (("--stream", "", "TSLA"), "a stream needs a name"),
        (("--name", "a b", "TSLA"), "'a b' is not 1 to 48 of"),
        (("--log-file", "no/where.log", "TSLA"), "no/where.log: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    started: list[Any], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, and nothing runs."""
    (tmp_path / "mine_2.py").write_text(MINE)
    done = _run(*arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert started == []


def test_everything_is_logged_to_the_file_as_well(started: list[Any], tmp_path: Path) -> None:
    """In the original's format, appended."""
    (tmp_path / "console.log").write_text("before\n")
    assert _run("TSLA").exit_code == 0
    logging.getLogger("signal_generator.strategies.scalp.TSLA").info("buy %d", 4)
    logging.getLogger("signal_generator.strategies.scalp.TSLA").info("\x1b[2J")
    before, line, other = (tmp_path / "console.log").read_text().splitlines()
    assert before == "before"
    form = r"[0-9-]{10} [0-9:,]{12}:test_cli_scalp.py:[0-9]+:INFO:signal_generator[.a-zTSLA]+:buy 4"
    assert re.fullmatch(form, line)
    assert other.endswith(r":\x1b[2J")


def test_without_a_file_there_is_none(started: list[Any], tmp_path: Path) -> None:
    """As in a container."""
    assert _run("--log-file", "", "TSLA").exit_code == 0
    assert list(tmp_path.iterdir()) == []
