"""Tests of signal_generator.sma_crossover and rolling_mean, against pandas."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.bars import Bar
from signal_generator.rolling_mean import RollingMean
from signal_generator.sma_crossover import SmaCrossover
from tests.helpers.strategy_hosts import (
    DAY_OF_BARS,
    OPEN,
    FakeSource,
    FakeStore,
    bar,
    hosted,
    make_host,
)

#: Few different cents, so that averages tie; any cents; and what no market has.
ties = st.lists(st.sampled_from([10.0, 10.01, 10.02]), min_size=1, max_size=80)
cents = st.lists(st.integers(1, 10**7).map(lambda c: c / 100), min_size=1, max_size=60)
anything = st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=60)
series = st.one_of(ties, ties, cents, anything)


@given(series, st.integers(1, 12))
def test_the_mean_is_that_of_pandas_to_the_last_bit(closes: list[float], length: int) -> None:
    """On any series, over a restart at any point too."""
    mean, found = RollingMean(length), []
    for close in closes:
        found.append(mean.add(close))
        mean = RollingMean(length, json.loads(json.dumps(mean.kept())))
    wanted = pd.Series(closes).rolling(length).mean()
    assert [x if x is not None else math.nan for x in found] == pytest.approx(
        wanted.tolist(), rel=0, abs=0, nan_ok=True
    )


def crossings(closes: Sequence[float], fast: int, slow: int) -> list[tuple[int, str]]:
    """Index and side by pandas; from the bar on that a strategy is first asked about."""
    frame = pd.Series(list(closes), dtype="float64")
    quick, lazy = frame.rolling(fast).mean(), frame.rolling(slow).mean()
    up = (quick.shift() <= lazy.shift()) & (quick > lazy)
    down = (quick.shift() >= lazy.shift()) & (quick < lazy)
    found = []
    for index in range(slow + 1, len(closes)):
        side = "b" if up[index] else "s" if down[index] else ""
        if side and (not found or found[-1][1] != side):
            found.append((index, side))
    return found


def signalled(closes: Sequence[float], fast: int, slow: int) -> list[tuple[int, str]]:
    """Index and side by the strategy, in a host that is started anew every twenty bars."""
    store, source = FakeStore(), FakeSource(past=[bar(n, close) for n, close in enumerate(closes)])
    for end in range(20, len(closes) + 20, 20):
        source.bars = source.past[:end]
        make_host([hosted(SmaCrossover(fast, slow), name="sma")], source, store, live=False).run()
    starts = (datetime.fromisoformat(f["signal_id"].split(":")[3]) for f in store.signals)
    minutes = [int((start - OPEN).total_seconds() // 60) for start in starts]
    return [(n, f["direction"]) for n, f in zip(minutes, store.signals, strict=True)]


@given(series, st.integers(1, 4), st.integers(1, 6))
def test_crossings_are_those_of_pandas(closes: list[float], fast: int, more: int) -> None:
    """Edges, each once, on any closes, over restarts."""
    assert signalled(closes, fast, fast + more) == crossings(closes, fast, fast + more)


def bundled() -> dict[str, list[Bar]]:
    """The bundled day by symbol."""
    found: dict[str, list[Bar]] = defaultdict(list)
    with DAY_OF_BARS.open(newline="") as opened:
        for row in csv.DictReader(opened):
            count = len(found[row["symbol"]])
            found[row["symbol"]].append(bar(count, float(row["close"]), row["symbol"]))
    return found


def test_the_bundled_day_has_the_crossings_of_pandas() -> None:
    """At the usual lengths, symbol by symbol, and there are some."""
    days = bundled()
    bars = sorted((b for day in days.values() for b in day), key=lambda b: b.timestamp)
    store = FakeStore()
    strategy = hosted(SmaCrossover(), tuple(days), name="sma")
    make_host([strategy], FakeSource(bars), store, live=False).run()
    wanted = {
        (symbol, f"{day[index].timestamp:%Y%m%dT%H%M%SZ}", side)
        for symbol, day in days.items()
        for index, side in crossings([b.close for b in day], 10, 30)
    }
    parts = [(f["signal_id"].split(":"), f["direction"]) for f in store.signals]
    assert {(part[1], part[3], side) for part, side in parts} == wanted
    assert len(store.signals) == len(wanted) > 40


def test_what_a_signal_carries() -> None:
    """Both averages and the close; no size, which is the consumer's."""
    store = FakeStore()
    closes = [10.0, 10.0, 10.0, 9.0, 12.0]
    bars = [bar(n, close) for n, close in enumerate(closes)]
    one = hosted(SmaCrossover(1, 2), name="sma")
    make_host([one], FakeSource(bars), store, live=False).run()
    assert [dict(f) for f in store.signals] == [
        {
            "ticker": "NVDA",
            "direction": side,
            "strategy": "sma",
            "signal_id": f"sma:NVDA:1Min:20260306T143{minute}00Z:0",
            "ts": f"2026-03-06T14:3{minute + 1}:00.000Z",
            "x_sma_fast": fast,
            "x_sma_slow": slow,
            "x_close": fast,
        }
        for side, minute, fast, slow in (("s", 3, "9.0", "9.5"), ("b", 4, "12.0", "10.5"))
    ]


def test_other_lengths_begin_anew_and_keep_the_side() -> None:
    """Averages of other lengths cannot go on; what was signalled last still was."""
    store = FakeStore()
    falling = [bar(n, 100.0 - n) for n in range(6)] + [bar(6, 200.0)]
    one = hosted(SmaCrossover(1, 2), name="sma")
    make_host([one], FakeSource(falling), store, live=False).run()
    again = [*falling, *(bar(n, 50.0) for n in range(7, 10)), bar(10, 300.0)]
    source = FakeSource(again, past=falling)
    make_host([hosted(SmaCrossover(1, 3), name="sma")], source, store).run()
    sides = [fields["direction"] for fields in store.signals]
    assert sides == ["b", "s", "b"]


@pytest.mark.parametrize(("fast", "slow"), [(0, 5), (5, 5), (6, 5), (-1, 2)])
def test_lengths_that_make_no_sense(fast: int, slow: int) -> None:
    """Told with both values."""
    with pytest.raises(ValueError, match=f"not {fast} and {slow}"):
        SmaCrossover(fast, slow)
