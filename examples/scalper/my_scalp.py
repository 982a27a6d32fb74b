"""A scalper with a signal of its own: three rising closes above the session's average price."""

from signal_generator import ScalpAlgo


class MyScalpAlgo(ScalpAlgo):
    """Asked after each minute bar while nothing is held or ordered."""

    min_bars = 4

    def _calc_buy_signal(self) -> bool:
        bars = self._bars  # a pandas DataFrame: the session's minute bars so far
        closes = bars["close"]
        average = (closes * bars["volume"]).sum() / bars["volume"].sum()
        buys = bool((closes.diff().iloc[-3:] > 0).all() and closes.iloc[-1] > average)
        self._l.debug("%s: close %s, average %.3f", self._symbol, closes.iloc[-1], average)
        return buys
