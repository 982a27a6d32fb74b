"""Gates over what the key that signed a signal may do. Each is pure."""

from solution.domain.reasons import Reason
from solution.domain.signing import KeyLimit
from solution.trading.gates.view import Denial, View


def key_symbols(view: View) -> Denial | None:
    """A key trades its symbols only, exits included: another's position is not its own to close."""
    if not view.rules.key_limits:
        return None
    limit = _limit(view)
    if limit is None:
        # Cannot come in; it can have come in under settings of before.
        return Denial(Reason.KEY_LIMIT, f"no key {view.signal.kid or 'at all'} is set any more")
    if not limit.symbols or view.asset.symbol in limit.symbols:
        return None
    why = f"key {view.signal.kid} may not trade {view.asset.symbol}"
    return Denial(Reason.KEY_LIMIT, why)


def key_limit(view: View) -> Denial | None:
    """A key's ``max_notional``, for orders that add exposure."""
    limit, plan = _limit(view), view.plan
    if limit is None or limit.max_notional is None or plan is None or not plan.opens:
        return None
    if plan.value <= limit.max_notional:
        return None
    why = f"{plan.value:.2f} exceeds max_notional {limit.max_notional:f} of key {view.signal.kid}"
    return Denial(Reason.KEY_LIMIT, why)


def _limit(view: View) -> KeyLimit | None:
    return view.rules.key_limits.get(view.signal.kid)
