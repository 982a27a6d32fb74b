"""Which fields of a signal need each other, and which cannot stand together."""

from itertools import pairwise
from typing import Final, NoReturn

from solution.domain.crypto import names_pair
from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal_model import Action, Signal, SizeKind
from solution.errors import SignalError

_SIDES: Final = {
    Action.BUY_LONG: Side.BUY,
    Action.BUY_TO_COVER: Side.BUY,
    Action.COVER_SHORT: Side.BUY,
    Action.SHORT_SELL: Side.SELL,
    Action.SELL_LONG: Side.SELL,
}
_PRICES: Final = ("limit_price", "stop_price", "trail_price", "trail_percent")
_PRICES_OF: Final[dict[OrderType, tuple[str, ...]]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("limit_price", "stop_price"),
    OrderType.TRAILING_STOP: ("trail_price", "trail_percent"),
}
_AT_ONCE: Final = frozenset({None, OrderType.MARKET, OrderType.LIMIT})
"""Types that may be ioc, fok, opg or cls; without a type the configured one is one of them."""
_CRYPTO_TYPES: Final = _AT_ONCE | {OrderType.STOP_LIMIT}
_RESTING_TIMES: Final = frozenset({TimeInForce.DAY, TimeInForce.GTC})
_CRYPTO_TIMES: Final = frozenset({TimeInForce.GTC, TimeInForce.IOC})


def default_time_in_force(
    signal: Signal, configured: TimeInForce, *, fractional: bool, crypto: bool
) -> TimeInForce:
    """The time in force of an order whose signal names none (else the signal's own).

    Args:
        configured: ``TIME_IN_FORCE``.
        fractional: whether the quantity, now known, is not whole.
        crypto: whether the asset is a crypto pair.
    """
    if signal.time_in_force is not None:
        return signal.time_in_force
    if crypto:
        resting = signal.order_type is OrderType.STOP_LIMIT or configured not in _CRYPTO_TIMES
        return TimeInForce.GTC if resting else configured
    day_only = fractional or signal.size_kind is SizeKind.NOTIONAL or signal.extended_hours
    if day_only or signal.has_legs or signal.order_type not in _AT_ONCE:
        return TimeInForce.DAY
    return configured


def check_time_in_force(
    signal: Signal, time_in_force: TimeInForce, *, fractional: bool, crypto: bool
) -> None:
    """Refuse a time in force the broker would refuse for this order.

    ``parse`` calls it with what the signal says by itself; called again after sizing, when it is
    known whether the quantity is fractional. Rules: Alpaca's order pages ("Orders at Alpaca",
    "Fractional Trading", "Crypto Orders").

    Raises:
        SignalError: CONFLICTING_FIELDS, naming both fields.
    """
    this = f"time_in_force={time_in_force}"
    if crypto:
        _check_crypto_time(signal, time_in_force)
        return
    if fractional and time_in_force is not TimeInForce.DAY:
        conflict(this, _size_of(signal), "fractional and notional orders are day orders")
    if time_in_force in _RESTING_TIMES:
        return
    if signal.order_type not in _AT_ONCE:
        conflict(this, f"order_type={signal.order_type}", "only market and limit orders may")
    if signal.has_legs:
        conflict(this, _leg_of(signal), "a bracket is day or gtc")
    if signal.extended_hours:
        conflict(this, "extended_hours=true", "extended-hours orders are day or gtc")


def _check_crypto_time(signal: Signal, time_in_force: TimeInForce) -> None:
    if time_in_force not in _CRYPTO_TIMES:
        pair = f"ticker={signal.ticker}"
        conflict(f"time_in_force={time_in_force}", pair, "crypto orders are gtc or ioc")


def conflict(one: str, other: str, why: str) -> NoReturn:
    """Refuse two fields that contradict each other, naming both."""
    message = f"{one} and {other} cannot stand together: {why}"
    raise SignalError(Reason.CONFLICTING_FIELDS, message)


def missing(message: str) -> NoReturn:
    """Refuse a signal that lacks a field."""
    raise SignalError(Reason.MISSING_FIELD, message)


def _size_of(signal: Signal) -> str:
    if signal.size_kind is None or signal.size is None:
        return "a fractional quantity"
    return f"{signal.size_kind}={signal.size:f}"


def _leg_of(signal: Signal) -> str:
    name = "take_profit" if signal.take_profit is not None else "stop_loss"
    return f"{name}={getattr(signal, name):f}"


def stated_fraction(signal: Signal) -> bool:
    """Whether the signal itself asks for a part of a share."""
    if signal.size is None or signal.size_kind is not SizeKind.QTY:
        return signal.size_kind is SizeKind.NOTIONAL
    return signal.size != signal.size.to_integral_value()


def check_side(signal: Signal) -> None:
    """Who decides buy or sell: the direction, the target, or the position to be liquidated.

    Raises:
        SignalError: MISSING_FIELD, CONFLICTING_FIELDS.
    """
    if signal.is_target:
        _check_target(signal)
    elif signal.side is None and signal.action is not Action.LIQUIDATE:
        missing("direction is missing: send b or s, a target, or action=liquidate")
    elif signal.action is not None:
        _check_action(signal, signal.action)


def _check_target(signal: Signal) -> None:
    if signal.side is not None:
        this = f"direction={signal.side}"
        conflict(this, _size_of(signal), "a target decides the side itself")
    if signal.action is not None:
        this = f"action={signal.action}"
        conflict(this, _size_of(signal), "a target decides the trade itself")


