"""Start-up is recovery: the one path for a first start, a restart and a crash.

Open rows of the ledger are tracked again before anything new is read. A row that may or may not
have reached the broker is looked up by its id; its redelivered entry finds it in the tracker.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from solution import failpoints
from solution.book.positions import Portfolio
from solution.book.reservations import Reservation
from solution.book.tallies import Sent, day_began_ms
from solution.clock import Clock
from solution.domain import legs
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX, Side
from solution.domain.ports import Ledger
from solution.domain.records import Intent, State, entry_key
from solution.errors import StartupError
from solution.rate_limiter import Priority, RateLimiter
from solution.trading.legs import MARK
from solution.trading.schedule import Schedule
from solution.trading.tracker import OrderTracker

log = logging.getLogger(__name__)

RATE_WINDOW_MS = 60_000
ALWAYS_KNOWN = float("-inf")
UNKNOWN_PAST_MS = 3_600_000
ACCOUNT = "account"
"""In the ledger's small state: which account at which host it belongs to, since its first start."""
SINCE = "recovery_since"
"""In the ledger's small state: from when on (epoch ms) orders without a row are being settled."""


class ListDesk(Protocol):
    def orders_since(
        self, since: datetime, priority: Priority
    ) -> Sequence[Mapping[str, Any]] | None: ...


class Usage(Protocol):
    """The part of the ledger that limits are restored from."""

    def opened_since(self, since_ms: int) -> list[tuple[str, str, int]]: ...
    def executions(self) -> list[tuple[str, str, Decimal]]: ...


def bind_ledger(ledger: Ledger, account_id: str, trading_url: str) -> None:
    """Tie the ledger to one account at one host.

    Raises:
        StartupError: it belongs to another.
    """
    mine = f"{account_id}@{trading_url}"
    bound = ledger.get_state(ACCOUNT)
    if bound is None:
        ledger.set_state(ACCOUNT, mine)
    elif bound != mine:
        raise StartupError(
            f"this ledger belongs to account {bound}, the keys open {mine}; "
            "use another LEDGER_URL for another account"
        )


def restore_budget(ledger: Ledger, limiter: RateLimiter, clock: Clock) -> None:
    """Count the orders sent within the last minute, by whichever process sent them."""
    now_ms = clock.epoch_ms()
    limiter.restore(ledger.send_times(now_ms - RATE_WINDOW_MS), now_ms)


def restore(
    *,
    ledger: Ledger,
    tracker: OrderTracker,
    portfolio: Portfolio,
    schedule: Schedule,
    clock: Clock,
) -> int:
    """Track every open row again; returns how many rows."""
    now = clock.monotonic()
    rows = ledger.open_intents()
    tracker.want_legs(ledger.states(MARK))
    for intent in rows:
        if legs.is_leg(intent):
            tracker.restore(intent)
            continue
        portfolio.restore(reservation_of(intent))
        tracker.restore(intent)
        tracker.remark(
            intent.client_order_id,
            "recovered",
            f"found {intent.state} at the start of process {os.getpid()}, epoch {ledger.epoch}",
        )
        failpoints.hit("recovery.row_restored")
    open_ids = [r.client_order_id for r in rows if r.state is State.OPEN]
    schedule.poll_now(open_ids, now)
    if rows:
        log.warning("orders_recovered", extra={"open": len(rows), "at_broker": len(open_ids)})
    return len(rows)


def restore_counts(usage: Usage, portfolio: Portfolio, clock: Clock, *, strategies: bool) -> None:
    """What orders of today, and of strategies with a limit, have used up; by whichever process.

    Args:
        strategies: whether any has a limit: only then every execution there was is looked at.
    """
    sent = [Sent(*row) for row in usage.opened_since(day_began_ms(clock.epoch_ms()))]
    filled = usage.executions() if strategies else []
    portfolio.restore_counts(sent, filled)


def newest_sent(
    ledger: Ledger, now_ms: int, undecided_ms: int
) -> dict[tuple[str, str], tuple[int, int]]:
    """(stream, asset id) → newest entry sent while an older one may still be undecided."""
    newest: dict[tuple[str, str], tuple[int, int]] = {}
    for stream, asset_id, entry_id in ledger.sent_since(now_ms - undecided_ms):
        if not entry_id:
            continue  # an order that no signal explains
        key, entry = (stream, asset_id), entry_key(entry_id)
        newest[key] = max(entry, newest.get(key, entry))
    return newest


def unclaimed(
    ledger: Ledger, desk: ListDesk, deployment: str, clock: Clock, since_ms: int | None = None
) -> dict[str, Mapping[str, Any]]:
    """Orders at the broker that carry an id of ours and have no row.

    Rows can be missing after power loss (the row before the POST is committed without fsync) or
    with another ledger. One list since the last order we know of, at least of the last hour when
    we know none. The rows made of what it holds are newer than that: until :func:`settled` the
    ledger keeps from when on the list was, for a start after a crash among them.

    Args:
        since_ms: epoch ms; the list begins there if that is earlier.

    Raises:
        BrokerError: the list could not be had.
        StartupError: it has no end, so what it lacks is unknown.
    """
    last = ledger.last_sent_ms() or clock.epoch_ms() - UNKNOWN_PAST_MS
    if (begun := ledger.get_state(SINCE)) is not None:
        last = min(last, int(begun))
    last = last if since_ms is None else min(last, since_ms)
    since = datetime.fromtimestamp(last / 1000, UTC) - timedelta(seconds=60)
    orders = desk.orders_since(since, Priority.LOOKUP)
    if orders is None:
        raise StartupError(
            f"the broker's list of orders since {since:%Y-%m-%dT%H:%M:%SZ} has no end: "
            "nobody knows which of them lack a row in the ledger"
        )
    failpoints.hit("recovery.orders_listed")
    prefix = f"{CLIENT_ORDER_ID_PREFIX}-{deployment}-"
    ours = {str(o.get("client_order_id")): o for o in orders}
    found = {
        coid: order
        for coid, order in ours.items()
        if coid.startswith(prefix) and ledger.find_by_client_order_id(coid) is None
    }
    if found:
        ledger.set_state(SINCE, str(last))
    return found


def settled(ledger: Ledger) -> None:
    """Each order that :func:`unclaimed` found has what it was due."""
    if ledger.get_state(SINCE) is not None:
        ledger.delete_state(SINCE)


def reservation_of(intent: Intent) -> Reservation:
    """What the row's order still holds.

    An accepted order is contained in the account snapshot taken at start; one that may not exist
    is charged in full.
    """
    qty = intent.reserved_qty
    opens = intent.reserved_cash > 0
    return Reservation(
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=Side(intent.side),
        qty=qty,
        price=intent.reserved_cash / qty if opens and qty else Decimal(0),
        opens=opens,
        strategy=intent.strategy,
        filled_qty=intent.filled_qty,
        accepted_at=ALWAYS_KNOWN if intent.state is State.OPEN else None,
    )
