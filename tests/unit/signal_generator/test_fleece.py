"""Tests of the names that strategies written for alpaca-fleece use."""

import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from signal_generator import BaseStrategy, Execution, Signal, SignalEvent, Strategy, state_store
from tests.helpers.strategy_hosts import FakeSource, FakeStore, bar, hosted, make_host


class Ported(BaseStrategy):
    """As one of theirs looks."""

    def __init__(self) -> None:
        super().__init__("ported")
        self.updates: list[int] = []

    def get_required_history(self) -> int:
        return 2

    async def on_bar(self, symbol: str, df: Any) -> Signal | None:  # type: ignore[override]  # theirs are coroutines
        if state_store.get_state(f"last_signal:{symbol}") == "BUY":
            return None
        state_store.set_state(f"last_signal:{symbol}", "BUY")
        return SignalEvent(symbol, "BUY", "ported", datetime(2026, 3, 6), {"rows": len(df[1])})  # noqa: DTZ001  # as theirs are

    def on_order_update(self, update: Execution) -> None:
        self.updates.append(update.event_id)


def test_a_ported_strategy() -> None:
    """Its history, its frame, its state, its signal, its order updates."""
    store, strategy = FakeStore(), Ported()
    bars = [bar(n) for n in range(4)]
    one = hosted(strategy, name=strategy.name)
    make_host([one], FakeSource(bars), store, live=False).run()
    one.execution("1-0", Execution(event_id=7, event="fill", strategy="ported", own={}))
    one.close()
    assert [dict(fields) for fields in store.signals] == [
        {
            "ticker": "NVDA",
            "direction": "b",
            "strategy": "ported",
            "signal_id": "ported:NVDA:1Min:20260306T143100Z:0",
            "ts": "2026-03-06T14:32:00.000Z",
            "x_rows": "2",
        }
    ]
    assert store.kept["ported"].state == '{"last_signal:NVDA": "BUY"}'
    assert strategy.updates == [7]


def test_the_other_names_work_on_a_plain_strategy() -> None:
    """And those that a class overrides itself win."""

    class Plain(Strategy):
        def get_required_history(self) -> int:
            return 7

    class Both(Plain):
        def required_history(self) -> int:
            return 9

    assert (Plain().required_history(), Both().required_history()) == (7, 9)


def test_the_state_store_needs_a_callback() -> None:
    """Nobody's state is meant outside of one."""
    with pytest.raises(RuntimeError, match="only while a strategy's callback runs"):
        state_store.get_state("x")


def test_none_of_the_names_imports_pandas() -> None:
    """Nor does the generator at random import any of them."""
    code = """if True:
        import sys
        import signal_generator.cli
        light = {"pandas", "alpaca", "signal_generator.strategy", "signal_generator.hosts.running"}
        assert not light & set(sys.modules)
        from signal_generator import BaseStrategy, SignalEvent, state_store
        from signal_generator import Bar, Execution, Quote, Signal, Strategy
        import signal_generator.hosts.running, signal_generator.cli_sma
        assert not {"pandas", "numpy", "alpaca"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_other_names_are_none() -> None:
    """As of any module."""
    import signal_generator

    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = signal_generator.Nothing
    assert {"Strategy", "state_store"} <= set(dir(signal_generator))
