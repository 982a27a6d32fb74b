"""Between the listener and the lanes: what a signal, a bad one and one handled before turn into."""

import logging

from solution import failpoints
from solution.clock import Clock
from solution.domain.ports import Outcomes
from solution.domain.records import DeadLetter, EntryRef, Intent
from solution.domain.signal_glimpse import content_digest, glimpse
from solution.domain.signal_model import identity_of
from solution.errors import SignalError
from solution.feeds.signal_listener import Arrival, Fields
from solution.ledger.store import Store
from solution.runtime.lanes import Full, Lanes, LanesClosed
from solution.trading import outcomes as changes
from solution.trading.tracker import OrderTracker
from solution.trading.work import Work

log = logging.getLogger(__name__)


class Intake:
    """Puts signals into their asset's lane and keeps what is none as a dead letter.

    Args:
        lanes: where signals wait for a worker.
        outcomes: where ends go.
        clock: wall time.
        ledger: asked for the row of an entry that may have been handled before.
        tracker: has the orders on their way.
    """

    def __init__(
        self,
        lanes: Lanes[Work],
        outcomes: Outcomes,
        clock: Clock,
        *,
        ledger: Store,
        tracker: OrderTracker,
    ) -> None:
        self._lanes = lanes
        self._outcomes = outcomes
        self._clock = clock
        self._ledger = ledger
        self._tracker = tracker
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
            starved_at=self._lanes.starved(),
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
        # Its end may have been told with its signal_id's, and its content be gone since.
        change.repeats = (ref,)
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

    def leave_to_row(self, ref: EntryRef, fields: Fields | None) -> bool:
        """Whether the signal of an entry has a row, which then sees to the entry's end.

        The entry may be no signal any more: its asset is not listed now, Redis's clock went back,
        its content is gone. Its order is none the less for it, and each entry ends once.
        """
        row = self._row_of(ref, fields)
        if row is None:
            return False
        coid = row.client_order_id
        if row.entry_id != ref.entry_id:
            # Published again under the same signal_id: one order, its outcome told twice.
            if not self._tracker.follow(coid, ref):
                at = changes.rfc3339(self._clock.epoch_ms())
                self._outcomes.put(changes.repeated(row, ref, at=at))
        elif not self._tracker.join(coid, ref):
            self._outcomes.put(changes.acknowledge(ref))
        return True

    def _row_of(self, ref: EntryRef, fields: Fields | None) -> Intent | None:
        if fields is None:
            return self._newest_row(ref)
        digest = content_digest(fields)
        signal_id = glimpse(fields).signal_id
        identity = identity_of(ref.stream, ref.entry_id, signal_id, digest)
        row = self._ledger.find(identity) if digest else None
        return row if row is not None and row.digest == digest else None

    def _newest_row(self, ref: EntryRef) -> Intent | None:
        """Rare, and over all rows: asked only for an entry whose content is gone from Redis."""
        with self._ledger.open_reader() as reader:
            found = reader.find_intents(ref.entry_id)
        made = [row for row in found if (row.stream, row.entry_id) == (ref.stream, ref.entry_id)]
        return made[-1] if made else None

    def acknowledge(self, ref: EntryRef) -> None:
        """Its end is on record already."""
        self._outcomes.put(changes.acknowledge(ref))
