"""How many shares, and which way.

Pure arithmetic over one :class:`~solution.book.positions.Holdings`, run inside the portfolio's
mutex so that what it saw is still true when its result is reserved. Sizes that we compute are
clamped to the caps; sizes stated in a signal pass through and are refused by the gates.
"""

from solution.domain.crypto import LEAST_COST
from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.domain.signal import Action
from solution.errors import Refused, SignalError
from solution.trading.opening import open_short, open_up
from solution.trading.plan import Plan, Request
from solution.trading.quantities import in_steps
from solution.trading.reducing import cover, liquidate, sell_held
from solution.trading.targets import to_target


def size(request: Request) -> Plan:
    """Decide the trade.

    Raises:
        Refused: nothing to do, nothing to sell, too small, or no price.
        SignalError: CONFLICTING_FIELDS: a bracket on what turns out to close a position.
    """
    plan = _plan(request)
    if request.asset.is_crypto:
        plan = _as_pair(request, plan)
    if request.signal.has_legs and not plan.opens:
        raise SignalError(
            Reason.CONFLICTING_FIELDS,
            "take_profit/stop_loss hang on an entry; this order closes a position of "
            f"{request.holdings.qty:f} {request.asset.symbol}",
        )
    return plan


def _as_pair(request: Request, plan: Plan) -> Plan:
    """The plan in whole increments of the pair, refused where the broker would find it too small.

    What closes a position has no least cost: a position whose price has fallen must have an exit.
    """
    asset, qty = request.asset, in_steps(plan.qty, request.step)
    note = plan.note
    if qty != plan.qty and plan.notional is None:
        rounded = f"rounded down to a multiple of {request.step:f}"
        note = f"{note}, {rounded}" if note else rounded
    plan = plan._replace(qty=qty, note=note)
    if qty < request.least:
        why = f"{qty:f} {asset.symbol} is below its smallest order of {request.least:f}"
        raise Refused(Reason.SIZE_TOO_SMALL, why)
    if plan.opens and plan.value < LEAST_COST:
        why = f"{qty:f} {asset.symbol} cost {plan.value:.2f}, the least for crypto is {LEAST_COST}"
        raise Refused(Reason.SIZE_TOO_SMALL, why)
    return plan


def _plan(request: Request) -> Plan:
    signal = request.signal
    if signal.is_target:
        return to_target(request)
    if signal.action is Action.LIQUIDATE:
        return liquidate(request)
    if signal.action is Action.SHORT_SELL:
        return open_short(request)
    if signal.side is Side.SELL:
        return sell_held(request)
    if request.holdings.qty < 0 or signal.action in {Action.BUY_TO_COVER, Action.COVER_SHORT}:
        return cover(request)
    return open_up(request, Side.BUY)
