"""One order on its way, and the ledger change that each step of it makes. No locks, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from solution.domain.events import Event, ExecutionEvent
from solution.domain.order_state import Progress, Step
from solution.domain.reasons import Reason
from solution.domain.records import TERMINAL, Change, EntryRef, Intent, State, Trade
from solution.trading import outcomes
from solution.trading.work import Lane, Work

UNRESOLVED = frozenset({State.SUBMITTING, State.UNKNOWN})
"""The broker may or may not have the order."""


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
    cancel_on_sight: bool = False
    foreign: bool = False
    """The broker's order under our id is not ours: its news must not reach our books."""


@dataclass(frozen=True, slots=True)
class Source:
    """What only the source of a piece of news knows; all empty for answers and polls."""

    event: str = ""
    at: str = ""
    execution_id: str = ""
    position_qty: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A step that no order object of the broker tells.

    ``ack``: nothing more will be decided about its entries.
    """

    state: State
    event: str
    reason: str
    message: str
    ack: bool = False


def merged(tracked: Tracked, step: Step, source: Source, now_ms: int, *, first: bool) -> Change:
    """The one change for everything a merge found, events in the order a reader expects.

    Args:
        first: this is the first proof that the broker has the order.
    """
    intent, progress = tracked.intent, step.progress
    ends = progress.ended and not step.late_fill
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
    trades: tuple[Trade, ...] = ()
    if step.filled > 0:
        at = source.at or outcomes.rfc3339(now_ms)
        trades = (outcomes.trade_of(intent, step, execution_id=source.execution_id, at=at),)
    return Change(
        client_order_id=intent.client_order_id,
        update=update,
        trades=trades,
        events=events,
        repeats=tuple(tracked.followers) if ends else (),
        ack=_settled(tracked, ends=ends),
    )


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
    return Change(
        client_order_id=intent.client_order_id,
        update=update,
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
    ends = progress.ended and not step.late_fill
    if not tracked.told:
        tracked.told = True
        first = Event.CORRECTED if tracked.cancel_on_sight else Event.SUBMITTED
        yield outcomes.event_of(intent, first, at, progress=progress, message=intent.message)
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
            ref=ref,
        )
