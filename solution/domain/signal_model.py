"""What a valid signal is; :mod:`solution.domain.signal` makes them."""

from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from solution.domain.orders import OrderType, Side, TimeInForce


class Action(StrEnum):
    """What the producer wants of the position, where the direction alone leaves it open."""

    BUY_LONG = "buy_long"
    BUY_TO_COVER = "buy_to_cover"
    COVER_SHORT = "cover_short"
    SHORT_SELL = "short_sell"
    SELL_LONG = "sell_long"
    LIQUIDATE = "liquidate"


class SizeKind(StrEnum):
    """Which of the five size fields was given; the value is the field's name."""

    QTY = "qty"
    NOTIONAL = "notional"
    WEIGHT = "weight"
    TARGET_QTY = "target_qty"
    TARGET_WEIGHT = "target_weight"


class Signal(NamedTuple):
    """One valid signal; pass the fields by name.

    ``size`` is shares (``QTY``, ``TARGET_QTY``), account currency (``NOTIONAL``) or a share of
    equity from 0 to 1 (``WEIGHT``, ``TARGET_WEIGHT``). Prices are account currency,
    ``cancel_after`` and ``max_age`` seconds, ``trail_percent`` percent, ``ts_ms`` epoch
    milliseconds. ``side`` is None only where a target or ``liquidate`` decides it; a ``side``
    beside ``liquidate`` restricts it (sell: close a long, buy: close a short). ``extra`` holds the
    ``x_`` fields under the names as given. (A named tuple: one is made for each entry, and a frozen
    dataclass of so many fields takes 4 µs to make instead of 1.)
    """

    stream: str
    entry_id: str
    ticker: str
    digest: str
    side: Side | None = None
    action: Action | None = None
    size_kind: SizeKind | None = None
    size: Decimal | None = None
    order_type: OrderType | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    time_in_force: TimeInForce | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    extended_hours: bool = False
    cancel_after: Decimal | None = None
    max_age: Decimal | None = None
    signal_id: str = ""
    strategy: str = ""
    sig: str = ""
    kid: str = ""
    ts_ms: int | None = None
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> str:
        """What makes this signal the same as another one; at most one order per identity."""
        return identity_of(self.stream, self.entry_id, self.signal_id, self.digest)

    @property
    def entry_ms(self) -> int:
        """The time in the entry id, epoch milliseconds."""
        return int(self.entry_id.partition("-")[0])

    @property
    def is_target(self) -> bool:
        """Whether ``size`` is the position wanted, not the trade."""
        return self.size_kind in _TARGETS

    @property
    def is_exit(self) -> bool:
        """Whether it can only reduce a position."""
        if self.is_target:
            return not self.size
        if self.action is None:
            return self.side is Side.SELL
        return self.action in _EXITS

    @property
    def must_open(self) -> bool:
        """Whether it can only add exposure; a bare buy may cover a short, a target may reduce."""
        return self.action in {Action.BUY_LONG, Action.SHORT_SELL}

    @property
    def has_legs(self) -> bool:
        """Whether a take-profit or stop-loss order is attached."""
        return self.take_profit is not None or self.stop_loss is not None

    @property
    def needs_whole_shares(self) -> bool:
        """Whether a fractional quantity of an equity would be refused; the sizing rounds down."""
        return (
            self.has_legs
            or self.action is Action.SHORT_SELL
            or self.order_type is OrderType.TRAILING_STOP
            or self.time_in_force not in {None, TimeInForce.DAY}
        )

    def oldest_ms(self) -> int:
        """The older of ``ts`` and the entry id, epoch milliseconds; age is counted from here."""
        entry_ms = self.entry_ms
        return entry_ms if self.ts_ms is None else min(self.ts_ms, entry_ms)


def identity_of(stream: str, entry_id: str, signal_id: str, digest: str) -> str:
    """See :attr:`Signal.identity`; ``signal_id`` is empty where there is none.

    A ``|`` in the stream's name is doubled, so that no two pairs of stream and id meet.
    """
    stream = stream.replace("|", "||")
    return f"{stream}|id:{signal_id}" if signal_id else f"{stream}|entry:{entry_id}:{digest}"


_TARGETS: Final = frozenset({SizeKind.TARGET_QTY, SizeKind.TARGET_WEIGHT})
_EXITS: Final = frozenset(
    {Action.BUY_TO_COVER, Action.COVER_SHORT, Action.SELL_LONG, Action.LIQUIDATE}
)
