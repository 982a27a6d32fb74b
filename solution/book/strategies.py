"""What of each position belongs to which strategy.

A strategy is a label of the producer's. Shares that its orders buy (or sell short) are its own. A
reduction takes the shares of whoever ordered it first, then those of nobody that is watched, then
those of the other watched strategies, by name. So nobody's limit is used up by shares that are
gone, and none grows by what another one buys.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

ZERO = Decimal(0)

Standing = Callable[[str], tuple[Decimal, Decimal]]
"""Signed shares held of a ticker, and what one is worth."""


class StrategyBook:
    """Not locked: the portfolio's mutex guards it.

    Args:
        watched: the strategies that have a limit; others are not kept.
    """

    def __init__(self, watched: Iterable[str] = ()) -> None:
        self._watched = sorted(watched)
        self._owned: dict[str, dict[str, Decimal]] = {}

    def filled(self, strategy: str, symbol: str, signed_qty: Decimal, before: Decimal) -> None:
        """Book an execution.

        Args:
            strategy: whose order it was; "" for nobody's.
            signed_qty: shares traded, negative for a sale.
            before: the account's position before it.
        """
        if not self._watched:
            return
        owned = self._owned.setdefault(symbol, {})
        opened = abs(signed_qty)
        if signed_qty * before < 0:
            closed = min(opened, abs(before))
            self._take(owned, strategy, closed, abs(before))
            opened -= closed
        if opened and strategy in self._watched:
            owned[strategy] = owned.get(strategy, ZERO) + opened

    def value(self, strategy: str, standing: Standing) -> Decimal:
        """What of the account's positions is the strategy's, in account currency; ≥ 0."""
        total = ZERO
        for symbol, owned in self._owned.items():
            mine = owned.get(strategy)
            if mine:
                # Somebody may have closed it without an order of ours.
                held, mark = standing(symbol)
                total += min(mine, abs(held)) * mark
        return total

    def _take(
        self, owned: dict[str, Decimal], strategy: str, closed: Decimal, standing: Decimal
    ) -> None:
        nobodys = max(ZERO, standing - sum(owned.values(), ZERO))
        closed -= _from(owned, strategy, closed)
        closed -= min(closed, nobodys)
        for other in self._watched:
            closed -= _from(owned, other, closed)


def _from(owned: dict[str, Decimal], strategy: str, most: Decimal) -> Decimal:
    """Take up to so many shares from a strategy; returns how many it had."""
    taken = min(owned.get(strategy, ZERO), most)
    if taken:
        owned[strategy] -= taken
    return taken
