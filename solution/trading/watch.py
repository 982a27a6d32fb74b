"""Asks the broker about orders whose news did not come: polls, lookups, overdue cancels.

Lookups of unclear POSTs come before polls in the rate budget, cancels before both. A poll that got
none for too long asks with the exits. Several orders are asked for with one list request. A broker
that does not answer decides nothing: the question is asked again.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from solution import failpoints
from solution.clock import Clock
from solution.domain.records import Intent, State
from solution.errors import BrokerError, NoBudget, NotFound, Rejected
from solution.rate_limiter import Priority
from solution.runtime.service import Service
from solution.session import next_close
from solution.trading.likeness import differs, is_older
from solution.trading.schedule import Due, Schedule, Task
from solution.trading.tracked import Tracked
from solution.trading.tracker import OrderTracker

log = logging.getLogger(__name__)

ENOUGH_LOOKUPS = 3
ENOUGH_SECONDS = 2.0
MANY = 3
"""From this many orders on, one list request is cheaper than asking one by one."""
SINGLE_POLLS = 5
"""Polls by id in one step; the rest comes up again shortly. Cancels and lookups that have become
due meanwhile must not wait behind a long row of polls."""
LATE_IN_LANE = 2.0
LATE = 5.0
"""Seconds that a poll may lack budget. Entries that wait take each slot that polls could have; an
order that has ended unseen holds its lane for as long, and with it the exits behind it."""
LONG_LIST = timedelta(minutes=15)
LONGEST_STEP = 0.25
TOGETHER = 0.01
"""Seconds between two steps at least: the polls of a burst fall due one by one, and a wake-up for
each costs as much as all that is found out in it, that the order has ended."""
ENOUGH_LISTS = 2
AFTER_CLOSE = timedelta(minutes=5)
"""Late prints of the closing auction are in the lists by then."""


class OrderDesk(Protocol):
    """The part of the wrapper that this module needs; every call spends a rate slot."""

    def lookup(self, client_order_id: str, priority: Priority) -> Mapping[str, Any]: ...
    def order(self, order_id: str, priority: Priority) -> Mapping[str, Any]: ...
    def orders_since(
        self, since: datetime, priority: Priority
    ) -> Sequence[Mapping[str, Any]] | None: ...
    def open_orders(self, priority: Priority) -> Sequence[Mapping[str, Any]]: ...
    def cancel(self, order_id: str) -> None: ...


class OrderWatch(Service):
    """Works off the schedule in one thread of its own; stops within one request's deadline.

    Args:
        may_resend: whether an absent order may be POSTed again (RESEND_UNKNOWN).
        max_signal_age: seconds; an older signal is never sent again.
        on_conflict: told symbol and difference where another order stands under an id of ours.
    """

    def __init__(
        self,
        desk: OrderDesk,
        tracker: OrderTracker,
        schedule: Schedule,
        clock: Clock,
        *,
        may_resend: bool,
        max_signal_age: float,
        on_conflict: Callable[[str, str], None] = lambda _symbol, _why: None,
    ) -> None:
        super().__init__("order-watch")
        self._desk = desk
        self._tracker = tracker
        self._schedule = schedule
        self._clock = clock
        self._may_resend = may_resend
        self._max_signal_age = max_signal_age
        self._on_conflict = on_conflict
        self._polls_left = 0
        self._stream_told = False

    def step(self) -> float:
        now = self._clock.monotonic()
        self._polls_left = SINGLE_POLLS
        self._mind_the_stream(now)
        due = [d for d in self._schedule.due(now) if self._tracker.get(d.client_order_id)]
        self._each([d for d in due if d.task is Task.CANCEL], self._cancel)
        self._many(due, Task.LOOKUP, self._found, self._absent)
        self._many(due, Task.WATCH, self._found, self._still_absent)
        self._many(due, Task.POLL, self._polled, self._gone)
        upcoming = self._schedule.next_at()
        if upcoming is None:
            return LONGEST_STEP
        return min(LONGEST_STEP, max(TOGETHER, upcoming - self._clock.monotonic()))

    def _mind_the_stream(self, now: float) -> None:
        """When it ends, polls planned while it told may be half a minute away: all are due now."""
        tells = self._schedule.stream_alive()
        if self._stream_told and not tells:
            followed = self._tracker.open_orders()
            resting = [t for t in followed if t.progress.state is State.OPEN]
            self._schedule.poll_now([t.intent.client_order_id for t in resting], now)
        self._stream_told = tells

    # --- asking ---------------------------------------------------------------------------

    def _priority(self, item: Due) -> Priority:
        """Unclear POSTs are asked for before exits; polls take what is left over while they can."""
        if item.task is Task.LOOKUP:
            return Priority.LOOKUP
        tracked = self._tracker.get(item.client_order_id)
        if item.task is not Task.POLL or tracked is None or tracked.is_leg:
            return Priority.POLL
        if not tracked.keeps_lane and self._schedule.stream_alive():
            return Priority.POLL  # the stream tells, and nothing waits for it
        late = LATE_IN_LANE if tracked.keeps_lane else LATE
        waited = self._clock.monotonic() - item.since
        return Priority.EXIT if waited >= late else Priority.POLL

    def _each(self, due: Iterable[Due], act: Callable[[Due, Tracked], None]) -> None:
        """Do each one; what cannot be done now goes back to the schedule, whatever happened."""
        for item in due:
            tracked = self._tracker.get(item.client_order_id)
            if tracked is None:
                continue
            if self.alive and self.stopping:
                self._schedule.soon(item, self._clock.monotonic())
                continue
            try:
                act(item, tracked)
            except Exception as e:  # noqa: BLE001 - sorted out there; nobody else would ask again
                self._put_back(item, e)

    def _put_back(self, item: Due, error: Exception) -> None:
        now = self._clock.monotonic()
        if isinstance(error, NoBudget):
            self._schedule.soon(item, now)
        elif isinstance(error, BrokerError):
            log.warning("broker_did_not_answer", extra={"task": item.task, "detail": str(error)})
            if item.task is not Task.POLL:
                kind = "cancel" if item.task is Task.CANCEL else "lookup"
                self._repeated(item, kind, f"no answer: {error}")
            self._schedule.failed(item, now)
        else:
            log.error("order_watch_failed", exc_info=error, extra={"task": item.task})
            self._schedule.failed(item, now)

    def _repeated(self, due: Due, kind: str, detail: str) -> None:
        """A line in the order's history about what an outage makes happen again and again."""
        self._tracker.repeated(due.client_order_id, kind, detail, time=due.attempt + 1)

    def _many(
        self,
        due: Sequence[Due],
        task: Task,
        found: Callable[[Due, Tracked, Mapping[str, Any]], None],
        absent: Callable[[Due, Tracked], None],
    ) -> None:
        items = {d.client_order_id: d for d in due if d.task is task}
        if not items:
            return
        try:
            listed = self._listed(task, items)
        except Exception as e:  # noqa: BLE001 - as in _each: all of them must come up again
            for item in items.values():
                self._put_back(item, e)
            return

        def ask(item: Due, tracked: Tracked) -> None:
            # By id first: a replaced order is followed under its successor's.
            by_key = listed or {}
            order = by_key.get(tracked.progress.order_id) or by_key.get(item.client_order_id)
            if order is not None:
                found(item, tracked, order)
            elif task is Task.POLL or listed is None:
                # What a poll does not find listed has ended, or is older than the list. A single
                # 404 is no complete list, so it is no proof for the watch.
                missed = self._ask_again if task is Task.WATCH else absent
                self._ask_one(item, tracked, found, missed)
            else:
                absent(item, tracked)

        self._each(items.values(), ask)

    def _listed(self, task: Task, items: Mapping[str, Due]) -> dict[str, Mapping[str, Any]] | None:
        """Orders by client_order_id and by id; None when they are to be asked for one by one.

        Raises:
            BrokerError: no list was to be had.
        """
        # An absence that is to be believed for good is read off a complete list, not off one 404.
        if task is not Task.WATCH and len(items) <= MANY:
            return None
        tracked = [t for coid in items if (t := self._tracker.get(coid))]
        # We did not send a leg: its row is a moment younger.
        sent = (t.intent.submitted_ms or t.intent.created_ms for t in tracked)
        oldest = min(sent, default=0)
        since = datetime.fromtimestamp(oldest / 1000, UTC) - timedelta(seconds=60)
        priority = min(self._priority(item) for item in items.values())
        if task is Task.POLL and self._clock.now() - since > LONG_LIST:
            # Everything since an old resting order would be a list without end.
            orders: Sequence[Mapping[str, Any]] | None = self._desk.open_orders(priority)
        else:
            orders = self._desk.orders_since(since, priority)
        if orders is None:
            return None
        by_key = {str(o.get("id")): o for o in orders}
        by_key.update({str(o.get("client_order_id")): o for o in orders})
        return by_key

    def _ask_one(
        self,
        due: Due,
        tracked: Tracked,
        found: Callable[[Due, Tracked, Mapping[str, Any]], None],
        absent: Callable[[Due, Tracked], None],
    ) -> None:
        if due.task is Task.POLL:
            if not self._polls_left:
                self._schedule.soon(due, self._clock.monotonic())
                return
            self._polls_left -= 1
        order_id, priority = tracked.progress.order_id, self._priority(due)
        try:
            if order_id:
                order = self._desk.order(order_id, priority)
            else:
                order = self._desk.lookup(due.client_order_id, priority)
        except NotFound:
            absent(due, tracked)
            return
        found(due, tracked, order)

    # --- answers --------------------------------------------------------------------------

    def _polled(self, due: Due, tracked: Tracked, order: Mapping[str, Any]) -> None:
        self._tracker.polled(due.client_order_id, order)
        if tracked.is_leg:
            return  # it rests for days: the list of open orders tells of all of them at once
        self._tracker.loosen(due.client_order_id)
        if self._tracker.get(due.client_order_id) is not None:
            self._schedule.again(due, self._clock.monotonic())

    def _gone(self, due: Due, tracked: Tracked) -> None:
        """The broker accepted it and does not list it now: never guess, ask again."""
        times = due.attempt + 1
        if times & (times - 1) == 0:  # the first, and each time their number has doubled
            log.error(
                "order_not_listed",
                extra={
                    "client_order_id": due.client_order_id,
                    "symbol": tracked.intent.symbol,
                    "detail": f"accepted by the broker, which denies it now ({times} in a row): was"
                    " the account reset? Its row stays open",
                },
            )
        self._schedule.again(due, self._clock.monotonic())

    def _found(self, due: Due, tracked: Tracked, order: Mapping[str, Any]) -> None:
        failpoints.hit("watch.found")
        if order.get("client_order_id") != due.client_order_id:
            # HTTP 200 with some other object says neither that it is there nor that it is not.
            self._repeated(due, "lookup", "answered with something else")
            self._schedule.again(due, self._clock.monotonic())
            return
        why = differs(tracked.intent, order)
        if why:
            self._conflict(tracked, why)
        elif is_older(tracked.intent, order):
            # Ours by every field, and yet older than its signal: an id used before, or clocks that
            # disagree. Nothing is adopted, and until the close nothing is given up.
            self._tracker.expire_unconfirmed(
                due.client_order_id, f"found, but created {order.get('created_at')}", adopt=False
            )
            if due.task is Task.WATCH:  # a lookup ends here: the watch goes on, less and less often
                self._still_older(due, tracked)
        else:
            how = ("adopted", f"found by lookup {due.attempt + 1}")
            self._tracker.answered(due.client_order_id, order, how=how)

    def _conflict(self, tracked: Tracked, why: str) -> None:
        coid = tracked.intent.client_order_id
        log.error("client_order_id_conflict", extra={"client_order_id": coid, "detail": why})
        # Halted first: a crash between would leave the end without the halt.
        self._on_conflict(tracked.intent.symbol, f"{coid}: {why}")
        self._tracker.conflicts(coid, why)

    def _absent(self, due: Due, tracked: Tracked) -> None:
        failpoints.hit("watch.absent")
        coid, now = due.client_order_id, self._clock.monotonic()
        absent = self._tracker.note_absent(coid)
        waited = now - (tracked.unknown_at if tracked.unknown_at is not None else now)
        self._tracker.remark(coid, "lookup", f"not found, {absent} in a row over {waited:.1f} s")
        if absent < ENOUGH_LOOKUPS or waited < ENOUGH_SECONDS:
            self._schedule.again(due, now)
            return
        if self._may_resend and self._tracker.waits_for_another(coid):
            # Its gates would say no because of that one, which would be the end of both.
            self._schedule.again(due, now)
            return
        taken = self._tracker.take_for_resend(coid) if self._may_resend else None
        if taken is None and self._awaits_its_entry(tracked):
            self._schedule.rarely(due, now)
            return
        if taken is None:
            self._tracker.expire_unconfirmed(
                coid, f"not found in {absent} lookups over {waited:.1f} s"
            )
            return
        self._tracker.remark(coid, "resend", "not found: the same body is sent if the gates pass")
        lane, work = taken
        work.resend, work.fresh = coid, False
        lane.requeue(work)

    def _awaits_its_entry(self, tracked: Tracked) -> bool:
        """Whether a worker may still come and decide: after a start its entry needs a rate slot."""
        if tracked.work is not None or tracked.entry_gone:
            return False
        age = (self._clock.epoch_ms() - tracked.intent.published_ms) / 1000
        return self._may_resend and age <= self._max_signal_age

    def _ask_again(self, due: Due, _tracked: Tracked) -> None:
        self._schedule.again(due, self._clock.monotonic())

    def _still_absent(self, due: Due, tracked: Tracked) -> None:
        """Absent for good once two complete lists after the session's close do not hold it."""
        if tracked.foreign:
            self._still_older(due, tracked)  # as old as it is, no list since our POST holds it
            return
        if self._is_over(tracked.intent):
            if self._tracker.note_absent(due.client_order_id) >= ENOUGH_LISTS:
                self._tracker.confirm_absent(due.client_order_id)
                return
        else:
            self._tracker.forget_absences(due.client_order_id)
        self._repeated(due, "lookup", "not in the broker's list of orders")
        self._schedule.again(due, self._clock.monotonic())

    def _still_older(self, due: Due, tracked: Tracked) -> None:
        """The id was taken before its signal, so its POST made no order: a conflict for good.

        Said after the close only: should the clocks disagree, the order is its own, and done.
        """
        if self._is_over(tracked.intent):
            self._conflict(tracked, "the order at the broker is older than its signal")
        else:
            self._schedule.again(due, self._clock.monotonic())

    def _is_over(self, intent: Intent) -> bool:
        """Whether the session of its POST has closed, late prints included."""
        return self._clock.now() > _session_close(intent) + AFTER_CLOSE

    def _cancel(self, due: Due, tracked: Tracked) -> None:
        order_id = tracked.progress.order_id
        if not order_id:
            self._schedule.soon(due, self._clock.monotonic())
            return
        failpoints.hit("watch.before_cancel")
        coid = due.client_order_id
        why = "found after it was given up" if tracked.cancel_on_sight else "cancel_after is over"
        try:
            self._desk.cancel(order_id)
            self._tracker.remark(coid, "cancel", f"order {order_id}: {why}")
            failpoints.hit("watch.cancelled")
        except Rejected as e:
            # Filled or ended meanwhile; the poll says which.
            self._tracker.remark(coid, "cancel_refused", e.message)
            log.info("cancel_refused", extra={"client_order_id": coid, "detail": e.message})
        self._schedule.again(due, self._clock.monotonic())


def _session_close(intent: Intent) -> datetime:
    """The close that ends the session in which the order may have been working."""
    sent = datetime.fromtimestamp(intent.submitted_ms / 1000, UTC)
    try:
        return next_close(sent)
    except LookupError:  # beyond the shipped table of sessions: wait a whole long weekend
        return sent + timedelta(days=4)
