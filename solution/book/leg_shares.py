"""Shares of positions that the legs of our brackets hold."""

from decimal import Decimal

ZERO = Decimal(0)


class LegShares:
    """Not locked: the portfolio's mutex guards it."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Decimal]] = {}

    def hold(self, symbol: str, bracket: str, signed_qty: Decimal) -> None:
        """What one bracket's legs hold by now, negative of a short; 0: nothing any more."""
        if signed_qty:
            self._held.setdefault(symbol, {})[bracket] = signed_qty
        elif symbol in self._held:
            self._held[symbol].pop(bracket, None)
            if not self._held[symbol]:
                del self._held[symbol]

    def of(self, symbol: str, held: Decimal) -> Decimal:
        """Shares of a position that legs hold: those that close its side, at most all of it."""
        own = self._held.get(symbol)
        if not own:
            return ZERO
        sign = 1 if held > 0 else -1
        return min(abs(held), sum((max(ZERO, sign * qty) for qty in own.values()), ZERO))
