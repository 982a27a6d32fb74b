"""One order on its way, and the ledger change that each step of it makes. No locks, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from solution.domain import legs
from solution.domain.events import Event, ExecutionEvent
from solution.domain.order_state import Progress, Step
from solution.domain.orders import OrderType
from solution.domain.reasons import Reason
from solution.domain.records import TERMINAL, Change, EntryRef, Intent, Note, State
from solution.domain.stages import Stages
from solution.trading import outcomes
from solution.trading.gates.view import Resting
from solution.trading.work import Lane, Work, ends_at_once

UNRESOLVED = frozenset({State.SUBMITTING, State.UNKNOWN})
"""The broker may or may not have the order."""
UNCONFIRMED = UNRESOLVED | {State.EXPIRED_UNCONFIRMED}
"""The same, those given up included."""


@dataclass(slots=True)
class Tracked:
    """One order on its way. Guarded by the tracker's mutex.

    ``refs`` are acknowledged with the first outcome; ``followers`` published the same signal_id
    again and are told its end. ``told`` once its acceptance was announced.
    """

    intent: Intent
    progress: Progress
    lane: Lane
    work: Work | None = None
    refs: list[EntryRef] = field(default_factory=list)
    followers: list[EntryRef] = field(default_factory=list)
    told: bool = False
    keeps_lane: bool = True
    absent: int = 0
    unknown_at: float | None = None
    entry_gone: bool = False
    """Its entry is no signal any more: no worker will come and send it again."""
    wanted: bool = False
    """Absent for long enough, but no worker has its entry: whoever brings that is waited for."""
    cancel_on_sight: bool = False
    foreign: bool = False
    """The broker's order under our id is not ours: its news must not reach our books."""
    ended_at: float = 0.0
    """Monotonic seconds when we learned of its end."""
    stages: Stages | None = None
    """Until the history has them."""
    legs_known: bool = False
    """Of a bracket: its legs have rows of their own."""

    @property
    def is_leg(self) -> bool:
        """Whether it is no signal's order but a bracket's leg: nothing is acknowledged, reserved or
        final with it."""
        return legs.is_leg(self.intent)

    @property
    def is_resting(self) -> bool:
        """Whether it waits at the broker, and does not end by itself within moments."""
        return self.progress.state is State.OPEN and not ends_at_once(self.intent)

    def as_resting(self) -> Resting:
        """What the wash-trade gate needs to know of it."""
        intent = self.intent
        complex_ = self.is_leg or b'"order_class"' in intent.body
        exempt = complex_ or intent.order_type == OrderType.TRAILING_STOP
        limit = intent.limit_price if intent.order_type != OrderType.STOP else None
        return Resting(intent.side, limit, exempt)

    @property
    def may_exist(self) -> bool:
        """Whether a POST of it got no usable answer: its order may be at the broker, whatever the
        answers to later ones were."""
        return self.progress.state in UNRESOLVED and self.unknown_at is not None


