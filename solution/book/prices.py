"""The newest price of every watched symbol, in memory."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """What one symbol costs, as one answer of the data API said.

    Prices are account currency per share; None means that there is none. ``quote_at`` and
    ``trade_at`` are the exchange's times (aware, UTC) of the quote and of the last trade,
    ``received`` is the monotonic clock in seconds when the answer was here.
    """

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    quote_at: datetime | None
    trade_at: datetime | None
    received: float

    @property
    def buy_price(self) -> Decimal | None:
        """What a buyer pays: the ask, else the last trade, else None.

        One side of a quote is 0 when nobody stands there (Alpaca sends ``"ap": 0``), which is no
        price.
        """
        return _first_positive(self.ask, self.last)

    @property
    def sell_price(self) -> Decimal | None:
        """What a seller gets: the bid, else the last trade, else None."""
        return _first_positive(self.bid, self.last)


def _first_positive(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None and price > 0), None)


class PriceBook:
    """Quotes by symbol, and which symbols to ask for. Safe to use from any thread.

    Readers take no lock: they read one reference to a dict that is never changed after it was
    published. Writers build the next dict without a lock and swap it in under ``_mutex``, which
    is held for a few instructions and never during a callback or a network call.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._quotes: dict[str, Quote] = {}
        self._watched: set[str] = set()
        self._symbols: tuple[str, ...] = ()
        self._on_watch: list[Callable[[str], None]] = []

    def replace(self, quotes: Mapping[str, Quote]) -> None:
        """Merge the answer to one request; symbols that it lacks keep what they have, and age.

        Of two quotes for one symbol the one received later stays, so that a slow answer to an
        older request cannot undo a newer one.
        """
        while True:
            base = self._quotes
            merged = dict(base)
            for symbol, quote in quotes.items():
                held = merged.get(symbol)
                if held is None or held.received <= quote.received:
                    merged[symbol] = quote
            if self._swap(base, merged):
                return

    def _swap(self, base: dict[str, Quote], merged: dict[str, Quote]) -> bool:
        """Publish ``merged``, unless another writer published since ``base`` was read."""
        with self._mutex:
            if self._quotes is not base:
                return False
            self._quotes = merged
            return True

    def get(self, symbol: str) -> Quote | None:
        return self._quotes.get(symbol)

    def age(self, symbol: str, now: float) -> float | None:
        """Seconds since the quote was received (``now`` is monotonic), None without a quote."""
        quote = self._quotes.get(symbol)
        return None if quote is None else now - quote.received

    def watch(self, symbol: str) -> bool:
        """Have the symbol priced from now on.

        Returns:
            whether it is new; then those who asked by :meth:`on_watch` were told, on this thread
            and outside the lock.
        """
        with self._mutex:
            if symbol in self._watched:
                return False
            self._watched.add(symbol)
            self._symbols = (*self._symbols, symbol)
        for tell in self._on_watch:
            tell(symbol)
        return True

    def on_watch(self, tell: Callable[[str], None]) -> None:
        """Have ``tell(symbol)`` called for each symbol that joins; set up before threads start."""
        self._on_watch.append(tell)

    def symbols(self) -> tuple[str, ...]:
        """The watched symbols, in the order in which they joined."""
        return self._symbols
