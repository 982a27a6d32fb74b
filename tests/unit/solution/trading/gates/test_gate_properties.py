"""Every gate against a sentence of its own, over any picture; and the order of all of them.

The table below says in other words than the gates when each must refuse. A gate without a row, or a
row without a gate, fails.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from solution.book.assets import Asset
from solution.book.positions import Account, Holdings
from solution.book.prices import Quote
from solution.book.tallies import Tally
from solution.domain.day import Day
from solution.domain.market import Market
from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Action, Signal, SizeKind
from solution.domain.signing import KeyLimit
from solution.domain.trading_state import Restriction, TradingState
from solution.session import cls_window_open, extended_session, opg_window_open
from solution.trading.gates import ORDER_GATES, SIGNAL_GATES, first_denial
from solution.trading.gates.view import GateRules, Resting, View
from solution.trading.plan import Plan

GATES = {gate.__name__: gate for gate in (*SIGNAL_GATES, *ORDER_GATES)}
SMALL = st.decimals("0", "40", places=1)
PRICES = st.decimals("0.1", "40", places=1)
SECONDS = st.floats(0, 100)
FLAG = st.booleans()
WORDS = st.sampled_from([None, "somebody said so"])
RESTRICTIONS = st.none() | st.builds(
    Restriction,
    state=st.sampled_from(TradingState),
    reason=st.sampled_from([Reason.TRADING_HALTED, Reason.REDUCING_ONLY]),
    message=st.just("somebody said so"),
)
MOMENTS = st.integers(0, 4 * 365 * 24 * 60).map(
    lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    """Of any kind that gates tell apart; consistent enough to be sized."""
    order_type = draw(st.sampled_from([None, *OrderType]))
    limits = {OrderType.LIMIT, OrderType.STOP_LIMIT}
    stops = {OrderType.STOP, OrderType.STOP_LIMIT}
    return Signal(
        stream="nvda",
        entry_id="1-0",
        ticker="NVDA",
        digest="d",
        side=draw(st.sampled_from(Side)),
        action=draw(st.sampled_from([None, Action.SHORT_SELL, Action.BUY_LONG])),
        order_type=order_type,
        limit_price=draw(PRICES) if order_type in limits else None,
        stop_price=draw(PRICES) if order_type in stops else None,
        take_profit=draw(st.none() | PRICES),
        extended_hours=draw(FLAG),
        max_age=draw(st.none() | PRICES),
        size_kind=draw(st.sampled_from([None, SizeKind.QTY])),
        strategy="sma",
        kid=draw(st.sampled_from(["", "k1", "k2"])),
    )


@st.composite
def views(draw: st.DrawFn) -> View:
    """Any picture; what cannot be (a plan of nothing) is left out."""
    account = Account(
        "a",
        draw(SMALL),
        Decimal(100),
        Decimal(100),
        blocked=draw(FLAG),
        shorting_enabled=draw(FLAG),
    )
    quote = Quote("NVDA", *(draw(st.none() | SMALL) for _ in range(3)), None, None, 0.0)
    plan = Plan(
        side=draw(st.sampled_from(Side)),
        qty=draw(SMALL),
        price=draw(SMALL),
        opens=draw(FLAG),
        notional=draw(st.none() | SMALL),
    )
    held = Holdings(
        equity=Decimal(100),
        cash=Decimal(100),
        buying_power=draw(SMALL),
        qty=draw(SMALL),
        available_qty=Decimal(0),
        pending_qty=Decimal(0),
        pending_buy_qty=draw(SMALL),
        avg_entry=Decimal(0),
        uncertain=draw(FLAG),
        gross=draw(SMALL),
        strategy_value=draw(SMALL),
        tally=Tally(*(draw(st.integers(0, 9)) for _ in range(3))),
    )
    symbols = st.frozensets(st.sampled_from(["NVDA", "TSLA"]))
    rules = GateRules(
        allow_short=draw(FLAG),
        allow_extended_hours=draw(FLAG),
        queue_when_closed=draw(FLAG),
        allowed_symbols=draw(symbols),
        denied_symbols=draw(symbols),
        max_signal_age=50.0,
        max_queue_wait=50.0,
        max_price_age=50.0,
        max_quote_age=draw(st.sampled_from([0.0, 50.0])),
        max_order_qty=draw(SMALL),
        max_spread_bps=draw(st.none() | st.just(Decimal(500))),
        price_collar_pct=draw(st.none() | st.just(Decimal("0.1"))),
        max_trades_per_day=draw(st.integers(0, 9)),
        max_orders_per_minute=draw(st.integers(0, 9)),
        max_orders_per_minute_per_ticker=draw(st.integers(0, 9)),
        exits_cancel_resting=draw(FLAG),
        max_daily_loss_pct=draw(st.none() | st.just(Decimal("0.5"))),
        max_drawdown_pct=draw(st.none() | st.just(Decimal("0.5"))),
        key_limits=draw(
            st.just({})
            | st.dictionaries(
                st.sampled_from(["k1", "k2"]), st.builds(KeyLimit, symbols, st.none() | SMALL)
            )
        ),
    )
    resting = st.builds(Resting, st.sampled_from(["buy", "sell"]), st.none() | SMALL, exempt=FLAG)
    return View(
        signal=draw(signals()),
        asset=Asset(
            "id", "NVDA", draw(st.sampled_from(["us_equity", "us_option"])), *(draw(FLAG),) * 3
        ),
        rules=rules,
        market=Market(is_open=draw(st.none() | FLAG), at=draw(MOMENTS)),
        age=draw(SECONDS),
        starved=draw(st.sampled_from([0.0, 20.0])),
        waited=draw(SECONDS),
        killed=draw(WORDS),
        restriction=draw(RESTRICTIONS),
        breaker=draw(WORDS),
        live=draw(WORDS),
        duplicate_of=draw(st.none() | st.just("1-1")),
        account=draw(st.none() | st.just(account)),
        day=draw(st.none() | st.builds(Day, SMALL, SMALL)),
        halted=draw(WORDS),
        quote=draw(st.none() | st.just(quote)),
        price_age=draw(st.none() | SECONDS),
        quote_age=draw(st.none() | SECONDS),
        unconfirmed=draw(FLAG),
        plan=plan,
        time_in_force=draw(st.sampled_from(TimeInForce)),
        holdings=held,
        resting=tuple(draw(st.lists(resting, max_size=2))),
        position_cap=draw(SMALL),
        ticker_cap=draw(SMALL),
        strategy_cap=draw(SMALL),
        gross_cap=draw(SMALL),
        notional_cap=draw(SMALL),
    )


def _opens(view: View) -> bool:
    return bool(view.plan and view.plan.opens)


def _state(view: View) -> TradingState:
    return view.restriction.state if view.restriction else TradingState.ACTIVE


def _standing(view: View) -> Decimal:
    assert view.plan is not None
    assert view.holdings is not None
    held = view.holdings.most_long if view.plan.side == "buy" else view.holdings.most_short
    return (held + view.plan.qty) * view.plan.price


def _worth(view: View) -> Decimal:
    assert view.plan is not None
    return view.plan.value


def _closed(view: View) -> bool:
    at, tif = view.market.at, view.time_in_force
    if tif is TimeInForce.OPG:
        return not opg_window_open(at)
    if tif is TimeInForce.CLS:
        return not cls_window_open(at)
    if view.market.is_open:
        return False
    if view.market.is_open is None:
        return True
    queues = tif in {TimeInForce.DAY, TimeInForce.GTC} and view.rules.queue_when_closed
    return not queues and not (view.signal.extended_hours and extended_session(at) != "closed")


def _stale_quote(view: View) -> bool:
    auction = view.time_in_force in {TimeInForce.OPG, TimeInForce.CLS}
    extended = view.signal.extended_hours and extended_session(view.market.at) != "closed"
    trades = not auction and (view.market.is_open or extended)
    return bool(
        view.rules.max_quote_age and trades and (view.quote_age is None or view.quote_age > 50)
    )


def _spread(view: View) -> bool:
    quote, signal = view.quote, view.signal
    stops = {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}
    own_price = signal.limit_price is not None or signal.order_type in stops
    if view.rules.max_spread_bps is None or quote is None or own_price or not _opens(view):
        return False
    if not view.trades_now:
        return False
    if not quote.bid or not quote.ask:
        return True
    return (quote.ask - quote.bid) / ((quote.ask + quote.bid) / 2) > Decimal("0.05")


def _collar(view: View) -> bool:
    quote, signal, plan = view.quote, view.signal, view.plan
    assert plan is not None
    if view.rules.price_collar_pct is None or quote is None:
        return False
    if signal.limit_price is None and not plan.opens:
        return False
    stop = signal.order_type in {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}
    around = signal.stop_price if stop and signal.stop_price is not None else quote.last
    if not around:
        return True
    price = signal.limit_price
    if price is None:
        if stop:
            return False
        price = plan.price if plan.side == "buy" else quote.sell_price
    if price is None:
        return False
    beyond = price - around if plan.side == "buy" else around - price
    return beyond > around / 10


def _washes(view: View) -> bool:
    plan, signal = view.plan, view.signal
    assert plan is not None
    exempt = signal.has_legs or signal.order_type is OrderType.TRAILING_STOP
    if exempt or (view.rules.exits_cancel_resting and not plan.opens):
        return False
    mine = signal.limit_price
    for other in view.resting:
        if other.exempt or other.side == plan.side:
            continue
        if mine is None or other.limit_price is None:
            return True
        buy, sell = (mine, other.limit_price) if plan.side == "buy" else (other.limit_price, mine)
        if buy >= sell:
            return True
    return False


def _lost(view: View, fraction: Decimal | None, *, peak: bool) -> bool:
    if fraction is None or not _opens(view):
        return False
    if view.account is None or view.day is None:
        return True
    lost = (view.day.peak if peak else view.day.opening) - view.account.equity
    return lost > 0 and lost >= view.day.opening / 2


def _foreign_symbol(view: View) -> bool:
    limits, kid = view.rules.key_limits, view.signal.kid
    if not limits:
        return False
    return kid not in limits or limits[kid].symbols == {"TSLA"}


def _key_notional(view: View) -> Decimal:
    limit = view.rules.key_limits.get(view.signal.kid)
    most = limit.max_notional if limit else None
    return Decimal("Infinity") if most is None else most


REFUSES: dict[str, Callable[[Any], bool]] = {
    "kill_switch": lambda v: v.killed is not None,
    "trading_state": lambda v: (
        _state(v) is TradingState.HALTED
        or (_state(v) is TradingState.REDUCING and v.signal.action is not None)
    ),
    "live_guard": lambda v: v.live is not None,
    "account_blocked": lambda v: v.account is not None and v.account.blocked,
    "ticker_halted": lambda v: v.halted is not None,
    "signal_age": lambda v: (
        v.age - v.starved > min(50, float(50 if v.signal.max_age is None else v.signal.max_age))
    ),
    "queue_wait": lambda v: v.waited > 50,
    "duplicate": lambda v: v.duplicate_of is not None,
    "asset_class": lambda v: v.asset.asset_class != "us_equity",
    "symbol_lists": lambda v: (
        "NVDA" in v.rules.denied_symbols or v.rules.allowed_symbols == {"TSLA"}
    ),
    "key_symbols": _foreign_symbol,
    "tradable": lambda v: not v.asset.tradable,
    "short_allowed": lambda v: (
        v.signal.action is Action.SHORT_SELL
        and not (
            v.rules.allow_short
            and v.asset.shortable
            and (v.account is None or v.account.shorting_enabled)
        )
    ),
    "extended_hours": lambda v: v.signal.extended_hours and not v.rules.allow_extended_hours,
    "price_age": lambda v: v.quote is None or v.price_age is None or v.price_age > 50,
    "quote_age": _stale_quote,
    "reducing": lambda v: (
        _state(v) is TradingState.HALTED or (_state(v) is TradingState.REDUCING and _opens(v))
    ),
    "breaker": lambda v: v.breaker is not None and _opens(v),
    "daily_loss": lambda v: _lost(v, v.rules.max_daily_loss_pct, peak=False),
    "drawdown": lambda v: _lost(v, v.rules.max_drawdown_pct, peak=True),
    "market_open": _closed,
    "exposure_confirmed": lambda v: _opens(v) and (v.unconfirmed or v.holdings.uncertain),
    "fractionable": lambda v: (
        (v.plan.notional is not None or v.plan.qty % 1 != 0)
        and (not v.asset.fractionable or (_opens(v) and v.plan.side == "sell"))
    ),
    "order_qty": lambda v: _opens(v) and 0 < v.rules.max_order_qty < v.plan.qty,
    "order_notional": lambda v: _opens(v) and _worth(v) > v.notional_cap,
    "key_limit": lambda v: _opens(v) and _worth(v) > _key_notional(v),
    "spread": _spread,
    "collar": _collar,
    "position_cap": lambda v: _opens(v) and _standing(v) > v.position_cap,
    "ticker_cap": lambda v: _opens(v) and _standing(v) > v.ticker_cap,
    "strategy_cap": lambda v: _opens(v) and v.holdings.strategy_value + _worth(v) > v.strategy_cap,
    "gross_exposure": lambda v: _opens(v) and v.holdings.gross + _worth(v) > v.gross_cap,
    "trades_per_day": lambda v: (
        _opens(v) and 0 < v.rules.max_trades_per_day <= v.holdings.tally.today
    ),
    "orders_per_minute": lambda v: (
        _opens(v)
        and (
            0 < v.rules.max_orders_per_minute <= v.holdings.tally.minute
            or 0 < v.rules.max_orders_per_minute_per_ticker <= v.holdings.tally.ticker_minute
        )
    ),
    "wash_trade": _washes,
    "buying_power": lambda v: _opens(v) and v.plan.cost > v.holdings.buying_power,
}


def test_every_gate_has_its_sentence() -> None:
    """Neither a gate that nothing is said of, nor a sentence about none."""
    assert set(REFUSES) == set(GATES)


@settings(max_examples=150, deadline=None)
@given(view=views())
def test_each_gate_refuses_exactly_when_its_sentence_says(view: View) -> None:
    """And explains itself in one line when it does. Of all that would refuse the first is told."""
    found = {name: gate(view) for name, gate in GATES.items()}
    said = {name for name, denial in found.items() if denial is not None}
    assert said == {name for name, refuses in REFUSES.items() if refuses(view)}
    denials = [denial for denial in found.values() if denial is not None]
    assert all(denial.message.isprintable() and denial.message for denial in denials)
    told = first_denial((*SIGNAL_GATES, *ORDER_GATES), view)
    assert told == (denials[0] if denials else None)


@settings(max_examples=40, deadline=None)
@given(view=views())
def test_an_exit_is_held_up_by_no_limit(view: View) -> None:
    """What only reduces is stopped by state, session and broker, never by what limits exposure."""
    assert view.plan is not None
    view.plan = view.plan._replace(opens=False)
    limits = ("order_qty", "order_notional", "position_cap", "ticker_cap", "strategy_cap")
    keys = ("key_limit",)
    counts = ("gross_exposure", "trades_per_day", "orders_per_minute", "breaker", "buying_power")
    losses = ("daily_loss", "drawdown")
    assert [GATES[name](view) for name in (*limits, *keys, *counts, *losses)] == [None] * 13
