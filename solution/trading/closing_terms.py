"""How a position is closed: how much of it, and by which kind of order now. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.domain.market import Market
from solution.domain.orders import Side, TimeInForce
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.errors import Refused, SignalError
from solution.session import OutsideTableError, extended_session, next_open
from solution.trading.pricing import on_grid

CRYPTO = "crypto"


@dataclass(frozen=True, slots=True)
class Terms:
    """How an order is sent; without a limit price at the market."""

    time_in_force: TimeInForce
    limit_price: Decimal | None = None

    @property
    def extended(self) -> bool:
        return self.limit_price is not None


def free_qty(held: Holdings, side: Side) -> Decimal:
    """What may be traded on this side without opening anything.

    Raises:
        Refused: nothing.
    """
    if held.uncertain:
        why = "executions may not be in the position yet"
        raise Refused(Reason.EXPOSURE_UNCONFIRMED, why)
    sells = side is Side.SELL
    qty = held.available_qty if sells else -held.qty - held.pending_buy_qty
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
