"""From a signal and a picture to a reserved order: sizing, the order gates, the exact request.

Pure arithmetic, run inside the portfolio's mutex: what the gates saw is what is reserved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.book.reservations import Reservation
from solution.domain.order_state import decimal_or_none
from solution.domain.orders import OrderRequest, OrderType, Side, TimeInForce, client_order_id
from solution.domain.reasons import Reason
from solution.domain.records import Intent, State
from solution.domain.signal import Action, Signal, SizeKind
from solution.domain.signal_rules import (
    check_pair,
    check_time_in_force,
    default_time_in_force,
    stated_fraction,
)
from solution.errors import Refused
from solution.trading.gates import ORDER_GATES, SIGNAL_GATES, first_denial
from solution.trading.gates.view import Denial, GateRules, View
from solution.trading.plan import SHORT_SALE_MARKUP, Plan, Request, SizingRules
from solution.trading.pricing import collared, rounded
from solution.trading.sizing import size
from solution.trading.targets import difference
from solution.trading.work import Work

_AT_MARKET = frozenset({None, OrderType.MARKET})
_PRICES = ("limit_price", "stop_price", "trail_price")
_LEGS = ("take_profit", "stop_loss", "stop_loss_limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRules:
    """Settings of the order path; ``ordered`` is False with ``--ordering none``.

    ``account_id`` is the account that the service was started on; empty = whichever answers.
    """

    deployment: str
    gates: GateRules
    sizing: SizingRules
    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.IOC
    limit_collar_bps: Decimal = Decimal(0)
    dry_run: bool = False
    ordered: bool = True
    account_id: str = ""


DRIFT = Decimal("1.02")
"""How far a price may run from the decision to a later POST of the same body before caps count with
it. Sizes are clamped to the caps: without this the first cent would cost the signal."""


_SETTLED_BY_CANCELS = frozenset(
    {
        Reason.AT_TARGET,
        Reason.NOTHING_TO_SELL,
        Reason.NOTHING_TO_COVER,
        Reason.INSUFFICIENT_BUYING_POWER,
        Reason.WASH_TRADE,
    }
)
"""Refusals that do not speak against cancelling: nothing is left to do then, or the cancels give
back what is missing now."""


def fill_in(intent: Intent, order: Mapping[str, Any], sent_ms: int) -> None:
    """Fill in what the broker's order says, for a row whose order exists already."""
    intent.side = str(order.get("side") or "")
    intent.qty = decimal_or_none(order.get("qty"))
    intent.notional = decimal_or_none(order.get("notional"))
    intent.order_type = str(order.get("type") or "")
    intent.time_in_force = str(order.get("time_in_force") or "")
    intent.limit_price = decimal_or_none(order.get("limit_price"))
    intent.submitted_ms = intent.created_ms = intent.updated_ms = sent_ms
    qty = intent.qty or Decimal(0)
    intent.reserved_qty = qty
    if intent.side == Side.BUY:
        intent.reserved_cash = qty * (intent.limit_price or Decimal(1))


def _moved(signal: Signal, request: OrderRequest) -> str:
    """Which of the signal's prices are sent as another one, for the order's note."""
    if signal.order_type in _AT_MARKET and not signal.has_legs:
        return ""  # no price is the signal's own, and nearly every signal is like this
    moved = []
    for name in (*_PRICES, *_LEGS):
        said, sent = getattr(signal, name), getattr(request, name)
        if said is not None and sent is not None and said != sent:
            moved.append(f"{name}={said:f} is sent as {sent:f}")
    return ", ".join(moved) + ": the exchange's grid" if moved else ""


