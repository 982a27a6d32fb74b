"""The torture harness in its short form; ``scripts/torture`` runs it for as long as you like."""

import pytest

from torture import report
from torture.plan import lives
from torture.runner import Orders, Torture

SEED = "20260306"
KILLS = 30


@pytest.mark.timeout(300)
def test_kills_everywhere_among_faults_lose_and_double_nothing(redis_executable: str) -> None:
    """At least thirty kill -9, half of the POSTs answered badly: all that must hold, holds."""
    orders = Orders(seed=SEED, kills=48, per_round=24, side_by_side=2, seconds=240)
    said: list[str] = []
    torture = Torture(orders, said.append)
    held = torture.run()
    shown = f"seed {SEED}\n" + report.table(torture.results, torture.seconds)
    assert held, f"seed {SEED}\n{report.failures(torture.results, orders.per_round)}"
    assert torture.kills >= KILLS, shown
    posts = sum(result.posts for result in torture.results)
    assert sum(result.bad_posts for result in torture.results) >= 0.28 * posts, shown
    assert sum(result.orders for result in torture.results) >= KILLS, shown


def test_a_seed_gives_one_plan() -> None:
    """The same lives each time, other ones for another seed."""
    assert lives("7.1", 50) == lives("7.1", 50) != lives("7.2", 50)
