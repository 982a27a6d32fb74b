"""Every order that is not at its end: one place where all news of it is merged.

News comes from workers (the POST's answer), from the order stream and from polls, in any order.
The mutex guards the merge and fixes the order of ledger changes per order; everything that
calls elsewhere (the schedule, the lane) runs after it is released. Positions and reservations are
booked under it, in the order of the merges, so that the asset's next signal sees all of them.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain import legs
from solution.domain.events import Event
from solution.domain.executions import Correction
from solution.domain.order_state import News, Progress, Step, decimal_or_none, news_of
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX
from solution.domain.ports import OrderUpdate, Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import TERMINAL, Change, EntryRef, Intent, Note, State, Trade
from solution.trading import outcomes
from solution.trading.brackets import Brackets
from solution.trading.legs import Legs
from solution.trading.likeness import differs, is_older
from solution.trading.merging import Effects, Merger
from solution.trading.schedule import Schedule
from solution.trading.tracked import UNCONFIRMED, UNRESOLVED, Source, Tracked
from solution.trading.verdicts import Verdicts, about, log_end
from solution.trading.work import FreeLane, Lane, Work, ends_at_once

log = logging.getLogger(__name__)

SIGNALS_OWN = ("digest", "stream", "entry_id", "signal_id", "strategy", "extra")
"""Columns that an order's row has from its signal."""

AMENDMENTS = frozenset({"trade_bust", "trade_correct"})


