"""The names that strategies written for alpaca-fleece import."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from signal_generator.signals import Signal
from signal_generator.strategy import Strategy


class BaseStrategy(Strategy):
    """A strategy whose bars come as a DataFrame."""

    frames = True

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name or self.name


def SignalEvent(  # noqa: N802  # it is called like the class that it stands for
    symbol: str,
    side: str,
    strategy_name: str = "",
    signal_timestamp: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Signal:
    """A signal; ``side`` is BUY or SELL.

    `signal_timestamp` is not published: the host stamps a bar's signals with the bar's end. The
    index of the last row is a minute older, which a consumer takes for stale, and the clock's time
    would differ when a bar is run through again after a crash.
    """
    del signal_timestamp
    return Signal(symbol=symbol, side=side, strategy=strategy_name, metadata=metadata or {})
