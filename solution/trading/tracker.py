"""Every order that is not at its end: one place where all news of it is merged.

News comes from workers (the POST's answer), from the order stream and from polls, in any order.
The mutex guards the merge and fixes the order of ledger changes per order; everything that
calls elsewhere (the schedule, the lane) runs after it is released. Positions and reservations are
booked under it, in the order of the merges, so that the asset's next signal sees all of them.
"""

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.events import Event
from solution.domain.order_state import News, Progress, Step, is_legal, merge, news_of
from solution.domain.orders import Side
from solution.domain.ports import OrderUpdate, Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef, Intent, State
from solution.trading import outcomes
from solution.trading.schedule import Schedule
from solution.trading.scoreboard import Scoreboard
from solution.trading.tracked import UNRESOLVED, Move, Source, Tracked, merged, moved
from solution.trading.work import FreeLane, Lane, Work, ends_at_once

log = logging.getLogger(__name__)

ENDED_KEPT = 4096
"""Ended orders remembered, so that late and repeated stream events find their order."""


@dataclass(slots=True)
class _Effects:
    """What must happen once the mutex is released."""

    tracked: Tracked
    step: Step
    accepted: bool
    free_lane: bool


class OrderTracker:
    """Registers orders before they are sent and follows each to its end.

    Args:
        outcomes: where ledger changes go.
        portfolio: positions and reservations to keep current.
        schedule: what to ask the broker, and when, if no news comes by itself.
        clock: wall and monotonic time.
    """

    def __init__(
        self, outcomes: Outcomes, portfolio: Portfolio, schedule: Schedule, clock: Clock
    ) -> None:
        self._outcomes = outcomes
        self._portfolio = portfolio
        self._schedule = schedule
        self._clock = clock
        self._mutex = threading.Lock()
        self._orders: dict[str, Tracked] = {}
        self._by_order_id: dict[str, str] = {}
        self._ended: dict[str, Tracked] = {}
        self._unconfirmed: dict[str, set[str]] = {}
        self.board = Scoreboard(clock)

    # --- registration ----------------------------------------------------------------------

    def expect(self, intent: Intent, lane: Lane, work: Work | None, *, keeps_lane: bool) -> None:
        """An order is about to be sent: its events may come before the POST's answer."""
        tracked = Tracked(
            intent=intent,
            progress=outcomes.progress_of(intent),
            lane=lane,
            work=work,
            refs=[work.ref] if work else [],
            keeps_lane=keeps_lane,
            told=intent.state is State.OPEN,
        )
        with self._mutex:
            self._orders[intent.client_order_id] = tracked
            if intent.alpaca_order_id:
                self._by_order_id[intent.alpaca_order_id] = intent.client_order_id

    def restore(self, intent: Intent) -> None:
        """An open row found in the ledger at start."""
        self.expect(intent, FreeLane(), None, keeps_lane=False)
        coid, now = intent.client_order_id, self._clock.monotonic()
        late = intent.reason == Reason.EXPIRED_UNCONFIRMED
        with self._mutex:
            tracked = self._orders[coid]
            tracked.cancel_on_sight = late
            if intent.state is State.EXPIRED_UNCONFIRMED:
                self._mark_unconfirmed(tracked)
        if intent.state is State.EXPIRED_UNCONFIRMED:
            self._schedule.watch(coid, now)
        elif intent.state is State.OPEN:
            self._schedule.follow(intent, now, age=self._age(intent), cancel_now=late)
        else:
            self.unknown(coid, "found unresolved at start")

    def _age(self, intent: Intent) -> float:
        """Seconds since the order was sent, by the wall clock: it may have been another process."""
        return (self._clock.epoch_ms() - intent.submitted_ms) / 1000

    def attach(self, client_order_id: str, lane: Lane, work: Work) -> bool:
        """A redelivered entry of an order on its way: it is acknowledged with the outcome.

        Returns:
            False when the order is not on its way (any more): read the ledger instead.
        """
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or tracked.progress.state not in UNRESOLVED:
                return False
            if work.ref not in tracked.refs:
                tracked.refs.append(work.ref)
            if isinstance(tracked.lane, FreeLane):
                tracked.lane, tracked.work = lane, work
                tracked.keeps_lane = ends_at_once(tracked.intent)
                return True
        lane.done()
        return True

    def follow(self, client_order_id: str, ref: EntryRef) -> bool:
        """Tell this order's end under another entry id as well; that entry stays pending."""
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is not None:
                if ref not in tracked.followers:
                    tracked.followers.append(ref)
                return True
            ended = self._ended.get(client_order_id)
            if ended is None:
                return False
            # Its last change may not be committed yet, so memory answers, not the ledger.
            at = outcomes.rfc3339(self._clock.epoch_ms())
            intent = outcomes.with_progress(ended.intent, ended.progress)
            self._outcomes.put(outcomes.repeated(intent, ref, at=at))
            return True

    def withdraw(self, client_order_id: str) -> None:
        """The broker refused without effect and the work goes back to its lane."""
        with self._mutex:
            self._orders.pop(client_order_id, None)

    # --- news ------------------------------------------------------------------------------

    def answered(self, client_order_id: str, order: Mapping[str, Any]) -> None:
        """The POST's own answer, or the order found under the id when that was unclear."""
        # The broker's own time, as on the stream: by two clocks an event could seem to come first.
        source = Source(at=str(order.get("submitted_at") or ""))
        self._merge(client_order_id, news_of(order), source)

    def polled(self, client_order_id: str, order: Mapping[str, Any]) -> None:
        """What a poll says of an order."""
        source = Source(at=str(order.get("updated_at") or ""))
        self._merge(client_order_id, news_of(order), source)

    def on_updates(self, updates: Iterable[OrderUpdate]) -> None:
        """The order stream. Orders that are not ours are passed over."""
        for update in updates:
            coid = update.client_order_id
            if coid not in self._orders and coid not in self._ended:
                coid = self._by_order_id.get(update.order_id, "")
            if not coid:
                # A bracket's leg, or somebody at the broker's own page: it moves the position too.
                if update.position_qty is not None:
                    self._portfolio.moved_elsewhere(update.symbol, update.position_qty)
            else:
                source = Source(
                    event=update.event,
                    at=update.at,
                    execution_id=update.execution_id,
                    position_qty=update.position_qty,
                )
                self._merge(coid, news_of(update.order), source)

    def refused(self, client_order_id: str, reason: Reason, message: str) -> None:
        """The broker said a definite no to a POST.

        To the *second* POST of a row whose first one got no usable answer, that is no proof that
        the first did nothing: its order may even be the reason for the no.
        """
        tracked = self.get(client_order_id)
        if tracked is not None and tracked.progress.state is State.UNKNOWN:
            self.expire_unconfirmed(client_order_id, f"sent again and refused: {message}")
            return
        self._end_unaccepted(client_order_id, State.REJECTED, "rejected", reason, message)

    def conflicts(self, client_order_id: str, message: str) -> None:
        """The broker holds another order under our id, so ours does not exist."""
        self._end_unaccepted(
            client_order_id, State.REJECTED, "rejected", Reason.ID_CONFLICT, message
        )

    def loosen(self, client_order_id: str) -> None:
        """An order that was expected to end at once rests: its asset must not wait for it."""
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or not tracked.keeps_lane or ends_at_once(tracked.intent):
                return
            tracked.keeps_lane = False
            lane, tracked.lane = tracked.lane, FreeLane()
        lane.done()

    def unsent(self, client_order_id: str, message: str) -> None:
        """The order provably never left this machine and will not be sent."""
        self._end_unaccepted(
            client_order_id, State.NOT_SENT, Event.REFUSED, Reason.NOT_SENT, message
        )

    def stopped_before_resend(self, client_order_id: str, reason: str, message: str) -> None:
        """Provably not at the broker (HTTP 429), and a gate said no before the next try."""
        self._end_unaccepted(client_order_id, State.REFUSED, Event.REFUSED, reason, message)

    def unknown(self, client_order_id: str, message: str) -> None:
        """The POST got no usable answer: look it up, guess nothing."""
        now = self._clock.monotonic()
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or tracked.progress.state not in UNRESOLVED:
                return  # an event said more, before the answer failed to
            tracked.absent, tracked.unknown_at = 0, now
            self._mark_unconfirmed(tracked)
            if tracked.progress.state is State.SUBMITTING:
                reason = Reason.OUTCOME_UNKNOWN
                self._move(tracked, Move(State.UNKNOWN, Event.UNKNOWN, reason, message))
        self._schedule.lookup(client_order_id, now)

    def expire_unconfirmed(self, client_order_id: str, message: str, *, adopt: bool = True) -> None:
        """Not found, not to be sent again: acknowledged, watched, its reservation held.

        Args:
            adopt: cancel what is open of it, should it appear.
        """
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or tracked.progress.state not in UNRESOLVED:
                return
            self._mark_unconfirmed(tracked)
            tracked.cancel_on_sight = adopt
            self._move(
                tracked,
                Move(
                    State.EXPIRED_UNCONFIRMED,
                    Event.EXPIRED_UNCONFIRMED,
                    Reason.EXPIRED_UNCONFIRMED,
                    message,
                    ack=True,
                ),
            )
            lane, tracked.lane = tracked.lane, FreeLane()
        self._schedule.watch(client_order_id, self._clock.monotonic())
        log.error("order_unconfirmed", extra=_about(tracked.intent))
        lane.done()

    def confirm_absent(self, client_order_id: str) -> None:
        """Complete broker lists after the close do not hold it: it never existed."""
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or tracked.progress.state is not State.EXPIRED_UNCONFIRMED:
                return
            self._move(
                tracked,
                Move(
                    State.ABSENT_CONFIRMED,
                    Event.EXPIRED_UNCONFIRMED,
                    Reason.ABSENT_CONFIRMED,
                    "two complete order lists after the session's close do not hold it",
                    ack=True,
                ),
            )
            self._forget(tracked)
        self._portfolio.released(client_order_id)
        self.board.note(tracked.intent, State.ABSENT_CONFIRMED, Reason.ABSENT_CONFIRMED)
        _log_end(tracked.intent, tracked.progress, Reason.ABSENT_CONFIRMED)

    # --- questions --------------------------------------------------------------------------

    def get(self, client_order_id: str) -> Tracked | None:
        """The order while it is on its way; read its fields, do not write them."""
        with self._mutex:
            return self._orders.get(client_order_id)

    def note_absent(self, client_order_id: str) -> int:
        """One more complete lookup did not find it; returns how many in a row."""
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None:
                return 0
            tracked.absent += 1
            return tracked.absent

    def forget_absences(self, client_order_id: str) -> None:
        """Absences before the session's close prove nothing for good."""
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is not None:
                tracked.absent = 0

    def take_for_resend(self, client_order_id: str) -> tuple[Lane, Work] | None:
        """Hand the lane and the work of an absent order back, so that a worker decides anew."""
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or tracked.progress.state is not State.UNKNOWN:
                return None
            if tracked.work is None or isinstance(tracked.lane, FreeLane):
                return None
            lane, tracked.lane = tracked.lane, FreeLane()
            return lane, tracked.work

    def retake(self, client_order_id: str, lane: Lane, work: Work) -> Intent | None:
        """A worker has an unresolved order in hand again.

        Returns:
            None when news settled it meanwhile; the lane is then taken care of here: an immediate
            order keeps it to its end, else it is free.
        """
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is not None:
                unresolved = tracked.progress.state in UNRESOLVED
                if unresolved or (tracked.keeps_lane and tracked.progress.state is State.OPEN):
                    tracked.lane, tracked.work = lane, work
                    return tracked.intent if unresolved else None
        lane.done()
        return None

    def is_unconfirmed(self, symbol: str) -> bool:
        """Whether an order of the symbol may be live without our knowing."""
        return bool(self._unconfirmed.get(symbol))

    def open_orders(self) -> list[Tracked]:
        with self._mutex:
            return list(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)

    # --- merging ----------------------------------------------------------------------------

    def _merge(self, client_order_id: str, news: News, source: Source) -> None:
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None:
                late = self._ended.get(client_order_id)
                effects = self._merge_late(late, news, source) if late else None
            else:
                effects = self._merge_open(tracked, news, source)
        if effects is not None:
            self._follow_up(effects)

    def _merge_open(self, tracked: Tracked, news: News, source: Source) -> _Effects | None:
        before = tracked.progress
        step = merge(before, news)
        tracked.progress = step.progress
        first = before.state in UNRESOLVED or before.state is State.EXPIRED_UNCONFIRMED
        if not step.changed:
            return None
        self._write(tracked, step, source, first=first)
        self._book(tracked, step, source, first=first)
        if step.progress.order_id:
            self._by_order_id[step.progress.order_id] = tracked.intent.client_order_id
        if step.progress.ended:
            self._forget(tracked)
        elif first:
            self._confirm(tracked)
        free = step.progress.ended or (first and not tracked.keeps_lane)
        return _Effects(tracked, step, first, free)

    def _merge_late(self, tracked: Tracked, news: News, source: Source) -> _Effects | None:
        """A fill after the recorded end: booked as a correction, the state stays."""
        step = merge(tracked.progress, news)
        if not step.late_fill or tracked.foreign:
            return None
        tracked.progress = step.progress
        self._write(tracked, step, Source(Event.CORRECTED, source.at, source.execution_id))
        self._book(tracked, step, source)
        return None

    def _write(self, tracked: Tracked, step: Step, source: Source, *, first: bool = False) -> None:
        """Requires holding ``_mutex``: it fixes the order of an order's changes."""
        now = self._clock.epoch_ms()
        if first:
            self.board.took(now - tracked.intent.published_ms)
        self._outcomes.put(merged(tracked, step, source, now, first=first))

    def _book(self, tracked: Tracked, step: Step, source: Source, *, first: bool = False) -> None:
        """Requires holding ``_mutex``: the portfolio must see merges in the order they were made.

        Booked after its release, a partial fill could be overtaken by the end of its order, and
        the asset's next sale would count shares that are gone. Lock order: tracker → portfolio.
        """
        intent = tracked.intent
        if first:
            self._portfolio.accepted(intent.client_order_id)
        if step.filled > 0:
            signed = step.filled if intent.side == Side.BUY else -step.filled
            price = step.fill_price or Decimal(0)
            self._portfolio.filled(
                intent.client_order_id, intent.symbol, signed, price, source.position_qty
            )
        if step.progress.ended and not step.late_fill:
            self._portfolio.ended(intent.client_order_id)

    def _follow_up(self, effects: _Effects) -> None:
        """What calls elsewhere: no mutex of ours is held; the lane comes last."""
        tracked, step, intent = effects.tracked, effects.step, effects.tracked.intent
        if effects.accepted and tracked.cancel_on_sight:
            log.error("late_order_found", extra=_about(intent))
        if step.progress.ended:
            self.board.note(intent, str(step.progress.state))
            _log_end(intent, step.progress)
        elif effects.accepted:
            self._schedule.follow(
                intent,
                self._clock.monotonic(),
                age=self._age(intent),
                cancel_now=tracked.cancel_on_sight,
            )
        if effects.free_lane:
            tracked.lane.done()

    # --- ends and moves without the broker's order -----------------------------------------------

    def _end_unaccepted(
        self, client_order_id: str, state: State, event: str, reason: str, message: str
    ) -> None:
        with self._mutex:
            tracked = self._orders.get(client_order_id)
            if tracked is None or not is_legal(tracked.progress.state, state):
                return
            if tracked.progress.state is State.OPEN:
                return  # the stream knows better: the order exists
            tracked.foreign = reason == Reason.ID_CONFLICT
            self._move(tracked, Move(state, event, str(reason), message, ack=True))
            self._portfolio.released(client_order_id)
            self._forget(tracked)
        self.board.note(tracked.intent, str(state), str(reason))
        _log_end(tracked.intent, tracked.progress, reason, message)
        tracked.lane.done()

    def _move(self, tracked: Tracked, move: Move) -> None:
        """Requires holding ``_mutex``."""
        self._outcomes.put(moved(tracked, move, self._clock.epoch_ms()))

    def _forget(self, tracked: Tracked) -> None:
        """Requires holding ``_mutex``. The order is at its end."""
        coid = tracked.intent.client_order_id
        self._orders.pop(coid, None)
        self._confirm(tracked)
        tracked.work = None  # the raw entry may be large, and nothing is decided about it any more
        self._ended[coid] = tracked
        while len(self._ended) > ENDED_KEPT:
            oldest = next(iter(self._ended))
            gone = self._ended.pop(oldest)
            self._by_order_id.pop(gone.progress.order_id, None)

    def _mark_unconfirmed(self, tracked: Tracked) -> None:
        symbol = tracked.intent.symbol
        self._unconfirmed.setdefault(symbol, set()).add(tracked.intent.client_order_id)

    def _confirm(self, tracked: Tracked) -> None:
        symbol = tracked.intent.symbol
        waiting = self._unconfirmed.get(symbol)
        if waiting:
            waiting.discard(tracked.intent.client_order_id)
            if not waiting:
                del self._unconfirmed[symbol]


def _about(intent: Intent) -> dict[str, object]:
    return {
        "signal_id": intent.signal_id or intent.entry_id,
        "symbol": intent.symbol,
        "client_order_id": intent.client_order_id,
    }


def _log_end(intent: Intent, progress: Progress, reason: str = "", message: str = "") -> None:
    extra = _about(intent) | {
        "state": str(progress.state),
        "side": intent.side,
        "filled_qty": format(progress.filled_qty, "f"),
    }
    if reason:
        extra |= {"reason": str(reason), "detail": message}
    log.info("signal_ended", extra=extra)
