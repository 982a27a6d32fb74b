"""What a user of the scalper derives from: when to buy. All else is the scalper's own business.

``ScalpAlgo`` as it is buys when the close crosses its 20-minute average from below.
"""

import inspect
import logging
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from signal_generator.bars import Bar

if TYPE_CHECKING:
    import pandas as pd


class ScalpAlgo:
    """One symbol of the scalper; derive from it and override ``_calc_buy_signal``.

    It is asked once after each minute bar while nothing is held or ordered, and decides nothing
    else: sizes, orders and the way out are the scalper's.

    Attributes:
        min_bars: it is not asked before this many bars of the session are there.
        _symbol: such as ``TSLA``.
        _lot: account currency for one purchase.
        _bars: the session's minute bars so far, a DataFrame with the columns open, high, low,
            close, volume, trade_count and vwap, indexed by the bars' start (aware UTC).
        _l: logger of this symbol.
    """

    min_bars: ClassVar[int] = 21

    def __init__(self, symbol: str, lot: Decimal, log: logging.Logger) -> None:
        self._symbol = symbol
        self._lot = lot
        self._l = log
        self._minutes: Sequence[Bar] = ()
        self._made: pd.DataFrame | None = None

    @property
    def _bars(self) -> "pd.DataFrame":
        """Made when asked for, once for a bar; your own copy, so write into it as you like."""
        if self._made is None:
            from signal_generator.market.frames import frame

            self._made = frame(self._minutes)
        return self._made

    def buys_now(self, minutes: Sequence[Bar]) -> bool:
        """Whether the last of these bars is a moment to buy: what the scalper calls."""
        self._minutes, self._made = minutes, None
        return len(minutes) >= self.min_bars and _truth(self._calculate_buy_signal())

    def _calculate_buy_signal(self) -> bool:
        """Override this or ``_calc_buy_signal``: both names are in use, and both are asked."""
        return self._calc_buy_signal()

    def _calc_buy_signal(self) -> bool:
        """Whether the close has crossed its average over 20 bars from below, with this bar."""
        close = self._bars["close"]
        average = close.rolling(20).mean()
        crossed = close.iloc[-2] < average.iloc[-2] and close.iloc[-1] > average.iloc[-1]
        return bool(crossed)


def _truth(returned: object) -> bool:
    """Whether it says yes; what is true in Python without saying anything buys nothing."""
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError("the buy signal is a coroutine: define it without async")
    if isinstance(returned, float) and math.isnan(returned):
        raise ValueError("the buy signal is NaN, which is neither true nor false")
    return bool(returned)
