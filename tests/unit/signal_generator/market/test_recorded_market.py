"""Tests of signal_generator.market.recorded_market."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from signal_generator.bars import Timeframe
from signal_generator.hosting import BrokerUnavailable, Session
from signal_generator.market.recorded_market import BarClock, NoBroker
from tests.helpers.strategy_hosts import OPEN, bar


def test_the_time_is_the_end_of_the_newest_bar() -> None:
    """And never goes back."""
    clock = BarClock(Timeframe.FIVE_MINUTES)
    clock.bar(bar(10))
    clock.bar(bar(3))
    assert clock.now() == OPEN + timedelta(minutes=15)


def test_the_session_is_that_of_the_bars_day() -> None:
    """None before the first bar, on a weekend, or on a day that the table does not cover."""
    clock = BarClock(Timeframe.MINUTE)
    assert clock.session() is None
    clock.bar(bar(0))
    assert clock.session() == Session(OPEN, OPEN + timedelta(hours=6.5))
    for day in ("2026-03-07T15:00:00+00:00", "2199-01-02T15:00:00+00:00"):
        clock.bar(replace(bar(0), timestamp=datetime.fromisoformat(day)))
        assert clock.session() is None


def test_there_is_no_account() -> None:
    """A strategy that asks is told so."""
    broker = NoBroker()
    for ask in (broker.positions, broker.open_orders, lambda: broker.last_trade("F")):
        with pytest.raises(BrokerUnavailable, match="recorded bars come without"):
            ask()
