"""Joins the parts of the flatten; starts nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from solution.alpaca_api_wrapper import SLOT_WAIT, AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.ports import Ledger
from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.trading.closing import Closer
from solution.trading.desk import TradingDesk
from solution.trading.flatten import Flattener
from solution.trading.flatten_limits import FlattenLimits, States
from solution.trading.flatten_round import FlattenRound
from solution.trading.resting import RestingOrders
from solution.trading.session_end import SessionEnd
from solution.trading.submit import Submitter
from solution.trading.tracker import OrderTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenParts:
    """What it works with, all of it shared with the order path.

    Args:
        states: where signals are restricted.
        stopped: why not even a reduction of this symbol may be sent; asked only for what no person
            asked for.
        live: why the account that answers is not the one that may be traded.
        is_ours: by client_order_id.
    """

    wrapper: AlpacaAPIWrapper
    desk: TradingDesk
    ledger: Ledger
    portfolio: Portfolio
    tracker: OrderTracker
    submitter: Submitter
    limiter: RateLimiter
    states: States
    stopped: Callable[[str], str | None]
    live: Callable[[], str | None]
    is_ours: Callable[[str], bool]
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenRules:
    """Settings.

    Args:
        exclusive: EXCLUSIVE_ACCOUNT.
        max_price_age: seconds.
        before_close: seconds before a session's close at which it is liquidated; None = held.
    """

    deployment: str
    exclusive: bool
    allow_extended: bool
    max_price_age: float
    before_close: float | None
    dry_run: bool


def flatten_service(parts: FlattenParts, rules: FlattenRules) -> Flattener:
    """The service; it is not started."""

    def slot() -> Slot | None:
        return parts.limiter.acquire(Priority.EXIT, SLOT_WAIT, parts.wrapper.closing)

    closer = Closer(
        deployment=rules.deployment,
        desk=parts.desk,
        account=parts.wrapper,
        find_asset=parts.wrapper.find,
        ledger=parts.ledger,
        portfolio=parts.portfolio,
        tracker=parts.tracker,
        submitter=parts.submitter,
        slot=slot,
        stopped=parts.stopped,
        live=parts.live,
        clock=parts.clock,
        wake=lambda: service.wake(),  # noqa: PLW0108 - it is made below
        allow_extended=rules.allow_extended,
        max_price_age=rules.max_price_age,
    )
    resting = RestingOrders(
        parts.wrapper,
        parts.tracker,
        parts.clock,
        find_asset=parts.wrapper.find,
        is_ours=parts.is_ours,
        exclusive=rules.exclusive,
        stopping=lambda: service.stopping,
    )
    rounds = FlattenRound(
        desk=parts.wrapper,
        portfolio=parts.portfolio,
        tracker=parts.tracker,
        resting=resting,
        sender=closer,
        row_of=parts.ledger.find_by_client_order_id,
        find_asset=parts.wrapper.find,
        clock=parts.clock,
    )
    service = Flattener(
        ledger=parts.ledger,
        rounds=rounds,
        resends=closer,
        restrict=FlattenLimits(parts.states, parts.wrapper.find).restrict,
        prompt=_session_end(parts, rules),
        clock=parts.clock,
        dry_run=rules.dry_run,
    )
    return service


def _session_end(parts: FlattenParts, rules: FlattenRules) -> Callable[[], None]:
    """What asks for a flatten before the close; nothing where positions are held over night."""
    if rules.before_close is None or rules.dry_run:
        return lambda: None
    return SessionEnd(
        ledger=parts.ledger,
        states=parts.states,
        market=parts.wrapper.market,
        closes_at=parts.wrapper.closes_at,
        clock=parts.clock,
        before_close=rules.before_close,
    ).step
