"""The scalper's three signals, and what they cost: prices and sizes, nothing else."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from signal_generator.scalping.ticks import round_down, round_up
from signal_generator.signals import Signal

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalpSettings:
    """How the scalper trades.

    Args:
        lot: account currency for one purchase.
        cancel_after: seconds a buy may rest; the service cancels it then.
        liquidate_before: the close, by this much.
        freshness: a bar that ended longer ago buys nothing: the price has moved on.
    """

    lot: Decimal
    cancel_after: Decimal = Decimal(120)
    liquidate_before: timedelta = timedelta(minutes=5)
    freshness: timedelta = timedelta(seconds=60)


def buy(symbol: str, signal_id: str, last: Decimal, settings: ScalpSettings) -> Signal | None:
    """As many whole shares as the lot pays, at the last trade or less; None if it pays none.

    A limit order on purpose: the sale is offered a cent above what the purchase cost, and a market
    order could cost anything.
    """
    price = round_down(last)
    qty = int(settings.lot / last)
    if qty < 1 or price <= 0:
        return None
    return Signal(
        symbol=symbol,
        side="buy",
        action="buy_long",
        qty=qty,
        order_type="limit",
        limit_price=price,
        time_in_force="day",
        cancel_after=settings.cancel_after,
        signal_id=signal_id,
    )


def sell(symbol: str, signal_id: str, qty: Decimal, entry: Decimal, last: Decimal | None) -> Signal:
    """All that is held, a cent above its cost or at the last trade, whichever is more.

    Without a last trade the target alone still makes a good offer.
    """
    target = entry + CENT
    return Signal(
        symbol=symbol,
        side="sell",
        action="sell_long",
        qty=qty,
        order_type="limit",
        limit_price=round_up(target if last is None else max(last, target)),
        time_in_force="day",
        signal_id=signal_id,
    )


def liquidate(symbol: str, signal_id: str) -> Signal:
    """Out of what is held, at the market; the service first cancels what rests.

    ``sell``, so that it never buys back a short position, which is somebody else's.
    """
    return Signal(
        symbol=symbol,
        side="sell",
        action="liquidate",
        order_type="market",
        time_in_force="day",
        signal_id=signal_id,
    )
