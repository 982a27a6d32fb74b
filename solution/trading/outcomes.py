"""From decisions to ledger changes and events: the one place that words them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from solution.domain import fills
from solution.domain.events import Event, ExecutionEvent
from solution.domain.executions import Execution
from solution.domain.order_state import Progress
from solution.domain.records import TERMINAL, Change, DeadLetter, EntryRef, Intent, State, Trade
from solution.domain.signal_glimpse import glimpse

ZERO = Decimal(0)

EVENT_OF_STATUS = {"filled": "fill", "partially_filled": "partial_fill"}
"""The broker's event names where they differ from the status of the same thing."""

_EVENT_OF_STATE = {
    State.REFUSED: Event.REFUSED,
    State.NOT_SENT: Event.REFUSED,
    State.DRY_RUN: Event.DRY_RUN,
    State.EXPIRED_UNCONFIRMED: Event.EXPIRED_UNCONFIRMED,
    State.ABSENT_CONFIRMED: Event.EXPIRED_UNCONFIRMED,
}
"""Our own names for what the broker has no word for."""


def rfc3339(epoch_ms: int) -> str:
    """UTC text with milliseconds."""
    whole = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


def event_of(  # noqa: PLR0913 - the facts of one event
    intent: Intent,
    name: str,
    at: str,
    *,
    progress: Progress | None = None,
    final: bool = False,
    reason: str = "",
    message: str = "",
    qty: Decimal | None = None,
    price: Decimal | None = None,
    position_qty: Decimal | None = None,
    ref: EntryRef | None = None,
) -> ExecutionEvent:
    """An event about ``intent``; ``qty`` defaults to the order's."""
    return ExecutionEvent(
        event=name,
        stream=ref.stream if ref else intent.stream,
        entry_id=ref.entry_id if ref else intent.entry_id,
        at=at,
        signal_id=intent.signal_id,
        client_order_id=intent.client_order_id,
        order_id=(progress.order_id if progress else intent.alpaca_order_id),
        status=(progress.status if progress else intent.status),
        final=final,
        reason=reason,
        message=message,
        ticker=intent.symbol,
        side=intent.side,
        qty=qty if qty is not None else intent.qty,
        price=price,
        filled_qty=progress.filled_qty if progress else None,
        filled_avg_price=progress.filled_avg_price if progress else None,
        position_qty=position_qty,
        strategy=intent.strategy,
        extra=intent.extra,
    )


def ended_unsent(intent: Intent, name: Event, *, at_ms: int, refs: Iterable[EntryRef]) -> Change:
    """A row that never was SUBMITTING: refused, or a dry run."""
    intent.ended_ms = intent.created_ms = intent.updated_ms = at_ms
    event = event_of(
        intent,
        name,
        rfc3339(at_ms),
        final=True,
        reason=intent.reason,
        message=intent.message,
    )
    return Change(insert=intent, events=(event,), ack=tuple(refs))


def dead_letter(letter: DeadLetter) -> Change:
    """An entry that is no valid signal: kept, told under the producer's own names, acknowledged."""
    seen = glimpse(letter.fields)
    event = ExecutionEvent(
        event=Event.DEAD_LETTER,
        stream=letter.stream,
        entry_id=letter.entry_id,
        at=letter.at,
        signal_id=seen.signal_id,
        ticker=seen.ticker,
        final=True,
        reason=letter.reason,
        message=letter.message,
        strategy=seen.strategy,
        extra=seen.extra,
    )
    return Change(
        dead_letter=letter, events=(event,), ack=(EntryRef(letter.stream, letter.entry_id),)
    )


def acknowledge(ref: EntryRef) -> Change:
    """Nothing new: the entry's end is on record already."""
    return Change(ack=(ref,))


def repeated(intent: Intent, ref: EntryRef, *, at: str) -> Change:
    """The outcome of a signal_id that was published again, told under the new entry id."""
    progress = progress_of(intent)
    name = _EVENT_OF_STATE.get(intent.state) or EVENT_OF_STATUS.get(
        intent.status, intent.status or intent.state.lower()
    )
    event = event_of(
        intent,
        name,
        at,
        progress=progress,
        final=intent.state in TERMINAL,
        reason=intent.reason,
        message=intent.message,
        ref=ref,
    )
    return Change(events=(event,), ack=(ref,), repeats=(ref,) if event.final else ())


def progress_of(intent: Intent) -> Progress:
    """Where a row stands, in the merging table's terms."""
    return Progress(
        state=intent.state,
        status=intent.status,
        order_id=intent.alpaca_order_id,
        filled_qty=intent.filled_qty,
        filled_avg_price=intent.filled_avg_price,
    )


def with_progress(intent: Intent, progress: Progress) -> Intent:
    """The row as it will stand once what memory knows is committed."""
    return replace(
        intent,
        state=progress.state,
        status=progress.status,
        alpaca_order_id=progress.order_id,
        filled_qty=progress.filled_qty,
        filled_avg_price=progress.filled_avg_price,
    )


def trade_of(intent: Intent, row: Execution, *, at: str) -> Trade:
    """The execution that a merge discovered, for the ledger."""
    return Trade(
        execution_id=row.id,
        at=at,
        symbol=intent.symbol,
        side=intent.side,
        qty=row.qty,
        price=row.price or ZERO,
        cum_qty=row.cum_qty,
        order_id=row.order_id,
        client_order_id=intent.client_order_id,
    )


def with_trades(progress: Progress, trades: Iterable[Trade]) -> Progress:
    """The standing of a row found in the ledger, with the executions that were booked for it."""
    rows = [
        Execution(t.execution_id, t.qty, t.price or None, t.order_id, t.cum_qty) for t in trades
    ]
    if not rows:
        return progress
    return progress._replace(fills=fills.restored(progress.order_id, rows))
