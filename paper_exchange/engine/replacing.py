"""What a replacement turns an order into, and when it is refused."""

from decimal import Decimal

from paper_exchange.decimals import is_whole
from paper_exchange.engine.validation import check_order
from paper_exchange.errors import invalid, unprocessable
from paper_exchange.ids import IdSource
from paper_exchange.orders import Changes, NewOrder, Order

_REFUSED = frozenset({"accepted", "pending_new", "pending_cancel", "pending_replace"})


def amended(order: Order, changes: Changes, new_id: IdSource) -> NewOrder:
    """The order that takes the place of ``order``.

    A ``qty`` is the total of the chain, so what the old order has filled is
    taken off (Alpaca documents only that it must exceed ``filled_qty``).

    Raises:
        ApiError: 422 with Alpaca's message for the cause.
    """
    _check_replaceable(order)
    if changes.qty is not None and changes.qty != order.qty and order.claim_group is not None:
        raise unprocessable("qty of an exit order cannot be changed")
    total = _total(order, order.qty, changes.qty)
    trail_price, trail_percent = order.trail_price, order.trail_percent
    if changes.trail is not None:
        if order.type != "trailing_stop":
            raise invalid("trail is only accepted for trailing stop orders")
        if trail_price is not None:
            trail_price = changes.trail
        else:
            trail_percent = changes.trail
    trailing = order.type == "trailing_stop"
    new = NewOrder(
        asset=order.asset,
        side=order.side,
        type=order.type,
        time_in_force=changes.time_in_force or order.time_in_force,
        client_order_id=changes.client_order_id or new_id(),
        qty=total - order.filled_qty,
        limit_price=changes.limit_price or order.limit_price,
        # A trailing stop's price is worked out anew from its trail.
        stop_price=changes.stop_price or (None if trailing else order.stop_price),
        trail_price=trail_price,
        trail_percent=trail_percent,
        extended_hours=order.extended_hours,
        order_class=order.order_class,
    )
    _check_changed(order, new, total)
    check_order(new)
    return new


def _check_replaceable(order: Order) -> None:
    if order.status == "replaced":
        raise unprocessable("order already replaced")
    if order.is_waiting_successor:
        raise unprocessable("order chain not fully replaced")
    if not order.is_open or order.status in _REFUSED:
        raise unprocessable(f"cannot replace order in {order.status} status")


def _total(order: Order, before: Decimal | None, wanted: Decimal | None) -> Decimal:
    if before is None:
        raise unprocessable("notional orders cannot be replaced")
    if wanted is None:
        return before
    if not is_whole(before):
        raise unprocessable("qty of a fractional order cannot be changed")
    if wanted <= order.filled_qty:
        raise unprocessable("qty must be > filled_qty")
    return wanted


def _check_changed(order: Order, new: NewOrder, total: Decimal) -> None:
    before = (
        order.qty,
        order.time_in_force,
        order.limit_price,
        None if order.type == "trailing_stop" else order.stop_price,
        order.trail_price,
        order.trail_percent,
    )
    after = (
        total,
        new.time_in_force,
        new.limit_price,
        new.stop_price,
        new.trail_price,
        new.trail_percent,
    )
    if before == after:
        raise unprocessable("order parameters are not changed")
