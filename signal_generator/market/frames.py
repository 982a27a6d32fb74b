"""Bars as a pandas DataFrame; pandas is imported when the first one is asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from signal_generator.bars import Bar

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume", "trade_count", "vwap")


def frame(bars: Sequence[Bar]) -> "pd.DataFrame":
    """The bars of one symbol, a row each, indexed by their start (aware UTC).

    A frame of its own each time, so a strategy may write into it. It is built of two arrays: that
    costs less than the cheapest indicator on it, and keeping frames between bars would not pay.

    Raises:
        ModuleNotFoundError: pandas is not installed; the text says how to get it.
    """
    try:
        import numpy as np
        import pandas as pd
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "frames need pandas: pip install 'signalpaca[strategies]'", name=error.name
        ) from None
    rows = [
        (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count, bar.vwap)
        for bar in bars
    ]
    starts = np.array([round(bar.timestamp.timestamp() * 1e6) for bar in bars], dtype="int64")
    index = pd.DatetimeIndex(starts.view("M8[us]"), name="timestamp").tz_localize("UTC")
    values = np.array(rows, dtype="float64").reshape(len(rows), len(COLUMNS))
    return pd.DataFrame(values, index=index, columns=list(COLUMNS))
