"""What all gates together cost: ``python -m benchmarks.gates``.

One signal that every gate lets through, with every limit set, so that none is skipped: the median
over batches, as microseconds and as a multiple of the floor, which calls as many functions that do
nothing. A denial is cheaper, since the gates after it are not asked.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

from benchmarks.report import goals, machine, table, write
from solution.book.assets import Asset
from solution.book.positions import Account, Holdings
from solution.book.prices import Quote
from solution.book.tallies import Tally
from solution.domain.day import Day
from solution.domain.market import Market
from solution.domain.orders import Side, TimeInForce
from solution.domain.signal import Signal
from solution.trading.gates import ORDER_GATES, SIGNAL_GATES, first_denial
from solution.trading.gates.view import Denial, Gate, GateRules, Resting, View
from solution.trading.plan import Plan

MOST_US = 30.0
BATCH = 500


def main() -> int:
    """Run and report; 0 when the goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    view = passing()
    gates = (*SIGNAL_GATES, *ORDER_GATES)
    denial = first_denial(gates, view)
    if denial is not None:
        print(f"the signal that is to pass is refused: {denial}", file=sys.stderr)
        return 1
    nothing = tuple(_nothing for _ in gates)
    measured, floor = side_by_side(lambda: first_denial(gates, view), nothing, view, asked.batches)
    slowest = sorted(((cost(gate, view), gate.__name__) for gate in gates), reverse=True)[:8]
    print(f"{len(gates)} gates together: median {measured:.2f} µs, {measured / floor:.1f} x floor")
    print(table(("dearest", "µs"), [(name, took) for took, name in slowest]))
    reached = measured <= MOST_US
    print(goals([(f"at most {MOST_US:g} µs together", reached)]))
    result = {"gates": len(gates), "median_us": measured, "floor_us": floor, "slowest": slowest}
    write("gates", {"machine": machine(), **result}, asked.json)
    return 0 if reached else 1


def side_by_side(
    run: Callable[[], Denial | None], nothing: Sequence[Gate], view: View, batches: int
) -> tuple[float, float]:
    """Median microseconds of one call each, batch by batch in turn: the machine is not quiet."""
    taken: list[float] = []
    floor: list[float] = []
    for _ in range(batches):
        taken.append(batch(run))
        floor.append(batch(lambda: first_denial(nothing, view)))
    return median(taken), median(floor)


def batch(run: Callable[[], object]) -> float:
    """Microseconds of one call, over many."""
    began = time.perf_counter()
    for _ in range(BATCH):
        run()
    return (time.perf_counter() - began) / BATCH * 1e6


def cost(gate: Gate, view: View) -> float:
    """Median microseconds of one gate."""
    return median(batch(lambda: gate(view)) for _ in range(20))


def _nothing(_view: View) -> None:
    return None


def passing() -> View:
    """A buy that every gate has to look at and lets pass."""
    many = Decimal(10**9)
    return View(
        signal=Signal(
            stream="nvda",
            entry_id="1-0",
            ticker="NVDA",
            digest="d",
            side=Side.BUY,
            strategy="sma",
            max_age=Decimal(30),
        ),
        asset=Asset.of_row(["id", "NVDA", "us_equity", 7]),
        rules=GateRules(
            allowed_symbols=frozenset({"NVDA"}),
            denied_symbols=frozenset({"TSLA"}),
            max_order_qty=many,
            max_spread_bps=Decimal(500),
            price_collar_pct=Decimal("0.1"),
            max_trades_per_day=500,
            max_orders_per_minute=100,
            max_orders_per_minute_per_ticker=60,
            max_daily_loss_pct=Decimal("0.05"),
            max_drawdown_pct=Decimal("0.05"),
        ),
        market=Market(is_open=True, at=datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
        age=0.01,
        starved=0.0,
        waited=0.01,
        account=Account("a", Decimal(100_000), Decimal(100_000), Decimal(200_000)),
        day=Day(Decimal(100_000), Decimal(101_000)),
        quote=Quote("NVDA", Decimal(99), Decimal(100), Decimal("99.5"), None, None, 0.0),
        price_age=0.1,
        quote_age=0.2,
        plan=Plan(side=Side.BUY, qty=Decimal(10), price=Decimal(100), opens=True),
        time_in_force=TimeInForce.IOC,
        holdings=Holdings(
            equity=Decimal(100_000),
            cash=Decimal(100_000),
            buying_power=Decimal(200_000),
            qty=Decimal(10),
            available_qty=Decimal(10),
            pending_qty=Decimal(0),
            pending_buy_qty=Decimal(0),
            avg_entry=Decimal(90),
            gross=Decimal(1_000),
            strategy_value=Decimal(1_000),
            tally=Tally(10, 5, 2),
        ),
        resting=(Resting("buy", Decimal(90)),),
        position_cap=many,
        ticker_cap=many,
        strategy_cap=many,
        gross_cap=many,
        notional_cap=many,
    )


if __name__ == "__main__":
    sys.exit(main())
