"""Ledger against broker, as differences a person can act on. Pure: two pictures in, a list out.

The two pictures are not of the same instant, and a running service keeps writing. So the ledger is
read before *and* after the broker (:func:`agreed`): only what differs from both readings is a
difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from solution.domain.crypto import book_symbol, is_fee, is_pair
from solution.domain.order_state import STATE_OF_STATUS, decimal_or_none
from solution.domain.records import TERMINAL, Intent, State, Trade

ZERO = Decimal(0)
UNRESOLVED = frozenset({State.SUBMITTING, State.UNKNOWN, State.EXPIRED_UNCONFIRMED})
"""Rows of which it is not known whether the broker has their order."""
CLOCKS_DIFFER_MS = 60_000
"""The broker's times are of another clock than the ledger's."""


class Kind(StrEnum):
    """What differs."""

    NOT_IN_LEDGER = "not_in_ledger"
    NOT_AT_BROKER = "not_at_broker"
    OPEN_HERE_ENDED_THERE = "open_here_ended_there"
    ENDED_HERE_OPEN_THERE = "ended_here_open_there"
    OTHER_END = "other_end"
    FILLED_QTY = "filled_qty"
    TRADES = "trades"
    POSITION = "position"
    UNRESOLVED = "unresolved"


MEANINGS = {
    Kind.NOT_IN_LEDGER: "The broker has an order with an id of this deployment, and the ledger has "
    "no row for it. A running service adopts it if its signal is found; else look at it by hand.",
    Kind.NOT_AT_BROKER: "The ledger says that the broker has it; the broker says that it does not.",
    Kind.OPEN_HERE_ENDED_THERE: "Its end was not heard yet. A running service hears it within "
    "seconds; a stopped one learns it at its start.",
    Kind.ENDED_HERE_OPEN_THERE: "The order works at the broker and nobody here follows it: cancel "
    "it at the broker.",
    Kind.OTHER_END: "Both say that it ended, and not how.",
    Kind.FILLED_QTY: "Shares filled that one side does not know.",
    Kind.TRADES: "The executions kept in the ledger do not add up to what its row says was filled.",
    Kind.POSITION: "Bought less sold by this ledger is not what is held: other orders on the "
    "account, shares held before, splits or transfers may explain it.",
    Kind.UNRESOLVED: "It is not known whether the broker has this order. A running service "
    "resolves it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same on both sides; ``ledger`` and ``broker`` are what they say."""

    kind: Kind
    subject: str
    """A client_order_id, or the symbol of a position."""
    symbol: str
    ledger: str
    broker: str

    @property
    def key(self) -> tuple[Kind, str]:
        return self.kind, self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSide:
    """What the ledger said at one moment.

    Args:
        rows: those that are not at their end, and those sent within the time compared.
        filled: shares per client_order_id by the executions, for all rows.
        held: signed shares per symbol by the executions.
        bought: shares per symbol that executions brought.
    """

    rows: Mapping[str, Intent]
    filled: Mapping[str, Decimal]
    held: Mapping[str, Decimal]
    bought: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSide:
    """What the broker said.

    Args:
        orders: by client_order_id, every status: those that are open, and the others since
            ``since_ms``.
        absent: client_order_ids the broker was asked for one by one and does not have.
        positions: signed shares per symbol.
        since_ms: epoch milliseconds; the list of ended orders begins here.
        is_complete: False when that list was cut.
    """

    orders: Mapping[str, Mapping[str, Any]]
    absent: frozenset[str] = frozenset()
    positions: Mapping[str, Decimal] = field(default_factory=dict)
    since_ms: int = 0
    is_complete: bool = True
    by_id: Mapping[str, Mapping[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        by_id = {str(order.get("id") or ""): order for order in self.orders.values()}
        object.__setattr__(self, "by_id", by_id)

    def order_of(self, row: Intent) -> Mapping[str, Any] | None:
        """By id first: a replaced order goes on under its successor's, and other ids."""
        order = self.by_id.get(row.alpaca_order_id) if row.alpaca_order_id else None
        return order or self.orders.get(row.client_order_id)


def ledger_side(rows: Iterable[Intent], trades: Iterable[Trade]) -> LedgerSide:
    """Add the executions up."""
    filled: dict[str, Decimal] = defaultdict(Decimal)
    held: dict[str, Decimal] = defaultdict(Decimal)
    bought: dict[str, Decimal] = defaultdict(Decimal)
    for trade in trades:
        filled[trade.client_order_id] += trade.qty
        held[trade.symbol] += trade.qty if trade.side == "buy" else -trade.qty
        if trade.side == "buy":
            bought[trade.symbol] += trade.qty
    return LedgerSide(
        rows={row.client_order_id: row for row in rows},
        filled=dict(filled),
        held=dict(held),
        bought=dict(bought),
    )


def compared(ledger: LedgerSide, broker: BrokerSide, prefix: str) -> list[Difference]:
    """Every difference between two pictures.

    Args:
        prefix: with which the client_order_ids of this deployment begin.
    """
    found: list[Difference] = []
    for row in ledger.rows.values():
        order = broker.order_of(row)
        found += _missing_there(row, broker) if order is None else _order(row, order)
    found += [
        _unknown_here(coid, order)
        for coid, order in broker.orders.items()
        if coid not in ledger.rows and coid.startswith(prefix)
    ]
    found += _executions(ledger)
    found += _positions(ledger, broker)
    return found


def agreed(before: Iterable[Difference], after: Iterable[Difference]) -> list[Difference]:
    """What the ledger read before the broker and the one read after it both differ in."""
    kept = {difference.key for difference in before}
    return [difference for difference in after if difference.key in kept]


def moved(before: LedgerSide, after: LedgerSide) -> set[str]:
    """Symbols that traded between two readings: their positions cannot be compared yet."""
    symbols = before.held.keys() | after.held.keys()
    return {s for s in symbols if before.held.get(s, ZERO) != after.held.get(s, ZERO)}


# --- orders --------------------------------------------------------------------------------------


def _order(row: Intent, order: Mapping[str, Any]) -> Iterator[Difference]:
    """One order that both sides have."""
    status = str(order.get("status") or "")
    there = STATE_OF_STATUS.get(status, State.OPEN)
    kind = _kind(row.state, there)
    if kind is not None:
        yield _of(kind, row, here(row), _there(order))
        return
    filled = decimal_or_none(order.get("filled_qty")) or ZERO
    # The row of a replaced order counts the whole chain, each order of it only its own part.
    is_chain = there is State.REPLACED or bool(order.get("replaces"))
    if filled != row.filled_qty and not is_chain:
        yield _of(Kind.FILLED_QTY, row, f"{row.filled_qty:f} filled", f"{filled:f} filled")


def _kind(here: State, there: State) -> Kind | None:
    """What two states of one order differ in; None where they agree."""
    if here in UNRESOLVED:
        return Kind.UNRESOLVED
    if here is there or (here is State.OPEN and there is State.REPLACED):
        return None
    if here is State.OPEN:
        return Kind.OPEN_HERE_ENDED_THERE
    return Kind.ENDED_HERE_OPEN_THERE if there is State.OPEN else Kind.OTHER_END


def _unknown_here(coid: str, order: Mapping[str, Any]) -> Difference:
    return Difference(
        kind=Kind.NOT_IN_LEDGER,
        subject=coid,
        symbol=book_symbol(order),
        ledger="no row",
        broker=f"{order.get('side')} {order.get('qty') or order.get('notional')}, {_there(order)}",
    )


def _missing_there(row: Intent, broker: BrokerSide) -> Iterator[Difference]:
    """A row whose order the broker did not name."""
    is_absent = row.client_order_id in broker.absent
    if row.state in UNRESOLVED:
        yield _of(Kind.UNRESOLVED, row, here(row), "no such order" if is_absent else "not listed")
    elif is_absent:
        yield _of(Kind.NOT_AT_BROKER, row, here(row), "no such order")


def _executions(ledger: LedgerSide) -> Iterator[Difference]:
    for coid, row in ledger.rows.items():
        kept = ledger.filled.get(coid, ZERO)
        if kept != row.filled_qty:
            yield _of(Kind.TRADES, row, f"{row.filled_qty:f} in its row", f"{kept:f} in executions")


def _positions(ledger: LedgerSide, broker: BrokerSide) -> Iterator[Difference]:
    for symbol in sorted(ledger.held.keys() | broker.positions.keys()):
        here, there = ledger.held.get(symbol, ZERO), broker.positions.get(symbol, ZERO)
        # Fees on crypto come off the coins, and no execution tells them.
        if is_pair(symbol) and is_fee(here, there, ledger.bought.get(symbol, ZERO)):
            continue
        if here != there:
            yield Difference(
                kind=Kind.POSITION,
                subject=symbol,
                symbol=symbol,
                ledger=f"{here:f}",
                broker=f"{there:f}",
            )


def must_be_asked(ledger: LedgerSide, broker: BrokerSide) -> list[Intent]:
    """Rows that the broker took or may have taken, and that its lists do not name.

    Only a question by id tells more. Those that are not at their end come first; one that ended
    before the list begins is not asked for.
    """
    missing = [row for row in ledger.rows.values() if broker.order_of(row) is None]
    unended = [row for row in missing if row.state not in TERMINAL]
    if not broker.is_complete:
        return unended
    listed_ms = broker.since_ms + CLOCKS_DIFFER_MS
    ended = (row for row in missing if row.state in TERMINAL and row.alpaca_order_id)
    return [*unended, *(row for row in ended if row.submitted_ms > listed_ms)]


def here(row: Intent) -> str:
    """``FILLED, 10 filled``."""
    return f"{row.state}, {row.filled_qty:f} filled" if row.filled_qty else str(row.state)


def _there(order: Mapping[str, Any]) -> str:
    filled = decimal_or_none(order.get("filled_qty")) or ZERO
    status = str(order.get("status") or "without status")
    return f"{status}, {filled:f} filled" if filled else status


def _of(kind: Kind, row: Intent, ledger: str, broker: str) -> Difference:
    return Difference(
        kind=kind, subject=row.client_order_id, symbol=row.symbol, ledger=ledger, broker=broker
    )
