"""The torture harness in its short form; ``scripts/torture`` runs it for as long as you like."""

from collections import Counter

import pytest

from tests.helpers.postgres_server import PostgresServer
from torture import report
from torture.plan import LIMITED, LOSING, PLAIN, SHARED, lives
from torture.runner import Orders, Torture

SEED = "20260306"
KILLS = 30
KINDS = (PLAIN, SHARED, LIMITED, LOSING)


@pytest.mark.timeout(300)
def test_kills_everywhere_among_faults_lose_and_double_nothing(
    redis_executable: str, postgres_server: PostgresServer
) -> None:
    """At least thirty kill -9, a round of each kind: all that must hold, holds.

    Among them one on PostgreSQL, in which a standby takes over from an instance that sleeps, and
    one whose request limit is met.
    """
    orders = Orders(
        seed=SEED,
        kills=44,
        per_round=16,
        side_by_side=3,
        seconds=240,
        terms=KINDS,
        ledger_server=postgres_server.url("postgres"),
    )
    said: list[str] = []
    torture = Torture(orders, said.append)
    held = torture.run()
    shown = f"seed {SEED}\n" + report.table(torture.results, torture.seconds)
    assert held, f"seed {SEED}\n{report.failures(torture.results, orders.per_round)}"
    assert torture.kills >= KILLS, shown
    posts = sum(result.posts for result in torture.results)
    assert sum(result.bad_posts for result in torture.results) >= 0.28 * posts, shown
    assert sum(result.orders for result in torture.results) >= KILLS, shown
    assert len(torture.results) == len(KINDS), shown
    happened = sum((result.faults for result in torture.results), Counter())
    assert happened["service slept through a takeover"], shown
    assert any(result.leased for result in torture.results), shown


def test_a_seed_gives_one_plan() -> None:
    """The same lives each time, other ones for another seed."""
    assert lives("7.1", 50) == lives("7.1", 50) != lives("7.2", 50)
