"""A snapshot as (name, text) pairs: what status prints and the live screen share."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from solution.ui.reading import (
    DASH,
    Snapshot,
    listed,
    money,
    number,
    part,
    signed,
    trading_state,
    whole,
    word,
)
from solution.ui.troubles import dead_threads
from solution.ui.updates import state_of

STREAM_QUIET_S = 20.0
"""Seconds of silence above which the order stream is no longer connected (ping plus pong)."""
FLIPS_SHOWN = 5
ORDERS_SHOWN = 3


def facts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Everything but positions and orders, one line each."""
    return [
        ("account", account(snapshot)),
        ("trading", trading_state(snapshot)),
        ("day", day(snapshot)),
        ("breaker", breaker(snapshot)),
        ("flips", flips(snapshot)),
        ("signals", signals(snapshot)),
        ("ends", counts(snapshot)),
        ("rate", rate(snapshot)),
        ("latency", latency(snapshot)),
        ("redis", _redis(snapshot)),
        ("stream", _stream(snapshot)),
        ("prices", _prices(snapshot)),
        ("threads", threads(snapshot)),
    ]


def account(snapshot: Snapshot) -> str:
    """Equity, cash, buying power, and what orders hold of it."""
    found = part(snapshot, "account")
    if not found:
        return "not known yet"
    shown = (
        f"equity {money(found.get('equity'))} · cash {money(found.get('cash'))}"
        f" · buying power {money(found.get('buying_power'))}"
    )
    if found.get("reserved_orders"):
        # Also what ended orders took, until the account was read again.
        shown += f" · {money(found.get('reserved_buying_power'))} reserved"
    return shown


def day(snapshot: Snapshot) -> str:
    """Since the day's opening, below its peak, and the limits on both."""
    found = part(snapshot, "day")
    if not found:
        return "not known yet"
    shown = f"{signed(found.get('change_pct'))} % since {money(found.get('opening'))}"
    if "change" in found:
        shown = f"{signed(found['change'])} · {shown}"
    shown += f" · {word(found, 'below_peak_pct')} % below {money(found.get('peak'))}"
    limits = part(found, "limits")
    words = (("daily_loss", "loss"), ("drawdown", "drawdown"))
    set_ = [f"{name} limit {limits[key]} %" for key, name in words if key in limits]
    return " · ".join([shown, *(set_ or ["no limit"])])


def breaker(snapshot: Snapshot) -> str:
    """Its state and how far it is from opening."""
    found = part(snapshot, "breaker")
    state, limit = str(found.get("state") or DASH), found.get("limit")
    if not limit:
        return state
    shown = f"{state} · {found.get('failures', DASH)} failures in a row, {limit} open it"
    return f"{shown} · last: {found['why']}" if found.get("why") else shown


def flips(snapshot: Snapshot) -> str:
    """The tickers with most changes of side first; what halts one."""
    found = part(snapshot, "flips")
    limit = found.get("limit")
    shown = [f"{symbol} {times}" for symbol, times in _most(part(found, "changes"))[:FLIPS_SHOWN]]
    return " · ".join([*(shown or ["none"]), f"{limit} halt a ticker" if limit else "no limit"])


def signals(snapshot: Snapshot) -> str:
    """Read, waiting, in hand, and those that were none."""
    found = part(snapshot, "signals")
    names = (("read", "read"), ("waiting", "waiting"), ("in_hand", "in hand"))
    shown = [f"{found.get(key, DASH)} {name}" for key, name in names]
    return " · ".join([*shown, f"{found.get('dead_letters', DASH)} dead letters"])


def orders(snapshot: Snapshot) -> str:
    """Orders on their way: how many, and the first of them."""
    rows = listed(snapshot, "open_orders")
    first = [_order(row) for row in rows[:ORDERS_SHOWN]]
    return " · ".join([f"{len(rows)} on their way" if rows else "none on their way", *first])


def _order(row: Mapping[str, Any]) -> str:
    words = (*(word(row, name, "") for name in ("side", "qty", "symbol", "status")),)
    return " ".join(text for text in words if text) or state_of(row)


def counts(snapshot: Snapshot) -> str:
    """Ends since the start, the most frequent first."""
    found = _most(part(snapshot, "counts"))
    return " · ".join(f"{times} {name}" for name, times in found) or "none yet"


def _most(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(found.items(), key=lambda item: (-whole(item[1]), item[0]))


def rate(snapshot: Snapshot) -> str:
    """Used of the budget, and what is left of it."""
    found = part(snapshot, "rate")
    if not found:
        return DASH
    if not found.get("limit"):
        return "unlimited"
    return (
        f"{found.get('used', DASH)} of {found['limit']} requests used in the last minute"
        f" · {found.get('left_for_entries', DASH)} left for entries"
    )


def latency(snapshot: Snapshot) -> str:
    """Median and 99th percentile."""
    found = part(snapshot, "latency_ms")
    if found.get("p50") is None:
        return "no orders yet"
    return f"p50 {found['p50']} ms · p99 {found.get('p99')} ms, signal to the broker's answer"


def ages(snapshot: Snapshot) -> str:
    """How long ago each of the streams was heard, in one line."""
    stream, prices, redis = (part(snapshot, name) for name in ("stream", "prices", "redis"))
    shown = [
        f"orders heard {_ago(stream.get('age_s'))}{_quiet(stream)}",
        f"prices {_ago(prices.get('newest_s'))}",
        f"Redis read {_ago(redis.get('read_age_s'))}",
    ]
    return " · ".join(shown)


def _ago(seconds: object) -> str:
    found = number(seconds)
    return DASH if found is None else f"{found.quantize(Decimal('0.1'))} s ago"


def _redis(snapshot: Snapshot) -> str:
    found = part(snapshot, "redis")
    state = "connected" if found.get("connected") else "NOT CONNECTED"
    if trouble := found.get("trouble"):
        state += f": {trouble}"
    if found.get("read_age_s") is not None:
        state += f" · read {_ago(found['read_age_s'])}"
    waiting = whole(found.get("unpublished")) + whole(found.get("uncommitted"))
    return f"{state} · {waiting} events waiting to be written" if waiting else state


def _stream(snapshot: Snapshot) -> str:
    found = part(snapshot, "stream")
    state, age = str(found.get("state") or DASH), found.get("age_s")
    if age is not None:
        state += f" · heard {age} s ago{_quiet(found)}"
    return f"{state} · {again} reconnects" if (again := found.get("reconnects")) else state


def _quiet(stream: Mapping[str, Any]) -> str:
    return " (QUIET)" if (number(stream.get("age_s")) or 0) > STREAM_QUIET_S else ""


def _prices(snapshot: Snapshot) -> str:
    found = part(snapshot, "prices")
    if not found.get("watched"):
        return "none watched" if found else DASH
    newest, oldest = _ago(found.get("newest_s")), _ago(found.get("oldest_s"))
    return f"{found['watched']} watched · newest {newest} · oldest {oldest}"


def threads(snapshot: Snapshot) -> str:
    """How many run, and which do not."""
    found, dead = part(snapshot, "threads"), dead_threads(snapshot)
    alive = f"{len(found) - len(dead)} running"
    return f"{alive} · NOT RUNNING: {', '.join(dead)}" if dead else alive
