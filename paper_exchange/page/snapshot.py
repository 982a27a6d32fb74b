"""What the page shows at one moment. Taken by photographer.py, shown by panels.py and facts.py."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from paper_exchange.engine.events import TradeEvent
from paper_exchange.hours import Phase
from paper_exchange.network.connections import Connection
from paper_exchange.orders import Order
from paper_exchange.page.faults import FaultState
from paper_exchange.prices.market import Quote
from paper_exchange.witness import Seen

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Some(Generic[Row]):
    """The first rows of ``total``."""

    rows: tuple[Row, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """Whether the exchange is open; times in nanoseconds since the epoch.

    ``pace`` tells that the clock is not the world's, and is empty otherwise.
    """

    kind: str
    pace: str
    phase: Phase
    next_open_ns: int
    next_close_ns: int


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One symbol of the book; ``held`` when its price is set by hand."""

    quote: Quote
    held: bool


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account in dollars; ``name`` is its key id, or stands for a token."""

    id: str
    name: str
    number: str
    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    day_change: Decimal
    open_orders: int
    fills: int


@dataclass(frozen=True, slots=True)
class PositionLine:
    """A holding, marked to the last trade."""

    account: str
    account_id: str
    symbol: str
    qty: Decimal
    entry: Decimal
    last: Decimal
    value: Decimal
    gain: Decimal


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order and whose it is."""

    account: str
    order: Order


@dataclass(frozen=True, slots=True)
class ExecutionLine:
    """An execution and whose it is."""

    account: str
    event: TradeEvent


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    """A client of a stream and who it is, None before it has said so."""

    account: str | None
    connection: Connection


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A trading request and who sent it."""

    account: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts of requests; the outcomes are those of the newest ``sampled``.

    ``struck`` are those that a fault changed the answer of, whatever their status was.
    """

    total: int
    per_second: float
    sampled: int
    fine: int
    refused: int
    limited: int
    failed: int
    struck: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on the page at one moment; newest first wherever there is an order in time."""

    now_ns: int
    session: Session
    examples: bool
    quotes: tuple[QuoteLine, ...]
    held: int
    accounts: Some[AccountLine]
    positions: Some[PositionLine]
    open_orders: Some[OrderLine]
    ended: tuple[OrderLine, ...]
    executions: tuple[ExecutionLine, ...]
    connections: Some[ConnectionLine]
    requests: tuple[RequestLine, ...]
    traffic: Traffic
    faults: FaultState
