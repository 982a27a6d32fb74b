"""How many shares, and which way.

Pure arithmetic over one :class:`~solution.book.positions.Holdings`, run inside the portfolio's
mutex so that what it saw is still true when its result is reserved. Sizes that we compute are
clamped to the caps; sizes stated in a signal pass through and are refused by the gates.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from typing import NamedTuple

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.clock import Clock, SystemClock
from solution.domain.caps import NO_LIMIT, UNCAPPED, Cap
from solution.domain.crypto import LEAST_COST, LEAST_STEP, MOST_FEE
from solution.domain.orders import Side
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.signal import Action, Signal, SizeKind
from solution.errors import Refused, SignalError
from solution.trading.pricing import CENT, on_grid

ZERO = Decimal(0)
SHARE = Decimal(1)
FRACTION = Decimal("0.000000001")
SHORT_SALE_MARKUP = Decimal("1.03")
"""Alpaca charges a short sale 1.03 × the ask, or its limit if that is more (Placing Orders,
"Buying power")."""
MOST_SHARES = Decimal(10) ** 30
"""More than a number in a signal can say."""
SLOWEST = 0.25
"""Seconds that a user's function may take. What the gates saw may be acted on for as long; after
more, the decision would be made again, and again, until the signal is stale."""
_WIDE = Context(prec=80, rounding=ROUND_DOWN)
"""For amounts as long as the signal contract allows, to nine decimals."""

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


def size(request: Request) -> Plan:
    """Decide the trade.

    Raises:
        Refused: nothing to do, nothing to sell, too small, or no price.
        SignalError: CONFLICTING_FIELDS: a bracket on what turns out to close a position.
    """
    plan = _plan(request)
    if request.asset.is_crypto:
        plan = _as_pair(request, plan)
    if request.signal.has_legs and not plan.opens:
        raise SignalError(
            Reason.CONFLICTING_FIELDS,
            "take_profit/stop_loss hang on an entry; this order closes a position of "
            f"{request.holdings.qty:f} {request.asset.symbol}",
        )
    return plan


def _as_pair(request: Request, plan: Plan) -> Plan:
    """The plan in whole increments of the pair, refused where the broker would find it too small.

    What closes a position has no least cost: a position whose price has fallen must have an exit.
    """
    asset, qty = request.asset, _in_steps(plan.qty, request.step)
    note = plan.note
    if qty != plan.qty and plan.notional is None:
        rounded = f"rounded down to a multiple of {request.step:f}"
        note = f"{note}, {rounded}" if note else rounded
    plan = plan._replace(qty=qty, note=note)
    if qty < request.least:
        why = f"{qty:f} {asset.symbol} is below its smallest order of {request.least:f}"
        raise Refused(Reason.SIZE_TOO_SMALL, why)
    if plan.opens and plan.value < LEAST_COST:
        why = f"{qty:f} {asset.symbol} cost {plan.value:.2f}, the least for crypto is {LEAST_COST}"
        raise Refused(Reason.SIZE_TOO_SMALL, why)
    return plan


def _plan(request: Request) -> Plan:
    signal = request.signal
    if signal.is_target:
        return _to_target(request)
    if signal.action is Action.LIQUIDATE:
        return _liquidate(request)
    if signal.action is Action.SHORT_SELL:
        return _open_short(request)
    if signal.side is Side.SELL:
        return _sell_held(request)
    if request.holdings.qty < 0 or signal.action in {Action.BUY_TO_COVER, Action.COVER_SHORT}:
        return _cover(request)
    return _open(request, Side.BUY)


# --- exposure up --------------------------------------------------------------------------------


def _open_short(request: Request) -> Plan:
    if request.holdings.qty > 0:
        raise Refused(
            Reason.SHORT_NOT_ALLOWED,
            f"{request.holdings.qty:f} {request.asset.symbol} are held long; sell them first",
        )
    return _open(request, Side.SELL)


def _open(request: Request, side: Side) -> Plan:
    stated = request.signal.size_kind
    price, ask = request.price(side), request.quote.buy_price
    if stated is SizeKind.NOTIONAL:
        return _notional(request, side, price)
    if stated is None:
        qty, note = _clamp(request, _by_policy(request, price, side), price, side)
        return Plan(side=side, qty=qty, price=price, opens=True, note=note, ask=ask)
    qty = _stated(request)
    if stated is SizeKind.WEIGHT:
        qty = _positive(request, _up_to_weight(request, qty, price, side))
    return Plan(side=side, qty=qty, price=price, opens=True, stated=True, ask=ask)


def _stated(request: Request) -> Decimal:
    if request.signal.size is None:  # the parser sets both or neither
        raise Refused(Reason.SIZING_FAILED, "the signal names a kind of size without its value")
    return request.signal.size


def _notional(request: Request, side: Side, price: Decimal) -> Plan:
    amount = _stated(request)
    if request.asset.is_crypto:
        amount = amount.quantize(CENT, ROUND_DOWN, _WIDE)  # more decimals are refused
    return Plan(
        side=side,
        qty=_shares_for(amount, price),
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
    return _units(request, room, price)


def _units(request: Request, value: Decimal, price: Decimal) -> Decimal:
    """How many that much money buys, rounded down: whole shares, or increments of a pair."""
    if request.asset.is_crypto:
        return _in_steps(_WIDE.divide(value, price), request.step)
    return (value / price).to_integral_value(ROUND_DOWN)


def _in_steps(qty: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` that is no more than ``qty`` (towards zero)."""
    return _WIDE.multiply(_WIDE.divide_int(qty, step), step)