class OrderTracker(Verdicts):
    """Registers orders before they are sent and follows each to its end.

    Args:
        outcomes: where ledger changes go.
        portfolio: positions and reservations to keep current.
        schedule: what to ask the broker, and when, if no news comes by itself.
        clock: wall and monotonic time.
        find_row: the ledger's row of a client_order_id, for news of orders long ended.
        booked: the executions on record for a client_order_id, oldest first.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        portfolio: Portfolio,
        schedule: Schedule,
        clock: Clock,
        *,
        find_row: Callable[[str], Intent | None] = lambda _: None,
        booked: Callable[[str], Sequence[Trade]] = lambda _: (),
    ) -> None:
        super().__init__(outcomes, portfolio, schedule, clock)
        self._find_row = find_row
        self._booked = booked
        self.on_rejected: Callable[[str, str], None] = lambda _coid, _why: None
        """Told of an order that the broker rejects although it had taken it; no mutex is held."""
        self.on_executed: Callable[[Intent], None] = lambda _intent: None
        """Told once of each order that is executed at least in part; likewise."""
        self._merger = Merger(self._registry, outcomes, portfolio, self.board, clock)
        self._brackets = Brackets(portfolio)
        self.legs = Legs(
            self._registry,
            self._brackets,
            self._mutex,
            outcomes,
            schedule,
            clock,
            find_row=find_row,
            standing=self._standing,
        )

    # --- registration ----------------------------------------------------------------------

    def expect(self, intent: Intent, lane: Lane, work: Work | None, *, keeps_lane: bool) -> None:
        """An order is about to be sent: its events may come before the POST's answer."""
        tracked = Tracked(
            intent=intent,
            progress=self._standing(intent),
            lane=lane,
            work=work,
            refs=[work.ref] if work and work.ref.entry_id else [],  # a flatten's has no entry
            keeps_lane=keeps_lane,
            told=intent.state is State.OPEN,
            stages=work.stages if work else None,
        )
        with self._mutex:
            self._registry.add(tracked)

    def restore(self, intent: Intent) -> None:
        """An open row found in the ledger at start."""
        if legs.is_leg(intent):
            self.legs.restore(intent)
            return
        self.expect(intent, FreeLane(), None, keeps_lane=False)
        coid, now = intent.client_order_id, self._clock.monotonic()
        late = intent.reason == Reason.EXPIRED_UNCONFIRMED
        with self._mutex:
            tracked = self._registry.on_their_way[coid]
            tracked.cancel_on_sight = late
            tracked.foreign = intent.reason == Reason.ID_CONFLICT
            if intent.state is State.EXPIRED_UNCONFIRMED:
                self._registry.doubt(intent)
        if intent.state is State.EXPIRED_UNCONFIRMED:
            self._schedule.watch(coid, now)
        elif intent.state is State.OPEN:
            self._schedule.follow(intent, now, age=self._age(intent), cancel_now=late)
        else:
            self.unknown(coid, "found unresolved at start")

    def want_legs(self, marks: Mapping[str, str]) -> None:
        """What the ledger's small state says of brackets whose legs are not known yet."""
        self.legs.want_again(marks)

    def _standing(self, intent: Intent) -> Progress:
        progress = outcomes.progress_of(intent)
        if not progress.filled_qty:
            return progress
        return outcomes.with_trades(progress, self._booked(intent.client_order_id))

    def _age(self, intent: Intent) -> float:
        """Seconds since the order was sent, by the wall clock: it may have been another process."""
        return (self._clock.epoch_ms() - intent.submitted_ms) / 1000

    def attach(self, client_order_id: str, lane: Lane, work: Work) -> bool:
        """A redelivered entry of an order on its way: it is acknowledged with the outcome.

        Returns:
            False when the order is not on its way (any more): read the ledger instead.
        """
        with self._mutex:
            tracked = self._join(client_order_id, work.ref)
            if tracked is None:
                return False
            taken = isinstance(tracked.lane, FreeLane)
            if taken:
                tracked.lane, tracked.work = lane, work
                tracked.keeps_lane = ends_at_once(tracked.intent)
            wanted, tracked.wanted = tracked.wanted, False
        if not taken:
            lane.done()
        if wanted:
            self._schedule.look_now(client_order_id, self._clock.monotonic(), watched=False)
        return True

    def join(self, client_order_id: str, ref: EntryRef) -> bool:
        """Like :meth:`attach`, for an entry that is no signal any more: nothing is sent of it."""
        with self._mutex:
            tracked = self._join(client_order_id, ref)
            if tracked is None:
                return False
            tracked.entry_gone = True
            wanted, tracked.wanted = tracked.wanted, False
        if wanted:
            self._schedule.look_now(client_order_id, self._clock.monotonic(), watched=False)
        return True

    def _join(self, client_order_id: str, ref: EntryRef) -> Tracked | None:
        """Requires holding ``_mutex``."""
        tracked = self._registry.on_their_way.get(client_order_id)
        if tracked is None or tracked.progress.state not in UNRESOLVED:
            return None
        if ref.entry_id and ref not in tracked.refs:
            tracked.refs.append(ref)
        return tracked

    def follow(self, client_order_id: str, ref: EntryRef) -> bool:
        """Tell this order's end under another entry id as well; that entry stays pending."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is not None:
                if ref not in tracked.followers:
                    tracked.followers.append(ref)
                return True
            ended = self._registry.ended.get(client_order_id)
            if ended is None:
                return False
            # Its last change may not be committed yet, so memory answers, not the ledger.
            at = outcomes.rfc3339(self._clock.epoch_ms())
            intent = outcomes.with_progress(ended.intent, ended.progress)
            self._outcomes.put(outcomes.repeated(intent, ref, at=at))
            return True

    def claim(self, row: Intent, signal: Intent) -> Intent:
        """The signal of an orphan has turned up: from now on the order is told as the signal's.

        An end that was told before, to nobody, is told to the signal here.

        Args:
            row: the orphan's.
            signal: a row as the signal would have it; what names the signal is taken from it.

        Returns:
            the orphan's row as it will stand.
        """
        names: dict[str, Any] = {name: getattr(signal, name) for name in SIGNALS_OWN}
        if row.reason == Reason.ORPHAN:  # else it says what must be done about the order
            names |= {"reason": "", "message": ""}
        coid, now = row.client_order_id, self._clock.epoch_ms()
        with self._mutex:
            tracked = self._registry.find(coid)
            if tracked is not None:
                for name, value in names.items():
                    setattr(tracked.intent, name, value)
                self.legs.renamed(tracked.intent)
                row = outcomes.with_progress(tracked.intent, tracked.progress)
            else:
                row = replace(row, **names)
            change = Change(client_order_id=coid, update=names)
            if row.state in TERMINAL:
                ref = EntryRef(row.stream, row.entry_id)
                change.events = outcomes.repeated(row, ref, at=outcomes.rfc3339(now)).events
                change.repeats = (ref,)
            change.notes = (Note(coid, now, "adopted", f"its signal is entry {row.entry_id}"),)
            self._outcomes.put(change)
        return row

    def withdraw(self, client_order_id: str) -> None:
        """The broker refused without effect and the work goes back to its lane."""
        with self._mutex:
            self._registry.remove(client_order_id)

    # --- news ------------------------------------------------------------------------------

    def answered(
        self, client_order_id: str, order: Mapping[str, Any], *, how: tuple[str, str]
    ) -> None:
        """The POST's own answer, or the order found under the id when that was unclear.

        Args:
            how: kind and first words of the line in the order's history.
        """
        # The broker's own time, as on the stream: by two clocks an event could seem to come first.
        source = Source(at=str(order.get("submitted_at") or ""), note=how)
        if not self._take(client_order_id, order, news_of(order), source):
            self._known_before(client_order_id, *how)

    def polled(self, client_order_id: str, order: Mapping[str, Any]) -> None:
        """What a poll says of an order."""
        source = Source(at=str(order.get("updated_at") or ""), note=("answered", "found by a poll"))
        self._take(client_order_id, order, news_of(order), source)

    def on_updates(self, updates: Iterable[OrderUpdate]) -> None:
        """The order stream. Of orders that are not ours only the position is taken."""
        for update in updates:
            coid = self._registry.known_as(update.client_order_id, update.order)
            known = self._registry.find(coid) if coid else self._recalled(update)
            if known is None or known.foreign or self._contradicts(known, update.order):
                # Somebody at the broker's own page, or a leg that its entry order has not named
                # yet: it moves the position too.
                if known is None:
                    self.legs.missed(update.order)
                if update.position_qty is not None:
                    self._portfolio.moved_elsewhere(update.symbol, update.position_qty)
            elif update.event in AMENDMENTS:
                self._amend(known.intent.client_order_id, update)
            else:
                self._heard(known.intent.client_order_id, update)

    def _contradicts(self, tracked: Tracked, order: Mapping[str, Any]) -> bool:
        """Whether the news is of another order under the id of one that is not confirmed yet.

        Nothing is decided on it: an unclear POST is being looked up anyway, and one that was given
        up is looked up now. A fill that overtakes the answer to the first POST is held against its
        body only: nothing is unclear, and the clocks of Redis and broker must not delay it.
        """
        intent, state = tracked.intent, tracked.progress.state
        if state not in UNCONFIRMED:
            return False
        why = differs(intent, order)
        if not why and state is not State.SUBMITTING and is_older(intent, order):
            why = f"created {order.get('created_at')}, before its signal"
        if not why:
            return False
        log.error("order_contradicts_row", extra=about(intent) | {"detail": why})
        if state is State.EXPIRED_UNCONFIRMED:
            now = self._clock.monotonic()
            self._schedule.look_now(intent.client_order_id, now, watched=True)
        return True

    def _heard(self, client_order_id: str, update: OrderUpdate) -> None:
        news = news_of(update.order, at=update.at)
        if update.execution_id:
            news = news._replace(
                execution_id=update.execution_id,
                execution_qty=update.qty,
                execution_price=update.price,
            )
        source = Source(update.event, update.at, update.position_qty)
        self._take(client_order_id, update.order, news, source)

    def known(self, order: Mapping[str, Any]) -> Tracked | None:
        """Whose order this is, a replacement of it included; None for a stranger's."""
        coid = self._registry.known_as(str(order.get("client_order_id") or ""), order)
        return self._registry.find(coid) if coid else None

    def recall(self, client_order_id: str) -> Tracked | None:
        """An order of ours, also one that ended long ago or before the last start."""
        known = self._registry.find(client_order_id)
        if known is not None or not client_order_id.startswith(f"{CLIENT_ORDER_ID_PREFIX}-"):
            return known
        return self._from_ledger(client_order_id)

    def _recalled(self, update: OrderUpdate) -> Tracked | None:
        """The same for news; a leg's id does not tell that it is ours."""
        if update.order.get("order_class") in legs.CLASSES:
            return self._from_ledger(update.client_order_id)
        return self.recall(update.client_order_id)

    def _from_ledger(self, client_order_id: str) -> Tracked | None:
        """One that ended before it was forgotten here."""
        intent = self._find_row(client_order_id)
        if intent is None or intent.state not in TERMINAL:
            return None
        progress = self._standing(intent)
        if legs.is_leg(intent):
            intent = legs.named(intent, self._find_row(legs.parent_of(intent)))
        tracked = Tracked(intent, progress, FreeLane(), told=True)
        tracked.foreign = intent.reason == Reason.ID_CONFLICT
        with self._mutex:
            if self._registry.find(client_order_id) is None:
                self._registry.name(intent.alpaca_order_id, intent)
                self._registry.end(tracked, self._clock.monotonic())
            return self._registry.find(client_order_id)

    def _amend(self, client_order_id: str, update: OrderUpdate) -> None:
        """The broker took an execution back, or changed what it was."""
        correction = correction_of(update)
        target = correction.target or "an execution without an id"
        note = ("corrected", f"{update.event} of {target}")
        source = Source(Event.CORRECTED, update.at, update.position_qty, note)
        with self._mutex:
            tracked = self._registry.find(client_order_id)
            effects = self._merger.amended(tracked, correction, source) if tracked else None
            self._brackets.settle(client_order_id)
        if effects is not None:
            self._follow_up(effects)

    # --- lanes ------------------------------------------------------------------------------

    def loosen(self, client_order_id: str) -> None:
        """An order that was expected to end at once rests: its asset must not wait for it."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is None or not tracked.keeps_lane or ends_at_once(tracked.intent):
                return
            tracked.keeps_lane = False
            lane, tracked.lane = tracked.lane, FreeLane()
        lane.done()

    def take_for_resend(self, client_order_id: str) -> tuple[Lane, Work] | None:
        """Hand the lane and the work of an absent order back, so that a worker decides anew."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is None or tracked.progress.state is not State.UNKNOWN:
                return None
            tracked.wanted = tracked.work is None
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
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is not None:
                unresolved = tracked.progress.state in UNRESOLVED
                if unresolved or (tracked.keeps_lane and tracked.progress.state is State.OPEN):
                    tracked.lane, tracked.work = lane, work
                    return tracked.intent if unresolved else None
        lane.done()
        return None

    def sent_again(self, client_order_id: str) -> bool:
        """The body of an unresolved order is about to go out once more; False when news settled
        it."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is None or tracked.progress.state not in UNRESOLVED:
                return False
            tracked.progress = tracked.progress._replace(state=State.SUBMITTING)
            return True

    # --- merging ----------------------------------------------------------------------------

    def _take(
        self, client_order_id: str, order: Mapping[str, Any], news: News, source: Source
    ) -> bool:
        """Merge news of an order and of the legs that it names; as :meth:`_merge`."""
        named = self.legs.learn(client_order_id, order)
        accepted = self._merge(client_order_id, news, source)
        for leg_id, leg in named:
            self._merge(leg_id, news_of(leg), Source(at=str(leg.get("updated_at") or "")))
        return accepted

    def _merge(self, client_order_id: str, news: News, source: Source) -> bool:
        """Whether this was the first proof that the broker has the order."""
        effects = None
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is not None:
                self._brackets.foresee(client_order_id, news)
                effects = self._merger.on_its_way(tracked, news, source)
            elif (late := self._registry.ended.get(client_order_id)) and not late.foreign:
                self._merger.late(late, news, source)
            self._brackets.settle(client_order_id)
        if effects is not None:
            self._follow_up(effects)
        return effects is not None and effects.accepted

    def _follow_up(self, effects: Effects) -> None:
        """What calls elsewhere: no mutex of ours is held; the lane comes last."""
        tracked, step, intent = effects.tracked, effects.step, effects.tracked.intent
        self._tell(tracked, step)
        if effects.accepted and tracked.cancel_on_sight:
            log.error("late_order_found", extra=about(intent))
        if tracked.is_leg:
            log.info("leg_changed", extra=about(intent) | {"state": str(step.progress.state)})
            self.legs.mind_siblings(intent, ended=step.progress.ended)
        elif step.progress.ended and not step.corrected:
            self.board.note(intent, str(step.progress.state))
            log_end(intent, step.progress)
        elif effects.accepted:
            self._schedule.follow(
                intent,
                self._clock.monotonic(),
                age=self._age(intent),
                cancel_now=tracked.cancel_on_sight,
            )
        if effects.ask_now:
            self._schedule.poll_now([intent.client_order_id], self._clock.monotonic())
        if effects.free_lane:
            tracked.lane.done()

    def _tell(self, tracked: Tracked, step: Step) -> None:
        """Those who count what becomes of orders."""
        if step.progress.state is State.REJECTED and not tracked.is_leg:
            self.on_rejected(tracked.intent.client_order_id, "rejected after the broker took it")
        if step.filled > 0 and step.filled == step.progress.filled_qty:
            self.on_executed(tracked.intent)


def correction_of(update: OrderUpdate) -> Correction:
    """A ``trade_bust`` or ``trade_correct`` in our terms.

    The stream's own page lists neither event. The Broker API's twin of it names the execution in
    question ``previous_execution_id``; where that is missing, ``execution_id`` is taken for it.
    """
    target = update.previous_execution_id or update.execution_id
    own = update.execution_id if update.previous_execution_id else ""
    return Correction(
        id=own or f"{target or update.at}:{update.event}",
        target=target,
        order_id=update.order_id,
        qty=update.qty,
        price=update.price,
        stated=decimal_or_none(update.order.get("filled_qty")),
        at=update.at,
        busts=update.event == "trade_bust",
    )
