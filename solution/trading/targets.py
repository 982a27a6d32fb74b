"""Sizes of orders to a position wanted: the difference to all that is held and pending."""

from decimal import Decimal

from solution.book.positions import Holdings
from solution.domain.crypto import MOST_FEE
from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.domain.signal import SizeKind
from solution.errors import Refused
from solution.trading.plan import ZERO, Plan, Request
from solution.trading.quantities import floored, stated_size, units


def difference(request: Request) -> Decimal:
    """Signed shares between the position wanted and everything held or pending.

    It may be more than is free to sell, or than is left to cover.

    Raises:
        Refused: no difference is known.
    """
    return _lack(request, _target(request))


def _target(request: Request) -> Decimal:
    """The position wanted, in shares."""
    held, symbol = request.holdings, request.asset.symbol
    target = stated_size(request)
    if held.uncertain and target:
        raise Refused(
            Reason.EXPOSURE_UNCONFIRMED,
            f"executions of {symbol} may not be in the position yet, so no difference is known",
        )
    if request.signal.size_kind is SizeKind.TARGET_WEIGHT:
        # A limit below the market may be a sale's: it must not make the target larger.
        price = max(request.price(Side.BUY), request.seen(Side.BUY))
        target = units(request, target * held.equity, price)
    return target


def _standing(held: Holdings) -> Decimal:
    """The position once all that is pending has filled, as far as a target may count on it."""
    standing = held.qty + held.pending_qty
    # A short sale that waits cannot be covered yet.
    return standing if held.qty < 0 else max(standing, ZERO)


def _lack(request: Request, target: Decimal) -> Decimal:
    """Signed difference to the target; of a pair nothing where fees took what is missing, or where
    what is too much cannot be sold.

    Publishing a target twice trades once: fees come off the coins that were bought for it, and dust
    stays behind a sale.
    """
    delta = floored(request, target - _standing(request.holdings))
    if request.asset.is_crypto and (-request.least < delta < 0 or 0 < delta <= target * MOST_FEE):
        return ZERO
    return delta


def to_target(request: Request) -> Plan:
    """Trade the difference."""
    held, target = request.holdings, _target(request)
    standing = _standing(held)
    delta = _lack(request, target)
    if delta == 0:
        why = f"{standing:f} {request.asset.symbol} held and pending are the target"
        raise Refused(Reason.AT_TARGET, why)
    if delta < 0:
        return _target_down(request, -delta)
    if held.qty < 0:
        return _target_cover(request, delta, target)
    price = request.price(Side.BUY)
    return Plan(side=Side.BUY, qty=delta, price=price, opens=True, stated=True)


def _target_down(request: Request, wanted: Decimal) -> Plan:
    held = request.holdings
    qty = floored(request, min(wanted, held.available_qty))
    if qty <= 0:
        raise Refused(
            Reason.NOTHING_TO_SELL,
            f"{held.qty:f} {request.asset.symbol} held, none free to sell{held.told_legs}",
        )
    return Plan(side=Side.SELL, qty=qty, price=request.price(Side.SELL), opens=False, stated=True)


def _target_cover(request: Request, wanted: Decimal, target: Decimal) -> Plan:
    """Up to the short that no pending buy covers yet: crossing zero closes only."""
    held = request.holdings
    qty = floored(request, min(wanted, held.coverable_qty))
    if qty <= 0:
        raise Refused(
            Reason.NOTHING_TO_COVER,
            f"{held.qty:f} {request.asset.symbol} held short, being covered already"
            f"{held.told_legs}",
        )
    note = "TARGET_CLAMPED_AT_ZERO: crosses zero, closes only" if target > 0 else ""
    price = request.price(Side.BUY)
    return Plan(side=Side.BUY, qty=qty, price=price, opens=False, stated=True, note=note)
