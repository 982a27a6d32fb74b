"""Orders that belong together: the entry of a bracket or OTO and its legs, the two ends of an OCO.

One function knows who is related to whom; the floor decides what that means.
"""

from decimal import Decimal

from paper_exchange.books.accounts import Account
from paper_exchange.ids import IdSource
from paper_exchange.orders import Exits, Order


def make_legs(order: Order, exits: Exits, new_id: IdSource) -> list[Order]:
    """The legs of a new order, ``held`` until their turn comes.

    A bracket's are a take-profit (limit) and a stop-loss (stop or stop-limit),
    an OTO's either of them, and an OCO's the stop-loss alone, since the order
    itself is the take-profit.
    """
    legs = []
    if exits.take_profit is not None and order.is_entry:
        legs.append(_leg(order, new_id, type="limit", limit=exits.take_profit, stop=None))
    if exits.stop is not None:
        kind = "stop" if exits.stop_limit is None else "stop_limit"
        legs.append(_leg(order, new_id, type=kind, limit=exits.stop_limit, stop=exits.stop))
    order.leg_ids = tuple(leg.id for leg in legs)
    return legs


def _leg(
    parent: Order,
    new_id: IdSource,
    *,
    type: str,  # noqa: A002  -- the API's word
    limit: Decimal | None,
    stop: Decimal | None,
) -> Order:
    exit_side = "sell" if parent.side == "buy" else "buy"
    side = exit_side if parent.is_entry else parent.side
    return Order(
        id=new_id(),
        account_id=parent.account_id,
        asset=parent.asset,
        client_order_id=new_id(),
        side=side,
        type=type,
        time_in_force=parent.time_in_force,
        qty=parent.qty,
        notional=None,
        limit_price=limit,
        stop_price=stop,
        trail_price=None,
        trail_percent=None,
        extended_hours=False,
        position_intent=f"{side}_to_close",
        submitted_ns=parent.submitted_ns,
        updated_ns=parent.submitted_ns,
        expires_ns=parent.expires_ns,
        status="held",
        order_class=parent.order_class,
        parent_id=parent.id,
    )


def relatives(account: Account, order: Order) -> list[Order]:
    """The other open orders of its family.

    Looked up among the open orders of the asset, not through the parent: that
    one may have ended long ago.
    """
    return [
        other
        for other in account.open_for(order.asset)
        if other is not order and other.order_class and other.family == order.family
    ]


def legs_of(account: Account, order: Order) -> list[Order]:
    """A parent's legs as they stand: of a replaced one, what took its place."""
    legs = []
    for leg_id in order.leg_ids:
        leg = account.find(leg_id)
        while leg is not None and leg.replaced_by is not None:
            leg = account.find(leg.replaced_by)
        if leg is not None:
            legs.append(leg)
    return legs


def take_place(account: Account, old: Order, new: Order) -> None:
    """Put a replacement into the family of the order it replaces."""
    new.order_class, new.parent_id, new.leg_ids = old.order_class, old.parent_id, old.leg_ids
    if old.parent_id is None:
        for leg in relatives(account, old):
            if leg is new:
                continue
            leg.parent_id = new.id
            if old.is_entry:
                # They close what the whole chain buys.
                leg.qty = (new.qty or leg.qty or Decimal(0)) + old.filled_qty
            account.touch(leg)
