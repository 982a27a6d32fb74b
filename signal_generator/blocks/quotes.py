"""The newest bid and ask of each ticker, and how old they are."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from signal_generator.bars import Quote


class QuoteFeed(Protocol):
    """Where quotes come from."""

    def start(self, symbols: Sequence[str], put: Callable[[Quote], None]) -> None:
        """Begin to deliver the latest quotes and every one that follows, from a thread of its own.

        Returns at once; a connection that is lost is made again.
        """

    def stop(self) -> None:
        """End within 2 seconds."""


class QuoteBoard:
    """Safe from any thread: a quote is replaced as a whole, never its bid without its ask."""

    def __init__(self, tickers: Sequence[str], now: Callable[[], datetime]) -> None:
        self._now = now
        self._mutex = threading.Lock()
        self._latest: dict[str, Quote | None] = dict.fromkeys(tickers)

    def put(self, quote: Quote) -> None:
        """Keep it, unless it is older than the one that is there or of another symbol."""
        with self._mutex:
            if quote.symbol not in self._latest:
                return
            known = self._latest[quote.symbol]
            # At a reconnect the latest quote is asked for, and may come after a newer one.
            if known is None or quote.timestamp >= known.timestamp:
                self._latest[quote.symbol] = quote

    def all(self) -> dict[str, dict[str, float]] | None:
        """Bid and ask by ticker, zeros where none is known; None while none is known at all."""
        with self._mutex:
            latest = dict(self._latest)
        if not any(quote is not None and (quote.bid or quote.ask) for quote in latest.values()):
            return None
        return {
            ticker: {"bid": quote.bid, "ask": quote.ask} if quote else {"bid": 0.0, "ask": 0.0}
            for ticker, quote in latest.items()
        }

    def top(self, ticker: str) -> tuple[float, float]:
        """Bid and ask of one; zeros where none is known."""
        with self._mutex:
            quote = self._latest.get(ticker)
        return (quote.bid, quote.ask) if quote else (0.0, 0.0)

    def age(self, ticker: str) -> float | None:
        """Seconds since the exchange made the newest quote; None where there is none yet."""
        with self._mutex:
            quote = self._latest.get(ticker)
        return None if quote is None else max(0.0, (self._now() - quote.timestamp).total_seconds())
