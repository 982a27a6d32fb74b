"""Quotes from the data websocket; the latest ones are asked for at the start and at a reconnect."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from signal_generator import sessions
from signal_generator.account.broker_http import BrokerHttp
from signal_generator.bars import Bar, Quote
from signal_generator.connection import Connection
from signal_generator.hosting import BrokerUnavailable
from signal_generator.market.bar_rows import read_quote
from signal_generator.market.bar_times import is_crypto
from signal_generator.market.market_stream import MarketStream, Patience, Wanted

log = logging.getLogger(__name__)

STOP_S = 2.0
AGAIN_S = 5.0
"""After a failure to ask for the latest quotes. A quiet symbol has no other until it moves."""

PutQuote = Callable[[Quote], None]


class LiveQuotes:
    """A :class:`signal_generator.blocks.quotes.QuoteFeed`; shares and pairs on a socket each."""

    def __init__(self, connection: Connection, patience: Patience | None = None) -> None:
        self._connection = connection
        self._patience = patience or Patience()
        self._streams: list[MarketStream] = []
        self._symbols: Sequence[str] = ()
        self._put: PutQuote = lambda _quote: None
        self._stop = threading.Event()
        self._ask = threading.Event()
        self._asking = threading.Thread(target=self._run, name="latest quotes", daemon=True)

    def start(self, symbols: Sequence[str], put: PutQuote) -> None:
        """Begin; returns at once."""
        self._symbols, self._put = tuple(symbols), put
        for crypto in (False, True):
            wanted = [symbol for symbol in symbols if is_crypto(symbol) is crypto]
            if wanted:
                self._streams.append(self._stream(wanted, crypto=crypto))
        self._ask.set()
        self._asking.start()
        for stream in self._streams:
            stream.start()

    def stop(self) -> None:
        """End within 2 seconds; a request under way is left to its own time limits."""
        deadline = time.monotonic() + STOP_S
        self._stop.set()
        self._ask.set()
        for stream in self._streams:
            stream.ask_stop()
        for stream in self._streams:
            stream.join(max(0.0, deadline - time.monotonic()))
        if self._asking.is_alive():
            self._asking.join(max(0.0, deadline - time.monotonic()))

    def _stream(self, symbols: Sequence[str], *, crypto: bool) -> MarketStream:
        connection = self._connection
        return MarketStream(
            connection.crypto_stream_url if crypto else connection.data_stream_url,
            (connection.key, connection.secret),
            Wanted(bars=(), quotes=symbols),
            _Ear(self._put, self._ask.set),
            is_open=(lambda: True) if crypto else _market_is_open,
            log=log,
            patience=self._patience,
        )

    def _run(self) -> None:
        """Ask whenever a subscription begins: between the old one and it, quotes were missed."""
        http = BrokerHttp(self._connection)
        while not self._stop.is_set():
            self._ask.wait()
            self._ask.clear()
            while not self._stop.is_set() and not self._latest(http):
                self._stop.wait(AGAIN_S)
        http.close()

    def _latest(self, http: BrokerHttp) -> bool:
        """Whether the latest quotes of all symbols have been told."""
        try:
            for crypto in (False, True):
                wanted = [symbol for symbol in self._symbols if is_crypto(symbol) is crypto]
                if wanted:
                    self._tell(self._answer(http, wanted, crypto=crypto))
        except BrokerUnavailable as error:
            log.warning("latest quotes: %s", error)
            return False
        return True

    def _answer(self, http: BrokerHttp, symbols: Sequence[str], *, crypto: bool) -> Any:
        asked = {"symbols": ",".join(symbols)}
        if crypto:
            return http.get(self._connection.data_url, "/v1beta3/crypto/us/latest/quotes", asked)
        asked["feed"] = self._connection.feed
        return http.get(self._connection.data_url, "/v2/stocks/quotes/latest", asked)

    def _tell(self, answer: Any) -> None:
        rows = answer.get("quotes") if isinstance(answer, dict) else None
        if not isinstance(rows, dict):
            raise BrokerUnavailable("the answer holds no quotes")
        for symbol, row in rows.items():
            try:
                self._put(read_quote(symbol, row))
            except (ValueError, AttributeError) as error:
                log.warning("latest quote of %s: %s", symbol, error)


class _Ear:
    """What of a websocket is wanted: quotes, and that a subscription has begun."""

    def __init__(self, put: PutQuote, subscribed: Callable[[], None]) -> None:
        self.quote = put
        self.subscribed = subscribed

    def bar(self, bar: Bar) -> None:
        """None is subscribed to."""

    def correction(self, bar: Bar) -> None:
        """None is subscribed to."""

    def lost(self) -> None:
        """The stream itself says so in the log; the ages of the quotes grow meanwhile."""

    def refused(self, why: str) -> None:
        """The stream itself says so in the log."""


def _market_is_open() -> bool:
    """Outside of the core session silence means nothing."""
    try:
        return sessions.is_open(datetime.now(UTC))
    except sessions.OutsideTableError:
        return False
