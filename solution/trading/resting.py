"""The resting orders that a flatten has cancelled: the tracker's, the broker's list, and legs."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from solution import failpoints
from solution.clock import Clock
from solution.domain.flattening import Cancelled, Flattening, is_closing
from solution.domain.order_state import STATE_OF_STATUS
from solution.domain.ports import AssetView
from solution.domain.records import TERMINAL, State
from solution.errors import BrokerError, NoBudget, NotFound, Rejected
from solution.rate_limiter import Priority
from solution.trading.tracked import UNRESOLVED, Tracked
from solution.trading.tracker import OrderTracker

log = logging.getLogger(__name__)

LIST_EVERY = 1.0
CANCEL_AGAIN = 5.0
ASKED_AT_ONCE = 10
"""Orders that are asked for one by one in one round, when the list has them no more."""
YOUNG = 1.0
"""Seconds: an order younger than that may be missing in a list."""


class RestingDesk(Protocol):
    """The part of the wrapper that this module needs; every call spends a rate slot."""

    def cancel(self, order_id: str) -> None: ...
    def order(self, order_id: str, priority: Priority) -> Mapping[str, Any]: ...
    def open_orders(
        self, priority: Priority, *, nested: bool = False
    ) -> Sequence[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """An order that has not ended; ``client_order_id`` "" for one that the tracker has not."""

    order_id: str
    client_order_id: str
    symbol: str
    side: str
    qty: str


class RestingOrders:
    """Finds and cancels them, one request to flatten at a time.

    Args:
        is_ours: by client_order_id.
        exclusive: nobody else trades on the account: every order on it is to go.
        stopping: whether the service stops; what is left then is found again at the next start.
    """

    def __init__(
        self,
        desk: RestingDesk,
        tracker: OrderTracker,
        clock: Clock,
        *,
        find_asset: Callable[[str], AssetView | None],
        is_ours: Callable[[str], bool],
        exclusive: bool,
        stopping: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._tracker = tracker
        self._clock = clock
        self._find_asset = find_asset
        self._is_ours = is_ours
        self._exclusive = exclusive
        self._stopping = stopping
        self._listed: Sequence[Mapping[str, Any]] = ()
        self._asked: dict[str, float] = {}
        self.listed_at = float("-inf")
        """When the list in hand was asked for, monotonic."""

    def look(self) -> None:
        """Ask for the broker's list of open orders.

        Raises:
            BrokerError: the old one stays.
        """
        now = self._clock.monotonic()
        self._listed = self._desk.open_orders(Priority.EXIT, nested=True)
        self.listed_at = now

    def standing(self, covers: Callable[[str], bool]) -> dict[str, Standing]:
        """Every order to be cancelled that has not ended as far as we know, by its order id.

        Args:
            covers: whether a symbol is to be closed.
        """
        followed = {
            t.progress.order_id: _of(t)
            for t in self._tracker.open_orders()
            if t.progress.order_id and t.progress.state is State.OPEN and not is_closing(t.intent)
        }
        listed = {str(o.get("id")): self._told(o) for o in self._of_ours() if self._counts(o)}
        return {k: s for k, s in (followed | listed).items() if covers(s.symbol)}

    def unresolved(self) -> Iterator[Tracked]:
        """Orders of signals that are on their way to the broker, or looked up there."""
        return (
            t
            for t in self._tracker.open_orders()
            if t.progress.state in UNRESOLVED and not is_closing(t.intent)
        )

    def cancel(self, request: Flattening, orders: Mapping[str, Standing]) -> None:
        """Have them cancelled; again now and then until they end. What fails comes up again."""
        for order_id, order in orders.items():
            now = self._clock.monotonic()
            if now - self._asked.get(order_id, float("-inf")) < CANCEL_AGAIN:
                continue
            if self._stopping():
                return
            self._asked[order_id] = now
            request.cancelled.setdefault(order_id, Cancelled(order.symbol, order.side, order.qty))
            failpoints.hit("flatten.before_cancel", order.symbol)
            if not self._cancel(request, order):
                return
            failpoints.hit("flatten.cancelled", order.symbol)

    def settle(self, orders: Mapping[str, Standing]) -> None:
        """Ask for those that the list has no more while no news of their end has come."""
        listed = {str(o.get("id")) for o in self._of_ours()}
        missing = [
            o
            for k, o in orders.items()
            if k not in listed and self._asked.get(k, self.listed_at) < self.listed_at - YOUNG
        ]
        for order in missing[:ASKED_AT_ONCE]:
            try:
                found = self._desk.order(order.order_id, Priority.EXIT)
            except BrokerError as e:
                log.warning("flatten_not_asked", extra={"symbol": order.symbol, "detail": str(e)})
                return
            self._tracker.polled(order.client_order_id, found)

    def end_of(self, order_id: str) -> str:
        """The broker's word for the end of one that is open no more."""
        known = self._tracker.known({"id": order_id})
        return (known.progress.status if known else "") or "ended"

    # --- inside ---------------------------------------------------------------------------------

    def _cancel(self, request: Flattening, order: Standing) -> bool:
        """Whether there is budget for more."""
        kind, answer = "cancel", ""
        try:
            self._desk.cancel(order.order_id)
        except (Rejected, NotFound) as e:
            kind, answer = "cancel_refused", f": {e.message}"  # it ended meanwhile, as a rule
        except NoBudget:
            del self._asked[order.order_id]
            return False
        except BrokerError as e:
            log.warning("cancel_failed", extra={"order_id": order.order_id, "detail": str(e)})
            answer = f": no answer: {e}"
            self._asked[order.order_id] -= CANCEL_AGAIN - LIST_EVERY
        if order.client_order_id:
            words = f"order {order.order_id}, for {request.key}{answer}"
            self._tracker.remark(order.client_order_id, kind, words)
        return True

    def _of_ours(self) -> Iterator[Mapping[str, Any]]:
        """Of the list, with the legs of brackets in the place of what holds them."""
        for order in self._listed:
            coid = str(order.get("client_order_id") or "")
            if not (self._exclusive or self._is_ours(coid) or self._tracker.known(order)):
                continue
            yield order
            yield from (leg for leg in order.get("legs") or () if isinstance(leg, dict))

    def _counts(self, order: Mapping[str, Any]) -> bool:
        """Whether it is open, as far as we know by now: the list may be a second old."""
        if STATE_OF_STATUS.get(str(order.get("status")), State.OPEN) in TERMINAL:
            return False
        known = self._tracker.known(order)
        return known is None or not (known.progress.ended or is_closing(known.intent))

    def _told(self, order: Mapping[str, Any]) -> Standing:
        symbol = str(order.get("symbol"))
        asset, known = self._find_asset(symbol), self._tracker.known(order)
        return Standing(
            str(order.get("id")),
            known.intent.client_order_id if known else "",
            asset.symbol if asset else symbol,
            str(order.get("side") or ""),
            str(order.get("qty") or order.get("notional") or ""),
        )


def _of(tracked: Tracked) -> Standing:
    intent = tracked.intent
    size = intent.qty if intent.qty is not None else intent.notional
    qty = "" if size is None else f"{size:f}"
    return Standing(
        tracked.progress.order_id, intent.client_order_id, intent.symbol, intent.side, qty
    )
