"""Recorded trades as a tape, and recorded quotes as a book."""

from array import array
from bisect import bisect_left

from paper_exchange.prices.quotes import Top
from paper_exchange.prices.tape import MINUTE_NS, Prints, Stretch, summed


class TradeTape:
    """One symbol's recorded trades, as they are. A ``Tape``."""

    def __init__(self, times: "array[int]", prices: "array[float]", units: "array[int]") -> None:
        self._times = times
        self._prices = prices
        self._units = units
        self.first_price = prices[0]

    def _between(self, first: int, stop: int) -> Prints:
        begin = bisect_left(self._times, first * MINUTE_NS)
        end = bisect_left(self._times, stop * MINUTE_NS)
        return Prints(
            self._times[begin:end].tolist(),
            self._prices[begin:end].tolist(),
            self._units[begin:end].tolist(),
        )

    def prints(self, minute: int) -> Prints:
        """See ``Tape``."""
        return self._between(minute, minute + 1)

    def span(self, first: int, stop: int) -> Stretch | None:
        """See ``Tape``."""
        return summed(self._between(first, stop))

    def latest(self, minute: int) -> int | None:
        """See ``Tape``."""
        place = bisect_left(self._times, (minute + 1) * MINUTE_NS) - 1
        return self._times[place] // MINUTE_NS if place >= 0 else None

    def following(self, minute: int) -> int | None:
        """See ``Tape``."""
        place = bisect_left(self._times, minute * MINUTE_NS)
        return self._times[place] // MINUTE_NS if place < len(self._times) else None


class RecordedBook:
    """One symbol's recorded quotes. A ``Book``."""

    def __init__(
        self,
        times: "array[int]",
        bids: "tuple[array[float], array[int]]",
        asks: "tuple[array[float], array[int]]",
    ) -> None:
        self._times = times
        self._bids = bids
        self._asks = asks

    def __len__(self) -> int:
        return len(self._times)

    def rank(self, at_ns: int) -> int:
        """See ``Book``."""
        return bisect_left(self._times, at_ns)

    def row(self, rank: int) -> Top:
        """See ``Book``."""
        (bids, bid_units), (asks, ask_units) = self._bids, self._asks
        return Top(self._times[rank], bids[rank], asks[rank], bid_units[rank], ask_units[rank])
