"""The scalper's last minutes, replayed; ``python -m torture.scalper_day`` plays the whole day."""

from dataclasses import replace
from pathlib import Path

import pytest

from torture.scalper_day import play
from torture.scalper_plan import CLOSES, MINUTE, Crash, Plan, compare

ROOT = Path(__file__).resolve().parents[2]
BEGINS = CLOSES - 20 * MINUTE
KINDS = (
    *("buy limit filled", "buy limit canceled", "sell limit filled"),
    *("sell limit canceled", "sell market filled"),  # the liquidation
)
#: Before a step, in the midst of what follows it, and around the liquidation.
CRASHES = {
    BEGINS + 3 * MINUTE: [Crash("service", None)],
    BEGINS + 5 * MINUTE: [Crash("scalper", None)],
    BEGINS + 9 * MINUTE: [Crash("scalper", 0.02), Crash("service", 0.0)],
    BEGINS + 12 * MINUTE: [Crash("service", 0.01)],
    CLOSES - 5 * MINUTE: [Crash("scalper", 0.01), Crash("service", 0.02)],
}


@pytest.mark.timeout(240)
def test_a_day_leads_to_the_same_orders_whatever_dies_on_the_way(
    redis_executable: str, tmp_path: Path
) -> None:
    """Purchases, sales, cancels and a liquidation; undisturbed twice, and with kill -9."""
    plan = Plan(begins=BEGINS, held="F")
    first = play(tmp_path / "first", plan)
    assert min(first.counts[kind] for kind in KINDS) > 0, first.counts
    compare(first, play(tmp_path / "again", plan))
    crashed = play(tmp_path / "crashed", replace(plan, crashes=CRASHES))
    assert crashed.kills == 7
    compare(first, crashed)


@pytest.mark.timeout(120)
def test_the_example_trades_and_the_service_cancels_what_rests(
    redis_executable: str, tmp_path: Path
) -> None:
    """examples/scalper/my_scalp.py, through everything; AAPL does not come back to its price."""
    algo = f"{ROOT / 'examples/scalper/my_scalp.py'}:MyScalpAlgo"
    plan = Plan(begins=CLOSES - 20 * MINUTE, algo=algo, cancel_after="3")
    orders = play(tmp_path / "example", plan).orders
    assert ("buy", "limit", "7", "258.96", "0", "canceled") in orders["AAPL"], orders
    assert ("buy", "limit") in [order[:2] for order in orders["TSLA"]], orders