def _check_action(signal: Signal, action: Action) -> None:
    this = f"action={action}"
    if _SIDES.get(action, signal.side) is not signal.side:
        conflict(f"direction={signal.side}", this, "one buys, the other sells")
    if action is Action.LIQUIDATE and signal.size_kind not in {None, SizeKind.QTY}:
        conflict(this, _size_of(signal), "it closes the position, or qty of it")
    if action is Action.SHORT_SELL and stated_fraction(signal):
        conflict(this, _size_of(signal), "only whole shares can be sold short")


def check_terms(signal: Signal) -> None:
    """How the order is to be worked: prices, bracket, session, time in force.

    Raises:
        SignalError: MISSING_FIELD, CONFLICTING_FIELDS.
    """
    _check_prices(signal)
    if signal.stop_loss_limit is not None and signal.stop_loss is None:
        missing("stop_loss is missing: stop_loss_limit needs it")
    if signal.has_legs:
        _check_legs(signal)
    if signal.extended_hours:
        _check_extended_hours(signal)
    crypto = names_pair(signal.ticker)
    fractional = stated_fraction(signal)
    if crypto:
        check_pair(signal)
    if fractional:
        _check_fraction(signal)
    if signal.time_in_force is not None:
        check_time_in_force(signal, signal.time_in_force, fractional=fractional, crypto=crypto)


def _check_prices(signal: Signal) -> None:
    """Each order type has its prices, all of them and no others."""
    given = [name for name in _PRICES if getattr(signal, name) is not None]
    kind = signal.order_type
    if kind is None:
        # A price alone does not say whether it is a limit, and guessing would trade on it.
        if given:
            missing(f"order_type is missing: {given[0]} does not say which type is meant")
        return
    wanted = _PRICES_OF[kind]
    for name in given:
        if name not in wanted:
            value = f"{name}={getattr(signal, name):f}"
            conflict(value, f"order_type={kind}", "the type has no such price")
    if kind is OrderType.TRAILING_STOP and len(given) == 2:
        conflict("trail_price", "trail_percent", "a trailing stop has one distance")
    absent = [name for name in wanted if name not in given]
    # A trailing stop has either of its two, every other type all of its own.
    if absent and not (given and kind is OrderType.TRAILING_STOP):
        which = " or ".join(absent) if kind is OrderType.TRAILING_STOP else absent[0]
        missing(f"{which} is missing: order_type={kind} needs it")


def _check_legs(signal: Signal) -> None:
    """A bracket (OTO with one leg) protects an entry of whole shares, on the right sides of it."""
    leg = _leg_of(signal)
    if signal.is_target:
        conflict(leg, _size_of(signal), "a target may turn out to be a reduction")
    if signal.is_exit:
        other = f"direction={signal.side}" if signal.action is None else f"action={signal.action}"
        conflict(leg, other, "a bracket protects an entry, not an exit")
    if signal.order_type is OrderType.TRAILING_STOP:
        conflict(leg, "order_type=trailing_stop", "a trailing stop carries no bracket")
    if signal.extended_hours:
        conflict(leg, "extended_hours=true", "a bracket trades in regular hours only")
    _check_leg_prices(signal)


def _check_leg_prices(signal: Signal) -> None:
    """Profit above, loss below, for a long entry; the reverse for a short one."""
    chain = [("stop_loss", signal.stop_loss), ("limit_price", signal.limit_price)]
    chain.append(("take_profit", signal.take_profit))
    present = [(name, value) for name, value in chain if value is not None]
    if signal.side is Side.SELL:
        present.reverse()
    for (low, below), (high, above) in pairwise(present):
        if below >= above:
            why = f"for direction={signal.side} {high} must be greater than {low}"
            conflict(f"{low}={below:f}", f"{high}={above:f}", why)


def _check_extended_hours(signal: Signal) -> None:
    if signal.order_type is None:
        missing("order_type is missing: extended_hours=true needs order_type=limit")
    if signal.order_type is not OrderType.LIMIT:
        kind = f"order_type={signal.order_type}"
        conflict("extended_hours=true", kind, "only limit orders trade in extended hours")


def check_pair(signal: Signal) -> None:
    """Crypto pairs: market, limit and stop_limit; no shorts, no brackets, no sessions.

    Raises:
        SignalError: CONFLICTING_FIELDS, naming both fields.
    """
    pair = f"ticker={signal.ticker}"
    if signal.order_type not in _CRYPTO_TYPES:
        conflict(pair, f"order_type={signal.order_type}", "crypto has no such order type")
    if signal.action is Action.SHORT_SELL:
        conflict(pair, "action=short_sell", "crypto cannot be sold short")
    if signal.has_legs:
        conflict(pair, _leg_of(signal), "crypto orders carry no bracket")
    if signal.extended_hours:
        conflict(pair, "extended_hours=true", "crypto trades around the clock")


def _check_fraction(signal: Signal) -> None:
    """Parts of a share: no bracket, no trailing stop; an amount of money buys at market only."""
    size = _size_of(signal)
    if signal.has_legs:
        conflict(_leg_of(signal), size, "a bracket needs whole shares")
    if signal.order_type is OrderType.TRAILING_STOP:
        conflict("order_type=trailing_stop", size, "it needs whole shares")
    kinds = {None, OrderType.MARKET}
    if signal.size_kind is SizeKind.NOTIONAL and signal.order_type not in kinds:
        conflict(f"order_type={signal.order_type}", size, "notional orders are market orders")
