"""Signals that were seen before: one order, and its outcome told for each entry that asks."""

from collections.abc import Callable

from solution.clock import Clock
from solution.domain.ports import Ledger, Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import Intent
from solution.errors import SignalError
from solution.trading import outcomes
from solution.trading.compose import Composer
from solution.trading.likeness import CREATED_SLACK_MS
from solution.trading.tracker import OrderTracker
from solution.trading.work import Lane, Work


class KnownSignals:
    """Settles a signal that has a row or a dead letter already; called by workers.

    Args:
        composer: knows a signal's ``client_order_id``.
        sink: takes acknowledgements and outcomes told again.
        just_ended: the row of an identity whose end may not be in the ledger yet.
    """

    def __init__(
        self,
        *,
        composer: Composer,
        ledger: Ledger,
        sink: Outcomes,
        tracker: OrderTracker,
        clock: Clock,
        just_ended: Callable[[str], Intent | None],
    ) -> None:
        self._composer = composer
        self._ledger = ledger
        self._outcomes = sink
        self._tracker = tracker
        self._clock = clock
        self._just_ended = just_ended

    def settle(self, work: Work, lane: Lane, *, look: bool = False) -> bool:
        """Settle a signal that has a row; True when there is nothing left to decide.

        Args:
            look: ask the ledger although the entry is new and names no signal_id.
        """
        signal = work.signal
        row = self._row_of(work, look=look)
        same_entry = row is not None and (row.stream, row.entry_id) == (
            work.ref.stream,
            work.ref.entry_id,
        )
        if work.redelivered and not same_entry and self._has_dead_letter(work):
            # Before the row: another entry may have used its signal_id since.
            self._outcomes.put(outcomes.acknowledge(work.ref))
            lane.done()
            return True
        if row is None:
            return False
        if row.digest != signal.digest:
            raise SignalError(
                Reason.SIGNAL_ID_REUSED,
                f"signal_id {signal.signal_id!r} was used by entry {row.entry_id} "
                "with other content",
            )
        coid = row.client_order_id
        if same_entry:
            attached = self._tracker.attach(coid, lane, work)
            what = "acknowledged with its outcome" if attached else f"acknowledged: {row.state}"
            self._tracker.remark(coid, "redelivered", what)
            if not attached:
                self._outcomes.put(outcomes.acknowledge(work.ref))
                lane.done()
            return True
        # Published again under the same signal_id: one order, its outcome told twice.
        if not self._tracker.follow(coid, work.ref):
            at = outcomes.rfc3339(self._clock.epoch_ms())
            self._outcomes.put(outcomes.repeated(row, work.ref, at=at))
        lane.done()
        return True

    def _row_of(self, work: Work, *, look: bool) -> Intent | None:
        """The signal's row, as far as it may have one.

        A new entry without a signal_id cannot have one, but after data loss in Redis; the row
        before the POST is unique and finds that, and a refusal looks for it. An order on its way is
        asked for in memory: deciding once more would take its place in tracker and reservations.

        Raises:
            SignalError: an order that contradicts the signal has its id.
        """
        signal, coid = work.signal, self._composer.client_order_id(work.signal)
        may_have_row = look or work.redelivered or bool(signal.signal_id)
        if not may_have_row and self._tracker.get(coid) is None:
            return None
        row = self._ledger.find(signal.identity, coid) or self._just_ended(signal.identity)
        if row is None or row.entry_id or (work.redelivered and self._has_dead_letter(work)):
            return row
        blank = self._composer.blank(work, row.state)
        if row.symbol != blank.symbol or row.created_ms < blank.published_ms - CREATED_SLACK_MS:
            raise SignalError(
                Reason.ID_CONFLICT,
                f"order {row.alpaca_order_id} under its id {coid} ({row.side} {row.symbol}) was "
                f"made at {outcomes.rfc3339(row.created_ms)}: it is another one's",
            )
        return self._tracker.claim(row, blank)

    def _has_dead_letter(self, work: Work) -> bool:
        letter = self._ledger.find_dead_letter(work.ref)
        return letter is not None and letter.is_of(work.fields)