def _shares_for(amount: Decimal, price: Decimal) -> Decimal:
    """To the broker's nine decimals, rounded down."""
    return (amount / price).quantize(FRACTION, ROUND_DOWN, _WIDE)


def _floored(request: Request, qty: Decimal) -> Decimal:
    """To whole shares where fractions are refused, else to the broker's nine decimals."""
    if request.whole:
        return qty.to_integral_value(ROUND_DOWN)
    if request.asset.is_crypto:
        return _in_steps(qty, request.step)
    cut = qty.quantize(FRACTION, ROUND_DOWN, _WIDE)
    return qty if cut == qty else cut


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
        return _units(request, held.equity * (rules.max_position_pct or SHARE), price)
    if rules.policy == "fixed_qty":
        return rules.qty
    if rules.policy == "fixed_notional":
        return _units(request, rules.lot, price)
    if rules.policy == "all_in":
        return _units(request, held.cash, price)
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
        qty, note = _units(request, by_order, price), "clamped to MAX_ORDER_NOTIONAL"
    # A pending reduction may never fill: what it would free is no room yet.
    standing = held.most_long if side is Side.BUY else held.most_short
    room = rules.position_cap(held.equity) - standing * price
    if qty * price > room:
        qty, note = _units(request, room, price), "clamped to MAX_POSITION_PCT"
    qty = _positive(request, _floored(request, qty))
    qty, note = _under_limits(request, qty, note, price, side)
    charged = charge(side, price, request.quote.buy_price)
    if qty * charged > held.buying_power:
        qty, note = _units(request, held.buying_power, charged), "clamped to buying power"
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
            qty, note = _units(request, room, price), f"clamped to {name}"
            if qty <= 0:
                left = max(room, ZERO)
                why = f"{left:.2f} is left under {name}, one {request.asset.symbol} costs {price:f}"
                raise Refused(reason, why)
    return qty, note


def _rooms(request: Request, price: Decimal, side: Side) -> Iterator[tuple[Decimal, Reason, str]]:
    """What each limit over more than one order leaves, in account currency."""
    rules, held, symbol = request.rules, request.holdings, request.asset.symbol
    standing = held.most_long if side is Side.BUY else held.most_short
    of_ticker = rules.ticker_cap(symbol, held.equity) - standing * price
    yield of_ticker, Reason.TICKER_CAP, "TICKER_CAPS"
    of_strategy = rules.strategy_cap(request.signal.strategy, held.equity) - held.strategy_value
    yield of_strategy, Reason.STRATEGY_CAP, "STRATEGY_CAPS"
    in_all = rules.gross_exposure.of(held.equity) - held.gross
    yield in_all, Reason.GROSS_EXPOSURE_CAP, "MAX_GROSS_EXPOSURE_PCT"


# --- exposure down ------------------------------------------------------------------------------


def _sell_held(request: Request) -> Plan:
    held = request.holdings
    if held.available_qty <= 0:
        raise Refused(
            Reason.NOTHING_TO_SELL,
            f"{max(held.qty, ZERO):f} {request.asset.symbol} held, none free to sell",
        )
    price = request.price(Side.SELL)
    if _waits_for_profit(request) and price <= held.avg_entry:
        raise Refused(
            Reason.NOT_ABOVE_ENTRY, f"bid {price:f} is not above entry {held.avg_entry:f}"
        )
    return _reduce(request, Side.SELL, held.available_qty, price)


def _waits_for_profit(request: Request) -> bool:
    """SELL_ONLY_ABOVE_ENTRY: of ``all_in`` and the bare ``s`` only, so that one can always exit."""
    rules, signal = request.rules, request.signal
    bare = signal.size is None and signal.action is None
    return rules.sell_only_above_entry and rules.policy == "all_in" and bare


def _cover(request: Request) -> Plan:
    held = request.holdings
    coverable = -held.qty - held.pending_buy_qty
    if coverable <= 0:
        raise Refused(
            Reason.NOTHING_TO_COVER, f"no short {request.asset.symbol} is open and uncovered"
        )
    return _reduce(request, Side.BUY, coverable, request.price(Side.BUY))


