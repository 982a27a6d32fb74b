"""Prices as the exchange accepts them.

Alpaca refuses sub-penny increments: two decimals from $1 on, four below (Placing Orders,
"Sub-penny increments"). Rounding goes the safe way: a buy never pays more than asked for, a sale
never brings less.
"""

from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

from solution.domain.orders import Side

CENT = Decimal("0.01")
SUB_CENT = Decimal("0.0001")
BASIS_POINTS = Decimal(10_000)
_WIDE = Context(prec=80)
"""For prices as long as the signal contract allows."""


def rounded(price: Decimal | None, side: Side) -> Decimal | None:
    """:func:`on_grid`, None for None."""
    return None if price is None else on_grid(price, side)


def on_grid(price: Decimal, side: Side) -> Decimal:
    """The price that is sent for this one."""
    step = CENT if price >= 1 else SUB_CENT
    return price.quantize(step, ROUND_DOWN if side is Side.BUY else ROUND_UP, _WIDE)


def collared(price: Decimal, side: Side, bps: Decimal) -> Decimal:
    """The worst price a marketable limit accepts: ``bps`` basis points beyond the far side."""
    away = price * bps / BASIS_POINTS
    return price + away if side is Side.BUY else max(price - away, SUB_CENT)
