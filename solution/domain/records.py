"""What the ledger keeps: intents, executions, dead letters, and the changes between them."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from solution.domain.events import ExecutionEvent


class State(StrEnum):
    """Where a signal stands. :mod:`solution.domain.order_state` holds the legal moves."""

    SUBMITTING = "SUBMITTING"
    """The row is durable; the POST may or may not have left."""
    UNKNOWN = "UNKNOWN"
    """The POST got no usable answer; being looked up."""
    OPEN = "OPEN"
    """The broker has the order and it is not at its end."""
    EXPIRED_UNCONFIRMED = "EXPIRED_UNCONFIRMED"
    """Not found and not sent again; acknowledged, watched, its reservation held."""
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"
    REJECTED = "REJECTED"
    """Refused by the broker, at once or later."""
    REFUSED = "REFUSED"
    """Refused by us; never sent."""
    DRY_RUN = "DRY_RUN"
    NOT_SENT = "NOT_SENT"
    """The broker could not be reached; the order provably never left."""
    ABSENT_CONFIRMED = "ABSENT_CONFIRMED"
    """Complete broker lists after the session's close do not hold the order."""


TERMINAL = frozenset(
    {
        State.FILLED,
        State.CANCELED,
        State.EXPIRED,
        State.REPLACED,
        State.REJECTED,
        State.REFUSED,
        State.DRY_RUN,
        State.NOT_SENT,
        State.ABSENT_CONFIRMED,
    }
)


POISON_STARTS = 3
"""Starts without an end (the first one, of a fresh entry, is not counted) that make a dead letter
of an entry."""


EntryKey = tuple[int, int]
"""An entry id as its two numbers: milliseconds and sequence."""


def entry_key(entry_id: str) -> EntryKey:
    """What entry ids are ordered by."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)


@dataclass(frozen=True, slots=True)
class EntryRef:
    """One stream entry, to be acknowledged."""

    stream: str
    entry_id: str


@dataclass(slots=True, kw_only=True)
class Intent:
    """One row of ``order_intents``: one signal identity, at most one root order.

    Times are epoch milliseconds (``*_ms``), UTC. ``body`` is the exact request body once one was
    composed. ``status`` is the broker's own word, ``state`` is ours.
    """

    identity: str
    digest: str
    stream: str
    entry_id: str
    client_order_id: str
    state: State
    signal_id: str = ""
    symbol: str = ""
    asset_id: str = ""
    side: str = ""
    qty: Decimal | None = None
    notional: Decimal | None = None
    order_type: str = ""
    time_in_force: str = ""
    limit_price: Decimal | None = None
    body: bytes = b""
    reserved_cash: Decimal = Decimal(0)
    reserved_qty: Decimal = Decimal(0)
    cancel_after: Decimal | None = None
    reason: str = ""
    message: str = ""
    status: str = ""
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None
    alpaca_order_id: str = ""
    strategy: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    published_ms: int = 0
    received_ms: int = 0
    submitted_ms: int = 0
    answered_ms: int = 0
    ended_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution. ``execution_id`` is the broker's, or ``{order_id}:{cum_qty}`` when polled."""

    execution_id: str
    at: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    order_id: str
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An entry that was no valid signal, kept for ever, with its raw content."""

    stream: str
    entry_id: str
    reason: str
    message: str
    at: str
    fields: tuple[tuple[bytes, bytes], ...] = ()

    def is_of(self, fields: tuple[tuple[bytes, bytes], ...] | None) -> bool:
        """Whether it was made of an entry with these fields; one whose content is lost is any.

        After data loss Redis may give an entry id again, to another signal.
        """
        return not fields or self.fields in {(), fields}


@dataclass(frozen=True, slots=True)
class Note:
    """One line of an order's history, for ``why``.

    Args:
        client_order_id: whose history.
        at_ms: when it happened, epoch milliseconds.
        kind: a short code: ``answered``, ``lookup``, ``resend``, ``posted``, ``adopted`` …
        detail: one sentence or compact facts, such as ``HTTP 200 in 12.345 ms``; the first line of
            an order ends in what its stages took (:mod:`solution.domain.stages`).
    """

    client_order_id: str
    at_ms: int
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account's worth at one moment.

    Args:
        at: RFC 3339 UTC.
        equity: account currency.
        daily_pnl: account currency, since the previous session's close.
    """

    at: str
    equity: Decimal
    daily_pnl: Decimal


@dataclass(slots=True, kw_only=True)
class Change:
    """What one commit does for one signal; all of it or nothing.

    Args:
        insert: a row that never was SUBMITTING (refused, dry run, dead, a bracket's leg), or None.
        client_order_id, update: columns of :class:`Intent` to set on an existing row; setting
            ``state`` on a row in a terminal state changes nothing.
        trades: executions; those already known are ignored.
        dead_letter: an entry to keep.
        repeats: entries of a signal_id published again that are told its end here; the event of
            one that was told before is left out.
        notes: lines of the order's history.
        events: rows for the outbox, in order.
        keep, forget: small state to keep (key, value), and keys of it to forget.
        ack: the entries that may be acknowledged once this is durable.
    """

    insert: Intent | None = None
    client_order_id: str = ""
    update: dict[str, object] = field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    dead_letter: DeadLetter | None = None
    repeats: tuple[EntryRef, ...] = ()
    notes: tuple[Note, ...] = ()
    events: tuple[ExecutionEvent, ...] = ()
    keep: tuple[tuple[str, str], ...] = ()
    forget: tuple[str, ...] = ()
    ack: tuple[EntryRef, ...] = ()
