"""Between the listener and the lanes: what a valid signal and a bad one turn into."""

import logging

from solution import failpoints
from solution.clock import Clock
from solution.domain.ports import Outcomes
from solution.domain.records import DeadLetter, EntryRef
from solution.errors import SignalError
from solution.feeds.signal_listener import Arrival, Fields
from solution.runtime.lanes import Full, Lanes, LanesClosed
from solution.trading import outcomes as changes
from solution.trading.work import Work

log = logging.getLogger(__name__)


class Intake:
    """Puts signals into their asset's lane and keeps what is none as a dead letter."""

    def __init__(self, lanes: Lanes[Work], outcomes: Outcomes, clock: Clock) -> None:
        self._lanes = lanes
        self._outcomes = outcomes
        self._clock = clock
        self.dead_letters = 0

    def deliver(self, arrival: Arrival) -> bool:
        """Into the lane of its asset; False when lanes are full or closed: it stays pending."""
        signal = arrival.signal
        work = Work(
            signal=signal,
            asset=arrival.asset,
            ref=arrival.ref,
            received_at=arrival.received_at,
            received_ms=arrival.received_ms,
            redelivered=arrival.redelivered,
            fresh=not arrival.redelivered,
            fields=arrival.fields,
        )
        try:
            # Targets of one asset always run one after the other: each counts what is pending.
            ordered = True if signal.is_target else None
            self._lanes.put(arrival.asset.id, work, urgent=signal.is_exit, ordered=ordered)
        except (Full, LanesClosed):
            # Full in spite of the room asked for: work came back from a worker meanwhile.
            log.debug("left_pending", extra={"entry_id": arrival.ref.entry_id})
            return False
        return True

    def dead_letter(self, ref: EntryRef, fields: Fields, error: SignalError) -> None:
        """Kept for ever, told on the executions stream, acknowledged."""
        self.dead_letters += 1
        letter = DeadLetter(
            stream=ref.stream,
            entry_id=ref.entry_id,
            reason=str(error.reason),
            message=error.message,
            at=changes.rfc3339(self._clock.epoch_ms()),
            fields=fields,
        )
        change = changes.dead_letter(letter)
        self._outcomes.put(change)
        failpoints.hit("intake.dead_letter")
        about = {
            "stream": ref.stream,
            "entry_id": ref.entry_id,
            "reason": str(error.reason),
            "detail": error.message,
        }
        signal_id = next((event.signal_id for event in change.events), "")
        log.warning("dead_letter", extra=about | ({"signal_id": signal_id} if signal_id else {}))

    def acknowledge(self, ref: EntryRef) -> None:
        """Its end is on record already."""
        self._outcomes.put(changes.acknowledge(ref))
