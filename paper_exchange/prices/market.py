"""Quotes, trades and bars of every asset at any instant, with no I/O.

Where prices come from is a ``Tape``'s affair: a seeded random walk, or the
rows of a replayed file. Laid over it is what was set by hand.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND, new_york
from paper_exchange.prices.quotes import Book, Quote, Top
from paper_exchange.prices.series import Series
from paper_exchange.prices.tape import DAY_NS, MINUTE_NS, TICK_NS, TICKS_PER_SECOND, Tape
from paper_exchange.prices.trading_days import TradingDays
from paper_exchange.prices.walk import Walk

__all__ = [
    "DAY_NS",
    "MINUTE_NS",
    "TICKS_PER_SECOND",
    "TICK_NS",
    "Book",
    "Market",
    "Quote",
    "Replayed",
    "Top",
]


#: 1900-01-01: files may reach back further than made-up prices do.
_LONG_AGO_NS = -2_208_988_800 * SECOND


class Replayed(NamedTuple):
    """What files say about one asset; ``unit`` is what the sizes are counted in."""

    tape: Tape
    unit: Decimal
    book: Book | None = None


class Market:
    """All assets' prices at any instant, deterministic from seed and files."""

    def __init__(
        self,
        assets: Iterable[Asset],
        *,
        seed: int,
        volatility: float,
        origin_ns: int,
        session: str = "always",
        replayed: Mapping[str, Replayed] | None = None,
    ) -> None:
        self._seed = seed
        self._volatility = volatility
        self._origin = new_york(origin_ns).date()
        self._assets = {asset.symbol: asset for asset in assets}
        self._replayed = replayed or {}
        self._days = {
            crypto: TradingDays(crypto=crypto, nyse=session == "nyse") for crypto in (False, True)
        }
        self._series: dict[str, Series] = {}

    def series(self, symbol: str) -> Series:
        """Everything about one asset.

        Raises:
            KeyError: for a symbol the market does not have.
        """
        found = self._series.get(symbol)
        if found is None:
            found = self._series[symbol] = self._make(self._assets[symbol])
        return found

    def _make(self, asset: Asset) -> Series:
        days = self._days[asset.crypto]
        replayed = self._replayed.get(asset.symbol)
        if replayed is not None:
            tape, unit, book = replayed
            return Series(
                asset, days, tape, seed=self._seed, unit=unit, book=book, begins_ns=_LONG_AGO_NS
            )
        walk = Walk(
            f"{self._seed}:{asset.symbol}",
            days,
            start=float(asset.base_price),
            volatility=self._volatility,
            origin=self._origin,
        )
        return Series(asset, days, walk, seed=self._seed)

    def quote(self, symbol: str, now_ns: int) -> Quote:
        """The quote and last trade standing at ``now_ns``.

        The same object is returned while nothing has changed.

        Raises:
            KeyError: for a symbol the market does not have.
        """
        one = self._series.get(symbol) or self.series(symbol)
        # Asked for every order: a quote that still stands costs no further call.
        if now_ns // TICK_NS == one.tick and one.newest is not None:
            return one.newest
        return one.quote(now_ns)

    def quote_at(self, symbol: str, at_ns: int) -> Quote:
        """The quote that stands at any instant; an earlier one leaves the current in place."""
        return self.series(symbol).quote_at(at_ns)

    def price_at(self, symbol: str, at_ns: int) -> Decimal:
        """The last trade's price at any instant, leaving the current quote in place."""
        one = self.series(symbol)
        return one.grid.decimal(one.price_at(at_ns))

    def set_price(self, symbol: str, price: Decimal | None, now_ns: int) -> None:
        """Hold a price from the running tick on; None lets prices go on from there.

        Held, it has one step of spread on either side. What was before stays as it was.

        Raises:
            KeyError: for a symbol the market does not have.
        """
        self.series(symbol).set_price(price, now_ns)

    def held(self) -> dict[str, Decimal]:
        """The prices held by hand, by symbol."""
        found = {symbol: (one, one.held()) for symbol, one in self._series.items()}
        return {
            symbol: one.grid.decimal(price)
            for symbol, (one, price) in found.items()
            if price is not None
        }
