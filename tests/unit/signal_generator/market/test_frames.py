"""Bars as DataFrames."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from signal_generator.bars import Bar
from signal_generator.market.frames import COLUMNS, frame

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
BARS = [
    Bar("NVDA", START + timedelta(minutes=n), n + 1.0, n + 2.0, n + 0.5, n + 1.5, 10.0, n, 1.25)
    for n in range(3)
]


def test_a_row_per_bar() -> None:
    """Aware times in UTC, the columns in the order that is promised."""
    table = frame(BARS)
    assert tuple(table.columns) == COLUMNS
    assert list(table.index.to_pydatetime()) == [bar.timestamp for bar in BARS]
    assert str(table.index.tz) == "UTC"
    assert table["close"].tolist() == [1.5, 2.5, 3.5]
    assert table.iloc[2].tolist() == [3.0, 4.0, 2.5, 3.5, 10.0, 2.0, 1.25]


def test_no_bars_give_an_empty_table_of_the_same_shape() -> None:
    """An indicator on it gives nothing, and no error."""
    table = frame([])
    assert tuple(table.columns) == COLUMNS
    assert table["close"].rolling(3).mean().empty


def test_who_writes_into_it_changes_nobody_elses() -> None:
    """Strategies add columns and overwrite values."""
    table = frame(BARS)
    table["close"] = 0.0
    table.loc[START, "open"] = 99.0
    assert frame(BARS)["close"].tolist() == [1.5, 2.5, 3.5]
    assert BARS[0].open == 1.0


def test_without_pandas_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are an extra."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'signalpaca\[strategies\]'"):
        frame(BARS)


def test_neither_pandas_nor_alpaca_is_imported_before_it_is_needed() -> None:
    """They take most of a second and a hundred megabytes."""
    check = (
        "import sys, signal_generator.market.live_bars, signal_generator.market.frames, "
        "signal_generator.market.file_bars; "
        "print({'pandas', 'numpy', 'alpaca', 'pyarrow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
