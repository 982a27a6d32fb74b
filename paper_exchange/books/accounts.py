"""Accounts: cash, positions, orders, executions, and what of all that is still free to use."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from paper_exchange.assets import Asset
from paper_exchange.books.archive import Archive
from paper_exchange.books.configuration import Configuration
from paper_exchange.books.journal import Journal
from paper_exchange.books.kept import ClientIds, Executions, Orders
from paper_exchange.books.selection import OrderSelection
from paper_exchange.clock import new_york, stamp
from paper_exchange.decimals import ZERO, cents, floor_qty, text
from paper_exchange.ids import stable_id
from paper_exchange.orders import Order
from paper_exchange.prices.market import Market

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


def effect(signed_qty: Decimal, price: Decimal, fee_rate: Decimal) -> tuple[Decimal, Decimal]:
    """What an execution adds to the position and to cash.

    The fee is taken from what is received: units on a buy (to nine decimals, rounded up), cash on
    a sale.
    """
    if signed_qty > 0:
        received = floor_qty(signed_qty * (1 - fee_rate)) if fee_rate else signed_qty
        return received, -signed_qty * price
    return signed_qty, -signed_qty * price * (1 - fee_rate)


@dataclass(frozen=True, slots=True)
class Worth:
    """What an account is worth at one moment, in dollars."""

    long_value: Decimal
    short_value: Decimal
    equity: Decimal

    @property
    def exposure(self) -> Decimal:
        """Long and short positions together, both positive."""
        return self.long_value - self.short_value


@dataclass(slots=True, eq=False)
class Account:
    """One key pair's account; what changes in it is noted in the journal."""

    id: str
    key_id: str
    created_ns: int
    cash: Decimal
    last_equity: Decimal
    journal: Journal = field(default_factory=Journal)
    archive: Archive | None = None
    #: By the asset's id.
    positions: dict[str, Position] = field(default_factory=dict)
    orders: Orders = field(init=False)
    by_client_id: ClientIds = field(init=False)
    fills: Executions = field(init=False)
    #: In the order of submission.
    open_orders: dict[str, Order] = field(default_factory=dict)
    reserved: Decimal = ZERO
    configuration: Configuration = field(default_factory=Configuration)
    equity_day: str = ""
    _open_by_symbol: dict[str, dict[str, Order]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.orders = Orders(self.id, self.archive)
        self.by_client_id = ClientIds(self.orders)
        self.fills = Executions(self.id, self.journal, self.archive)

    @property
    def number(self) -> str:
        """The account number, ``PA`` and nine digits."""
        return f"PA{int(self.id[:8], 16) % 10**9:09d}"

    def add(self, order: Order) -> None:
        """Take a new open order into the books."""
        order.number = self.journal.next_order()
        self.restore(order)
        self.journal.order(order)

    def restore(self, order: Order) -> None:
        """Put an order back into the books as it is; the order of calls is that of submission."""
        self.orders.add(order)
        if order.is_open:
            self.open_orders[order.id] = order
            self._open_by_symbol.setdefault(order.asset.symbol, {})[order.id] = order
            self.reserved += order.reserved

    def touch(self, order: Order) -> None:
        """Something about an order has changed that no other method was told."""
        self.journal.order(order)

    def retire(self, order: Order) -> None:
        """An order has reached its end: free what it held."""
        self.reserve(order, ZERO)
        if self.open_orders.pop(order.id, None) is not None:
            self._open_by_symbol[order.asset.symbol].pop(order.id, None)
            self.journal.close(order)

    def configure(self, changes: dict[str, object]) -> None:
        """Set checked values of the configuration."""
        for name, value in changes.items():
            setattr(self.configuration, name, value)
        self.journal.account(self.id)

    def reserve(self, order: Order, amount: Decimal) -> None:
        """Hold ``amount`` of buying power for an order, instead of what it held before."""
        self.reserved += amount - order.reserved
        order.reserved = amount
        self.journal.order(order)

    def open_for(self, asset: Asset) -> Iterator[Order]:
        """The open orders of one asset."""
        return iter(self._open_by_symbol.get(asset.symbol, {}).values())

    def select(self, wanted: OrderSelection) -> Iterator[Order]:
        """The orders that a list wants, in the direction it wants."""
        kept: Iterable[Order] | None = None
        if wanted.status == "open":
            kept = self.open_orders.values()
        return self.orders.select(wanted, kept)

    def position_qty(self, asset: Asset) -> Decimal:
        """The signed quantity held, zero without a position."""
        position = self.positions.get(asset.id)
        return position.qty if position else ZERO

    def find(self, order_id: str) -> Order | None:
        """The account's order with this id."""
        return self.orders.get(order_id)

    def held_qty(
        self, asset: Asset, *, ignoring: Order | None = None, ignoring_group: str | None = None
    ) -> Decimal:
        """How much of a position open orders have already claimed.

        Orders of which only one can have its way claim what the largest wants;
        a ``held`` leg claims nothing, for its position is not there yet or is
        claimed by its sibling.
        """
        total = ZERO
        groups: dict[str, Decimal] = {}
        for order in self.open_for(asset):
            if order is ignoring or order.status == "held" or not order.closes:
                continue
            wanted = order.claim
            group = order.claim_group
            if group is None:
                total += wanted
            elif group != ignoring_group:
                groups[group] = max(groups.get(group, ZERO), wanted)
        return total + sum(groups.values(), ZERO)

    def book(self, asset: Asset, signed_qty: Decimal, price: Decimal, fee_rate: Decimal) -> Decimal:
        """Book an execution and return the position after it."""
        received, paid = effect(signed_qty, price, fee_rate)
        self.cash += paid
        position = self.positions.get(asset.id)
        if position is None:
            position = self.positions[asset.id] = Position(asset)
        position.apply(received, price)
        if not position.qty:
            del self.positions[asset.id]
        self.journal.account(self.id)
        self.journal.position(self.id, asset.id)
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
        return max(ZERO, multiplier * worth.equity - worth.exposure - self.reserved)

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
            self.journal.account(self.id)

    def render(self, market: Market, now_ns: int) -> dict[str, object]:
        """The account as ``GET /v2/account`` shows it."""
        self.roll(market, now_ns)
        worth = self.worth(market, now_ns)
        exposure = worth.exposure
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

    def __init__(
        self,
        cash: Decimal,
        keys: tuple[tuple[str, str], ...] = (),
        journal: Journal | None = None,
        archive: Archive | None = None,
    ) -> None:
        self._cash = cash
        self._known = frozenset(keys)
        self._journal = journal or Journal()
        self._archive = archive
        self._by_pair: dict[tuple[str, str], Account] = {}
        self._by_id: dict[str, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_id.values())

    def __getitem__(self, account_id: str) -> Account:
        return self._by_id[account_id]

    def restore(self, values: dict[str, Any]) -> Account:
        """Put an account back from the values of its fields."""
        account = Account(**values, journal=self._journal, archive=self._archive)
        self._by_id[account.id] = account
        return account

    def key_id_of(self, account_id: str) -> str | None:
        """The key id that opened an account."""
        account = self._by_id.get(account_id)
        return account.key_id if account else None

    def authenticate(self, key_id: str, secret: str, now_ns: int) -> Account | None:
        """The account of a key pair, or None when the pair is not known here."""
        pair = (key_id, secret)
        account = self._by_pair.get(pair)
        if account is None and key_id and (pair in self._known or not self._known):
            # Stable across restarts: a client's ledger is bound to the account's id.
            account_id = stable_id("account", key_id, secret)
            account = self._by_id.get(account_id) or self._open(account_id, key_id, now_ns)
            self._by_pair[pair] = account
        return account

    def _open(self, account_id: str, key_id: str, now_ns: int) -> Account:
        self._journal.account(account_id)
        return self.restore(
            {
                "id": account_id,
                "key_id": key_id,
                "created_ns": now_ns,
                "cash": self._cash,
                "last_equity": self._cash,
            }
        )
