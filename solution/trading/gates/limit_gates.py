"""Limits over more than one order: what is held in all, how many orders, how fast. Each is pure.

All of them let reductions pass. What they compare with was read under the portfolio's mutex, in the
same step that reserves the order: side by side no two decisions use up the same room.
"""

from solution.domain.reasons import Reason
from solution.trading.gates.view import Denial, View


def ticker_cap(view: View) -> Denial | None:
    """TICKER_CAPS, should every pending order that adds to the position fill."""
    plan, held = view.plan, view.holdings
    if plan is None or held is None or not plan.opens:
        return None
    value = (held.most(plan.side) + plan.qty) * plan.price
    if value <= view.ticker_cap:
        return None
    return Denial(
        Reason.TICKER_CAP,
        f"the position in {view.asset.symbol} would be worth {value:.2f}, its cap in TICKER_CAPS "
        f"is {view.ticker_cap:.2f}",
    )


def strategy_cap(view: View) -> Denial | None:
    """STRATEGY_CAPS: what the strategy's own orders hold and may still add."""
    plan, held = view.plan, view.holdings
    if plan is None or held is None or not plan.opens:
        return None
    value = held.strategy_value + plan.value
    if value <= view.strategy_cap:
        return None
    return Denial(
        Reason.STRATEGY_CAP,
        f"strategy {view.signal.strategy} would hold {value:.2f}, its cap in STRATEGY_CAPS is "
        f"{view.strategy_cap:.2f}",
    )


def gross_exposure(view: View) -> Denial | None:
    """MAX_GROSS_EXPOSURE_PCT over all positions, long and short, and orders that may add."""
    plan, held = view.plan, view.holdings
    if plan is None or held is None or not plan.opens:
        return None
    value = held.gross + plan.value
    if value <= view.gross_cap:
        return None
    return Denial(
        Reason.GROSS_EXPOSURE_CAP,
        f"all positions together would be worth {value:.2f}, the cap is {view.gross_cap:.2f}",
    )


def trades_per_day(view: View) -> Denial | None:
    """MAX_TRADES_PER_DAY orders that open, per New York day."""
    most, plan, held = view.rules.max_trades_per_day, view.plan, view.holdings
    if not most or plan is None or held is None or not plan.opens or held.tally.today < most:
        return None
    return Denial(
        Reason.TRADES_PER_DAY,
        f"{held.tally.today} orders that open were sent today, MAX_TRADES_PER_DAY is {most}",
    )


def orders_per_minute(view: View) -> Denial | None:
    """MAX_ORDERS_PER_MINUTE, and per ticker, over any 60 seconds."""
    plan, held, rules = view.plan, view.holdings, view.rules
    if plan is None or held is None or not plan.opens:
        return None
    most, mine = rules.max_orders_per_minute, rules.max_orders_per_minute_per_ticker
    if most and held.tally.minute >= most:
        sent, name, limit = held.tally.minute, "MAX_ORDERS_PER_MINUTE", most
    elif mine and held.tally.ticker_minute >= mine:
        sent, limit = held.tally.ticker_minute, mine
        name = f"for {view.asset.symbol} MAX_ORDERS_PER_MINUTE_PER_TICKER"
    else:
        return None
    return Denial(
        Reason.ORDERS_PER_MINUTE,
        f"{sent} orders that open were sent within 60 s, {name} is {limit}",
    )
