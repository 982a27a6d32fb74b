"""The orders that wait: for a price, by symbol, and for a moment, by time."""

import heapq
from collections.abc import Iterator

from paper_exchange.books.accounts import Account
from paper_exchange.orders import Order

#: Up to here, timers of ended orders are left until they run out.
_FEW_TIMERS = 1_000

Owned = tuple[Account, Order]


class Waiting:
    """Which open orders wait for what."""

    def __init__(self) -> None:
        self._resting: dict[str, dict[str, Owned]] = {}
        self._timers: list[tuple[int, int, Account, Order]] = []
        self._sequence = 0
        self._most_timers = _FEW_TIMERS

    def __bool__(self) -> bool:
        return bool(self._resting or self._timers)

    # -- for a price ---------------------------------------------------------------------------

    def rest(self, account: Account, order: Order) -> bool:
        """Wait for a better price; returns whether the order did not yet."""
        resting = self._resting.setdefault(order.asset.symbol, {})
        if order.id in resting:
            return False
        resting[order.id] = (account, order)
        return True

    def leave(self, order: Order) -> None:
        """Wait for a price no longer; timers of ended orders are passed over by themselves."""
        resting = self._resting.get(order.asset.symbol)
        if resting is not None:
            resting.pop(order.id, None)
            if not resting:
                del self._resting[order.asset.symbol]

    def symbols(self) -> list[str]:
        """What orders wait for prices of."""
        return list(self._resting)

    def resting(self, symbol: str) -> list[Owned]:
        """The orders of one symbol, in the order in which they came to rest."""
        return list(self._resting.get(symbol, {}).values())

    @property
    def for_prices(self) -> bool:
        """Whether any order waits for a price."""
        return bool(self._resting)

    # -- for a moment --------------------------------------------------------------------------

    def set_timer(self, due_ns: int, account: Account, order: Order) -> None:
        """Have the order looked at then; equal moments keep their order of setting."""
        if len(self._timers) >= self._most_timers:
            # Ended orders would otherwise stay in memory until their timers run out.
            self._timers = [timer for timer in self._timers if timer[3].is_open]
            heapq.heapify(self._timers)
            self._most_timers = max(_FEW_TIMERS, 2 * len(self._timers))
        self._sequence += 1
        heapq.heappush(self._timers, (due_ns, self._sequence, account, order))

    def due(self, now_ns: int) -> Iterator[Owned]:
        """Take the timers that have run out, of orders still open, in the order of time."""
        while self._timers and self._timers[0][0] <= now_ns:
            _, _, account, order = heapq.heappop(self._timers)
            if order.is_open:
                yield account, order

    def next_ns(self) -> int | None:
        """When the next timer of an open order runs out."""
        while self._timers and not self._timers[0][3].is_open:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None
