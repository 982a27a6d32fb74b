"""A scalper with a signal of its own: three rising closes, the last on unusual volume."""

from signal_generator import ScalpAlgo


class MyScalpAlgo(ScalpAlgo):
    """Asked after each minute bar while nothing is held or ordered."""

    min_bars = 4

    def _calc_buy_signal(self) -> bool:
        bars = self._bars  # a pandas DataFrame: the session's minute bars so far
        rising = (bars["close"].diff().iloc[-3:] > 0).all()
        usual, now = bars["volume"].median(), bars["volume"].iloc[-1]
        if rising:
            self._l.info("%s rises three times, volume %s (usually %s)", self._symbol, now, usual)
        return bool(rising and now > usual)