@dataclass(frozen=True, slots=True)
class Source:
    """What only the source of a piece of news knows; mostly empty for answers and polls.

    ``note`` is (kind, detail) of the line it makes in the order's history: where it is the first
    proof that the broker has the order, and where it corrects what was recorded.
    """

    event: str = ""
    at: str = ""
    position_qty: Decimal | None = None
    note: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A step that no order object of the broker tells.

    ``ack``: nothing more will be decided about its entries. ``note``: the kind of its line in the
    order's history.
    """

    state: State
    event: str
    reason: str
    message: str
    ack: bool = False
    note: str = "answered"


def merged(tracked: Tracked, step: Step, source: Source, now_ms: int, *, first: bool) -> Change:
    """The one change for everything a merge found, events in the order a reader expects.

    Args:
        first: this is the first proof that the broker has the order.
    """
    intent, progress = tracked.intent, step.progress
    ends = progress.ended and not (step.late_fill or step.corrected)
    events = tuple(_events(tracked, step, source, now_ms))
    update: dict[str, object] = {
        "state": progress.state,
        "status": progress.status,
        "alpaca_order_id": progress.order_id,
        "filled_qty": progress.filled_qty,
        "filled_avg_price": progress.filled_avg_price,
        "updated_ms": now_ms,
    }
    if first:
        update["answered_ms"] = now_ms
        if tracked.unknown_at is not None and not tracked.cancel_on_sight:
            # The mark of a late order stays in its row: after a crash it must still be cancelled.
            update |= {"reason": "", "message": ""}
    if ends:
        update["ended_ms"] = now_ms
        if progress.state is State.REJECTED:
            update["reason"] = str(Reason.REFUSED_BY_BROKER)
    at = source.at or outcomes.rfc3339(now_ms)
    return Change(
        client_order_id=intent.client_order_id,
        update=update,
        trades=tuple(outcomes.trade_of(intent, row, at=at) for row in step.executions),
        notes=_notes(tracked, step, source, now_ms, first=first),
        events=events,
        repeats=tuple(tracked.followers) if ends else (),
        ack=_settled(tracked, ends=ends),
    )


def _notes(
    tracked: Tracked, step: Step, source: Source, now_ms: int, *, first: bool
) -> tuple[Note, ...]:
    """At most one line: an order that goes the normal way has exactly one."""
    intent, progress = tracked.intent, step.progress
    coid = intent.client_order_id
    if first:
        if source.note is None and tracked.work is not None and tracked.work.posting:
            return ()  # the answer to the POST is on its way, and will be the line
        kind, detail = source.note or ("answered", f"by the order stream: {source.event}")
        about = f"{detail}; {progress.status}, order {progress.order_id}"
        if intent.submitted_ms:
            about += f", {now_ms - intent.submitted_ms} ms after its row"
        return (Note(coid, now_ms, kind, about + timed(tracked)),)
    if source.note and (step.late_fill or step.corrected):
        kind, detail = source.note
        about = f"{detail}: {step.filled:+f} shares, {progress.filled_qty:f} filled now"
        return (Note(coid, now_ms, kind, about),)
    return ()


def timed(tracked: Tracked) -> str:
    """The end of its first line in the history: how long each stage took, told once."""
    stages, tracked.stages = tracked.stages, None
    return "" if stages is None else f"; {stages}"


def moved(tracked: Tracked, move: Move, now_ms: int) -> Change:
    """Set the standing and word the change."""
    intent, final = tracked.intent, move.state in TERMINAL
    status = "rejected" if move.state is State.REJECTED else ""
    tracked.progress = Progress(state=move.state, status=status)
    update: dict[str, object] = {
        "state": move.state,
        "status": status,
        "reason": str(move.reason),
        "message": move.message,
        "updated_ms": now_ms,
        "answered_ms": now_ms,
    }
    if final:
        update["ended_ms"] = now_ms
    events = tuple(
        outcomes.event_of(
            intent,
            move.event,
            outcomes.rfc3339(now_ms),
            progress=tracked.progress,
            final=final,
            reason=str(move.reason),
            message=move.message,
            ref=ref,
        )
        for ref in (None, *(tracked.followers if final else ()))
    )
    ack = _settled(tracked, ends=final) if move.ack else ()
    codes = ", ".join(dict.fromkeys((str(move.state), str(move.reason))))
    words = f"{codes}: {move.message}"
    return Change(
        client_order_id=intent.client_order_id,
        update=update,
        notes=(Note(intent.client_order_id, now_ms, move.note, words + timed(tracked)),),
        repeats=tuple(tracked.followers) if final else (),
        events=events,
        ack=ack,
    )


def _settled(tracked: Tracked, *, ends: bool) -> tuple[EntryRef, ...]:
    """Entries that may be acknowledged with this change: each is handed out once."""
    refs = (*tracked.refs, *(tracked.followers if ends else ()))
    tracked.refs.clear()
    return refs


def _events(tracked: Tracked, step: Step, source: Source, now_ms: int) -> Iterable[ExecutionEvent]:
    intent, progress = tracked.intent, step.progress
    at = source.at or outcomes.rfc3339(now_ms)
    # The signal's end is that of its entry order, whatever a leg does.
    ends = progress.ended and not (step.late_fill or step.corrected or tracked.is_leg)
    told = (source.note[1],) if step.corrected and source.note else ()
    role = (intent.message,) if tracked.is_leg else ()
    if not tracked.told:
        tracked.told = True
        first = Event.CORRECTED if tracked.cancel_on_sight else Event.SUBMITTED
        # The only reason that an order can have from the start; of the others it is said before.
        reason = intent.reason if intent.reason == Reason.ORPHAN else ""
        yield outcomes.event_of(
            intent, first, at, progress=progress, reason=reason, message=intent.message
        )
        if not source.event and progress.state is State.OPEN and not step.filled:
            return
    name = source.event or outcomes.EVENT_OF_STATUS.get(progress.status, progress.status)
    for ref in (None, *(tracked.followers if ends else ())):
        yield outcomes.event_of(
            intent,
            name,
            at,
            progress=progress,
            final=ends,
            qty=step.filled or None,
            price=step.fill_price,
            position_qty=source.position_qty,
            reason=str(Reason.REFUSED_BY_BROKER) if progress.state is State.REJECTED else "",
            message=": ".join((*role, *told)),
            ref=ref,
        )
