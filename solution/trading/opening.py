"""Sizes of orders that open a position or add to one: by the signal, by policy, under the caps."""

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal, localcontext

from solution.domain.crypto import MOST_FEE
from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.domain.signal import SizeKind
from solution.errors import Refused
from solution.trading.plan import SHARE, ZERO, CustomSize, Plan, Request, charge
from solution.trading.pricing import CENT
from solution.trading.quantities import WIDE, floored, shares_for, stated_size, units

MOST_SHARES = Decimal(10) ** 30
"""More than a number in a signal can say."""
SLOWEST = 0.25
"""Seconds that a user's function may take. What the gates saw may be acted on for as long; after
more, the decision would be made again, and again, until the signal is stale."""


def open_short(request: Request) -> Plan:
    """Sell short, where nothing is held long."""
    if request.holdings.qty > 0:
        raise Refused(
            Reason.SHORT_NOT_ALLOWED,
            f"{request.holdings.qty:f} {request.asset.symbol} are held long; sell them first",
        )
    return open_up(request, Side.SELL)


def open_up(request: Request, side: Side) -> Plan:
    """Buy, or sell short, by the size in the signal or by the policy, which caps clamp."""
    stated = request.signal.size_kind
    price, ask = request.price(side), request.quote.buy_price
    if stated is SizeKind.NOTIONAL:
        return _notional(request, side, price)
    if stated is None:
        qty, note = _clamp(request, _by_policy(request, price, side), price, side)
        return Plan(side=side, qty=qty, price=price, opens=True, note=note, ask=ask)
    qty = stated_size(request)
    if stated is SizeKind.WEIGHT:
        qty = _positive(request, _up_to_weight(request, qty, price, side))
    return Plan(side=side, qty=qty, price=price, opens=True, stated=True, ask=ask)


def _notional(request: Request, side: Side, price: Decimal) -> Plan:
    amount = stated_size(request)
    if request.asset.is_crypto:
        amount = amount.quantize(CENT, ROUND_DOWN, WIDE)  # more decimals are refused
    return Plan(
        side=side,
        qty=shares_for(amount, price),
        price=price,
        opens=True,
        stated=True,
        notional=amount,
    )


def _room_to_weight(request: Request, weight: Decimal, price: Decimal, side: Side) -> Decimal:
    """Value still missing to ``weight`` of equity, pending orders counted as done."""
    held = request.holdings
    standing = held.qty + held.pending_qty
    if side is Side.SELL:
        standing = -standing
    return weight * held.equity - standing * price


def _up_to_weight(request: Request, weight: Decimal, price: Decimal, side: Side) -> Decimal:
    """What is bought to reach ``weight``; of a pair nothing where only fees are missing.

    Fees come off the coins, so a weight is never reached: each further signal would trade again.
    """
    room = _room_to_weight(request, weight, price, side)
    if request.asset.is_crypto and room <= weight * request.holdings.equity * MOST_FEE:
        return ZERO
    return units(request, room, price)


def _positive(request: Request, qty: Decimal) -> Decimal:
    if qty > 0:
        return qty
    held = request.holdings
    standing = held.qty + held.pending_qty
    if standing != 0:
        raise Refused(
            Reason.AT_TARGET,
            f"{standing:f} {request.asset.symbol} held and pending are already the size asked for",
        )
    raise Refused(
        Reason.SIZE_TOO_SMALL, f"the size for {request.asset.symbol} rounds down to no share"
    )


def _by_policy(request: Request, price: Decimal, side: Side) -> Decimal:
    rules, held = request.rules, request.holdings
    if rules.policy == "weight":
        weight = rules.weight_of(request.asset.symbol)
        if rules.max_position_pct:
            weight = min(weight, rules.max_position_pct)
        return _up_to_weight(request, weight, price, side)
    if rules.policy == "position_pct":
        return units(request, held.equity * (rules.max_position_pct or SHARE), price)
    if rules.policy == "fixed_qty":
        return rules.qty
    if rules.policy == "fixed_notional":
        return units(request, rules.lot, price)
    if rules.policy == "all_in":
        return units(request, held.cash, price)
    return _custom(request)


