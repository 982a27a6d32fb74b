"""Which shares the legs of our brackets hold, from the moment their entry order fills.

Nothing is reserved for a leg, and the account snapshot tells what it holds only seconds later.
Until then an exit would find all shares free and be refused by the broker. Take-profit and stop
loss of one entry order hold the same shares, once. While the legs are not known, the entry order
stands for them.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from solution.book.positions import Portfolio
from solution.domain import legs
from solution.domain.order_state import News
from solution.domain.orders import Side
from solution.trading.tracked import Tracked

ZERO = Decimal(0)


@dataclass(slots=True, eq=False)
class Bracket:
    """An entry order and what of its legs we have heard of.

    ``has_none``: the broker named no leg when an exit asked for them, so nothing is held for them.
    """

    entry: Tracked
    legs: dict[str, Tracked] = field(default_factory=dict)
    has_none: bool = False

    @property
    def id(self) -> str:
        return self.entry.intent.client_order_id

    @property
    def open_legs(self) -> list[Tracked]:
        return [leg for leg in self.legs.values() if not leg.progress.ended]

    @property
    def is_over(self) -> bool:
        """Whether nothing will be held any more: it filled nothing, or its legs have ended."""
        if not self.entry.progress.ended:
            return False
        over = self.entry.legs_known and not self.open_legs
        return over or not self.entry.progress.filled_qty

    def holds(self, filled: Decimal) -> Decimal:
        """Shares that the legs hold, negative where they are short.

        Args:
            filled: of the entry order.
        """
        waits = bool(self.open_legs) if self.entry.legs_known else not self.has_none
        if not waits:
            return ZERO
        sold = sum((leg.progress.filled_qty for leg in self.legs.values()), ZERO)
        left = max(ZERO, filled - sold)
        return left if self.entry.intent.side == Side.BUY else -left


class Brackets:
    """All that may hold shares; tells the portfolio. Guarded by the tracker's mutex."""

    def __init__(self, portfolio: Portfolio) -> None:
        self._portfolio = portfolio
        self._by_order: dict[str, Bracket] = {}
        """By the client_order_ids of the entry order and of each leg."""
        self._by_symbol: dict[str, dict[str, Bracket]] = {}

    def begin(self, entry: Tracked) -> Bracket:
        """An order that has legs, or will have."""
        coid = entry.intent.client_order_id
        bracket = self._by_order.get(coid)
        if bracket is None:
            bracket = self._by_order[coid] = Bracket(entry)
            self._by_symbol.setdefault(entry.intent.symbol, {})[coid] = bracket
        entry.legs_known |= bracket.entry.legs_known
        bracket.entry = entry  # the same row may have been read from the ledger anew
        return bracket

    def find(self, client_order_id: str) -> Bracket | None:
        return self._by_order.get(client_order_id)

    def add(self, leg: Tracked) -> None:
        """A leg was made or found; the bracket itself was begun before."""
        bracket = self._by_order.get(legs.parent_of(leg.intent))
        if bracket is not None:
            bracket.legs[leg.intent.client_order_id] = leg
            self._by_order[leg.intent.client_order_id] = bracket

    def foresee(self, client_order_id: str, news: News) -> None:
        """Before an execution of an entry order is booked: its shares are never seen free."""
        bracket = self._by_order.get(client_order_id)
        if bracket is not None and bracket.id == client_order_id:
            self._tell(bracket, max(news.filled_qty, bracket.entry.progress.filled_qty))

    def settle(self, client_order_id: str) -> None:
        """News of an entry order or of a leg was merged."""
        bracket = self._by_order.get(client_order_id)
        if bracket is None:
            return
        self._tell(bracket, bracket.entry.progress.filled_qty)
        if bracket.is_over:
            self._forget(bracket)

    def holding(self, symbol: str) -> list[Bracket]:
        """Those of a ticker whose legs hold shares."""
        mine = self._by_symbol.get(symbol)
        if not mine:
            return []
        return [b for b in mine.values() if b.holds(b.entry.progress.filled_qty)]

    def _tell(self, bracket: Bracket, filled: Decimal) -> None:
        symbol = bracket.entry.intent.symbol
        self._portfolio.held_by_legs(symbol, bracket.id, bracket.holds(filled))

    def _forget(self, bracket: Bracket) -> None:
        for coid in (bracket.id, *bracket.legs):
            self._by_order.pop(coid, None)
        mine = self._by_symbol[bracket.entry.intent.symbol]
        del mine[bracket.id]
        if not mine:
            del self._by_symbol[bracket.entry.intent.symbol]
