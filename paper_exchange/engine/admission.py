"""Whether an account may place a well-formed order: wash trades, shares, shorts, buying power."""

from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.assets import Asset
from paper_exchange.books.accounts import Account, Worth
from paper_exchange.decimals import ZERO, floor_qty, is_whole, text
from paper_exchange.engine.advanced import check_distance
from paper_exchange.errors import (
    ApiError,
    forbidden,
    insufficient_buying_power,
    insufficient_qty,
    unprocessable,
    wash_trade,
)
from paper_exchange.orders import NewOrder, Order
from paper_exchange.prices.market import Quote

#: A short sale is charged at least this multiple of the ask (documented).
SHORT_MARKUP = Decimal("1.03")
_MINIMUM_CRYPTO_COST = Decimal(10)
_MINIMUM_SHORT_EQUITY = Decimal(2000)
#: Positions of more than this multiple of equity allow closing trades only (user protection).
_MOST_EXPOSURE = 6
#: Crypto fee on paper, taken from what is received (observed: about 25 basis points).
CRYPTO_FEE = Decimal("0.0025")


@dataclass(frozen=True, slots=True)
class Terms:
    """What admission decided about an order."""

    intent: str
    #: Buying power to hold per unit; zero when the order closes a position.
    unit_reserve: Decimal
    #: For an order in dollars that closes a position: how much of it that is at most.
    most_qty: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What admission looks at besides the order and the account."""

    quote: Quote
    #: Orders are priced against the last trade while the market is closed.
    market_open: bool
    worth: Worth
    #: An order that the new one is to replace, and whose holds it may use.
    replacing: Order | None = None


def admit(account: Account, order: NewOrder, now: Situation) -> Terms:
    """The terms on which an order is taken.

    Raises:
        ApiError: 403 (or 422) with the body Alpaca documents for the cause.
    """
    _check_account(account, order)
    _check_wash(account, order, now.replacing)
    held = account.position_qty(order.asset)
    closing = held < 0 if order.side == "buy" else held > 0
    intent = f"{order.side}_to_{'close' if closing else 'open'}"
    if order.position_intent not in {None, intent}:
        raise unprocessable(
            f"position intent mismatch, inferred: {intent}, specified: {order.position_intent}"
        )
    price = _reference_price(order, now, closing=closing)
    if order.order_class:
        _check_class(order, now, closing=closing)
    qty = order.qty if order.qty is not None else floor_qty((order.notional or ZERO) / price)
    _check_least(order.asset, qty)
    if closing:
        _check_available(account, order.asset, qty, now.replacing)
        return Terms(intent, ZERO, qty if order.qty is None else None)
    _check_opening(account, order, now)
    cost = qty * price if order.qty is not None else order.notional or ZERO
    if order.asset.crypto and cost < _MINIMUM_CRYPTO_COST:
        raise forbidden("cost basis must be >= minimal amount of order 10")
    _check_funds(account, order.asset, cost, now)
    return Terms(intent, price)


def _check_least(asset: Asset, qty: Decimal) -> None:
    """The smallest order of a pair holds for exits too (observed)."""
    if asset.min_order_size is not None and qty < asset.min_order_size:
        least = text(asset.min_order_size)
        raise forbidden(f"order qty must be >= minimal qty of order {least}")


def _check_account(account: Account, order: NewOrder) -> None:
    if account.configuration.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    fractional = order.qty is None or not is_whole(order.qty)
    if fractional and not order.asset.crypto and not account.configuration.fractional_trading:
        raise forbidden("account is not allowed to trade fractional shares")


def _check_class(order: NewOrder, now: Situation, *, closing: bool) -> None:
    """A bracket or OTO opens a position, an OCO closes one; its exits keep their distance."""
    if (order.order_class == "oco") is not closing:
        kind = "exit" if order.order_class == "oco" else "entry"
        raise unprocessable(f"{order.order_class} orders must be {kind} orders")
    if order.order_class == "oco":
        base = now.quote.last
    else:
        far = now.quote.ask if order.side == "buy" else now.quote.bid
        base = order.limit_price or order.stop_price or far
    check_distance(order, base)


def _check_wash(account: Account, order: NewOrder, replacing: Order | None) -> None:
    """Refuse an order that the account's own resting order could trade with.

    Market and stop orders always collide; two limits only when they cross.
    Trailing stops and orders of a class are exempt (Alpaca's user-protection
    page: "use complex orders").
    """
    if order.type == "trailing_stop" or order.order_class:
        return
    for other in account.open_for(order.asset):
        if other.side == order.side or other is replacing:
            continue
        if other.type != "trailing_stop" and not other.order_class and _may_cross(order, other):
            raise wash_trade(other.id, other.type)


def _may_cross(order: NewOrder, other: Order) -> bool:
    if order.limit_price is None or other.limit_price is None:
        return True
    if order.side == "buy":
        return order.limit_price >= other.limit_price
    return other.limit_price >= order.limit_price


def _reference_price(order: NewOrder, now: Situation, *, closing: bool) -> Decimal:
    """What one unit is assumed to cost."""
    quote = now.quote
    if order.side == "sell":
        if closing:
            return quote.bid if now.market_open else quote.last
        ask = quote.ask if now.market_open else quote.last
        return max(order.limit_price or ZERO, SHORT_MARKUP * ask)
    if order.limit_price is not None:
        return order.limit_price
    ask = quote.ask if now.market_open else quote.last
    return max(order.stop_price or ZERO, ask)


def _check_available(account: Account, asset: Asset, qty: Decimal, replacing: Order | None) -> None:
    existing = account.position_qty(asset)
    held = account.held_qty(asset, ignoring=replacing)
    available = max(ZERO, abs(existing) - held)
    if qty <= available:
        return
    if asset.crypto:
        raise _insufficient_balance(asset, qty, available)
    raise insufficient_qty(asset.symbol, qty, available, existing, held)


def _insufficient_balance(asset: Asset, requested: Decimal, available: Decimal) -> ApiError:
    return forbidden(
        f"insufficient balance for {asset.symbol.partition('/')[0]} "
        f"(requested: {text(requested)}, available: {text(available)})"
    )


def _check_opening(account: Account, order: NewOrder, now: Situation) -> None:
    """Rules for an order that opens or enlarges a position."""
    if now.worth.exposure > _MOST_EXPOSURE * max(now.worth.equity, ZERO):
        raise forbidden("account is restricted to closing trades: positions exceed 600% of equity")
    flat = not account.position_qty(order.asset)
    pending = {
        other.side
        for other in account.open_for(order.asset)
        if other is not now.replacing and not other.closes
    }
    if order.side == "sell":
        _check_short(account, order, now)
        if flat and "buy" in pending:
            raise forbidden("cannot open a short sell while a long buy order is open")
    elif flat and "sell" in pending:
        raise forbidden("cannot open a long buy while a short sell order is open")


def _check_short(account: Account, order: NewOrder, now: Situation) -> None:
    asset = order.asset
    if asset.crypto:
        raise _insufficient_balance(asset, order.qty or ZERO, ZERO)
    if order.qty is None or not is_whole(order.qty):
        raise unprocessable("fractional orders cannot be sold short")
    if not asset.shortable:
        raise forbidden(f'asset "{asset.symbol}" cannot be sold short')
    if account.configuration.no_shorting or now.worth.equity < _MINIMUM_SHORT_EQUITY:
        raise forbidden("account is not allowed to short")


def _check_funds(account: Account, asset: Asset, cost: Decimal, now: Situation) -> None:
    """Replacing an order holds the larger of both costs, so the old hold counts as free."""
    freed = now.replacing.reserved if now.replacing else ZERO
    power = account.cash_power() if asset.crypto else account.buying_power(now.worth)
    if cost > power + freed:
        raise insufficient_buying_power(power + freed, cost)
