"""What a size is decided by, and what is decided: rules, the request, the plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.clock import Clock, SystemClock
from solution.domain.caps import NO_LIMIT, UNCAPPED, Cap
from solution.domain.crypto import LEAST_STEP
from solution.domain.orders import Side
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.signal import Action, Signal
from solution.errors import Refused
from solution.trading.pricing import on_grid

ZERO = Decimal(0)
SHARE = Decimal(1)
SHORT_SALE_MARKUP = Decimal("1.03")
"""Alpaca charges a short sale 1.03 × the ask, or its limit if that is more (Placing Orders,
"Buying power")."""

CustomSize = Callable[[Signal, Holdings, Quote], Decimal | float | None]
"""A user's own policy: shares to trade (≥ 0), or None to stand aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """The configured policy and caps; amounts in account currency, 0 = no limit.

    One order is capped by an amount or by a fraction of equity, whichever is configured. ``clock``
    times ``custom``.
    """

    policy: str = "weight"
    weights: Mapping[str, Decimal]
    symbols: tuple[str, ...] = ()
    qty: Decimal = ZERO
    lot: Decimal = ZERO
    max_position_pct: Decimal = Decimal("0.10")
    max_order_notional: Decimal = ZERO
    max_order_notional_pct: Decimal = Decimal("0.10")
    max_order_qty: Decimal = ZERO
    ticker_caps: Mapping[str, Cap] = field(default_factory=dict)
    strategy_caps: Mapping[str, Cap] = field(default_factory=dict)
    gross_exposure: Cap = UNCAPPED
    sell_only_above_entry: bool = False
    custom: CustomSize | None = None
    clock: Clock = field(default_factory=SystemClock)

    def notional_cap(self, equity: Decimal) -> Decimal:
        """Largest value of one opening order; no equity is a cap of 0, not the absence of one."""
        if self.max_order_notional:
            return self.max_order_notional
        return self.max_order_notional_pct * equity if self.max_order_notional_pct else NO_LIMIT

    def position_cap(self, equity: Decimal) -> Decimal:
        """Largest value of one position; see :meth:`notional_cap`."""
        return self.max_position_pct * equity if self.max_position_pct else NO_LIMIT

    def ticker_cap(self, symbol: str, equity: Decimal) -> Decimal:
        """Largest value of the position in one ticker, besides :meth:`position_cap`."""
        return self.ticker_caps.get(symbol, UNCAPPED).of(equity)

    def strategy_cap(self, strategy: str, equity: Decimal) -> Decimal:
        """Largest value of what one strategy holds."""
        return self.strategy_caps.get(strategy, UNCAPPED).of(equity)

    def weight_of(self, symbol: str) -> Decimal:
        """The weight of a bare buy: listed, else equal over SYMBOLS, else the position cap."""
        if symbol in self.weights:
            return self.weights[symbol]
        if not self.weights and symbol in self.symbols:
            return SHARE / len(self.symbols)
        return self.max_position_pct or SHARE


class Plan(NamedTuple):
    """The trade decided on. ``qty`` is shares and always set; with ``notional`` it is an estimate.

    ``opens`` tells whether the order adds exposure (a buy of a long, a short sale); ``stated``
    whether the producer named the size; ``note`` explains a clamp; ``ask`` is what a short sale is
    charged by, where it is known.
    """

    side: Side
    qty: Decimal
    price: Decimal
    opens: bool
    stated: bool = False
    notional: Decimal | None = None
    note: str = ""
    ask: Decimal | None = None

    @property
    def value(self) -> Decimal:
        return self.notional if self.notional is not None else self.qty * self.price

    @property
    def charge(self) -> Decimal:
        """What the broker takes off the buying power for one share."""
        return charge(self.side, self.price, self.ask) if self.opens else self.price

    @property
    def cost(self) -> Decimal:
        """What the broker takes off the buying power."""
        return self.notional if self.notional is not None else self.qty * self.charge

    @property
    def fractional(self) -> bool:
        return self.notional is not None or self.qty != self.qty.to_integral_value()


def charge(side: Side, price: Decimal, ask: Decimal | None) -> Decimal:
    """What the broker takes off the buying power for one share of an order that opens."""
    return price if side is Side.BUY else max(price, SHORT_SALE_MARKUP * (ask or price))


class Request(NamedTuple):
    """Everything one sizing decision looks at."""

    signal: Signal
    holdings: Holdings
    quote: Quote
    asset: AssetView
    rules: SizingRules

    @property
    def whole(self) -> bool:
        """Whether a fraction of a share would be refused, so that sizes round down."""
        if self.asset.is_crypto:
            return False
        return self.signal.needs_whole_shares or not self.asset.fractionable

    @property
    def step(self) -> Decimal:
        """What a computed size is a multiple of: whole shares, or the pair's own increment."""
        return self.asset.min_trade_increment or LEAST_STEP if self.asset.is_crypto else SHARE

    @property
    def least(self) -> Decimal:
        """The smallest order of a pair, in coins."""
        return self.asset.min_order_size or self.step

    def price(self, side: Side) -> Decimal:
        """What a share costs or brings: the limit if there is one, else the far side, else last.

        Exposure is never valued too low: a sale's limit below the bid fills at the bid, a short
        sale's on the grid above it, a buy that waits for a higher price fills there.
        """
        limit, signal = self.signal.limit_price, self.signal
        if side is Side.BUY:
            return limit if limit is not None else self._buy_price(self.seen(side))
        if limit is None:
            return self.seen(side)
        if signal.action is Action.SHORT_SELL:
            return max(on_grid(limit, side), self.seen(side))
        return max(limit, self.quote.sell_price or ZERO)  # an exit needs no bid to have a limit

    def seen(self, side: Side) -> Decimal:
        """The far side, else the last trade."""
        found = self.quote.buy_price if side is Side.BUY else self.quote.sell_price
        if found is None or found <= 0:
            raise Refused(Reason.NO_PRICE, f"no positive price is known for {self.asset.symbol}")
        return found

    def _buy_price(self, ask: Decimal) -> Decimal:
        signal = self.signal
        if signal.trail_percent is not None:
            return ask * (1 + signal.trail_percent / 100)
        return max(ask + (signal.trail_price or ZERO), signal.stop_price or ZERO)
