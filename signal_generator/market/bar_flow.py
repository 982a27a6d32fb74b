"""From what is heard and what history tells to completed bars; no I/O and no clock of its own.

Two sources tell of the same bars: a websocket, which forgets, and history, which lags. A bar that
was over before the subscription comes from history alone, one that ends after it comes live. In
between lies what history may not know yet, so a gap is only closed by a question asked a while
(``2 * settle``) after the subscription, and history's newest bars are taken once they are
``settle`` old: that also covers clocks which disagree by as much.

A longer bar of a symbol that is traded rarely is over by the clock alone. But silence may as well
be a connection that died without a word: history is asked before such a bar is said to be over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.bar_aggregate import BarAggregate
from signal_generator.market.bar_sequence import BarSequence
from signal_generator.market.bar_times import ONE_MINUTE, floor, is_crypto


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to history: the bars of each symbol that begin later than ``after[symbol]``.

    Args:
        asked_at: market time at which it was asked; bars must be well over by then.
        closes: symbols whose gap the answer closes, with the number of the subscription that has
            to be still the same by then.
    """

    after: Mapping[str, datetime]
    timeframe: Timeframe
    asked_at: datetime
    closes: Mapping[str, int]


class BarFlow:
    """The completed bars of minutes, quarters or hours.

    Args:
        after: by symbol, the start of the last bar that needs no delivery.
        settle: how long history may take to know a bar, and how far clocks may disagree.
    """

    def __init__(
        self, timeframe: Timeframe, after: Mapping[str, datetime], settle: timedelta
    ) -> None:
        self._settle = settle
        self._aggregate = None if timeframe is Timeframe.MINUTE else BarAggregate(timeframe)
        self._sequence = BarSequence(
            {symbol: _last_minute(start, timeframe) for symbol, start in after.items()}, ONE_MINUTE
        )
        self._symbols = frozenset(after)
        #: Of crypto and of shares: since when everything comes live, None while it does not.
        self._live_since: dict[bool, datetime | None] = {True: None, False: None}
        self._subscription = Counter[bool]()
        self._asked: dict[str, datetime] = {}
        self._outstanding: Ask | None = None

    @property
    def repeated(self) -> int:
        """Bars that came again or too late, and were dropped."""
        return self._sequence.repeated + (self._aggregate.late if self._aggregate else 0)

    @property
    def updated(self) -> int:
        """Corrections of bars delivered already."""
        return self._sequence.updated

    def whole(self) -> bool:
        """Whether nothing is missing, and nothing may be over by the clock alone."""
        return self._aggregate is None and not self._sequence.gaps()

    def subscribed(self, now: datetime, *, crypto: bool) -> None:
        """From now on every bar of these symbols comes live."""
        self.lost(crypto=crypto)
        self._live_since[crypto] = now
        for symbol in self._of(crypto=crypto):
            self._asked.pop(symbol, None)

    def lost(self, *, crypto: bool) -> None:
        """From now on bars may be missing."""
        self._live_since[crypto] = None
        self._subscription[crypto] += 1
        self._sequence.open_gap(self._of(crypto=crypto))

    def live(self, bar: Bar) -> list[Bar]:
        """A minute bar came live."""
        was_whole = not self._sequence.has_gap(bar.symbol)
        done = self._longer(self._sequence.live(bar))
        if was_whole and self._sequence.has_gap(bar.symbol):
            self._asked.pop(bar.symbol, None)  # it skipped a minute: whether rightly, ask now
        return done

    def correction(self, bar: Bar) -> None:
        """A bar was told anew, because of late trades."""
        self._sequence.correction(bar)

    def ask(self, now: datetime) -> Ask | None:
        """The question to be asked now, if any: there is one at a time."""
        self._doubt(now)
        gaps = self._sequence.gaps()
        if self._outstanding is not None or not any(self._is_due(one, now) for one in gaps):
            return None
        self._asked |= dict.fromkeys(gaps, now)
        self._outstanding = Ask(
            gaps,
            Timeframe.MINUTE,
            now,
            {s: self._subscription[is_crypto(s)] for s in gaps if self._may_close(s, now)},
        )
        return self._outstanding

    def told(self, ask: Ask, bars: Mapping[str, Sequence[Bar]], *, last: bool) -> list[Bar]:
        """A part of history's answer, oldest first over all parts; `last` ends it."""
        latest = ask.asked_at - self._settle - ONE_MINUTE
        done: list[Bar] = []
        for symbol in ask.after:
            same = ask.closes.get(symbol) == self._subscription[is_crypto(symbol)]
            over = [bar for bar in bars.get(symbol, ()) if bar.timestamp <= latest]
            done += self._longer(self._sequence.fetched(symbol, over, closes=last and same))
        if last:
            self._outstanding = None
            if self._aggregate is not None:
                done += self._aggregate.settle(ask.asked_at - 2 * self._settle, ask.after)
        return sorted(done, key=lambda bar: bar.timestamp)

    def failed(self) -> None:
        """The question was not answered; its symbols are due again."""
        if self._outstanding is not None:
            for symbol in self._outstanding.after:
                self._asked.pop(symbol, None)
            self._outstanding = None

    def _is_due(self, symbol: str, now: datetime) -> bool:
        """Never asked, or to be closed, or there is a minute more that history may know of.

        So while a websocket is away for long its bars come from history, a few seconds late.
        """
        asked = self._asked.get(symbol)
        if asked is None:
            return True
        since = self._live_since[is_crypto(symbol)]
        if since is not None and asked < since + 2 * self._settle <= now:
            return True
        return floor(now - self._settle, ONE_MINUTE) > floor(asked - self._settle, ONE_MINUTE)

    def _doubt(self, now: datetime) -> None:
        """Longer bars that should be over by now, and of which the last minute has not come."""
        if self._aggregate is None:
            return
        for symbol in self._aggregate.unfinished(now - 2 * self._settle):
            if not self._sequence.has_gap(symbol):
                self._sequence.open_gap([symbol])
                self._asked.pop(symbol, None)

    def _may_close(self, symbol: str, now: datetime) -> bool:
        since = self._live_since[is_crypto(symbol)]
        return since is not None and since + 2 * self._settle <= now

    def _longer(self, minutes: Iterable[Bar]) -> list[Bar]:
        if self._aggregate is None:
            return list(minutes)
        return [bar for minute in minutes for bar in self._aggregate.add(minute)]

    def _of(self, *, crypto: bool) -> list[str]:
        return [symbol for symbol in self._symbols if is_crypto(symbol) is crypto]


def _last_minute(after: datetime, timeframe: Timeframe) -> datetime:
    """The last minute of the bar in which `after` lies: the next one begins a whole bar."""
    return floor(after, timeframe.length) + timeframe.length - ONE_MINUTE
