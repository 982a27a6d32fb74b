"""Sizes of orders that shrink a position: never more than is there and not promised elsewhere."""

from decimal import Decimal

from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.domain.signal import SizeKind
from solution.errors import Refused
from solution.trading.plan import ZERO, Plan, Request
from solution.trading.quantities import floored, shares_for, stated_size, units


def sell_held(request: Request) -> Plan:
    """Sell all that is free, or the size stated in the signal up to that."""
    held = request.holdings
    if held.available_qty <= 0:
        raise Refused(
            Reason.NOTHING_TO_SELL,
            f"{max(held.qty, ZERO):f} {request.asset.symbol} held, none free to sell"
            f"{held.told_legs}",
        )
    price = request.price(Side.SELL)
    if _waits_for_profit(request) and price <= held.avg_entry:
        raise Refused(
            Reason.NOT_ABOVE_ENTRY, f"bid {price:f} is not above entry {held.avg_entry:f}"
        )
    return _reduce(request, Side.SELL, held.available_qty, price)


def _waits_for_profit(request: Request) -> bool:
    """SELL_ONLY_ABOVE_ENTRY: of ``all_in`` and the bare ``s`` only, so that one can always exit."""
    rules, signal = request.rules, request.signal
    bare = signal.size is None and signal.action is None
    return rules.sell_only_above_entry and rules.policy == "all_in" and bare


def cover(request: Request) -> Plan:
    """Buy back what is short and not being covered yet, or less where the signal says so."""
    held = request.holdings
    coverable = held.coverable_qty
    if coverable <= 0:
        raise Refused(
            Reason.NOTHING_TO_COVER,
            f"no short {request.asset.symbol} is open and uncovered{held.told_legs}",
        )
    return _reduce(request, Side.BUY, coverable, request.price(Side.BUY))


def _reduce(request: Request, side: Side, most: Decimal, price: Decimal) -> Plan:
    """Up to what is there: a size stated in the signal may ask for less, never for more."""
    asked, stated = most, request.signal.size_kind
    if stated is SizeKind.QTY:
        asked = stated_size(request)
    elif stated is SizeKind.NOTIONAL:
        asked = shares_for(stated_size(request), price)
    elif stated is SizeKind.WEIGHT:
        asked = units(request, stated_size(request) * request.holdings.equity, price)
    qty = min(asked, most)
    if stated is not SizeKind.QTY or qty < asked:  # a stated fraction is the gates' to refuse
        qty = floored(request, qty)
    if qty <= 0:
        raise Refused(
            Reason.SIZE_TOO_SMALL, f"the size for {request.asset.symbol} rounds down to no share"
        )
    told = request.holdings.told_legs
    note = f"limited to what is {'free' if told else 'held'}{told}" if most < asked else ""
    if qty < min(asked, most):
        note = "" if request.asset.is_crypto else "rounded down to whole shares"
    return Plan(side=side, qty=qty, price=price, opens=False, stated=stated is not None, note=note)


def liquidate(request: Request) -> Plan:
    """Close whatever is open; a direction restricts it: ``s`` to longs, ``b`` to shorts."""
    side = request.signal.side
    if side is Side.BUY or (side is None and request.holdings.qty < 0):
        return cover(request)
    return sell_held(request)
