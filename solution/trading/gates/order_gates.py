"""Gates that judge the order, once its size and time in force are known. Each is pure.

Orders that only reduce a position pass the caps: an exit must never be blocked by a limit whose
purpose is to keep exposure small.
"""

from decimal import Decimal

from solution.domain.orders import TimeInForce
from solution.domain.reasons import Reason
from solution.session import OutsideTableError, cls_window_open, opg_window_open
from solution.trading.gates.view import AUCTIONS, Denial, View

_QUEUEABLE = frozenset({TimeInForce.DAY, TimeInForce.GTC})


def reducing(view: View) -> Denial | None:
    """REDUCING refuses what turned out to add exposure."""
    found = view.restriction
    if found is None or view.plan is None or not found.forbids(opens=view.plan.opens):
        return None
    return Denial(found.reason, found.message)


def breaker(view: View) -> Denial | None:
    """An open circuit breaker lets only reductions through."""
    if view.breaker is None or view.plan is None or not view.plan.opens:
        return None
    return Denial(Reason.CIRCUIT_OPEN, view.breaker)


def market_open(view: View) -> Denial | None:
    """In session per time in force; auctions in their windows; day and gtc may queue.

    Crypto trades at all hours, whatever the clock says and whether it can be read or not.
    """
    if view.asset.is_crypto:
        return None
    if view.time_in_force in AUCTIONS:
        return _auction(view)
    if view.market.is_open is None:
        return Denial(Reason.SESSION_UNKNOWN, "the broker's clock could not be read")
    if view.trades_now or _may_queue(view):
        return None
    if view.signal.extended_hours and view.session_part is None:
        return _no_calendar(view)
    return Denial(Reason.MARKET_CLOSED, f"the market is closed for a {view.time_in_force} order")


def _auction(view: View) -> Denial | None:
    try:
        if view.time_in_force is TimeInForce.OPG:
            return _window(view, is_open=opg_window_open(view.market.at), hours="09:28-19:00 ET")
        return _window(view, is_open=cls_window_open(view.market.at), hours="15:50-19:00 ET")
    except OutsideTableError:
        return _no_calendar(view)


def _no_calendar(view: View) -> Denial:
    day = view.market.at.date()
    return Denial(Reason.SESSION_UNKNOWN, f"no calendar of sessions covers {day}")


def _may_queue(view: View) -> bool:
    """Closed, and yet acceptable: the order waits at the broker for the next session."""
    return view.time_in_force in _QUEUEABLE and view.rules.queue_when_closed


def _window(view: View, *, is_open: bool, hours: str) -> Denial | None:
    if is_open:
        return None
    return Denial(Reason.MARKET_CLOSED, f"a {view.time_in_force} order is not accepted {hours}")


def exposure_confirmed(view: View) -> Denial | None:
    """While another order of the asset may still be live, only reductions pass."""
    if view.plan is None or not view.plan.opens:
        return None
    if view.unconfirmed:
        why = f"another order of {view.asset.symbol} is not confirmed absent"
        return Denial(Reason.EXPOSURE_UNCONFIRMED, why)
    if view.holdings is not None and view.holdings.uncertain:
        why = f"executions of {view.asset.symbol} may not be in the position yet"
        return Denial(Reason.EXPOSURE_UNCONFIRMED, why)
    return None


def fractionable(view: View) -> Denial | None:
    """Fractions only where the broker allows them, and never short."""
    plan = view.plan
    if plan is None or not plan.fractional or view.asset.is_crypto:
        return None
    if not view.asset.fractionable:
        return Denial(Reason.NOT_FRACTIONABLE, f"{view.asset.symbol} trades in whole shares only")
    if plan.opens and plan.side == "sell":
        return Denial(Reason.NOT_SHORTABLE, "a fraction of a share cannot be sold short")
    return None


def order_qty(view: View) -> Denial | None:
    """MAX_ORDER_QTY, for orders that add exposure (0 = no limit)."""
    cap, plan = view.rules.max_order_qty, view.plan
    if plan is None or not plan.opens or not cap or plan.qty <= cap:
        return None
    return Denial(Reason.ORDER_QTY_CAP, f"{plan.qty:f} shares exceed MAX_ORDER_QTY {cap:f}")


def order_notional(view: View) -> Denial | None:
    """MAX_ORDER_NOTIONAL, for orders that add exposure."""
    plan = view.plan
    if plan is None or not plan.opens or plan.value <= view.notional_cap:
        return None
    return Denial(
        Reason.ORDER_NOTIONAL_CAP,
        f"{plan.value:.2f} exceeds MAX_ORDER_NOTIONAL {view.notional_cap:.2f}",
    )


def position_cap(view: View) -> Denial | None:
    """MAX_POSITION_PCT of equity, should every pending order that adds to it fill."""
    plan, held = view.plan, view.holdings
    if plan is None or held is None or not plan.opens:
        return None
    value = (held.most(plan.side) + plan.qty) * plan.price
    if value <= view.position_cap:
        return None
    return Denial(
        Reason.POSITION_CAP,
        f"the position would be worth {value:.2f}, the cap is {view.position_cap:.2f}",
    )


def buying_power(view: View) -> Denial | None:
    """What open orders have left of the buying power must cover the order."""
    plan, held = view.plan, view.holdings
    if plan is None or held is None or not plan.opens or plan.cost <= held.buying_power:
        return None
    left = max(held.buying_power, Decimal(0))
    return Denial(
        Reason.INSUFFICIENT_BUYING_POWER,
        f"{plan.cost:.2f} is needed, {left:.2f} is left beside open orders",
    )
