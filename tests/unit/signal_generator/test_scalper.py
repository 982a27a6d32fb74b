"""Tests of signal_generator.scalper."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import signal_generator
from signal_generator.bars import Bar
from signal_generator.market.frames import COLUMNS
from signal_generator.scalper import ScalpAlgo

OPENS = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)


def _minutes(closes: Sequence[float]) -> list[Bar]:
    return [
        Bar("TSLA", OPENS + timedelta(minutes=n), c, c, c, c, 5.0) for n, c in enumerate(closes)
    ]


def _algo(kind: type[ScalpAlgo] = ScalpAlgo) -> ScalpAlgo:
    return kind("TSLA", Decimal(2000), logging.getLogger("tests.TSLA"))


def test_it_buys_when_the_close_crosses_its_average_from_below() -> None:
    """Below before, above now; not a bar later, and not with twenty bars."""
    algo = _algo()
    crossing = [10.0] * 19 + [9.0, 11.0]
    assert algo.buys_now(_minutes(crossing))
    assert not algo.buys_now(_minutes([*crossing, 12.0]))
    assert not algo.buys_now(_minutes(crossing[1:]))
    assert not algo.buys_now(_minutes([10.0] * 20 + [9.0]))


@given(st.lists(st.integers(900, 1100).map(lambda n: n / 100), min_size=21, max_size=60))
@settings(max_examples=60, deadline=None)
def test_it_is_the_crossing_that_pandas_finds(closes: list[float]) -> None:
    """The signal's definition, said with pandas alone."""
    series = pd.Series(closes)
    average = series.rolling(20).mean()
    below, above = series < average, series > average
    assert _algo().buys_now(_minutes(closes)) == (below.iloc[-2] and above.iloc[-1])


@pytest.mark.parametrize("name", ["_calc_buy_signal", "_calculate_buy_signal"])
def test_either_name_is_overridden(name: str) -> None:
    """Both are in use; the original's example overrode the one that nobody called."""
    kind = type("Mine", (ScalpAlgo,), {name: lambda self: len(self._bars) == 21})
    assert _algo(kind).buys_now(_minutes([1.0] * 21))
    assert not _algo(kind).buys_now(_minutes([1.0] * 22))


def test_the_frame_is_the_sessions_bars_and_the_users_own() -> None:
    """One for a bar; what is written into it is gone with the next."""

    class Mine(ScalpAlgo):
        min_bars = 2

        def _calc_buy_signal(self) -> bool:
            assert self._bars is self._bars
            assert list(self._bars.columns) == list(COLUMNS)
            assert self._bars.index[-1] == pd.Timestamp(OPENS) + pd.Timedelta(
                minutes=len(self._bars) - 1
            )
            self._bars["mine"] = 1
            return self._symbol == "TSLA" and self._lot == 2000

    algo = _algo(Mine)
    assert algo.buys_now(_minutes([1.0, 2.0]))
    assert algo.buys_now(_minutes([1.0, 2.0, 3.0]))
    assert not algo.buys_now(_minutes([1.0]))


def test_a_result_that_is_no_boolean_is_asked_whether_it_is_true() -> None:
    """numpy's booleans are none of Python's."""
    kind = type("Mine", (ScalpAlgo,), {"_calc_buy_signal": lambda self: self._bars.close.iloc[-1]})
    assert _algo(kind).buys_now(_minutes([1.0] * 21)) is True


def test_what_is_true_but_says_nothing_is_no_signal() -> None:
    """A coroutine, and an average of too few bars, would buy with each bar."""

    class Asynchronous(ScalpAlgo):
        async def _calc_buy_signal(self) -> bool:  # type: ignore[override]  # what a user may write
            return False

    class NoNumber(ScalpAlgo):
        def _calc_buy_signal(self) -> bool:
            return self._bars["close"].rolling(30).mean().iloc[-1]  # type: ignore[no-any-return]

    with pytest.raises(TypeError, match="define it without async"):
        _algo(Asynchronous).buys_now(_minutes([1.0] * 21))
    with pytest.raises(ValueError, match="neither true nor false"):
        _algo(NoNumber).buys_now(_minutes([1.0] * 21))


def test_the_public_import_costs_nothing_until_it_is_used() -> None:
    """`import signal_generator` loads neither the scalper nor pandas."""
    code = (
        "import sys, signal_generator\n"
        "assert 'signal_generator.scalper' not in sys.modules\n"
        "from signal_generator import ScalpAlgo\n"
        "assert ScalpAlgo.__name__ == 'ScalpAlgo'\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = signal_generator.Nobody
