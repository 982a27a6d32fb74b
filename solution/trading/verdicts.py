"""What becomes of an order without an order object of the broker: verdicts of ours.

The other half of it, news from the broker, is :mod:`solution.trading.tracker`.
"""

import logging
import threading
from dataclasses import replace

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.events import Event
from solution.domain.order_state import Progress, is_legal
from solution.domain.ports import Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import Change, Intent, Note, State
from solution.trading.gates.view import Resting
from solution.trading.registry import Registry
from solution.trading.schedule import Schedule
from solution.trading.scoreboard import Scoreboard
from solution.trading.tracked import UNCONFIRMED, UNRESOLVED, Move, Tracked, moved, timed
from solution.trading.work import FreeLane

log = logging.getLogger(__name__)

NOTED = 5
"""What happens again and again to an order makes so many lines of history one by one."""


class Verdicts:
    """Unclear, given up, refused, provably absent; and what is known of an order meanwhile.

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
        self._registry = Registry()
        self.board = Scoreboard(clock)

    def get(self, client_order_id: str) -> Tracked | None:
        """The order while it is on its way; read its fields, do not write them."""
        with self._mutex:
            return self._registry.on_their_way.get(client_order_id)

    def note_absent(self, client_order_id: str) -> int:
        """One more complete lookup did not find it; returns how many in a row."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is None:
                return 0
            tracked.absent += 1
            return tracked.absent

    def forget_absences(self, client_order_id: str) -> None:
        """Absences before the session's close prove nothing for good."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            if tracked is not None:
                tracked.absent = 0

    def is_unconfirmed(self, symbol: str, *, beside: str = "") -> bool:
        """Whether an order of the symbol other than ``beside`` may be live without our knowing."""
        if not beside:
            return self._registry.is_unconfirmed(symbol)
        with self._mutex:
            return self._registry.is_unconfirmed(symbol, beside)

    def waits_for_another(self, client_order_id: str) -> bool:
        """Whether an order of its symbol that was sent before it is still looked up."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            return tracked is not None and self._registry.waits_for(
                tracked.intent.symbol, client_order_id
            )

    def open_orders(self) -> list[Tracked]:
        with self._mutex:
            return list(self._registry.on_their_way.values())

    def resting(self, symbol: str) -> tuple[Resting, ...]:
        """Orders of ours that rest at the broker, for the question whether a new one meets them."""
        if not self._registry.of_symbol(symbol):
            return ()
        with self._mutex:
            return tuple(t.as_resting() for t in self._registry.of_symbol(symbol) if t.is_resting)

    def count_unclear(self) -> int:
        """How many orders may be at the broker, are looked up, and are not given up yet."""
        return sum(1 for tracked in self.open_orders() if tracked.may_exist)

    def given_up(self) -> list[str]:
        """Orders that nobody found and that may still arrive, in words."""
        return [
            unanswered(tracked.intent)
            for tracked in self.open_orders()
            if tracked.progress.state is State.EXPIRED_UNCONFIRMED and not tracked.foreign
        ]

    def __len__(self) -> int:
        return len(self._registry.on_their_way)

    def remark(self, client_order_id: str, kind: str, detail: str) -> None:
        """A line in the order's history about something that changed nothing by itself."""
        note = Note(client_order_id, self._clock.epoch_ms(), kind, detail)
        self._outcomes.put(Change(notes=(note,)))

    def repeated(self, client_order_id: str, kind: str, detail: str, *, time: int) -> None:
        """:meth:`remark` for what an outage makes happen hundreds of times.

        Args:
            time: which time it is, from 1; after the first few, a line says each time when the
                number has doubled.
        """
        if time <= NOTED:
            self.remark(client_order_id, kind, detail)
        elif time & (time - 1) == 0:
            self.remark(client_order_id, kind, f"{detail} ({time} times by now)")

    def _known_before(self, client_order_id: str, kind: str, detail: str) -> None:
        """What the order stream was faster than has its line of the history all the same."""
        with self._mutex:
            tracked = self._registry.find(client_order_id)
            stages = timed(tracked) if tracked else ""
        self.remark(client_order_id, kind, f"{detail}; it was known already{stages}")

    # --- the broker said no --------------------------------------------------------------------

    def refused(self, client_order_id: str, reason: Reason, message: str) -> None:
        """The broker said a definite no to a POST.

        To the *second* POST of a row whose first one got no usable answer, that is no proof that
        the first did nothing: its order may even be the reason for the no.
        """
        tracked = self.get(client_order_id)
        if tracked is not None and tracked.may_exist:
            self.expire_unconfirmed(client_order_id, f"sent again and refused: {message}")
            return
        self._end_unaccepted(client_order_id, Move(State.REJECTED, "rejected", reason, message))

    def conflicts(self, client_order_id: str, message: str) -> None:
        """The broker holds another order under our id, so ours does not exist."""
        conflict = Move(State.REJECTED, "rejected", Reason.ID_CONFLICT, message, note="conflict")
        self._end_unaccepted(client_order_id, conflict)

    def unsent(self, client_order_id: str, message: str) -> None:
        """The order provably never left this machine and will not be sent."""
        unsent = Move(State.NOT_SENT, Event.REFUSED, Reason.NOT_SENT, message, note="not_sent")
        self._end_unaccepted(client_order_id, unsent)

    def stopped_before_resend(self, client_order_id: str, reason: str, message: str) -> None:
        """Provably not at the broker (HTTP 429), and a gate said no before the next try."""
        refused = Move(State.REFUSED, Event.REFUSED, reason, message, note="refused")
        self._end_unaccepted(client_order_id, refused)

    def unknown(self, client_order_id: str, message: str) -> None:
        """The POST got no usable answer: look it up, guess nothing."""
        now = self._clock.monotonic()
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            unresolved = tracked is not None and tracked.progress.state in UNRESOLVED
            if tracked is not None and unresolved:
                tracked.absent, tracked.unknown_at = 0, now
                self._registry.doubt(tracked.intent)
                if tracked.progress.state is State.SUBMITTING:
                    reason = Reason.OUTCOME_UNKNOWN
                    move = Move(State.UNKNOWN, Event.UNKNOWN, reason, message, note="unknown")
                    self._move(tracked, move)
        if unresolved:
            self._schedule.lookup(client_order_id, now)
        else:  # an event said more, before the answer failed to
            self._known_before(client_order_id, "unknown", message)

    def expire_unconfirmed(self, client_order_id: str, message: str, *, adopt: bool = True) -> None:
        """Not found, not to be sent again: acknowledged, watched, its reservation held.

        Args:
            adopt: cancel what is open of it, should it appear. False: an order older than its
                signal stands under its id, and none of its news is for our books; also said of one
                that was given up before.
        """
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            undecided = UNRESOLVED if adopt else UNCONFIRMED
            if tracked is None or tracked.foreign or tracked.progress.state not in undecided:
                return
            self._registry.doubt(tracked.intent)
            tracked.cancel_on_sight, tracked.foreign = adopt, not adopt
            self._move(
                tracked,
                Move(
                    State.EXPIRED_UNCONFIRMED,
                    Event.EXPIRED_UNCONFIRMED,
                    Reason.EXPIRED_UNCONFIRMED if adopt else Reason.ID_CONFLICT,
                    message,
                    ack=True,
                    note="expired_unconfirmed",
                ),
            )
            lane, tracked.lane = tracked.lane, FreeLane()
        self._schedule.watch(client_order_id, self._clock.monotonic())
        log.error("order_unconfirmed", extra=about(tracked.intent))
        lane.done()

    def confirm_absent(self, client_order_id: str) -> None:
        """Complete broker lists after the close do not hold it: it never existed."""
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
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
                    note="absent",
                ),
            )
            self._registry.end(tracked, self._clock.monotonic())
        self._portfolio.released(client_order_id)
        self.board.note(tracked.intent, State.ABSENT_CONFIRMED, Reason.ABSENT_CONFIRMED)
        log_end(tracked.intent, tracked.progress, Reason.ABSENT_CONFIRMED)

    def _end_unaccepted(self, client_order_id: str, move: Move) -> None:
        with self._mutex:
            tracked = self._registry.on_their_way.get(client_order_id)
            before = tracked.progress.state if tracked else None
            # Once it is open the stream knows better: the order exists.
            ends = before is not State.OPEN and is_legal(before, move.state)
            if tracked is not None and ends:
                tracked.foreign = move.reason == Reason.ID_CONFLICT
                self._move(tracked, replace(move, ack=True))
                self._portfolio.released(client_order_id)
                self._registry.end(tracked, self._clock.monotonic())
        if tracked is None or not ends:
            self._known_before(client_order_id, move.note, move.message)
            return
        self.board.note(tracked.intent, str(move.state), str(move.reason))
        log_end(tracked.intent, tracked.progress, move.reason, move.message)
        tracked.lane.done()

    def _move(self, tracked: Tracked, move: Move) -> None:
        """Requires holding ``_mutex``."""
        self._outcomes.put(moved(tracked, move, self._clock.epoch_ms()))


def about(intent: Intent) -> dict[str, object]:
    return {
        "signal_id": intent.signal_id or intent.entry_id,
        "symbol": intent.symbol,
        "client_order_id": intent.client_order_id,
    }


def unanswered(intent: Intent) -> str:
    """An order without an answer, for people."""
    size = intent.qty if intent.qty is not None else intent.reserved_qty
    return f"{intent.side} {size:f} {intent.symbol} ({intent.client_order_id})"


def log_end(intent: Intent, progress: Progress, reason: str = "", message: str = "") -> None:
    extra = about(intent) | {
        "state": str(progress.state),
        "side": intent.side,
        "filled_qty": format(progress.filled_qty, "f"),
    }
    if reason:
        extra |= {"reason": str(reason), "detail": message}
    log.info("signal_ended", extra=extra)
