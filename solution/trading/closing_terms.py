"""How a position is closed: how much of it, and by which kind of order now. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.book.reservations import Reservation
from solution.domain.flattening import Flattening
from solution.domain.market import Market
from solution.domain.orders import OrderRequest, OrderType, Side, TimeInForce
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.records import Intent, State
from solution.errors import Refused, SignalError
from solution.session import OutsideTableError, extended_session, next_open
from solution.trading.pricing import on_grid

CRYPTO = "crypto"
EXTENDED_LIVES = Decimal(15)
"""Seconds that a limit order of the extended session may rest before it is priced anew."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How an order is sent; without a limit price at the market."""

    time_in_force: TimeInForce
    limit_price: Decimal | None = None

    @property
    def extended(self) -> bool:
        return self.limit_price is not None


@dataclass(frozen=True, slots=True)
class ClosingPlan:
    """One closing order before its size is known."""

    request: Flattening
    asset: AssetView
    side: Side
    terms: Terms
    identity: str
    client_order_id: str

    def decide(self, now_ms: int, held: Holdings) -> tuple[Reservation, Intent]:
        """All that is free of the position; called inside the portfolio's mutex.

        Args:
            now_ms: epoch milliseconds.

        Raises:
            Refused: nothing is free.
        """
        qty, symbol = free_qty(held, self.side), self.asset.symbol
        promised = Reservation(
            self.client_order_id, symbol, self.side, qty, Decimal(0), opens=False
        )
        return promised, self._intent(qty, now_ms)

    def _intent(self, qty: Decimal, now_ms: int) -> Intent:
        terms = self.terms
        order_type = OrderType.LIMIT if terms.extended else OrderType.MARKET
        order = OrderRequest(
            symbol=self.asset.symbol,
            side=self.side,
            order_type=order_type,
            time_in_force=terms.time_in_force,
            client_order_id=self.client_order_id,
            qty=qty,
            limit_price=terms.limit_price,
            extended_hours=terms.extended,
        )
        return Intent(
            identity=self.identity,
            digest="",
            stream="",
            entry_id="",
            client_order_id=self.client_order_id,
            state=State.SUBMITTING,
            signal_id=self.request.key,
            symbol=self.asset.symbol,
            asset_id=self.asset.id,
            side=self.side.value,
            qty=qty,
            order_type=order_type.value,
            time_in_force=terms.time_in_force.value,
            limit_price=terms.limit_price,
            body=order.body(),
            reserved_qty=qty,
            cancel_after=EXTENDED_LIVES if terms.extended else None,
            message=f"flatten: {self.request.why}",
            published_ms=now_ms,
            received_ms=now_ms,
            submitted_ms=now_ms,
            created_ms=now_ms,
            updated_ms=now_ms,
        )


def free_qty(held: Holdings, side: Side) -> Decimal:
    """What may be traded on this side without opening anything.

    Raises:
        Refused: nothing.
    """
    if held.uncertain:
        why = "executions may not be in the position yet"
        raise Refused(Reason.EXPOSURE_UNCONFIRMED, why)
    sells = side is Side.SELL
    qty = held.available_qty if sells else held.coverable_qty
    if qty <= 0:
        reason = Reason.NOTHING_TO_SELL if sells else Reason.NOTHING_TO_COVER
        raise Refused(reason, "other orders hold all of it")
    return qty


def terms_of(
    asset: AssetView,
    side: Side,
    market: Market,
    quote: Callable[[], Quote | None],
    *,
    allow_extended: bool,
) -> Terms | str:
    """How the position is closed now, or why it has to wait.

    Stocks at the market for the day: taken for whole shares and fractions alike, by every account
    (ioc is not), and a remainder that a trading halt leaves goes on by itself. Crypto trades round
    the clock and knows no day orders.
    """
    if asset.asset_class == CRYPTO:
        return Terms(TimeInForce.IOC)
    if market.is_open is None:
        return "the broker's clock could not be read"
    if market.is_open:
        return Terms(TimeInForce.DAY)
    if not allow_extended or extended_session(market.at) == "closed":
        return f"the market is closed{_until(market)}"
    return _extended_terms(side, quote())


def _extended_terms(side: Side, seen: Quote | None) -> Terms | str:
    """A limit at the far side of the quote: the extended session takes nothing else."""
    price = None if seen is None else (seen.bid if side is Side.SELL else seen.ask)
    if price is None or price <= 0:
        return "the extended session runs, and nobody quotes it"
    try:
        # To the other side's grid: it must be marketable, a cent lost or not.
        limit = on_grid(price, Side.BUY if side is Side.SELL else Side.SELL)
    except SignalError as e:
        return e.message
    return Terms(TimeInForce.DAY, limit)


def _until(market: Market) -> str:
    try:
        return f" until {next_open(market.at):%Y-%m-%d %H:%M} UTC"
    except OutsideTableError:
        return ""


def no_quote() -> None:
    """For who needs none."""
