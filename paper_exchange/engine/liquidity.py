"""How much of an order can trade at one quote."""

from decimal import Decimal
from random import Random

from paper_exchange.decimals import ZERO
from paper_exchange.orders import Order
from paper_exchange.prices.market import Quote


class Unlimited:
    """Any size trades at the quote, as on Alpaca's paper; dice may split it."""

    def __init__(self, draws: Random, partial_fill_rate: float) -> None:
        self._draws = draws
        self._rate = partial_fill_rate

    def part(self, order: Order, quote: Quote, wanted: Decimal) -> Decimal:  # noqa: ARG002
        """How much of ``wanted`` trades now."""
        if not self._rate or order.qty is None or wanted < 2 or order.time_in_force == "fok":
            return wanted
        if self._draws.random() >= self._rate:
            return wanted
        return Decimal(self._draws.randint(1, int(wanted) - 1))


class Displayed:
    """No more trades at a quote than its size shows, all accounts together.

    The next quote shows a fresh size. A fill-or-kill order takes all it wants
    or nothing.
    """

    def __init__(self, whole: Unlimited) -> None:
        self._whole = whole
        self._taken: dict[tuple[str, str], tuple[Quote, Decimal]] = {}

    def part(self, order: Order, quote: Quote, wanted: Decimal) -> Decimal:
        """How much of ``wanted`` trades now, zero when the quote is used up."""
        key = (order.asset.symbol, order.side)
        at, taken = self._taken.get(key, (quote, ZERO))
        if at is not quote:
            taken = ZERO
        shown = quote.ask_size if order.side == "buy" else quote.bid_size
        left = Decimal(str(shown)) - taken
        if order.time_in_force == "fok" and left < wanted:
            return ZERO
        part = min(wanted, left)
        if part > 0:
            part = self._whole.part(order, quote, part)
            self._taken[key] = (quote, taken + part)
        return part


Liquidity = Unlimited | Displayed


def make_liquidity(kind: str, draws: Random, partial_fill_rate: float) -> Liquidity:
    """The rule called ``unlimited`` or ``displayed``."""
    whole = Unlimited(draws, partial_fill_rate)
    return Displayed(whole) if kind == "displayed" else whole
