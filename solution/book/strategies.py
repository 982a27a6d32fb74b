"""What the signals of each strategy hold, as far as their own orders say.

A strategy is a label of the producer's. Its orders' fills are added up per ticker; of what they
leave counts only as much as the account really holds on that side, since anybody's order may have
closed it.
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
        self._net: dict[str, dict[str, Decimal]] = {name: {} for name in watched}

    def filled(self, strategy: str, symbol: str, signed_qty: Decimal) -> None:
        """Shares that an order of the strategy has traded, negative for a sale."""
        net = self._net.get(strategy)
        if net is not None:
            net[symbol] = net.get(symbol, ZERO) + signed_qty

    def value(self, strategy: str, standing: Standing) -> Decimal:
        """What of the account's positions is the strategy's, in account currency; ≥ 0."""
        total = ZERO
        for symbol, net in self._net.get(strategy, {}).items():
            held, mark = standing(symbol)
            if net and held and (net > 0) == (held > 0):
                total += min(abs(net), abs(held)) * mark
        return total
