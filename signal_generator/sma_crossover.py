"""Buys when the fast average of the closes crosses above the slow one, sells when below.

Which floats are "above" is decided as pandas decides it, see :mod:`signal_generator.rolling_mean`:
a crossing here is one in ``close.rolling(fast).mean()`` against ``close.rolling(slow).mean()`` over
the same closes, from the first one that the strategy has seen. Comparing exactly instead would be
no truer to the market, and would differ from every notebook in which somebody checks it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from signal_generator.bars import Bar
from signal_generator.rolling_mean import RollingMean
from signal_generator.signals import Signal
from signal_generator.strategy import Signals, Strategy

Means = tuple[float, float]


class SmaCrossover(Strategy):
    """One signal per crossing, without a size: the consumer's ``SIZING`` decides.

    A crossing is an edge: ``fast <= slow`` before and ``fast > slow`` now, or mirrored. The side of
    each symbol's last signal is kept, and is not signalled again before the other one was. It is
    written together with the signal: one that was not published was not made.

    Args:
        fast, slow: lengths of the averages, ``1 <= fast < slow``.
    """

    name = "sma"

    def __init__(self, fast: int = 10, slow: int = 30) -> None:
        super().__init__()
        if not 1 <= fast < slow:
            raise ValueError(f"fast must be at least 1 and less than slow, not {fast} and {slow}")
        self._fast = fast
        self._slow = slow

    def required_history(self) -> int:
        """The slow average now and before, and one bar more, as alpaca-fleece asks for."""
        return self._slow + 2

    def on_bar(self, symbol: str, bars: Sequence[Bar]) -> Signals:
        """A signal where the newest bar is the one that crosses."""
        memory = self.state.get(symbol, {})
        seen = self._seen(memory, bars)
        memory = memory if seen else {"side": memory.get("side", "")}
        fast = RollingMean(self._fast, memory.get("fast"))
        slow = RollingMean(self._slow, memory.get("slow"))
        before: Means | None = None
        now: Means | None = tuple(memory["means"]) if seen else None
        for bar in bars[seen:]:
            before, now = now, _means(fast.add(bar.close), slow.add(bar.close))
        side = _crossing(before, now)
        signal = None
        if now and side and side != memory["side"]:
            own = {"sma_fast": now[0], "sma_slow": now[1], "close": bars[-1].close}
            signal = Signal(symbol=symbol, side=side, metadata=own)
        self.state[symbol] = {
            "side": side if signal else memory["side"],
            "lengths": [self._fast, self._slow],
            "at": bars[-1].timestamp.isoformat(),
            "means": list(now) if now else None,
            "fast": fast.kept(),
            "slow": slow.kept(),
        }
        return signal

    def _seen(self, memory: Mapping[str, Any], bars: Sequence[Bar]) -> int:
        """How many of the bars are in the averages that are kept; 0 where those cannot go on."""
        if memory.get("lengths") != [self._fast, self._slow] or not memory["means"]:
            return 0
        at = datetime.fromisoformat(memory["at"])
        # After a gap longer than the window, the averages begin anew, like a series in pandas.
        return next((n + 1 for n, bar in enumerate(bars) if bar.timestamp == at), 0)


def _means(fast: float | None, slow: float | None) -> Means | None:
    return None if fast is None or slow is None else (fast, slow)


def _crossing(before: Means | None, now: Means | None) -> str:
    if before is None or now is None:
        return ""
    if before[0] <= before[1] and now[0] > now[1]:
        return "buy"
    if before[0] >= before[1] and now[0] < now[1]:
        return "sell"
    return ""