class Composer:
    """Builds intents and their reservations. Stateless."""

    def __init__(self, rules: PipelineRules) -> None:
        self._rules = rules

    def blank(self, work: Work, state: State) -> Intent:
        """A row about the signal before anything of an order is decided."""
        signal = work.signal
        return Intent(
            identity=signal.identity,
            digest=signal.digest,
            stream=signal.stream,
            entry_id=signal.entry_id,
            client_order_id=self.client_order_id(signal),
            state=state,
            signal_id=signal.signal_id,
            symbol=work.asset.symbol,
            asset_id=work.asset.id,
            strategy=signal.strategy,
            extra=signal.extra,
            published_ms=signal.oldest_ms(),
            received_ms=work.received_ms,
        )

    def found(self, work: Work, order: Mapping[str, Any], now_ms: int) -> Intent:
        """A row for an order that is at the broker already: its fields, not a new decision."""
        intent = self.blank(work, State.SUBMITTING)
        intent.cancel_after = work.signal.cancel_after
        fill_in(intent, order, now_ms)
        return intent

    def client_order_id(self, signal: Signal) -> str:
        return client_order_id(self._rules.deployment, signal.identity)

    def decide(self, work: Work, view: View, held: Holdings) -> tuple[Reservation, Intent]:
        """The order and what it holds.

        Raises:
            Refused: the size or a gate said no.
            SignalError: fields that turn out impossible together once the size is known.
        """
        signal, sizing = work.signal, self._rules.sizing
        quote = self._worst(signal, _known(view, work))
        plan = size(Request(signal, held, quote, work.asset, sizing))
        crypto = work.asset.is_crypto
        tif = self._time_in_force(signal, fractional=plan.fractional, crypto=crypto)
        if crypto:
            check_pair(signal)  # the asset tells for certain, which the ticker's spelling may not
        check_time_in_force(signal, tif, fractional=plan.fractional, crypto=crypto)
        # The picture is this decision's own: completed in place, since a copy costs as much as all
        # the gates together.
        view.plan = plan
        view.time_in_force = tif
        self._complete(view, held)
        denial = first_denial(ORDER_GATES, view)
        if denial is not None:
            raise Refused(denial.reason, denial.message)
        intent = self._intent(work, plan, tif)
        return self._reservation(intent, plan), intent

    def judge(self, intent: Intent, view: View, held: Holdings) -> Denial | None:
        """All gates over an order that was decided before and is about to be sent (again).

        Args:
            held: without what the order itself has reserved.
        """
        view.time_in_force = TimeInForce(intent.time_in_force)
        denial = first_denial(SIGNAL_GATES, view)
        if denial is not None:
            return denial
        view.plan = self._as_planned(intent, view)
        self._complete(view, held)
        return first_denial(ORDER_GATES, view)

    def _complete(self, view: View, held: Holdings) -> None:
        """What the order's gates compare with, once the account is known."""
        sizing, equity = self._rules.sizing, held.equity
        view.holdings = held
        view.position_cap = sizing.position_cap(equity)
        view.notional_cap = sizing.notional_cap(equity)
        view.gross_cap = sizing.gross_exposure.of(equity)
        view.ticker_cap = sizing.ticker_cap(view.asset.symbol, equity)
        view.strategy_cap = sizing.strategy_cap(view.signal.strategy, equity)

    def _as_planned(self, intent: Intent, view: View) -> Plan:
        side, qty = Side(intent.side), intent.reserved_qty
        opens = intent.reserved_cash > 0
        price = intent.reserved_cash / qty if opens else Decimal(0)
        if side is Side.SELL:
            price /= SHORT_SALE_MARKUP
        seen = view.quote and (view.quote.buy_price if side is Side.BUY else view.quote.sell_price)
        if opens:
            price = max(price, (seen or Decimal(0)) / DRIFT, intent.limit_price or Decimal(0))
        return Plan(side=side, qty=qty, price=price, opens=opens, notional=intent.notional)

    def expected_time(self, signal: Signal, *, crypto: bool = False) -> TimeInForce:
        """The time in force as far as it shows before the size."""
        return self._time_in_force(signal, fractional=stated_fraction(signal), crypto=crypto)

    def toward_target(
        self, work: Work, view: View, held: Holdings
    ) -> tuple[Decimal, Decimal | None]:
        """Signed shares that a target lacks, and the limit of an order for them (None: any price).

        Raises:
            Refused: what it lacks is not known.
        """
        signal, sizing = work.signal, self._rules.sizing
        quote = self._worst(signal, _known(view, work))
        request = Request(signal, held, quote, work.asset, sizing)
        lack = difference(request)
        if not lack:
            return lack, None
        side = Side.BUY if lack > 0 else Side.SELL
        price = request.price(side)
        plan = Plan(side=side, qty=abs(lack), price=price, opens=False, stated=True)
        _, limit = self._terms(work, plan)
        return lack, rounded(limit, side, work.asset.price_increment)

    def check_freed(self, work: Work, view: View, freed: Holdings) -> None:
        """Before resting orders are cancelled for a signal: whether it would trade without them.

        Args:
            freed: what is held when they are gone.

        Raises:
            Refused: else a protective stop would be cancelled for nothing.
            SignalError: as :meth:`decide`.
        """
        try:
            self.decide(work, view, freed)
        except Refused as e:
            if e.reason not in _SETTLED_BY_CANCELS:
                raise

    def _time_in_force(self, signal: Signal, *, fractional: bool, crypto: bool) -> TimeInForce:
        """A collared order does not rest at its worst price, whatever TIME_IN_FORCE says."""
        collared_ioc = self._is_collared(signal)
        configured = TimeInForce.IOC if collared_ioc else self._rules.time_in_force
        return default_time_in_force(signal, configured, fractional=fractional, crypto=crypto)

    def _is_collared(self, signal: Signal) -> bool:
        """Whether a market order is meant, said or not, and a limit is to be sent instead."""
        return signal.order_type in _AT_MARKET and self._rules.limit_collar_bps > 0

    def _worst(self, signal: Signal, quote: Quote) -> Quote:
        """Buys are sized, capped and reserved at the highest price that the collar accepts.

        Sales count at the bid, where they fill: a short sale valued at its collar would be larger
        than its caps allow.
        """
        ask = quote.buy_price
        if ask is None or signal.action is Action.SHORT_SELL or not self._is_collared(signal):
            return quote
        return replace(quote, ask=collared(ask, Side.BUY, self._rules.limit_collar_bps))

    def _reservation(self, intent: Intent, plan: Plan) -> Reservation:
        coid, symbol = intent.client_order_id, intent.symbol
        return Reservation(
            coid, symbol, plan.side, plan.qty, plan.charge, plan.opens, intent.strategy
        )

    def _intent(self, work: Work, plan: Plan, tif: TimeInForce) -> Intent:
        intent = self.blank(work, State.SUBMITTING)
        request = self._request(work, plan, tif, intent.client_order_id)
        intent.side = plan.side.value
        intent.qty = request.qty
        intent.notional = plan.notional
        intent.order_type = request.order_type.value
        intent.time_in_force = tif.value
        intent.limit_price = request.limit_price
        intent.body = request.body()
        intent.cancel_after = work.signal.cancel_after
        intent.message = "; ".join(filter(None, (plan.note, _moved(work.signal, request))))
        intent.reserved_qty = plan.qty
        intent.reserved_cash = plan.qty * plan.charge if plan.opens else Decimal(0)
        return intent

    def _request(self, work: Work, plan: Plan, tif: TimeInForce, coid: str) -> OrderRequest:
        signal = work.signal
        order_type, limit = self._terms(work, plan)
        step = work.asset.price_increment
        leaving = Side.SELL if plan.side is Side.BUY else Side.BUY
        return OrderRequest(
            symbol=work.asset.symbol,
            side=plan.side,
            order_type=order_type,
            time_in_force=tif,
            client_order_id=coid,
            qty=None if plan.notional is not None else plan.qty,
            notional=plan.notional,
            limit_price=rounded(limit, plan.side, step),
            stop_price=rounded(signal.stop_price, plan.side, step),
            # A distance, not a price: either way a shorter one is the safe one.
            trail_price=rounded(signal.trail_price, Side.BUY),
            trail_percent=signal.trail_percent,
            take_profit=rounded(signal.take_profit, leaving),
            stop_loss=rounded(signal.stop_loss, leaving),
            stop_loss_limit=rounded(signal.stop_loss_limit, leaving),
            extended_hours=signal.extended_hours,
        )

    def _terms(self, work: Work, plan: Plan) -> tuple[OrderType, Decimal | None]:
        """The order's type and its limit."""
        signal, asset = work.signal, work.asset
        if not self._is_collared(signal):
            return signal.order_type or self._rules.order_type, signal.limit_price
        day_only = plan.fractional and not asset.is_crypto
        if day_only or signal.size_kind is SizeKind.NOTIONAL:
            # These must be day orders, where a limit would rest: they stay market orders.
            return OrderType.MARKET, None
        if plan.side is Side.BUY:
            return OrderType.LIMIT, plan.price  # collared before it was sized
        worst = collared(plan.price, Side.SELL, self._rules.limit_collar_bps, asset.price_increment)
        return OrderType.LIMIT, worst


def _known(view: View, work: Work) -> Quote:
    if view.quote is None:  # the price gate refused it already
        raise Refused(Reason.STALE_PRICE, f"no price of {work.asset.symbol}")
    return view.quote
