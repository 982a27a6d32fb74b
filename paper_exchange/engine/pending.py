"""Cancels and replacements: asked for now, in effect at once or when the venue confirms them."""

from collections.abc import Iterable

from paper_exchange.books.accounts import Account
from paper_exchange.engine.families import take_place
from paper_exchange.engine.floor import Floor
from paper_exchange.orders import Order


class Pending:
    """What becomes of orders that somebody wants to end or to replace."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def cancel(self, account: Account, order: Order, now: int) -> None:
        """Cancel an open order, now or after the venue's delay."""
        in_market = order.status in {"new", "partially_filled"}
        delay = self._floor.conduct.cancel_delay_ns(order) if in_market else 0
        if delay == 0:
            self._floor.end(account, order, "canceled", now)
        else:
            order.cancel_requested_ns = now
            self.ask(account, order, "pending_cancel", delay, now)

    def ask(self, account: Account, order: Order, status: str, delay: int | None, now: int) -> None:
        """A change is pending: for ``delay`` nanoseconds or, with None, until released."""
        order.status = status
        order.updated_ns = now
        self._floor.tell(status, order, now)
        if delay is not None:
            order.change_due_ns = now + delay
            self._floor.waiting.set_timer(order.change_due_ns, account, order)

    def confirm(self, account: Account, order: Order, now: int) -> None:
        """The venue has confirmed a cancel or a replacement."""
        order.change_due_ns = None
        account.touch(order)
        successor = account.find(order.successor_id) if order.successor_id else None
        if successor is None or not successor.is_open:
            # Who cancels the order that was to come wants neither.
            self._floor.end(account, order, "canceled", now)
            return
        if successor.qty:
            self.put_in_place(account, order, successor, now)
            return
        # More has traded meanwhile than the new order would have been for.
        order.status = "partially_filled" if order.filled_qty else "new"
        order.successor_id = None
        if order.expires_ns is not None:
            # Its end may have passed while it was to be replaced.
            self._floor.waiting.set_timer(order.expires_ns, account, order)
        self._floor.leave(account, successor, "rejected", now)

    def put_in_place(self, account: Account, order: Order, successor: Order, now: int) -> None:
        """The replacement takes effect."""
        was_held = order.status == "held"
        order.successor_id = None
        order.replaced_by = successor.id
        take_place(account, order, successor)
        self._floor.leave(account, order, "replaced", now)
        self._floor.hold(account, successor)
        if was_held:
            successor.status = "held"
        else:
            self._floor.enter(account, successor, now)

    def release(self, accounts: Iterable[Account], now: int) -> int:
        """Let every stuck cancel and replacement take effect; returns how many there were."""
        stuck = [
            (account, order)
            for account in accounts
            for order in account.open_orders.values()
            if order.status in {"pending_cancel", "pending_replace"} and order.change_due_ns is None
        ]
        for account, order in stuck:
            if order.is_open:
                self.confirm(account, order, now)
        return len(stuck)
