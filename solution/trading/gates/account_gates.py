"""Gates over what became of the account today. Each is pure; what only reduces passes them."""

from solution.domain.reasons import Reason
from solution.trading.gates.view import Denial, View


def daily_loss(view: View) -> Denial | None:
    """MAX_DAILY_LOSS_PCT of the day's opening equity is lost."""
    limit = view.rules.max_daily_loss_pct
    if limit is None or not _opens(view):
        return None
    if view.account is None or view.day is None:
        return _unknown(Reason.DAILY_LOSS)
    why = view.day.loss_reaches(limit, view.account.equity)
    return Denial(Reason.DAILY_LOSS, why) if why else None


def drawdown(view: View) -> Denial | None:
    """MAX_DRAWDOWN_PCT of the day's opening equity is lost from the day's highest."""
    limit = view.rules.max_drawdown_pct
    if limit is None or not _opens(view):
        return None
    if view.account is None or view.day is None:
        return _unknown(Reason.DRAWDOWN)
    why = view.day.drawdown_reaches(limit, view.account.equity)
    return Denial(Reason.DRAWDOWN, why) if why else None


def _opens(view: View) -> bool:
    return view.plan is not None and view.plan.opens


def _unknown(reason: Reason) -> Denial:
    return Denial(reason, "the account's equity today is not known, so nor is its loss")
