"""``/v2/account/portfolio/history``: equity and profit over time."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from paper_exchange.api.activity_types import ACTIVITY_TYPES
from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.clock import SECOND, new_york, to_ns
from paper_exchange.decimals import ZERO
from paper_exchange.errors import invalid
from paper_exchange.portfolio.equity import equities
from paper_exchange.portfolio.windows import TIMEFRAMES, Point, Span, points

_PERIOD = re.compile(r"([1-9][0-9]{0,3})([DWMA])", re.ASCII)
#: Days of a unit, where only the length of a period counts.
_UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_DAY_NS = 86_400 * SECOND
_LONGEST_INTRADAY = 30
_REPORTING = frozenset({"market_hours", "extended_hours", "continuous"})
_RESETS = frozenset({"per_day", "no_reset"})
_FIRST_NS = 0


@dataclass(frozen=True, slots=True)
class _Base:
    """What profit counts from, and the trading day at whose close that was the equity."""

    value: Decimal
    asof: str | None = None


def get_history(call: Call) -> Reply:
    """``GET /v2/account/portfolio/history``."""
    span = _span(call)
    reset = call.choice("pnl_reset", "per_day", _RESETS) == "per_day" and span.timeframe != "1D"
    _check_cashflow_types(call)
    found = points(call.exchange.hours, span, call.now_ns)
    # Data begins with the account. Not null before it: alpaca-py refuses a null equity.
    known = [point for point in found if point.at_ns >= call.account.created_ns]
    return Reply(_history(call, span, known, reset=reset))


def _history(call: Call, span: Span, found: list[Point], *, reset: bool) -> dict[str, object]:
    account, exchange = call.account, call.exchange
    closes = {point.since.close_ns for point in found if point.since is not None}
    instants = sorted(closes.union(point.at_ns for point in found))
    known = [at_ns for at_ns in instants if at_ns >= account.created_ns]
    worth = equities(account, exchange.assets, exchange.market, known, call.now_ns)
    base = _base(found, worth)
    equity = [worth[point.at_ns] for point in found]
    bases = [_own_base(point, worth, base.value) if reset else base.value for point in found]
    body: dict[str, object] = {
        "timestamp": [point.label_ns // SECOND for point in found],
        "equity": [_money(value) for value in equity],
        "profit_loss": [_money(value - since) for value, since in zip(equity, bases, strict=True)],
        "profit_loss_pct": [
            float(round((value - since) / since, 4)) if since else None
            for value, since in zip(equity, bases, strict=True)
        ],
        "base_value": _money(base.value) if found else None,
        "timeframe": span.timeframe,
        # Nothing but trades moves cash on this exchange.
        "cashflow": {},
    }
    if base.asof is not None:
        body["base_value_asof"] = base.asof
    return body


def _base(found: list[Point], worth: dict[int, Decimal]) -> _Base:
    """The close before the first point; for an account without one, its first point."""
    if not found:
        return _Base(ZERO)
    since = found[0].since
    if since is not None and since.close_ns in worth:
        return _Base(worth[since.close_ns], since.day.isoformat())
    return _Base(worth[found[0].at_ns])


def _own_base(point: Point, worth: dict[int, Decimal], base: Decimal) -> Decimal:
    """The close of the trading day before the point's own."""
    return base if point.since is None else worth.get(point.since.close_ns, base)


def _money(value: Decimal) -> float:
    return float(round(value, 2))


def _span(call: Call) -> Span:
    """What the query asks for, with the documented defaults."""
    start, end, period = call.time("start"), call.time("end"), _period(call)
    if None not in {start, end} and period is not None:
        raise invalid("Only two of start, end and period can be specified at the same time")
    if period is None and start is None:
        period = (1, "M")
    if start is not None and end is None and period is not None:
        end = _moved(start, period, forward=True)
    end = min(call.now_ns if end is None else end, call.now_ns)
    if start is None and period is not None:
        start = _moved(end, period, forward=False)
    start = max(start or _FIRST_NS, _FIRST_NS)
    if start > end:
        raise invalid("start must not be later than end")
    days = period[0] * _UNIT_DAYS[period[1]] if period else (end - start) / _DAY_NS
    timeframe = _timeframe(call, days)
    # There is no data before the account; fifty years of windows would be made for nothing.
    start = max(start, min(end, call.account.created_ns - _DAY_NS))
    return Span(*_rounded(start, end, timeframe), timeframe, _reporting(call))


def _period(call: Call) -> tuple[int, str] | None:
    text = call.query.get("period")
    if text is None:
        return None
    match = _PERIOD.fullmatch(text.upper())
    if match is None:
        raise invalid("invalid period")
    return int(match[1]), match[2]


def _moved(at_ns: int, period: tuple[int, str], *, forward: bool) -> int:
    """An instant moved by a period on New York's calendar, the time of day unchanged."""
    number, unit = period
    steps = number if forward else -number
    try:
        at = new_york(at_ns)
        if unit in "DW":
            moved = at + timedelta(days=steps * _UNIT_DAYS[unit])
        else:
            moved = _by_months(at, steps * (12 if unit == "A" else 1))
    except (ValueError, OverflowError):
        raise invalid("invalid period") from None
    return to_ns(moved)


def _by_months(at: datetime, months: int) -> datetime:
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    return at.replace(year=year, month=month + 1, day=min(at.day, last))


def _timeframe(call: Call, days: float) -> str:
    asked = call.query.get("timeframe")
    if asked is None:
        return "1Min" if days < 7 else "15Min" if days < _LONGEST_INTRADAY else "1D"
    timeframe = {name.lower(): name for name in TIMEFRAMES}.get(asked.lower())
    if timeframe is None:
        raise invalid("invalid timeframe")
    if timeframe != "1D" and days > _LONGEST_INTRADAY:
        raise invalid("timeframe must be 1D for more than 30 days")
    return timeframe


def _rounded(start: int, end: int, timeframe: str) -> tuple[int, int]:
    """Both bounds rounded backwards to the interval, which whole hours share with New York."""
    size = TIMEFRAMES[timeframe]
    return (start, end) if size is None else (start // size * size, end // size * size)


def _reporting(call: Call) -> str:
    default = "extended_hours" if call.flag("extended_hours") else "market_hours"
    return call.choice("intraday_reporting", default, _REPORTING)


def _check_cashflow_types(call: Call) -> None:
    kinds = [kind.upper() for kind in call.names("cashflow_types")]
    if kinds not in (["ALL"], ["NONE"]) and not ACTIVITY_TYPES.issuperset(kinds):
        raise invalid("invalid cashflow_types")


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/v2/account/portfolio/history", get_history)
