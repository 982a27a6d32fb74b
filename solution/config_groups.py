"""What components receive: small, frozen, already validated; nobody gets the whole.

Money and quantities are ``Decimal``, durations ``float`` seconds, None means "no such limit".
Values that may hold a password are left out of every repr.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from solution.config_keys import SigningKey
from solution.domain.caps import Cap
from solution.domain.orders import OrderType, TimeInForce
from solution.domain.signing import Verifier
from solution.security import Secret, mask_url


class Ordering(StrEnum):
    ASSET = "asset"
    """Signals of one asset run in stream order, one at a time."""
    NONE = "none"
    """Any order, in parallel (targets excepted)."""


class SizingPolicy(StrEnum):
    WEIGHT = "weight"
    POSITION_PCT = "position_pct"
    FIXED_QTY = "fixed_qty"
    FIXED_NOTIONAL = "fixed_notional"
    ALL_IN = "all_in"
    CUSTOM = "custom"
    """``SIZING=module:function``; the function is named by SizingSettings.function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker is and who we are there. The keys may be empty: see require_keys()."""

    key_id: str = field(repr=False)
    secret: Secret
    paper: bool
    """False: real money, at Alpaca's live host or at another server."""
    acknowledged: str
    """The number of the live account that may be traded, as LIVE_TRADING_ACKNOWLEDGED says it."""
    trading_url: str
    """Without a trailing slash and without ``/v2``."""
    data_url: str
    """Likewise."""
    stream_url: str
    """The whole address of the trade_updates websocket, ``…/stream``."""
    data_stream_url: str
    """The whole address of the market-data websocket, ``…/v2/{feed}``."""
    data_feed: str
    exclusive_account: bool
    """Nobody else trades on the account, so ``DELETE /v2/orders`` hits only our orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    url: str = field(repr=False)
    streams: tuple[str, ...]
    group: str
    """The group in use: a dry run has its own, ``{CONSUMER_GROUP}-dry-run``."""
    executions_stream: str
    executions_maxlen: int
    retention_days: int
    """Days an acknowledged entry stays in its stream; 0 = for ever."""

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return mask_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    url: str = field(repr=False)
    """``sqlite:///`` and an absolute path, or ``postgresql://``; a dry run has its own."""
    path: Path | None
    """The file; None for a database on a server."""
    name: str
    """What tells two ledgers apart, on one machine or on two; without a password."""
    fsync_before_post: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    order_type: OrderType
    """MARKET, or LIMIT (then limit_collar_bps > 0, for the price has to come from somewhere)."""
    time_in_force: TimeInForce
    limit_collar_bps: Decimal
    """Basis points around the quote; 0 = no collar."""
    exit_cancels_resting: bool
    resend_unknown: bool
    ordering: Ordering


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingSettings:
    policy: SizingPolicy
    symbols: tuple[str, ...]
    weights: tuple[tuple[str, Decimal], ...]
    """As configured; empty = equal weights over ``symbols``."""
    qty: Decimal | None
    lot: Decimal | None
    """Account currency per order."""
    max_position_pct: Decimal | None
    """Fraction of equity, (0, 1]."""
    max_order_notional: Decimal | None
    """Account currency."""
    max_order_notional_pct: Decimal | None
    """Fraction of equity; at most one of the two notional limits is set."""
    max_order_qty: Decimal | None
    sell_only_above_entry: bool
    function: str | None
    """``module:function`` of the custom policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeSettings:
    max_signal_age: float
    not_before_ms: int
    """Epoch milliseconds; an older signal is not sent at all. 0 = there is no such moment."""
    max_queue_wait: float
    price_poll_interval: float
    max_price_age: float
    max_quote_age: float
    """0 = not checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    allow_short: bool
    """True: ``action=short_sell`` may open a short. A bare sell never does."""
    allow_extended_hours: bool
    queue_when_closed: bool
    allowed_symbols: frozenset[str]
    """Empty = every symbol."""
    denied_symbols: frozenset[str]
    max_spread_bps: Decimal | None
    price_collar_pct: Decimal | None
    """Fraction of the last trade."""
    duplicate_window: float
    """Seconds; 0 = off."""
    kill_switch: bool
    kill_switch_file: Path
    """Absolute."""
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Limits over more than one order; counts and seconds of 0 and caps of None are no limit."""

    gross_exposure: Cap
    ticker_caps: tuple[tuple[str, Cap], ...]
    strategy_caps: tuple[tuple[str, Cap], ...]
    max_trades_per_day: int
    max_orders_per_minute: int
    max_orders_per_minute_per_ticker: int
    max_daily_loss_pct: Decimal | None
    """Fraction of the day's opening equity, (0, 1]."""
    max_drawdown_pct: Decimal | None
    """Likewise."""
    max_flips: int
    flip_window: float
    halt_on_trip: bool
    """A limit that trips stops exits as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    failures: int
    """In a row; 0 = never trips."""
    cooldown: float
    """Seconds until a probe; 0 = none."""
    reset: bool
    """Close it at start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    stream: str
    key: Secret
    """Empty: only commands that stop trading are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    keys: tuple[SigningKey, ...]
    """Empty: signals are not signed."""
    own_key: SigningKey | None
    """What commands sign with."""

    def verifier(self) -> Verifier:
        """What lets signals in."""
        return Verifier({key.kid: key.secret.reveal().encode() for key in self.keys})


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOfSessionSettings:
    liquidate: bool
    before_close: float
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    level: str
    dir: Path | None
    """Absolute; None = console only."""
    color: bool = True
    """False when the environment asks for none (NO_COLOR, TERM=dumb)."""