def _reduce(request: Request, side: Side, most: Decimal, price: Decimal) -> Plan:
    """Up to what is there: a size stated in the signal may ask for less, never for more."""
    asked, stated = most, request.signal.size_kind
    if stated is SizeKind.QTY:
        asked = _stated(request)
    elif stated is SizeKind.NOTIONAL:
        asked = _shares_for(_stated(request), price)
    elif stated is SizeKind.WEIGHT:
        asked = _units(request, _stated(request) * request.holdings.equity, price)
    qty = min(asked, most)
    if stated is not SizeKind.QTY or qty < asked:  # a stated fraction is the gates' to refuse
        qty = _floored(request, qty)
    if qty <= 0:
        raise Refused(
            Reason.SIZE_TOO_SMALL, f"the size for {request.asset.symbol} rounds down to no share"
        )
    note = "limited to what is held" if most < asked else ""
    if qty < min(asked, most):
        note = "" if request.asset.is_crypto else "rounded down to whole shares"
    return Plan(side=side, qty=qty, price=price, opens=False, stated=stated is not None, note=note)


def _liquidate(request: Request) -> Plan:
    """Close whatever is open; a direction restricts it: ``s`` to longs, ``b`` to shorts."""
    side = request.signal.side
    if side is Side.BUY or (side is None and request.holdings.qty < 0):
        return _cover(request)
    return _sell_held(request)


# --- targets ------------------------------------------------------------------------------------


def difference(request: Request) -> Decimal:
    """Signed shares between the position wanted and everything held or pending.

    It may be more than is free to sell, or than is left to cover.

    Raises:
        Refused: no difference is known.
    """
    return _lack(request, _target(request))


def _target(request: Request) -> Decimal:
    """The position wanted, in shares."""
    held, symbol = request.holdings, request.asset.symbol
    target = _stated(request)
    if held.uncertain and target:
        raise Refused(
            Reason.EXPOSURE_UNCONFIRMED,
            f"executions of {symbol} may not be in the position yet, so no difference is known",
        )
    if request.signal.size_kind is SizeKind.TARGET_WEIGHT:
        # A limit below the market may be a sale's: it must not make the target larger.
        price = max(request.price(Side.BUY), request.seen(Side.BUY))
        target = _units(request, target * held.equity, price)
    return target


def _standing(held: Holdings) -> Decimal:
    """The position once all that is pending has filled, as far as a target may count on it."""
    standing = held.qty + held.pending_qty
    # A short sale that waits cannot be covered yet.
    return standing if held.qty < 0 else max(standing, ZERO)


def _lack(request: Request, target: Decimal) -> Decimal:
    """Signed difference to the target; of a pair nothing where fees took what is missing, or where
    what is too much cannot be sold.

    Publishing a target twice trades once: fees come off the coins that were bought for it, and dust
    stays behind a sale.
    """
    delta = _floored(request, target - _standing(request.holdings))
    if request.asset.is_crypto and (-request.least < delta < 0 or 0 < delta <= target * MOST_FEE):
        return ZERO
    return delta


def _to_target(request: Request) -> Plan:
    """Trade the difference."""
    held, target = request.holdings, _target(request)
    standing = _standing(held)
    delta = _lack(request, target)
    if delta == 0:
        why = f"{standing:f} {request.asset.symbol} held and pending are the target"
        raise Refused(Reason.AT_TARGET, why)
    if delta < 0:
        return _target_down(request, -delta)
    if held.qty < 0:
        return _target_cover(request, delta, target)
    price = request.price(Side.BUY)
    return Plan(side=Side.BUY, qty=delta, price=price, opens=True, stated=True)


def _target_down(request: Request, wanted: Decimal) -> Plan:
    held = request.holdings
    qty = _floored(request, min(wanted, held.available_qty))
    if qty <= 0:
        raise Refused(
            Reason.NOTHING_TO_SELL, f"{held.qty:f} {request.asset.symbol} held, none free to sell"
        )
    return Plan(side=Side.SELL, qty=qty, price=request.price(Side.SELL), opens=False, stated=True)


def _target_cover(request: Request, wanted: Decimal, target: Decimal) -> Plan:
    """Up to the short that no pending buy covers yet: crossing zero closes only."""
    held = request.holdings
    qty = _floored(request, min(wanted, -held.qty - held.pending_buy_qty))
    if qty <= 0:
        raise Refused(
            Reason.NOTHING_TO_COVER,
            f"{held.qty:f} {request.asset.symbol} held short, being covered already",
        )
    note = "TARGET_CLAMPED_AT_ZERO: crosses zero, closes only" if target > 0 else ""
    price = request.price(Side.BUY)
    return Plan(side=Side.BUY, qty=qty, price=price, opens=False, stated=True, note=note)