def _custom(request: Request) -> Decimal:
    """Ask the user's function; whatever it does wrong refuses this one signal."""
    custom = request.rules.custom
    if custom is None:
        raise Refused(Reason.SIZING_FAILED, f"no sizing policy {request.rules.policy!r}")
    clock = request.rules.clock
    began = clock.monotonic()
    qty = _answer(custom, request)
    took = clock.monotonic() - began
    if took > SLOWEST:
        raise Refused(
            Reason.SIZING_FAILED,
            f"the sizing function took {took:.2f} s, the limit is {SLOWEST:g} s",
        )
    if not qty.is_finite() or not 0 <= qty < MOST_SHARES:
        raise Refused(Reason.SIZING_FAILED, f"the sizing function returned {qty:.6g}")
    return qty


def _answer(custom: CustomSize, request: Request) -> Decimal:
    try:
        with localcontext():  # a precision of its own would stay with this thread
            answer = custom(request.signal, request.holdings, request.quote)
        # The text of a float is what its author meant: 10.1, not its fifty decimals.
        number = str(answer) if isinstance(answer, float) else answer
        return ZERO if number is None else Decimal(number)
    except BaseException as e:  # foreign code may raise anything; what escapes wedges the lane
        raise Refused(
            Reason.SIZING_FAILED, f"the sizing function raised {type(e).__name__}: {e}"
        ) from e


def _clamp(request: Request, qty: Decimal, price: Decimal, side: Side) -> tuple[Decimal, str]:
    """Bring a computed size under every cap; it may reach exactly the cap, never beyond."""
    rules, held = request.rules, request.holdings
    note = ""
    if rules.max_order_qty and qty > rules.max_order_qty:
        qty, note = rules.max_order_qty, "clamped to MAX_ORDER_QTY"
    by_order = rules.notional_cap(held.equity)
    if qty * price > by_order:
        qty, note = units(request, by_order, price), "clamped to MAX_ORDER_NOTIONAL"
    # A pending reduction may never fill: what it would free is no room yet.
    standing = held.most(side)
    room = rules.position_cap(held.equity) - standing * price
    if qty * price > room:
        qty, note = units(request, room, price), "clamped to MAX_POSITION_PCT"
    qty = _positive(request, floored(request, qty))
    qty, note = _under_limits(request, qty, note, price, side)
    charged = charge(side, price, request.quote.buy_price)
    if qty * charged > held.buying_power:
        qty, note = units(request, held.buying_power, charged), "clamped to buying power"
        if qty <= 0:
            raise Refused(
                Reason.INSUFFICIENT_BUYING_POWER,
                f"{held.buying_power:.2f} of buying power is left beside open orders; "
                f"one {request.asset.symbol} costs {charged:f}",
            )
    return qty, note


def _under_limits(
    request: Request, qty: Decimal, note: str, price: Decimal, side: Side
) -> tuple[Decimal, str]:
    """Under the limits over more than one order; what they leave may be nothing."""
    for room, reason, name in _rooms(request, price, side):
        if qty * price > room:
            qty, note = units(request, room, price), f"clamped to {name}"
            if qty <= 0:
                left = max(room, ZERO)
                why = f"{left:.2f} is left under {name}, one {request.asset.symbol} costs {price:f}"
                raise Refused(reason, why)
    return qty, note


def _rooms(request: Request, price: Decimal, side: Side) -> Iterator[tuple[Decimal, Reason, str]]:
    """What each limit over more than one order leaves, in account currency."""
    rules, held, symbol = request.rules, request.holdings, request.asset.symbol
    standing = held.most(side)
    of_ticker = rules.ticker_cap(symbol, held.equity) - standing * price
    yield of_ticker, Reason.TICKER_CAP, "TICKER_CAPS"
    of_strategy = rules.strategy_cap(request.signal.strategy, held.equity) - held.strategy_value
    yield of_strategy, Reason.STRATEGY_CAP, "STRATEGY_CAPS"
    in_all = rules.gross_exposure.of(held.equity) - held.gross
    yield in_all, Reason.GROSS_EXPOSURE_CAP, "MAX_GROSS_EXPOSURE_PCT"
