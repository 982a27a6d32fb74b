"""Bars and quotes of a market that is running: history first, then the websocket, each bar once."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from signal_generator.bars import Bar, Quote, Timeframe
from signal_generator.connection import Connection
from signal_generator.hosting import MarketClock
from signal_generator.market.backfill import Backfill
from signal_generator.market.bar_flow import BarFlow
from signal_generator.market.bar_times import is_crypto
from signal_generator.market.bar_worker import BarWorker, Flow
from signal_generator.market.day_flow import DayFlow
from signal_generator.market.market_history import Bars, MarketHistory
from signal_generator.market.market_stream import MarketStream, Patience, Wanted
from signal_generator.sessions import OutsideTableError, is_open

SETTLE = timedelta(seconds=5)
"""Market time in which history comes to know a bar, and by which clocks may disagree."""
BASIC_SYMBOLS = 30
"""What one connection of Alpaca's Basic plan may subscribe to."""
_STOP_SECONDS = 1.8


class LiveBars:
    """The :class:`signal_generator.hosting.BarSource` of a running market.

    One websocket serves all shares, and a second one all crypto where any is asked for. Minutes are
    heard live and summed up to the timeframe; days come from history after the close. Whatever may
    have been missed, at the start, after a reconnect or where a minute is skipped, is asked of
    history before anything later is delivered. While there is no websocket, bars come from history
    alone, some seconds late.

    Args:
        clock: the market's; an exchange of one's own may have another time than this machine. This
            source needs one for itself: until `follow` it is asked in the caller's thread, from
            then on in this source's.
        on_failure: told in words when keys, plan or symbols are refused for good: called from a
            thread of this source, and only enqueues.
        patience: how long silence in an open market is borne before a connection is given up.
    """

    def __init__(
        self,
        connection: Connection,
        clock: MarketClock,
        *,
        log: logging.Logger | None = None,
        on_failure: Callable[[str], None] = lambda _why: None,
        settle: timedelta = SETTLE,
        patience: Patience | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._log = log or logging.getLogger(__name__)
        self._on_failure = on_failure
        self._settle = settle
        self._patience = patience or Patience()
        #: Of the thread that calls history(); the backfill has one of its own.
        self._history = MarketHistory(connection, settle)
        self._quote_symbols: Sequence[str] = ()
        self._put_quote: Callable[[Quote], None] = lambda _quote: None
        self._flow: Flow | None = None
        self._worker: BarWorker | None = None
        self._backfill: Backfill | None = None
        self._streams: list[MarketStream] = []
        self.failure = ""
        """Why there will be no data, in words; empty as long as there may be."""

    def history(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        count: int,
        until: datetime | None = None,
    ) -> Bars:
        """The last `count` completed bars of each that begin no later than `until`.

        Raises:
            HistoryUnavailable: no answer; asking again later is safe.
        """
        now = self._worker.market_time if self._worker else None
        now = now or self._clock.now()
        return self._history.last(symbols, timeframe, count, until=until or now, now=now)

    def quotes(self, symbols: Sequence[str], put: Callable[[Quote], None]) -> None:
        """Deliver quotes from `follow` on; none of the time before a reconnect is made up for."""
        self._quote_symbols, self._put_quote = tuple(symbols), put

    def follow(
        self,
        timeframe: Timeframe,
        after: Mapping[str, datetime],
        put: Callable[[Bar], None],
    ) -> None:
        """Deliver every completed bar that begins later than ``after[symbol]``; returns at once."""
        flow: Flow = (
            DayFlow(after, self._settle)
            if timeframe is Timeframe.DAY
            else BarFlow(timeframe, after, self._settle)
        )
        backfill = Backfill(
            MarketHistory(self._connection, self._settle),
            refused=self._fail,
            log=self._log,
            draw=self._patience.draw,
        )
        worker = BarWorker(flow, self._clock.now, put, backfill.ask, self._fail)
        self._flow, self._worker, self._backfill = flow, worker, backfill
        self._streams = self._make_streams(() if timeframe is Timeframe.DAY else after, worker)
        backfill.start(told=worker.told, failed=worker.failed)
        worker.start()
        for stream in self._streams:
            stream.start()

    def exhausted(self) -> bool:
        """Never: markets go on."""
        return False

    def tally(self) -> Mapping[str, int]:
        """What was heard and not delivered, by kind, since `follow`."""
        flow = self._flow
        return {
            "repeated": flow.repeated if flow else 0,
            "corrected": flow.updated if flow else 0,
            "malformed": sum(stream.malformed for stream in self._streams),
        }

    def stop(self) -> None:
        """End within 2 seconds; a request or a handshake under way is left to its own timeouts."""
        deadline = time.monotonic() + _STOP_SECONDS
        for stream in self._streams:
            stream.ask_stop()
        if self._backfill is not None:
            self._backfill.ask_stop()
        if self._worker is not None:
            self._worker.ask_stop()
            self._worker.join(max(0.0, deadline - time.monotonic()))
        for stream in self._streams:
            stream.join(max(0.0, deadline - time.monotonic()))

    def _make_streams(self, bars: Iterable[str], worker: BarWorker) -> list[MarketStream]:
        """One for shares and one for crypto, each only where it is needed."""
        streams = []
        for crypto in (False, True):
            wanted = Wanted(
                bars=[symbol for symbol in bars if is_crypto(symbol) is crypto],
                quotes=[symbol for symbol in self._quote_symbols if is_crypto(symbol) is crypto],
            )
            if len(wanted.symbols) > BASIC_SYMBOLS:
                self._log.warning(
                    "%d symbols on one connection: Alpaca's Basic plan allows %d and refuses more",
                    len(wanted.symbols),
                    BASIC_SYMBOLS,
                )
            if wanted.symbols:
                streams.append(self._make_stream(wanted, worker, crypto=crypto))
        return streams

    def _make_stream(self, wanted: Wanted, worker: BarWorker, *, crypto: bool) -> MarketStream:
        connection = self._connection
        return MarketStream(
            connection.crypto_stream_url if crypto else connection.data_stream_url,
            (connection.key, connection.secret),
            wanted,
            _Ear(worker, self._put_quote, self._fail, crypto=crypto),
            is_open=(lambda: True) if crypto else (lambda: _is_open(worker.market_time)),
            log=self._log.getChild("crypto" if crypto else "shares"),
            patience=self._patience,
        )

    def _fail(self, why: str) -> None:
        if not self.failure:
            self.failure = why
            self._on_failure(why)


def _is_open(market_time: datetime | None) -> bool:
    """Whether shares are being traded; outside of the core session silence means nothing."""
    try:
        return market_time is not None and is_open(market_time)
    except OutsideTableError:
        return False


class _Ear:
    """Hands on what one websocket tells: the listener of a market stream."""

    def __init__(
        self,
        worker: BarWorker,
        put_quote: Callable[[Quote], None],
        refused: Callable[[str], None],
        *,
        crypto: bool,
    ) -> None:
        self._crypto = crypto
        self._worker = worker
        self.bar = worker.live
        self.correction = worker.correction
        self.quote = put_quote
        self.refused = refused

    def subscribed(self) -> None:
        self._worker.subscribed(crypto=self._crypto)

    def lost(self) -> None:
        self._worker.lost(crypto=self._crypto)
