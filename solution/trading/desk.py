"""What a decision reads: session, price, whether our numbers are certain. All from memory."""

from collections.abc import Callable

from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.prices import PriceBook, Quote
from solution.clock import Clock
from solution.domain.market import Market


class TradingDesk:
    """Joins the wrapper and the price book for the pipeline.

    Args:
        fetch_now: asks the data API for one symbol on the spot; bounded to about two seconds.
        max_price_age: seconds; an older price is fetched once before it is refused.
    """

    def __init__(
        self,
        wrapper: AlpacaAPIWrapper,
        prices: PriceBook,
        fetch_now: Callable[[str], Quote | None],
        clock: Clock,
        *,
        max_price_age: float,
    ) -> None:
        self._wrapper = wrapper
        self._prices = prices
        self._fetch_now = fetch_now
        self._clock = clock
        self._max_price_age = max_price_age

    def market(self) -> Market:
        return self._wrapper.market()

    def quote(self, symbol: str) -> Quote | None:
        """The newest quote; one younger than the limit if it is to be had at all."""
        known = self._prices.get(symbol)
        if known is not None:
            if self._is_fresh(known):
                return known
            return self._fetch_now(symbol) or known
        found = self._fetch_now(symbol)
        if found is not None:  # a symbol that nobody quotes would stay in every poll for nothing
            self._prices.watch(symbol)  # from now on the poll keeps it fresh
        return found

    def knows(self, symbol: str) -> bool:
        """Whether :meth:`market` and :meth:`quote` ask nobody now."""
        known = self._prices.get(symbol)
        return known is not None and self._is_fresh(known) and self._wrapper.market_is_known()

    def _is_fresh(self, quote: Quote) -> bool:
        return self._clock.monotonic() - quote.received <= self._max_price_age

    def connect(self) -> None:
        """Before the gates, so that what they saw does not wait for a handshake."""
        self._wrapper.connect()

    def refresh_if_uncertain(self, symbol: str, *, urgent: bool) -> bool:
        return self._wrapper.refresh_if_uncertain(symbol, urgent=urgent)
