"""Bars out of files, as fast as somebody takes them: a dry look at a strategy."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from signal_generator.bars import Bar, Quote, Timeframe
from signal_generator.market.bar_aggregate import BarAggregate
from signal_generator.market.bar_files import BadRows, merged, open_tables

_LOG = logging.getLogger(__name__)


class FileBars:
    """The :class:`signal_generator.hosting.BarSource` of recorded bars.

    Minutes, or whatever is in the files, are delivered as they are for ``1Min``, and summed up for
    longer timeframes; ``1Day`` wants files of daily bars. What is delivered comes in order of time
    over all symbols. Rows that cannot be read are named in the log and left out, and of bars of the
    same symbol and time only the first counts.

    Args:
        paths: CSV or Parquet files, or folders of them.

    Raises:
        ValueError: a file cannot be used.
    """

    def __init__(self, *paths: str | Path, log: logging.Logger = _LOG) -> None:
        self._tables = open_tables(Path(path) for path in paths)
        self._log = log
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure = ""
        """Why the files could not be read to their end, in words."""
        self.newest: dict[str, datetime] = {}
        """Start of each followed symbol's last bar so far, whether it was delivered or not."""
        self.bad_rows = 0
        self.repeated = 0

    def history(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        count: int,
        until: datetime | None = None,
    ) -> Mapping[str, Sequence[Bar]]:
        """The last `count` bars that begin no later than `until`; without it none.

        A recording begins at its beginning: nothing was before, and what follows is the future.
        """
        found: dict[str, deque[Bar]] = {symbol: deque(maxlen=count) for symbol in symbols}
        if until is not None:
            for bar in self._bars(timeframe, BadRows(self._log)):
                if bar.timestamp > until + timeframe.length:
                    break
                if bar.symbol in found and bar.timestamp <= until:
                    found[bar.symbol].append(bar)
        return {symbol: list(bars) for symbol, bars in found.items()}

    def quotes(self, symbols: Sequence[str], put: Callable[[Quote], None]) -> None:
        """Files of bars hold no quotes."""
        del symbols, put
        self._log.warning("recorded bars come without quotes: on_quote is not called")

    def follow(
        self,
        timeframe: Timeframe,
        after: Mapping[str, datetime],
        put: Callable[[Bar], None],
    ) -> None:
        """Deliver what begins later than ``after[symbol]``, and all of other symbols not at all.

        `put` may wait until there is room; that is what keeps a long recording out of memory.
        """
        self._thread = threading.Thread(
            target=self._deliver, args=(timeframe, after, put), name="file bars", daemon=True
        )
        self._thread.start()

    def exhausted(self) -> bool:
        """Whether the last bar was put."""
        return self._ended.is_set()

    def stop(self) -> None:
        """End, unless `put` is waiting; then as soon as it returns."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.5)

    def _deliver(
        self, timeframe: Timeframe, after: Mapping[str, datetime], put: Callable[[Bar], None]
    ) -> None:
        bad = BadRows(self._log)
        try:
            for bar in self._bars(timeframe, bad):
                if self._stop.is_set():
                    return
                if bar.symbol in after:
                    self.newest[bar.symbol] = bar.timestamp
                    if bar.timestamp > after[bar.symbol]:
                        put(bar)
        except (ValueError, OSError) as error:
            self.failure = str(error)
            self._log.error("bars end early: %s", error)  # no defect of ours
        finally:
            self.bad_rows = bad.count
            self._ended.set()

    def _bars(self, timeframe: Timeframe, bad: BadRows) -> Iterator[Bar]:
        once = self._once(merged(self._tables, bad))
        if timeframe is Timeframe.MINUTE:
            return once
        if timeframe is Timeframe.DAY:
            return _days(once)
        return _longer(once, BarAggregate(timeframe))

    def _once(self, bars: Iterator[Bar]) -> Iterator[Bar]:
        last: dict[str, datetime] = {}
        for bar in bars:
            if last.get(bar.symbol) == bar.timestamp:
                self.repeated += 1
            else:
                last[bar.symbol] = bar.timestamp
                yield bar


def _longer(bars: Iterator[Bar], aggregate: BarAggregate) -> Iterator[Bar]:
    """Time is that of the newest bar: by it the bars of quieter symbols end, in order."""
    now: datetime | None = None
    for bar in bars:
        if now != bar.timestamp:
            now = bar.timestamp
            yield from aggregate.settle(now)
        yield from aggregate.add(bar)
    yield from aggregate.finish()


def _days(bars: Iterator[Bar]) -> Iterator[Bar]:
    last: dict[str, datetime] = {}
    for bar in bars:
        if bar.timestamp - last.get(bar.symbol, bar.timestamp - timedelta(days=1)) < _HALF_A_DAY:
            raise ValueError(
                f"{bar.symbol}: bars at {last[bar.symbol]} and {bar.timestamp} are not daily ones"
            )
        last[bar.symbol] = bar.timestamp
        yield bar


_HALF_A_DAY = timedelta(hours=12)
