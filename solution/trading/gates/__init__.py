"""Every check between a signal and its order, in the one order they run in.

A gate is a function from a :class:`~solution.trading.gates.view.View` to a
:class:`~solution.trading.gates.view.Denial` or None. It does no I/O and holds no lock of its own.
"""

from collections.abc import Iterable

from solution.trading.gates import (
    account_gates,
    intake_gates,
    limit_gates,
    order_gates,
    price_gates,
    signal_gates,
)
from solution.trading.gates.view import Denial, Gate, View

SIGNAL_GATES: tuple[Gate, ...] = (
    signal_gates.kill_switch,
    signal_gates.trading_state,
    signal_gates.live_guard,
    signal_gates.account_blocked,
    signal_gates.ticker_halted,
    signal_gates.signal_age,
    signal_gates.queue_wait,
    signal_gates.duplicate,
    signal_gates.asset_class,
    signal_gates.symbol_lists,
    intake_gates.key_symbols,
    signal_gates.tradable,
    signal_gates.short_allowed,
    signal_gates.extended_hours,
    signal_gates.price_age,
    signal_gates.quote_age,
)
"""Judge the signal, before a size is known."""

ORDER_GATES: tuple[Gate, ...] = (
    order_gates.reducing,
    order_gates.breaker,
    account_gates.daily_loss,
    account_gates.drawdown,
    order_gates.market_open,
    order_gates.exposure_confirmed,
    order_gates.fractionable,
    order_gates.order_qty,
    order_gates.order_notional,
    intake_gates.key_limit,
    price_gates.spread,
    price_gates.collar,
    order_gates.position_cap,
    limit_gates.ticker_cap,
    limit_gates.strategy_cap,
    limit_gates.gross_exposure,
    limit_gates.trades_per_day,
    limit_gates.orders_per_minute,
    price_gates.wash_trade,
    order_gates.buying_power,
)
"""Judge the order, inside the portfolio's mutex, so that what they saw is what is reserved."""


def first_denial(gates: Iterable[Gate], view: View) -> Denial | None:
    """The first gate that says no, or None."""
    for gate in gates:
        denial = gate(view)
        if denial is not None:
            return denial
    return None
