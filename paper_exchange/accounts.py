"""Accounts: cash, positions, orders, executions, and what of all that is still free to use."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from paper_exchange.assets import Asset
from paper_exchange.clock import new_york, stamp
from paper_exchange.decimals import ZERO, cents, text
from paper_exchange.ids import stable_id
from paper_exchange.market import Market
from paper_exchange.orders import Order

_HALF = Decimal("0.5")
_MAINTENANCE = Decimal("0.3")


@dataclass(slots=True)
class Position:
    """A holding; ``qty`` is negative for a short."""

    asset: Asset
    qty: Decimal = ZERO
    avg_entry_price: Decimal = ZERO

    def apply(self, signed_qty: Decimal, price: Decimal) -> None:
        """Book an execution; the entry price is an average over what increased the position."""
        after = self.qty + signed_qty
        if self.qty * signed_qty >= 0:
            cost = abs(self.qty) * self.avg_entry_price + abs(signed_qty) * price
            self.avg_entry_price = cost / abs(after)
        elif self.qty * after < 0:
            self.avg_entry_price = price
        self.qty = after


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    id: str
    at_ns: int
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    order_status: str

    def render(self) -> dict[str, object]:
        """The row of ``GET /v2/account/activities``."""
        return {
            "activity_type": "FILL",
            "id": self.id,
            "order_id": self.order_id,
            "symbol": self.symbol,
            "side": self.side,
            "qty": text(self.qty),
            "cum_qty": text(self.cum_qty),
            "leaves_qty": text(self.leaves_qty),
            "price": text(self.price),
            "transaction_time": stamp(self.at_ns),
            "type": "partial_fill" if self.leaves_qty else "fill",
            "order_status": self.order_status,
        }


def activity_id(at_ns: int, unique: str) -> str:
    """``YYYYMMDDHHMMSSmmm::uuid``, the time being New York's, as observed on paper."""
    at = new_york(at_ns)
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{unique}"


@dataclass(frozen=True, slots=True)
class Worth:
    """What an account is worth at one moment, in dollars."""

    long_value: Decimal
    short_value: Decimal
    equity: Decimal


@dataclass(slots=True)
class Configuration:
    """What ``/v2/account/configurations`` reads and writes."""

    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    no_shorting: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    max_options_trading_level: int | None = None


