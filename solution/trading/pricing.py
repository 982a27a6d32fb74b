"""Prices as the exchange accepts them.

Alpaca refuses sub-penny increments: two decimals from $1 on, four below (Placing Orders,
"Sub-penny increments"). Crypto has a step per pair, named in the list of assets. Rounding goes the
safe way: a buy never pays more than asked for, a sale never brings less.
"""

from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.errors import SignalError

CENT = Decimal("0.01")
SUB_CENT = Decimal("0.0001")
BASIS_POINTS = Decimal(10_000)
_WIDE = Context(prec=80)
"""For prices as long as the signal contract allows."""


def rounded(price: Decimal | None, side: Side, step: Decimal | None = None) -> Decimal | None:
    """:func:`on_grid`, None for None."""
    return None if price is None else on_grid(price, side, step)


def on_grid(price: Decimal, side: Side, step: Decimal | None = None) -> Decimal:
    """The price that is sent for this one.

    Args:
        step: the asset's own price increment; None for a share.

    Raises:
        SignalError: INVALID_VALUE: nothing is left of it. Who is asked for an order at 0 may take
            that for no limit at all, and its size was computed with the price as given.
    """
    rounding = ROUND_DOWN if side is Side.BUY else ROUND_UP
    if step is None:
        step = CENT if price >= 1 else SUB_CENT
        stepped = price.quantize(step, rounding, _WIDE)
    else:  # a pair's step need not be a power of ten
        stepped = _WIDE.multiply(_WIDE.divide(price, step).to_integral_value(rounding), step)
    if not stepped:
        message = f"a price of {price:f} is below the exchange's finest step, {step:f}"
        raise SignalError(Reason.INVALID_VALUE, message)
    return stepped


def collared(price: Decimal, side: Side, bps: Decimal, step: Decimal | None = None) -> Decimal:
    """The worst price a marketable limit accepts: ``bps`` basis points beyond the far side."""
    away = price * bps / BASIS_POINTS
    return price + away if side is Side.BUY else max(price - away, step or SUB_CENT)
