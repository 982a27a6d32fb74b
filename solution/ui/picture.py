"""One picture of a running instance, as plain JSON values, taken from memory only."""

import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from solution.book.positions import Portfolio
from solution.book.prices import PriceBook
from solution.clock import Clock
from solution.domain.crypto import is_pair
from solution.rate_limiter import RateLimiter
from solution.runtime.service import Runnable
from solution.trading.tracker import OrderTracker
from solution.ui.recent import LastTold

RECENT = 30


class _Killable(Protocol):
    @property
    def file(self) -> Path: ...
    def reason(self) -> str | None: ...


class _Tripping(Protocol):
    def status(self) -> Mapping[str, Any]: ...


class _Stating(Protocol):
    @property
    def halts(self) -> Any: ...
    def picture(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the picture's numbers come from; the untyped ones are read by attribute only."""

    instance: str
    started_ms: int
    ledger: str
    mode: str
    streams: Sequence[str]
    executions: str
    """The stream that everything is reported to."""
    broker: str
    """The trading API's address."""
    kill_switch: _Killable
    workers: Any
    services: Sequence[Runnable]
    limiter: RateLimiter
    lanes: Any
    portfolio: Portfolio
    prices: PriceBook
    tracker: OrderTracker
    last_told: LastTold
    listener: Any
    stream: Any
    publisher: Any
    writer: Any
    intake: Any
    wrapper: Any
    states: _Stating
    trips: _Tripping
    kills: Any
    control: Any
    flattening: Callable[[], Mapping[str, str]]
    epoch: int
    clock: Clock


def picture(parts: Parts) -> Mapping[str, Any]:
    """Account, positions, orders, queue, budget and the health of each part."""
    account = parts.portfolio.account()
    reserved, held = parts.portfolio.reserved()
    return {
        "instance": parts.instance,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_ms": parts.started_ms,
        "ledger": parts.ledger,
        "at": parts.clock.now().isoformat(timespec="milliseconds"),
        "mode": parts.mode,
        "streams": list(parts.streams),
        "executions": parts.executions,
        "broker": parts.broker,
        "kill_switch": parts.kill_switch.reason(),
        "kill_switch_file": str(parts.kill_switch.file),
        "halted": parts.states.halts.all(),
        **parts.states.picture(),
        **parts.trips.status(),
        "kills": parts.kills.shown(),
        "control": parts.control.picture(),
        "flattening": dict(parts.flattening()),
        "epoch": parts.epoch,
        "account": None
        if account is None
        else {
            "id": account.id,
            "equity": f"{account.equity:f}",
            "cash": f"{account.cash:f}",
            "buying_power": f"{account.buying_power:f}",
            "reserved_orders": reserved,
            "reserved_buying_power": f"{held:.2f}",
        },
        "positions": _positions(parts),
        "open_orders": [_order(t) for t in parts.tracker.open_orders()[:RECENT]],
        "updates": parts.last_told.rows(),
        "recent": [dict(row) for row in parts.tracker.board.recent()],
        "counts": parts.tracker.board.counts(),
        "corrections": parts.tracker.board.corrections(),
        "latency_ms": parts.tracker.board.latency_ms(),
        "signals": {
            "read": parts.listener.read,
            "waiting": parts.lanes.waiting,
            "in_hand": parts.listener.holding(),
            "dead_letters": parts.intake.dead_letters + parts.tracker.board.dead_letters(),
        },
        "rate": _rate(parts),
        "redis": {
            "connected": parts.listener.connected,
            "trouble": parts.listener.trouble or parts.publisher.trouble,
            "read_age_s": _age(parts, parts.listener.served_at),
            "alerts": _alerts(parts),
            "unpublished": parts.publisher.pending,
            "uncommitted": parts.writer.pending,
        },
        "stream": {
            "connected": parts.stream.connected,
            "state": parts.stream.state,
            "age_s": _rounded(parts.stream.age()),
            "reconnects": parts.stream.reconnects,
        },
        "prices": _prices(parts),
        "broker_requests": parts.wrapper.requests,
        "threads": {s.name: s.alive for s in parts.services},
    }


def _alerts(parts: Parts) -> dict[str, int]:
    """Of signal streams and of the control stream."""
    found = Counter(parts.listener.alerts) + Counter(parts.control.alerts)
    return {str(code): times for code, times in found.items()}


def _positions(parts: Parts) -> list[dict[str, Any]]:
    rows = []
    for symbol, (qty, entry) in parts.portfolio.entries().items():
        quote = parts.prices.get(symbol)
        mark = quote.sell_price if quote else None
        rows.append(
            {
                "symbol": symbol,
                "qty": f"{qty:f}",
                "avg_entry": f"{entry:.8f}" if is_pair(symbol) else f"{entry:.4f}",
                "price": None if mark is None else f"{mark:f}",
                "market_value": None if mark is None else f"{mark * qty:.2f}",
                "unrealized_pl": None if mark is None else f"{(mark - entry) * qty:.2f}",
            }
        )
    return rows


def _prices(parts: Parts) -> dict[str, Any]:
    """How long ago the newest and the oldest price of a watched symbol were received."""
    symbols = parts.prices.symbols()
    quotes = [quote for symbol in symbols if (quote := parts.prices.get(symbol))]
    times = [quote.received for quote in quotes]
    return {
        "watched": len(symbols),
        "newest_s": _age(parts, max(times, default=None)),
        "oldest_s": _age(parts, min(times, default=None)),
    }


def _order(tracked: Any) -> dict[str, Any]:
    intent, progress = tracked.intent, tracked.progress
    return {
        "client_order_id": intent.client_order_id,
        "symbol": intent.symbol,
        "side": intent.side,
        "qty": None if intent.qty is None else f"{intent.qty:f}",
        "state": str(progress.state),
        "status": progress.status,
        "filled_qty": f"{progress.filled_qty:f}",
    }


def _rate(parts: Parts) -> dict[str, Any]:
    view = parts.limiter.view()
    return {
        "limit": view.limit,
        "used": view.used,
        "in_flight": view.in_flight,
        "left_for_entries": view.left_for_entries,
    }


def _age(parts: Parts, at: float | None) -> float | None:
    return None if at is None else _rounded(parts.clock.monotonic() - at)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
