"""An exit or a target that meets our own resting orders: cancel, await, read again, trade.

Alpaca refuses to sell shares that an open sell order holds, and an order that could trade with
one of our own on the other side (wash trade). The way is cleared before anything of the signal is
decided, so that it is sized on what is then free. Nothing is written down: a crash leaves the
signal pending, and its redelivery finds what is cancelled already cancelled.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from solution import failpoints
from solution.book.positions import Holdings
from solution.clock import Clock, Deadline
from solution.domain.order_state import STATE_OF_STATUS
from solution.domain.orders import OrderType, Side
from solution.domain.records import TERMINAL, State
from solution.domain.signal import Signal
from solution.errors import BrokerError, NotFound, Rejected
from solution.rate_limiter import Priority
from solution.trading.tracker import OrderTracker
from solution.trading.work import ends_at_once

log = logging.getLogger(__name__)

CLEARED_WITHIN = 5.0
"""Seconds for the cancels to take effect; then the signal is decided on what is free."""
LOOK_EVERY = 0.05
ASK_EVERY = 1.0
"""Seconds between questions to the broker, should the order stream say nothing."""


class CancelDesk(Protocol):
    """The part of the wrapper that this module needs; every call spends a rate slot."""

    def cancel(self, order_id: str) -> None: ...
    def order(
        self, order_id: str, priority: Priority, *, nested: bool = False
    ) -> Mapping[str, Any]: ...
    def open_orders(
        self, priority: Priority, *, nested: bool = False
    ) -> Sequence[Mapping[str, Any]]: ...
    def refresh_account(self, priority: Priority) -> None: ...


@dataclass(frozen=True, slots=True)
class Resting:
    """An order of ours that stands in the way; ``client_order_id`` "" for a leg without a row."""

    order_id: str
    client_order_id: str
    side: str
    limit_price: Decimal | None = None
    trailing: bool = False

    def meets(self, limit_price: Decimal | None) -> bool:
        """Whether an order of the other side with this limit (None: any price) could trade it."""
        if limit_price is None or self.limit_price is None:
            return True
        if self.side == Side.BUY:
            return limit_price <= self.limit_price
        return limit_price >= self.limit_price


@dataclass(slots=True)
class Cleared:
    """The resting orders that one decision has had cancelled, by their ids.

    ``rounds`` are two at most: what a target lacks may change its sign when the orders of one side
    are gone, and then those of the other side are in its way.
    """

    asked: set[str] = field(default_factory=set)
    ended: int = 0
    rounds: int = 0

    @property
    def over(self) -> bool:
        return self.rounds == 2

    def told(self, message: str) -> str:
        """The words of a refusal that came after them."""
        if not self.asked:
            return message
        return f"{message}; {self.ended} of {len(self.asked)} resting orders cancelled"


class ExitSaga:
    """Clears the way for exits and targets. Blocks the worker that carries one, and nobody else.

    Args:
        desk: cancels, and asks.
        tracker: knows our resting orders, and hears when they end.
        prefix: what every client_order_id of ours begins with.
        clock: measures the patience.
        stop: ends the waiting at shutdown; the signal is then still pending.
    """

    def __init__(
        self,
        desk: CancelDesk,
        tracker: OrderTracker,
        prefix: str,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._desk = desk
        self._tracker = tracker
        self._prefix = prefix
        self._clock = clock
        self._stop = stop

    def in_the_way(
        self, signal: Signal, symbol: str, held: Holdings, wanted: Decimal | None = None
    ) -> list[Resting]:
        """Our resting orders that the exit needs out of its way.

        Those of the other side that it could trade with (with a target of 0 all of them, since
        they would open what it closes), and those of its own side when they hold shares that it
        wants. Those of legs are known from the entry order's fill on, whatever the last snapshot
        says; the broker is asked for legs that no answer has named yet, and when shares are held
        that no order in the tracker holds. With nothing held an exit of everything has only the
        first kind in its way.

        Args:
            wanted: shares that it is to trade; None: all.
        """
        side = _exit_side(signal, held.qty)
        resting = self._resting(symbol)
        found = [
            order
            for order in resting
            if order.side != side and (signal.is_target or order.meets(signal.limit_price))
        ]
        if not held.qty:
            return [] if signal.size else found
        if (side is Side.SELL) != (held.qty > 0):
            return []  # it closes the other side's positions only
        pending_sells = held.pending_buy_qty - held.pending_qty
        free = held.available_qty if side is Side.SELL else held.coverable_qty
        if min(abs(held.qty), wanted or abs(held.qty)) > free:
            found += [o for o in resting if o.side == side]
            if held.leg_qty:
                found += self._legs(symbol, side)
            if side is Side.SELL and held.available_qty + pending_sells + held.leg_qty < held.qty:
                known = {order.order_id for order in found}
                found += [o for o in self._listed(symbol, side) if o.order_id not in known]
        return found

    def against(
        self, signal: Signal, symbol: str, held: Holdings, lack: Decimal, limit: Decimal | None
    ) -> list[Resting]:
        """Our resting orders that the trade to a target above 0 needs out of its way.

        Those of the other side that the broker would not let it meet (trailing stops are exempt);
        all of that side where more is to be sold than is free beside them.

        Args:
            lack: signed shares to the target, not 0; orders that are pending count as filled.
            limit: what an order for them is sent with; None: any price.
        """
        side = Side.BUY if lack > 0 else Side.SELL
        opposed = [order for order in self._resting(symbol) if order.side != side]
        if -lack > held.available_qty:
            return opposed
        if signal.order_type is OrderType.TRAILING_STOP:
            return []
        return [order for order in opposed if not order.trailing and order.meets(limit)]

    def clear(self, symbol: str, orders: Sequence[Resting], exit_id: str) -> int:
        """Cancel them, wait until they have ended (bounded), and read the account again.

        Args:
            exit_id: the client_order_id that the exit's order will have.

        Returns:
            how many of them have ended.
        """
        log.info("exit_cancels_resting", extra={"symbol": symbol, "orders": len(orders)})
        waiting = [order for order in orders if self._cancelled(order, exit_id)]
        failed = len(orders) - len(waiting)
        began = self._clock.monotonic()
        deadline = Deadline(CLEARED_WITHIN, self._clock)
        ask_at = self._clock.monotonic() + ASK_EVERY
        while waiting and not deadline.passed() and not self._stop.wait(LOOK_EVERY):
            ask = self._clock.monotonic() >= ask_at
            if ask:
                ask_at = self._clock.monotonic() + ASK_EVERY
            waiting = [order for order in waiting if not self._ended(order, ask=ask)]
        if waiting:
            log.warning("resting_not_cancelled", extra={"symbol": symbol, "orders": len(waiting)})
        took = self._clock.monotonic() - began
        self._tracker.remark(
            exit_id, "cleared", f"{len(waiting)} of {len(orders)} still open after {took:.3f} s"
        )
        self._read_again()
        return len(orders) - failed - len(waiting)

    # --- inside ---------------------------------------------------------------------------------

    def _resting(self, symbol: str) -> list[Resting]:
        return [
            Resting(
                t.progress.order_id,
                t.intent.client_order_id,
                t.intent.side,
                t.intent.limit_price,
                trailing=t.intent.order_type == OrderType.TRAILING_STOP,
            )
            for t in self._tracker.open_orders()
            if t.intent.symbol == symbol
            and t.progress.state is State.OPEN
            and t.progress.order_id
            and not ends_at_once(t.intent)
            and not t.is_leg
        ]

    def _legs(self, symbol: str, side: Side | None) -> list[Resting]:
        """Legs of our brackets that hold shares, once the broker has named all of them."""
        for coid, order_id in self._tracker.legs.unnamed(symbol):
            self._ask_for_legs(coid, order_id)
        return [
            Resting(t.progress.order_id, t.intent.client_order_id, t.intent.side)
            for t in self._tracker.legs.holding(symbol)
            if t.intent.side == side
        ]

    def _ask_for_legs(self, coid: str, order_id: str) -> None:
        """A filled entry order is in no list of open ones, so it is asked for itself."""
        try:
            order = self._desk.order(order_id, Priority.EXIT, nested=True)
        except BrokerError as e:
            log.warning("legs_not_asked", extra={"client_order_id": coid, "detail": str(e)})
            return
        self._tracker.recall(coid)  # it may have ended before this process began
        self._tracker.polled(coid, order)
        if not order.get("legs"):
            self._tracker.legs.told_none(coid)

    def _listed(self, symbol: str, side: Side) -> list[Resting]:
        try:
            listed = self._desk.open_orders(Priority.EXIT, nested=True)
        except BrokerError as e:
            log.warning("legs_not_listed", extra={"symbol": symbol, "detail": str(e)})
            return []
        ours = [o for o in listed if str(o.get("client_order_id")).startswith(self._prefix)]
        legs = [leg for order in ours for leg in order.get("legs") or ()]
        return [
            Resting(str(leg.get("id")), "", str(leg.get("side")))
            for leg in legs
            if leg.get("symbol") == symbol and leg.get("side") == side and not _is_over(leg)
        ]

    def _cancelled(self, order: Resting, exit_id: str) -> bool:
        """Ask for the cancel; whether its end is worth waiting for."""
        kind, answer, hopeful = "cancel", "", True
        failpoints.hit("saga.before_cancel")
        try:
            self._desk.cancel(order.order_id)
            failpoints.hit("saga.cancelled")
        except (Rejected, NotFound) as e:
            log.debug("cancel_refused", extra={"order_id": order.order_id})  # it ended meanwhile
            kind, answer = "cancel_refused", f": {e.message}"
        except BrokerError as e:
            log.warning("cancel_failed", extra={"order_id": order.order_id, "detail": str(e)})
            answer, hopeful = f": no answer: {e}", False
        self._tracker.remark(exit_id, kind, f"order {order.order_id}, in the way{answer}")
        if order.client_order_id:
            why = f"order {order.order_id}, in the way of the exit {exit_id}{answer}"
            self._tracker.remark(order.client_order_id, kind, why)
        return hopeful

    def _ended(self, order: Resting, *, ask: bool) -> bool:
        if order.client_order_id and self._tracker.get(order.client_order_id) is None:
            return True
        if not ask:
            return False
        try:
            found = self._desk.order(order.order_id, Priority.EXIT)
        except NotFound:
            return True
        except BrokerError:
            return False
        if order.client_order_id:
            self._tracker.polled(order.client_order_id, found)
        return _is_over(found)

    def _read_again(self) -> None:
        try:
            self._desk.refresh_account(Priority.EXIT)
        except BrokerError as e:
            # The reservations of what ended are free; the exit is decided on our own numbers.
            log.warning("account_refresh_failed", extra={"detail": str(e)})


def _exit_side(signal: Signal, held: Decimal) -> Side | None:
    """The side that the exit trades on; None where nothing is held that could tell."""
    if signal.side is not None or not held:
        return signal.side
    return Side.SELL if held > 0 else Side.BUY


def _is_over(order: Mapping[str, Any]) -> bool:
    return STATE_OF_STATUS.get(str(order.get("status")), State.OPEN) in TERMINAL
