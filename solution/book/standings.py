"""How executions and snapshots move each position, and what all of them are worth."""

from collections.abc import Iterator
from decimal import Decimal

from solution.book.holdings import Holding, Position
from solution.clock import Clock

ZERO = Decimal(0)


class Standings:
    """Not locked: the portfolio's mutex guards it.

    Args:
        clock: monotonic time.

    Attributes:
        gross: the most that all positions may be worth, long and short.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._holdings: dict[str, Holding] = {}
        self.gross = ZERO

    def __iter__(self) -> Iterator[str]:
        return iter(self._holdings)

    def find(self, symbol: str) -> Holding | None:
        """What is known of it, to be read."""
        return self._holdings.get(symbol)

    def of(self, symbol: str) -> Holding:
        """The same, to be changed; one that was unknown is known from now."""
        return self._holdings.setdefault(symbol, Holding())

    def held(self) -> list[tuple[str, Holding]]:
        """The positions there are, by symbol."""
        return [(symbol, mine) for symbol, mine in sorted(self._holdings.items()) if mine.qty]

    def value(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Signed shares held, and what one is worth."""
        mine = self._holdings.get(symbol)
        return (mine.qty, mine.mark) if mine is not None else (ZERO, ZERO)

    def take_over(
        self, mine: Holding, theirs: Position | None, sells: tuple[Decimal, Decimal]
    ) -> None:
        """The broker's numbers of a snapshot; None: there is no such position.

        Args:
            sells: shares in sales of ours that the snapshot surely counts as held, and those that
                it may.
        """
        if theirs is None:
            mine.qty = mine.held = mine.held_elsewhere = mine.avg_entry = ZERO
            self.revalue(mine)
            return
        mine.qty = theirs.qty
        mine.avg_entry = theirs.avg_entry_price
        worth = theirs.market_value / theirs.qty if theirs.qty else ZERO
        self.revalue(mine, worth or theirs.avg_entry_price)
        surely_ours, maybe_ours = sells
        mine.held = abs(theirs.qty) - abs(theirs.qty_available)
        mine.held_elsewhere = max(ZERO, mine.held - surely_ours)
        if mine.held_elsewhere and maybe_ours:
            # Ours or another's? Counted as another's, until the next snapshot tells.
            mine.doubted_at = self._clock.monotonic()

    def stand_at(
        self, mine: Holding, position_qty: Decimal, signed_qty: Decimal, price: Decimal, now: float
    ) -> None:
        """Take over the standing that came with an execution.

        One that our own arithmetic does not meet is doubted: the last snapshot contained the
        execution already, or the standing is older than executions that we learned of otherwise,
        or something else moved the position. Once in doubt, all that follows is.
        """
        if mine.uncertain or position_qty != mine.qty + signed_qty:
            mine.doubted_at = now
            least = mine.qty - mine.sold_in_doubt + min(ZERO, signed_qty)
            most = mine.qty + mine.bought_in_doubt + max(ZERO, signed_qty)
            mine.sold_in_doubt = max(ZERO, position_qty - least)
            mine.bought_in_doubt = max(ZERO, most - position_qty)
        self.move(mine, position_qty - mine.qty, price, now)

    def move(self, mine: Holding, signed_qty: Decimal, price: Decimal, now: float) -> None:
        """An execution that is surely not in our number yet."""
        after = mine.qty + signed_qty
        if after == 0:
            mine.avg_entry = ZERO
        elif mine.qty == 0 or (mine.qty > 0) != (after > 0):
            mine.avg_entry = price
        elif abs(after) > abs(mine.qty):
            mine.avg_entry = (mine.qty * mine.avg_entry + signed_qty * price) / after
        mine.qty = after
        mine.moved_at = now
        self.revalue(mine, price)

    def revalue(self, mine: Holding, mark: Decimal = ZERO) -> None:
        """Keep the sum over all positions; ``mark`` 0: the price is no news."""
        mine.mark = mark or mine.mark
        most = max(abs(mine.qty + mine.bought_in_doubt), abs(mine.qty - mine.sold_in_doubt))
        value = most * mine.mark
        self.gross += value - mine.value
        mine.value = value
