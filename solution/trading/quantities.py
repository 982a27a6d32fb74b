"""Quantities as the broker takes them: whole shares, nine decimals, increments of a pair."""

from decimal import ROUND_DOWN, Context, Decimal

from solution.domain.reasons import Reason
from solution.errors import Refused
from solution.trading.plan import Request

FRACTION = Decimal("0.000000001")
WIDE = Context(prec=80, rounding=ROUND_DOWN)
"""For amounts as long as the signal contract allows, to nine decimals."""


def stated_size(request: Request) -> Decimal:
    """The size in the signal; its kind says what it is a number of."""
    if request.signal.size is None:  # the parser sets both or neither
        raise Refused(Reason.SIZING_FAILED, "the signal names a kind of size without its value")
    return request.signal.size


def units(request: Request, value: Decimal, price: Decimal) -> Decimal:
    """How many that much money buys, rounded down: whole shares, or increments of a pair."""
    if request.asset.is_crypto:
        return in_steps(WIDE.divide(value, price), request.step)
    return (value / price).to_integral_value(ROUND_DOWN)


def in_steps(qty: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` that is no more than ``qty`` (towards zero)."""
    return WIDE.multiply(WIDE.divide_int(qty, step), step)


def shares_for(amount: Decimal, price: Decimal) -> Decimal:
    """To the broker's nine decimals, rounded down."""
    return (amount / price).quantize(FRACTION, ROUND_DOWN, WIDE)


def floored(request: Request, qty: Decimal) -> Decimal:
    """To whole shares where fractions are refused, else to the broker's nine decimals."""
    if request.whole:
        return qty.to_integral_value(ROUND_DOWN)
    if request.asset.is_crypto:
        return in_steps(qty, request.step)
    cut = qty.quantize(FRACTION, ROUND_DOWN, WIDE)
    return qty if cut == qty else cut
