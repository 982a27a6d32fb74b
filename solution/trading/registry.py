"""Which orders are on their way and which have ended, by every id they are known under."""

from collections.abc import Collection, Mapping
from itertools import takewhile

from solution.domain.records import Intent
from solution.trading.tracked import UNRESOLVED, Tracked

ENDED_KEPT = 4096
"""Ended orders remembered, so that late and repeated stream events find their order."""


class Registry:
    """Plain dictionaries; the tracker's mutex guards every change of them.

    ``on_their_way`` and ``ended`` are by client_order_id. Single lookups may be made without the
    mutex: what they find may have moved on a moment later, as with the mutex.
    """

    def __init__(self) -> None:
        self.on_their_way: dict[str, Tracked] = {}
        self.ended: dict[str, Tracked] = {}
        self._by_symbol: dict[str, dict[str, Tracked]] = {}
        self._by_order_id: dict[str, str] = {}
        self._unconfirmed: dict[str, set[str]] = {}

    def add(self, tracked: Tracked) -> None:
        coid, symbol = tracked.intent.client_order_id, tracked.intent.symbol
        self.on_their_way[coid] = tracked
        self._by_symbol.setdefault(symbol, {})[coid] = tracked
        self.name(tracked.intent.alpaca_order_id, tracked.intent)

    def name(self, order_id: str, intent: Intent) -> None:
        """The broker's id of it; a replaced order has several."""
        if order_id:
            self._by_order_id[order_id] = intent.client_order_id

    def remove(self, client_order_id: str) -> None:
        """It is on its way no more."""
        gone = self.on_their_way.pop(client_order_id, None)
        if gone is not None:
            mine = self._by_symbol.get(gone.intent.symbol, {})
            mine.pop(client_order_id, None)
            if not mine:
                self._by_symbol.pop(gone.intent.symbol, None)

    def of_symbol(self, symbol: str) -> Collection[Tracked]:
        """Those of one ticker; mostly none, and every decision asks."""
        mine = self._by_symbol.get(symbol)
        return mine.values() if mine else ()

    def find(self, client_order_id: str) -> Tracked | None:
        """The order, on its way or ended."""
        return self.on_their_way.get(client_order_id) or self.ended.get(client_order_id)

    def known_as(self, client_order_id: str, order: Mapping[str, object]) -> str:
        """Our client_order_id of a broker's order, or "".

        A successor has another one, so the broker's ids are asked too: its own, and the one that
        it took the place of.
        """
        if client_order_id in self.on_their_way or client_order_id in self.ended:
            return client_order_id
        found = self._by_order_id.get(str(order.get("id")))
        return found or self._by_order_id.get(str(order.get("replaces")), "")

    def end(self, tracked: Tracked, at: float) -> None:
        """The order is at its end.

        Args:
            at: monotonic seconds.
        """
        coid = tracked.intent.client_order_id
        self.remove(coid)
        self.confirm(tracked.intent)
        tracked.work = None  # the raw entry may be large, and nothing is decided about it any more
        tracked.ended_at = at
        self.ended[coid] = tracked
        while len(self.ended) > ENDED_KEPT:
            gone = self.ended.pop(next(iter(self.ended)))
            for name in (gone.progress.order_id, *(leg.order_id for leg in gone.progress.legs)):
                self._by_order_id.pop(name, None)

    def doubt(self, intent: Intent) -> None:
        """An order of the symbol may be live without our knowing."""
        self._unconfirmed.setdefault(intent.symbol, set()).add(intent.client_order_id)

    def confirm(self, intent: Intent) -> None:
        """Its order is known, or known not to exist."""
        waiting = self._unconfirmed.get(intent.symbol)
        if waiting:
            waiting.discard(intent.client_order_id)
            if not waiting:
                del self._unconfirmed[intent.symbol]

    def is_unconfirmed(self, symbol: str, beside: str = "") -> bool:
        """Whether an order of the symbol is in doubt, other than ``beside``.

        Nor one that was sent after that and is still looked up: of two, each would wait for the
        other. What both may do is reserved.
        """
        doubted = self._unconfirmed.get(symbol)
        if not doubted or not beside:
            return bool(doubted)
        elder = self._elder(symbol, beside)
        return any(
            coid != beside and (coid in elder or not self._is_looked_up(coid)) for coid in doubted
        )

    def waits_for(self, symbol: str, client_order_id: str) -> bool:
        """Whether an order of the symbol that was sent before this one is still looked up."""
        return any(self._is_looked_up(coid) for coid in self._elder(symbol, client_order_id))

    def _elder(self, symbol: str, client_order_id: str) -> set[str]:
        """Those in doubt that were on their way before it."""
        before = takewhile(lambda coid: coid != client_order_id, self.on_their_way)
        return self._unconfirmed.get(symbol, set()).intersection(before)

    def _is_looked_up(self, client_order_id: str) -> bool:
        tracked = self.on_their_way.get(client_order_id)
        return tracked is not None and tracked.progress.state in UNRESOLVED