@dataclass(slots=True, eq=False)
class Account:
    """One key pair's account."""

    id: str
    key_id: str
    created_ns: int
    cash: Decimal
    last_equity: Decimal
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    #: In the order of submission, for the list endpoint.
    history: list[Order] = field(default_factory=list)
    open_orders: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[str, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    reserved: Decimal = ZERO
    configuration: Configuration = field(default_factory=Configuration)
    equity_day: str = ""
    _open_by_symbol: dict[str, dict[str, Order]] = field(default_factory=dict)

    @property
    def number(self) -> str:
        """The account number, ``PA`` and nine digits."""
        return f"PA{int(self.id[:8], 16) % 10**9:09d}"

    def add(self, order: Order) -> None:
        """Take a new open order into the books."""
        self.orders[order.id] = order
        self.history.append(order)
        self.by_client_id[order.client_order_id] = order
        self.open_orders[order.id] = order
        self._open_by_symbol.setdefault(order.asset.symbol, {})[order.id] = order

    def retire(self, order: Order) -> None:
        """An order has reached its end: free what it held."""
        self.reserve(order, ZERO)
        self.open_orders.pop(order.id, None)
        self._open_by_symbol.get(order.asset.symbol, {}).pop(order.id, None)

    def reserve(self, order: Order, amount: Decimal) -> None:
        """Hold ``amount`` of buying power for an order, instead of what it held before."""
        self.reserved += amount - order.reserved
        order.reserved = amount

    def open_for(self, asset: Asset) -> Iterator[Order]:
        """The open orders of one asset."""
        return iter(self._open_by_symbol.get(asset.symbol, {}).values())

    def submitted_between(self, after_ns: int | None, until_ns: int | None) -> list[Order]:
        """Orders submitted within the bounds, both exclusive, oldest first."""
        low, high = 0, len(self.history)
        if after_ns is not None:
            low = bisect_right(self.history, after_ns, key=lambda order: order.submitted_ns)
        if until_ns is not None:
            high = bisect_left(self.history, until_ns, key=lambda order: order.submitted_ns)
        return self.history[low:high]

    def position_qty(self, asset: Asset) -> Decimal:
        """The signed quantity held, zero without a position."""
        position = self.positions.get(asset.id)
        return position.qty if position else ZERO

    def held_qty(self, asset: Asset, *, ignoring: Order | None = None) -> Decimal:
        """How much of a position open orders have already claimed."""
        return sum(
            (
                order.claim
                for order in self.open_for(asset)
                if order.closes and order is not ignoring
            ),
            ZERO,
        )

    def book(self, asset: Asset, signed_qty: Decimal, price: Decimal, fee_rate: Decimal) -> Decimal:
        """Book an execution and return the position after it.

        The fee is taken from what is received: units on a buy, cash on a sale.
        """
        received = signed_qty * (1 - fee_rate) if signed_qty > 0 else signed_qty
        proceeds = -signed_qty * price
        self.cash += proceeds * (1 - fee_rate) if signed_qty < 0 else proceeds
        position = self.positions.get(asset.id)
        if position is None:
            position = self.positions[asset.id] = Position(asset)
        position.apply(received, price)
        if not position.qty:
            del self.positions[asset.id]
        return position.qty

    def worth(self, market: Market, now_ns: int) -> Worth:
        """Marked to the last trades."""
        long_value = short_value = ZERO
        for position in self.positions.values():
            value = position.qty * market.quote(position.asset.symbol, now_ns).last
            if value > 0:
                long_value += value
            else:
                short_value += value
        return Worth(long_value, short_value, self.cash + long_value + short_value)

    def buying_power(self, worth: Worth) -> Decimal:
        """What new positions may cost: equity times the multiplier, less all exposure and holds."""
        multiplier = Decimal(self.configuration.max_margin_multiplier)
        exposure = worth.long_value - worth.short_value
        return max(ZERO, multiplier * worth.equity - exposure - self.reserved)

    def cash_power(self) -> Decimal:
        """Cash not held by orders, which is what crypto is bought with."""
        return max(ZERO, self.cash - self.reserved)

    def roll(self, market: Market, now_ns: int) -> None:
        """On the first look of a New York day, yesterday's equity becomes ``last_equity``."""
        today = new_york(now_ns).date().isoformat()
        if today != self.equity_day:
            if self.equity_day:
                self.last_equity = self.worth(market, now_ns).equity
            self.equity_day = today

    def render(self, market: Market, now_ns: int) -> dict[str, object]:
        """The account as ``GET /v2/account`` shows it."""
        self.roll(market, now_ns)
        worth = self.worth(market, now_ns)
        exposure = worth.long_value - worth.short_value
        config = self.configuration
        regt = max(ZERO, 2 * worth.equity - exposure - self.reserved)
        money = {
            "cash": self.cash,
            "equity": worth.equity,
            "last_equity": self.last_equity,
            "buying_power": self.buying_power(worth),
            "regt_buying_power": regt,
            "non_marginable_buying_power": self.cash_power(),
            "options_buying_power": self.cash_power(),
            "portfolio_value": worth.equity,
            "position_market_value": exposure,
            "long_market_value": worth.long_value,
            "short_market_value": worth.short_value,
            "initial_margin": exposure * _HALF,
            "maintenance_margin": exposure * _MAINTENANCE,
            "last_maintenance_margin": ZERO,
            "sma": worth.equity,
            "accrued_fees": ZERO,
            "pending_transfer_in": ZERO,
            "pending_transfer_out": ZERO,
            "pending_reg_taf_fees": ZERO,
            "intraday_adjustments": ZERO,
        }
        return {
            "id": self.id,
            "account_number": self.number,
            "status": "ACTIVE",
            "crypto_status": "ACTIVE",
            "currency": "USD",
            **{name: text(cents(value)) for name, value in money.items()},
            "multiplier": config.max_margin_multiplier,
            "balance_asof": new_york(now_ns).date().isoformat(),
            "created_at": stamp(self.created_ns),
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": config.suspend_trade,
            "shorting_enabled": not config.no_shorting,
            "options_approved_level": 0,
            "options_trading_level": 0,
            "crypto_tier": 1,
            "admin_configurations": {},
            "user_configurations": None,
        }


class Accounts:
    """All accounts, one per key pair.

    Without a list of keys any pair opens an account on first use; with one,
    only the listed pairs are known.
    """

    def __init__(self, cash: Decimal, keys: tuple[tuple[str, str], ...] = ()) -> None:
        self._cash = cash
        self._known = frozenset(keys)
        self._by_pair: dict[tuple[str, str], Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_pair.values())

    def authenticate(self, key_id: str, secret: str, now_ns: int) -> Account | None:
        """The account of a key pair, or None when the pair is not known here."""
        pair = (key_id, secret)
        account = self._by_pair.get(pair)
        if account is None and key_id and (pair in self._known or not self._known):
            account = self._by_pair[pair] = Account(
                # Stable across restarts: a client's ledger is bound to the account's id.
                id=stable_id("account", key_id, secret),
                key_id=key_id,
                created_ns=now_ns,
                cash=self._cash,
                last_equity=self._cash,
            )
        return account
