"""Longer bars out of minutes, as pandas would make them."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.bar_aggregate import BarAggregate
from signal_generator.market.frames import frame

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
LONGER = [Timeframe.FIVE_MINUTES, Timeframe.QUARTER, Timeframe.HOUR]


def minute(number: int, symbol: str = "NVDA", price: float = 10.0, volume: float = 100.0) -> Bar:
    at = START + timedelta(minutes=number)
    return Bar(symbol, at, price, price + 1, price - 1, price + 0.5, volume, 3, price)


def test_it_is_over_with_its_last_minute() -> None:
    """Nobody waits for the next one."""
    aggregate = BarAggregate(Timeframe.FIVE_MINUTES)
    assert [aggregate.add(minute(n)) for n in range(4)] == [[]] * 4
    (bar,) = aggregate.add(minute(4))
    assert (bar.timestamp, bar.volume, bar.trade_count) == (START, 500, 15)


def test_it_is_over_when_a_later_one_begins() -> None:
    """Of a symbol that was not traded in the last minute."""
    aggregate = BarAggregate(Timeframe.FIVE_MINUTES)
    aggregate.add(minute(1))
    (bar,) = aggregate.add(minute(7))
    assert bar.timestamp == START
    first, second = aggregate.add(minute(14))
    assert [first.timestamp, second.timestamp] == [
        START + timedelta(minutes=5),
        START + timedelta(minutes=10),
    ]


def test_it_is_over_when_all_is_known_to_be_in() -> None:
    """Of these symbols, up to this time; a minute that comes later is counted."""
    aggregate = BarAggregate(Timeframe.FIVE_MINUTES)
    aggregate.add(minute(1))
    aggregate.add(minute(1, "AAPL"))
    assert aggregate.settle(START + timedelta(minutes=4, seconds=59)) == []
    end = START + timedelta(minutes=5)
    assert aggregate.unfinished(end) == ["NVDA", "AAPL"]
    over = aggregate.settle(end, ["NVDA", "KO"])
    assert [bar.symbol for bar in over] == ["NVDA"]
    assert aggregate.add(minute(3)) == []
    assert aggregate.late == 1
    assert [bar.symbol for bar in aggregate.finish()] == ["AAPL"]


def test_an_early_close_leaves_the_clocks_borders() -> None:
    """The last hour before a close at 13:00 in New York ends by its last minute."""
    aggregate = BarAggregate(Timeframe.HOUR)
    close = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    bars = [Bar("NVDA", close - timedelta(minutes=n), 1, 1, 1, 1, 1) for n in range(60, 0, -1)]
    (bar,) = [bar for one in bars for bar in aggregate.add(one)]
    assert bar.timestamp == close - timedelta(hours=1)


def test_without_volume_its_average_price_is_the_last_one() -> None:
    """There is nothing to weigh by."""
    aggregate = BarAggregate(Timeframe.FIVE_MINUTES)
    aggregate.add(minute(0, price=10.0, volume=0.0))
    aggregate.add(minute(1, price=20.0, volume=0.0))
    assert aggregate.finish()[0].vwap == 20.0


def test_days_are_not_made_of_minutes() -> None:
    """A day's bar leaves out what was traded before and after the session."""
    with pytest.raises(ValueError, match="ask for daily bars"):
        BarAggregate(Timeframe.DAY)


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.sets(st.integers(0, 400), min_size=1, max_size=60),
    timeframe=st.sampled_from(LONGER),
    data=st.data(),
)
def test_the_same_as_pandas_resample(
    numbers: set[int], timeframe: Timeframe, data: st.DataObject
) -> None:
    """Whatever minutes there are."""
    prices = st.floats(1, 1000, allow_nan=False)
    bars = [
        minute(n, price=data.draw(prices), volume=data.draw(st.floats(1, 1e6)))
        for n in sorted(numbers)
    ]
    aggregate = BarAggregate(timeframe)
    ours = [bar for one in bars for bar in aggregate.add(one)] + aggregate.finish()
    table = frame(bars)
    table["vwap"] *= table["volume"]
    rules = {"open": "first", "high": "max", "low": "min", "close": "last"}
    sums = dict.fromkeys(("volume", "trade_count", "vwap"), "sum")
    theirs = table.resample(timeframe.length).agg({**rules, **sums})
    theirs = theirs[theirs["trade_count"] > 0]
    assert [bar.timestamp for bar in ours] == list(theirs.index.to_pydatetime())
    for bar, row in zip(ours, theirs.itertuples(), strict=True):
        assert (bar.open, bar.high, bar.low, bar.close) == (row.open, row.high, row.low, row.close)
        assert bar.trade_count == row.trade_count
        assert math.isclose(bar.volume, row.volume)
        assert math.isclose(bar.vwap, row.vwap / row.volume)
