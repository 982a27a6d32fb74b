"""An order as the exchange keeps it, what asks for one, and how both are written."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.assets import Asset
from paper_exchange.clock import stamp, stamp_or_none
from paper_exchange.decimals import ZERO, floor_qty, text, text_or_none

TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
IMMEDIATE = frozenset({"ioc", "fok"})
#: Executed once, at the price of the opening or closing auction.
AUCTION = frozenset({"opg", "cls"})
_STOP_TYPES = frozenset({"stop", "stop_limit", "trailing_stop"})
#: Classes whose first order opens a position that its legs close.
_ENTRIES = frozenset({"bracket", "oto"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """The prices of the orders that close a position: a target, a stop, or both."""

    take_profit: Decimal | None = None
    stop: Decimal | None = None
    #: Turns the stop into a stop-limit.
    stop_limit: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """A well-formed request for an order; exactly one of ``qty`` and ``notional`` is set."""

    asset: Asset
    side: str
    type: str
    time_in_force: str
    client_order_id: str
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    position_intent: str | None = None
    #: ``""`` (simple), ``bracket``, ``oco`` or ``oto``.
    order_class: str = ""
    exits: Exits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a replacement changes; None leaves a field as it is."""

    qty: Decimal | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    client_order_id: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """One order and all that has happened to it; times in nanoseconds since the epoch."""

    id: str
    account_id: str
    asset: Asset
    client_order_id: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    extended_hours: bool
    position_intent: str
    submitted_ns: int
    updated_ns: int
    status: str = "pending_new"
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    hwm: Decimal | None = None
    #: A stop that has been reached: from then on the order is a market or limit order.
    triggered: bool = False
    #: The limit a triggered buy stop works with (Alpaca turns it into a stop-limit).
    effective_limit: Decimal | None = None
    #: Buying power held per unit still open; zero for orders that close a position.
    unit_reserve: Decimal = ZERO
    reserved: Decimal = ZERO
    filled_ns: int | None = None
    expired_ns: int | None = None
    expires_ns: int | None = None
    canceled_ns: int | None = None
    failed_ns: int | None = None
    replaced_ns: int | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    #: The most an order in dollars may take of the position it closes: its worth when admitted.
    most_qty: Decimal | None = None
    cancel_requested_ns: int | None = None
    order_class: str = ""
    #: Of a leg: the order it belongs to. Of a parent: its legs, replaced ones not among them.
    parent_id: str | None = None
    leg_ids: tuple[str, ...] = ()
    #: When a requested cancel or replacement takes effect; None while it is stuck, or not asked.
    change_due_ns: int | None = None
    #: Of an order in ``pending_replace``: what is to take its place.
    successor_id: str | None = None
    #: Its place in the order of submission, counted over all accounts.
    number: int = 0

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to it."""
        return self.status not in TERMINAL

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a trigger price."""
        return self.type in _STOP_TYPES and not self.triggered

    @property
    def immediate(self) -> bool:
        """Whether what cannot be filled now is canceled."""
        return self.time_in_force in IMMEDIATE

    @property
    def working_limit(self) -> Decimal | None:
        """The worst price it accepts now, None for any."""
        return self.effective_limit if self.effective_limit is not None else self.limit_price

    @property
    def is_entry(self) -> bool:
        """Whether its legs wait for it to be filled (bracket, OTO)."""
        return self.order_class in _ENTRIES and self.parent_id is None

    @property
    def is_oco(self) -> bool:
        """Whether it is the take-profit of an OCO, with the stop as its leg."""
        return self.order_class == "oco" and self.parent_id is None

    @property
    def claim_group(self) -> str | None:
        """What orders share of which only one can have its way, None for an order by itself.

        The exits of one position, and an order with the one that is to replace it.
        """
        if self.is_entry or not (
            self.order_class or self.successor_id or self.is_waiting_successor
        ):
            return None
        return self.family

    @property
    def family(self) -> str:
        """The id of the order it belongs to: a leg's parent, what it is to replace, or itself."""
        if self.parent_id is not None:
            return self.parent_id
        return (self.replaces or self.id) if self.is_waiting_successor else self.id

    @property
    def is_waiting_successor(self) -> bool:
        """Whether it is to replace an order that is still in the market."""
        return self.status == "pending_new" and self.replaces is not None

    @property
    def closes(self) -> bool:
        """Whether it was taken as an order that reduces a position."""
        return self.position_intent.endswith("_close")

    @property
    def filled_avg_price(self) -> Decimal | None:
        """The average over all executions so far, None before the first."""
        return self.filled_value / self.filled_qty if self.filled_qty else None

    def remaining(self, price: Decimal) -> Decimal:
        """What is still to be filled; an amount in dollars becomes a quantity at ``price``."""
        if self.qty is not None:
            return self.qty - self.filled_qty
        qty = floor_qty(((self.notional or ZERO) - self.filled_value) / price)
        # A fallen price must not sell more than is held.
        return qty if self.most_qty is None else min(qty, self.most_qty - self.filled_qty)

    @property
    def claim(self) -> Decimal:
        """How much of a position a closing order keeps from others."""
        total = self.qty if self.qty is not None else self.most_qty
        return (total or ZERO) - self.filled_qty

    def render(self, legs: Iterable["Order"] | None = None) -> dict[str, object]:
        """The order as the API shows it, with every documented key.

        ``legs`` is for what is shown nested; without it the key is null.
        """
        average = self.filled_avg_price
        submitted = stamp(self.submitted_ns)
        return {
            "id": self.id,
            "client_order_id": self.client_order_id,
            "created_at": submitted,
            "updated_at": stamp(self.updated_ns),
            "submitted_at": submitted,
            "filled_at": stamp_or_none(self.filled_ns),
            "expired_at": stamp_or_none(self.expired_ns),
            "expires_at": stamp_or_none(self.expires_ns),
            "canceled_at": stamp_or_none(self.canceled_ns),
            "failed_at": stamp_or_none(self.failed_ns),
            "replaced_at": stamp_or_none(self.replaced_ns),
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset.id,
            "symbol": self.asset.symbol,
            "asset_class": self.asset.asset_class,
            "notional": text_or_none(self.notional),
            "qty": text_or_none(self.qty),
            "filled_qty": text(self.filled_qty),
            "filled_avg_price": None if average is None else text(round(average, 6)),
            "order_class": self.order_class,
            "order_type": self.type,
            "type": self.type,
            "side": self.side,
            "position_intent": self.position_intent,
            "time_in_force": self.time_in_force,
            "limit_price": text_or_none(self.limit_price),
            "stop_price": text_or_none(self.stop_price),
            "status": self.status,
            "extended_hours": self.extended_hours,
            "legs": [leg.render() for leg in legs] if legs else None,
            "trail_percent": text_or_none(self.trail_percent),
            "trail_price": text_or_none(self.trail_price),
            "hwm": text_or_none(self.hwm),
            "ratio_qty": None,
            "subtag": None,
            "source": None,
        }
