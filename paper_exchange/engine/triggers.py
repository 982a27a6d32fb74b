"""Prices at which a resting order acts: limits reached, stops triggered, trails dragged along."""

from decimal import Decimal

from paper_exchange.decimals import ZERO
from paper_exchange.orders import Order
from paper_exchange.prices.market import Quote

_HUNDRED = Decimal(100)
_COLLAR_BELOW_50 = Decimal("1.04")
_COLLAR = Decimal("1.025")


def execution_price(order: Order, quote: Quote) -> Decimal | None:
    """The price at which the order trades now: the far side of the quote, or None."""
    far = quote.ask if order.side == "buy" else quote.bid
    limit = order.working_limit
    if limit is None:
        return far
    reached = far <= limit if order.side == "buy" else far >= limit
    return far if reached else None


def watch(order: Order, quote: Quote) -> bool:
    """Move a trailing stop, and mark a stop that the last trade has reached as triggered.

    Returns:
        whether the order may have changed.
    """
    if not order.is_stop:
        return False
    if order.type == "trailing_stop":
        _trail(order, quote.last)
    stop = order.stop_price
    if stop is None:
        return False
    reached = quote.last >= stop if order.side == "buy" else quote.last <= stop
    if reached:
        order.triggered = True
        if order.type == "stop" and order.side == "buy":
            # Alpaca turns buy stops into stop-limits: 4 % above under $50, else 2.5 %.
            collar = _COLLAR_BELOW_50 if stop < 50 else _COLLAR
            order.effective_limit = stop * collar
    return reached or order.type == "trailing_stop"


def _trail(order: Order, last: Decimal) -> None:
    """Drag the stop along with the best price since submission; it never retreats."""
    better = max if order.side == "sell" else min
    order.hwm = last if order.hwm is None else better(order.hwm, last)
    if order.trail_price is not None:
        distance = order.trail_price
    else:
        distance = order.hwm * (order.trail_percent or ZERO) / _HUNDRED
    order.stop_price = order.hwm - distance if order.side == "sell" else order.hwm + distance
