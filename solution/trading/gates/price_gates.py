"""Whether the market is fit to trade in, and the price no mistake. Each is pure.

A gate that cannot know refuses: without a bid there is no spread, without a trade no collar.
"""

from decimal import Decimal

from solution.domain.orders import OrderType, Side
from solution.domain.reasons import Reason
from solution.trading.gates.view import Denial, View

BASIS_POINTS = Decimal(10_000)
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


def spread(view: View) -> Denial | None:
    """MAX_SPREAD_BPS, for an order that opens at whatever price there is.

    One with a limit of its own decides itself what it pays. While the market is closed nobody
    quotes, and what waits for a session is not filled at these prices.
    """
    most, plan, quote = view.rules.max_spread_bps, view.plan, view.quote
    if most is None or plan is None or quote is None or not plan.opens or not view.trades_now:
        return None
    if view.signal.limit_price is not None or view.signal.order_type in _STOPS:
        return None
    bid, ask = quote.bid or Decimal(0), quote.ask or Decimal(0)
    if bid <= 0 or ask <= 0:
        missing = "bid" if bid <= 0 else "ask"
        return Denial(Reason.WIDE_SPREAD, f"{view.asset.symbol} has no {missing} now")
    wide = (ask - bid) / (ask + bid) * 2 * BASIS_POINTS
    if wide <= most:
        return None
    return Denial(
        Reason.WIDE_SPREAD,
        f"bid {bid:f} and ask {ask:f} of {view.asset.symbol} are {wide:.0f} basis points apart, "
        f"MAX_SPREAD_BPS is {most:f}",
    )


def collar(view: View) -> Denial | None:
    """PRICE_COLLAR_PCT around the last trade, on the side that would cost money.

    For an exit only the producer's own limit is judged: one at whatever price there is must never
    be held up. A stop's limit is judged by its stop, since it trades only once the market is there.
    """
    most, plan, quote = view.rules.price_collar_pct, view.plan, view.quote
    limit = view.signal.limit_price
    if most is None or plan is None or quote is None or (limit is None and not plan.opens):
        return None
    around = _reference(view)
    if around is None:
        why = f"no trade of {view.asset.symbol} is known to judge the price by"
        return Denial(Reason.PRICE_COLLAR, why)
    price = _price(view, plan.side)
    if price is None:
        return None
    beyond = price - around if plan.side is Side.BUY else around - price
    if beyond <= most * around:
        return None
    return Denial(
        Reason.PRICE_COLLAR,
        f"{plan.side} at {price:f} is {beyond / around:.1%} beyond {around:f}, "
        f"PRICE_COLLAR_PCT is {most:f}",
    )


def _reference(view: View) -> Decimal | None:
    """The price that cannot be far from the truth: the stop's, else the last trade's."""
    if view.signal.order_type in _STOPS and view.signal.stop_price is not None:
        return view.signal.stop_price
    last = view.quote.last if view.quote is not None else None
    return last if last is not None and last > 0 else None


def _price(view: View, side: Side) -> Decimal | None:
    """The worst price that the order could trade at now; None where it only waits for one."""
    if view.signal.limit_price is not None:
        return view.signal.limit_price
    if view.signal.order_type in _STOPS or view.quote is None:
        return None
    if side is Side.BUY and view.plan is not None:
        return view.plan.price  # with LIMIT_COLLAR_BPS that far beyond the ask
    return view.quote.sell_price


def wash_trade(view: View) -> Denial | None:
    """What Alpaca refuses because it could trade with our own resting order.

    A market or stop order on either side conflicts with every opposite order; two limits do when
    they cross. Bracket, OCO, OTO and trailing orders are exempt ("User Protection", wash trades).
    With EXIT_CANCELS_RESTING an exit has had those in its way cancelled; what the broker has not
    confirmed yet is the broker's to judge.
    """
    plan, signal = view.plan, view.signal
    if plan is None or not view.resting or signal.has_legs:
        return None
    cleared = view.rules.exits_cancel_resting and not plan.opens
    if cleared or signal.order_type is OrderType.TRAILING_STOP:
        return None
    for other in view.resting:
        if other.side != plan.side and not other.exempt and _crosses(view, other.limit_price):
            why = f"an order of ours to {other.side} {view.asset.symbol} rests at the broker"
            return Denial(Reason.WASH_TRADE, why)
    return None


def _crosses(view: View, other: Decimal | None) -> bool:
    limit = view.signal.limit_price
    if limit is None or other is None:
        return True
    return limit >= other if view.plan and view.plan.side is Side.BUY else limit <= other
