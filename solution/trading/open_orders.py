"""The broker's list of open orders against ours, once a minute while anything is open.

It finds what no poll of a single order can:

- an order that we follow and the list lacks: its end was missed, so it is asked for at once;
- an order of an unresolved row: its lookup comes at once, instead of when it is due;
- an order with our id and no row: ``on_stranger`` is told;
- an order that our ledger has at its end and the broker has open. A recorded end is never taken
  back, the reservation is gone and its signal was told the end, so nothing accounts for what
  such an order may still trade: once a second question confirms it, what is open of it is
  cancelled, and what it fills is booked as a correction. It is asked for until the broker has it
  at its end too.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from solution.clock import Clock
from solution.domain.order_state import STATE_OF_STATUS
from solution.domain.records import TERMINAL, State
from solution.errors import BrokerError, NoBudget, NotFound, Rejected
from solution.rate_limiter import Priority
from solution.trading.schedule import Schedule
from solution.trading.tracked import Tracked
from solution.trading.tracker import OrderTracker

log = logging.getLogger(__name__)

EVERY = 60.0
EVERY_WHEN_IDLE = 600.0
"""With nothing open of ours there is only a stranger to find."""
AFTER_FAILURE = 5.0
COMPLETE = 500
"""A list as long as one page says nothing about what it lacks."""
YOUNG_MS = 5_000
"""An order sent so shortly before the list may not be in it yet."""


class ListDesk(Protocol):
    def open_orders(self, priority: Priority) -> Sequence[Mapping[str, Any]]: ...
    def order(self, order_id: str, priority: Priority) -> Mapping[str, Any]: ...
    def cancel(self, order_id: str) -> None: ...


class OpenOrders:
    """One comparison per call of :meth:`step` when it is due. One thread calls it.

    Args:
        is_ours: whether a client_order_id is of this deployment.
        has_row: whether the ledger has a row of it.
        on_stranger: gets each order of ours without a row; called again until it does not raise.
    """

    def __init__(
        self,
        desk: ListDesk,
        tracker: OrderTracker,
        schedule: Schedule,
        clock: Clock,
        *,
        is_ours: Callable[[str], bool],
        has_row: Callable[[str], bool],
        on_stranger: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._desk = desk
        self._tracker = tracker
        self._schedule = schedule
        self._clock = clock
        self._is_ours = is_ours
        self._has_row = has_row
        self._on_stranger = on_stranger
        self._last_at = clock.monotonic()
        self._pause = EVERY
        self._strangers: set[str] = set()
        self._reopened: dict[str, str] = {}
        self._lacked: dict[str, int] = {}
        """How many lists in a row did not have an open leg."""

    def step(self) -> None:
        """Compare, if it is time."""
        now = self._clock.monotonic()
        followed = len(self._tracker) or self._reopened
        if now - self._last_at < (self._pause if followed else EVERY_WHEN_IDLE):
            return
        self._last_at, self._pause = now, EVERY
        try:
            self._compare(now)
        except NoBudget:
            self._pause = AFTER_FAILURE  # orders need the budget
        except BrokerError as e:
            self._pause = AFTER_FAILURE
            log.warning("open_orders_not_listed", extra={"detail": str(e)})

    def _compare(self, asked_at: float) -> None:
        asked_ms = self._clock.epoch_ms()
        before = self._tracker.open_orders()
        listed = self._desk.open_orders(Priority.POLL)
        found = set()
        for order in listed:
            tracked = self._tracker.known(order) or self._tracker.recall(_coid(order))
            if tracked is None:
                self._stranger(order)
                continue
            found.add(tracked.intent.client_order_id)
            self._listed(tracked, order, asked_at)
        if len(listed) < COMPLETE:
            self._lacking([t for t in before if t.intent.client_order_id not in found], asked_ms)
            for coid in self._reopened.keys() - found:
                self._ended_again(coid)

    # --- in the list --------------------------------------------------------------------------

    def _listed(self, tracked: Tracked, order: Mapping[str, Any], asked_at: float) -> None:
        coid, now = tracked.intent.client_order_id, self._clock.monotonic()
        state = tracked.progress.state
        if tracked.foreign:
            return  # somebody else's order under our id: none of our books
        if state is State.OPEN:
            self._tracker.polled(coid, order)
        elif state not in TERMINAL:
            # It is compared with what was sent before it is adopted, as after any lookup.
            self._schedule.look_now(coid, now, watched=state is State.EXPIRED_UNCONFIRMED)
        elif tracked.ended_at < asked_at and not tracked.is_leg:
            self._still_open(tracked, order)

    def _still_open(self, tracked: Tracked, order: Mapping[str, Any]) -> None:
        """At its end by our record; not so at the broker?"""
        coid, order_id = tracked.intent.client_order_id, str(order.get("id"))
        current = self._desk.order(order_id, Priority.POLL)
        self._tracker.polled(coid, current)
        if not _is_open(current):
            self._reopened.pop(coid, None)
            return
        if coid not in self._reopened:
            self._reopened[coid] = order_id
            self._tracker.board.corrected("order")
            detail = f"recorded as {tracked.progress.state}, open at the broker: cancelled"
            log.error(
                "ended_order_is_open",
                extra={
                    "client_order_id": coid,
                    "symbol": tracked.intent.symbol,
                    "detail": f"{detail}; order {order_id}",
                },
            )
            self._tracker.remark(coid, "corrected", detail)
        try:
            self._desk.cancel(order_id)
        except Rejected as e:
            log.info("cancel_refused", extra={"client_order_id": coid, "detail": e.message})

    def _stranger(self, order: Mapping[str, Any]) -> None:
        coid = _coid(order)
        if not self._is_ours(coid) or self._has_row(coid):
            return  # a row that is not followed is one that ended while the list was on its way
        if coid not in self._strangers:
            self._strangers.add(coid)
            self._tracker.board.corrected("stranger")
            log.error(
                "unknown_order_with_our_id",
                extra={
                    "client_order_id": coid,
                    "symbol": str(order.get("symbol")),
                    "detail": f"order {order.get('id')}",
                },
            )
        try:
            self._on_stranger(order)
        except Exception:  # what one order does must not hide the others
            log.exception("stranger_not_settled", extra={"client_order_id": coid})

    # --- not in the list ------------------------------------------------------------------------

    def _lacking(self, followed: Sequence[Tracked], asked_ms: int) -> None:
        """Ends that were missed: the poll says which."""
        lacking = [
            t
            for t in followed
            if t.progress.state is State.OPEN and t.intent.submitted_ms < asked_ms - YOUNG_MS
        ]
        legs = (t.intent.client_order_id for t in lacking if t.is_leg)
        self._lacked = {coid: self._lacked.get(coid, 0) + 1 for coid in legs}
        missed = [t.intent.client_order_id for t in lacking if self._is_to_ask(t)]
        if missed:
            log.info("open_orders_lacking", extra={"orders": len(missed)})
            self._schedule.poll_now(missed, self._clock.monotonic())

    def _is_to_ask(self, tracked: Tracked) -> bool:
        """A leg that is held while its sibling works may rest for days without being listed: it is
        asked for each time the number of such lists has doubled."""
        times = self._lacked.get(tracked.intent.client_order_id, 0)
        return times & (times - 1) == 0

    def _ended_again(self, coid: str) -> None:
        """Gone from the list at last: what it filled meanwhile is in its end."""
        try:
            order = self._desk.order(self._reopened[coid], Priority.POLL)
        except NotFound:
            order = {}
        if order:
            self._tracker.polled(coid, order)
        del self._reopened[coid]


def _coid(order: Mapping[str, Any]) -> str:
    return str(order.get("client_order_id") or "")


def _is_open(order: Mapping[str, Any]) -> bool:
    return STATE_OF_STATUS.get(str(order.get("status")), State.OPEN) is State.OPEN
