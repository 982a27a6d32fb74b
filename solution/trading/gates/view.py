"""What every gate may look at: one frozen picture of signal, market, account and rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from solution.book.positions import Account, Holdings
from solution.book.prices import Quote
from solution.domain.caps import NO_LIMIT
from solution.domain.day import Day
from solution.domain.market import Market
from solution.domain.orders import TimeInForce
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.signal import Signal
from solution.domain.signing import KeyLimit
from solution.domain.trading_state import Restriction
from solution.session import ExtendedSession, OutsideTableError, extended_session
from solution.trading.plan import Plan


@dataclass(frozen=True, slots=True)
class Resting:
    """An order of ours at the broker that could trade with a new one (wash trade).

    ``limit_price`` None: at any price, as a market or stop order. ``exempt``: a complex or trailing
    order, which the broker lets stand beside any other ("User Protection", wash trades).
    """

    side: str
    limit_price: Decimal | None
    exempt: bool = False


AUCTIONS = frozenset({TimeInForce.OPG, TimeInForce.CLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Settings the gates compare with. Ages are seconds; 0 turns ``max_quote_age`` off, and a count
    of 0 and None are no limit.
    """

    allow_short: bool = True
    allow_extended_hours: bool = False
    queue_when_closed: bool = False
    allowed_symbols: frozenset[str] = frozenset()
    denied_symbols: frozenset[str] = frozenset()
    max_signal_age: float = 60.0
    not_before_ms: int = 0
    max_queue_wait: float = 600.0
    max_price_age: float = 5.0
    max_quote_age: float = 60.0
    max_order_qty: Decimal = Decimal(0)
    max_spread_bps: Decimal | None = None
    price_collar_pct: Decimal | None = None
    max_trades_per_day: int = 0
    max_orders_per_minute: int = 0
    max_orders_per_minute_per_ticker: int = 0
    exits_cancel_resting: bool = True
    max_daily_loss_pct: Decimal | None = None
    max_drawdown_pct: Decimal | None = None
    key_limits: Mapping[str, KeyLimit] = field(default_factory=dict)
    """Of every key that signals must be signed with, by kid; empty = they are not signed."""

    @property
    def undecided_ms(self) -> int:
        """How long after its publication a signal may still be sent, in milliseconds.

        It may grow old before it is read and wait for budget after that. A minute more, because
        this is compared over the clocks of Redis, broker and this machine.
        """
        return int((self.max_signal_age + self.max_queue_wait) * 1000) + 60_000


@dataclass(slots=True, kw_only=True)
class View:
    """The picture one signal is judged on; belongs to the one thread that decides it.

    Args:
        age: seconds since the older of ``ts`` and the entry id.
        starved: of these, those in which it waited for the rate budget alone; 0 for a signal that
            was not fresh when read or has lost its broker since.
        waited: seconds since it was read.
        seen_at: when this picture was taken, monotonic seconds.
        restriction: what the trading state of account and ticker allows; None = everything.
        breaker: why the circuit breaker lets no order through that opens a position.
        live: why the account that answers is not the one that may be traded.
        duplicate_of: the entry with the same content that this one came after, too soon.
        account: as the last snapshot says, so up to a minute old; None before the first.
        day: what the account began the day with and the most it had; None when not known.
        halted: why this ticker trades no more until a person resumes it.
        price_age: seconds since we received ``quote``; None without one.
        unconfirmed: another order of the asset may still be live.
        time_in_force: expected by signal and settings; certain once the size is decided.
        plan, holdings: None until then.
        resting: our own orders of the ticker that rest at the broker.
        position_cap, ticker_cap, strategy_cap, gross_cap, notional_cap: account currency; infinite
            is no limit, 0 nothing.
    """

    signal: Signal
    asset: AssetView
    rules: GateRules
    market: Market
    age: float
    starved: float
    waited: float
    seen_at: float = 0.0
    killed: str | None = None
    restriction: Restriction | None = None
    breaker: str | None = None
    live: str | None = None
    duplicate_of: str | None = None
    account: Account | None = None
    day: Day | None = None
    halted: str | None = None
    quote: Quote | None = None
    price_age: float | None = None
    quote_age: float | None = None
    unconfirmed: bool = False
    plan: Plan | None = None
    time_in_force: TimeInForce | None = None
    holdings: Holdings | None = None
    resting: tuple[Resting, ...] = ()
    position_cap: Decimal = NO_LIMIT
    ticker_cap: Decimal = NO_LIMIT
    strategy_cap: Decimal = NO_LIMIT
    gross_cap: Decimal = NO_LIMIT
    notional_cap: Decimal = NO_LIMIT

    @property
    def trades_now(self) -> bool:
        """Whether the order could trade at once; else it waits for a session or an auction."""
        if self.asset.is_crypto:
            return True
        if self.time_in_force in AUCTIONS:
            return False
        if self.market.is_open:
            return True
        return self.signal.extended_hours and self.session_part not in {None, "closed"}

    @property
    def session_part(self) -> ExtendedSession | None:
        """The part of the trading day; None where no calendar covers it."""
        try:
            return extended_session(self.market.at)
        except OutsideTableError:
            return None


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not: a code and one sentence with the numbers that decided."""

    reason: Reason
    message: str


Gate = Callable[[View], Denial | None]
