"""Signals that end without an order: refused, dead-lettered, dry runs, and errors of ours."""

import logging
import threading

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.events import Event
from solution.domain.ports import Ledger, Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import DeadLetter, Intent, Note, State
from solution.errors import SignalError
from solution.trading import outcomes
from solution.trading.compose import Composer
from solution.trading.tracker import OrderTracker
from solution.trading.work import Lane, Work

log = logging.getLogger(__name__)


RECENT = 1024
"""Ends that are remembered: more than can wait for their commit at a time."""


class Endings:
    """Writes the end down, tells it, lets go of the lane.

    An end is on its way to the ledger for some milliseconds, in which the same ``signal_id`` may be
    read again: what ended a moment ago is remembered here.
    """

    def __init__(
        self,
        *,
        composer: Composer,
        ledger: Ledger,
        sink: Outcomes,
        portfolio: Portfolio,
        tracker: OrderTracker,
        clock: Clock,
    ) -> None:
        self._composer = composer
        self._ledger = ledger
        self._sink = sink
        self._portfolio = portfolio
        self._tracker = tracker
        self._clock = clock
        self._mutex = threading.Lock()
        self._recent: dict[str, Intent] = {}

    def just_ended(self, identity: str) -> Intent | None:
        """The row of a signal that ended unsent a moment ago; from any thread."""
        return self._recent.get(identity)

    def refuse(self, work: Work, lane: Lane, reason: str, message: str) -> None:
        """A gate or the sizing said no."""
        intent = self._composer.blank(work, State.REFUSED)
        intent.reason, intent.message = str(reason), message
        intent.side = work.signal.side.value if work.signal.side else ""
        self._end(work, lane, intent, Event.REFUSED)

    def crashed(self, work: Work, lane: Lane, error: Exception) -> None:
        """An unforeseen error: refuse the signal, unless its order may exist already."""
        log.error("signal_crashed", exc_info=error, extra={"signal_id": work.ref.entry_id})
        coid = self._composer.client_order_id(work.signal)
        if self._ledger.find(work.signal.identity, coid) is None:
            self._portfolio.released(coid, sent=False)
            message = f"{type(error).__name__}: {error}"
            self.refuse(work, lane, Reason.INTERNAL_ERROR, message)
        else:
            self._tracker.remark(coid, "crashed", f"{type(error).__name__}: {error}")
            self._tracker.unknown(coid, "an internal error followed the POST")
            tracked = self._tracker.get(coid)
            if tracked is None or tracked.lane is not lane:
                lane.done()  # the row is another signal's, or at its end: nobody else lets go

    def dry(self, work: Work, lane: Lane, intent: Intent) -> None:
        """Everything but the POST."""
        self._portfolio.released(intent.client_order_id)
        intent.state = State.DRY_RUN
        self._end(work, lane, intent, Event.DRY_RUN)

    def dead_letter(self, work: Work, lane: Lane, error: SignalError) -> None:
        """Its fields turned out impossible, or it must not be tried again."""
        letter = DeadLetter(
            stream=work.ref.stream,
            entry_id=work.ref.entry_id,
            reason=str(error.reason),
            message=error.message,
            at=outcomes.rfc3339(self._clock.epoch_ms()),
            fields=work.fields,
        )
        change = outcomes.dead_letter(letter)
        # It may have been told an end before: refused beside another entry of its signal_id. A
        # group made anew delivers it as new.
        change.repeats = (work.ref,)
        self._sink.put(change)
        self._tracker.board.dead_letter(
            self._composer.blank(work, State.REFUSED), str(error.reason)
        )
        log.warning(
            "dead_letter",
            extra={
                "signal_id": work.signal.signal_id or work.ref.entry_id,
                "reason": str(error.reason),
                "detail": error.message,
            },
        )
        lane.done()

    def _end(self, work: Work, lane: Lane, intent: Intent, event: Event) -> None:
        now = self._clock.epoch_ms()
        change = outcomes.ended_unsent(intent, event, at_ms=now, refs=(work.ref,))
        work.stages.ends("gates", self._clock.monotonic())
        change.notes = (Note(intent.client_order_id, now, "timed", str(work.stages)),)
        with self._mutex:
            self._recent[intent.identity] = intent
            while len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]
        self._sink.put(change)
        self._tracker.board.note(intent, str(intent.state), intent.reason)
        log.info(
            "signal_ended",
            extra={
                "signal_id": intent.signal_id or intent.entry_id,
                "symbol": intent.symbol,
                "client_order_id": intent.client_order_id,
                "state": str(intent.state),
                "reason": intent.reason,
                "detail": intent.message,
            },
        )
        lane.done()
