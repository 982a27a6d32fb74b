"""What a run is made of: rounds of every kind, each with the lives that its terms allow."""

import sqlite3
from itertools import islice
from pathlib import Path

from solution.ledger.scripts import NEWEST
from solution.ledger.sqlite import SqliteLedger
from torture.ledgers import LedgerFile
from torture.plan import (
    LOSING,
    LOSSES,
    PLAIN,
    ROUNDS,
    SHARED,
    UPGRADE,
    Terms,
    lives,
    with_postgres,
    without_postgres,
)
from torture.runner import Orders
from torture.signals import HELD, RESTING, STANDING, TAKEN, signals


def planned(terms: Terms) -> set[str]:
    """What a long round of these terms does to Redis."""
    return {plan.redis for plan in lives("1", 2000, terms.features)}


def test_rows_and_entries_are_not_lost_in_one_round() -> None:
    """Of an order with neither, nobody could say whose it is."""
    assert planned(LOSING) >= LOSSES
    assert not planned(PLAIN) & LOSSES
    for terms in ROUNDS:
        plans = lives("1", 2000, terms.features)
        assert not (any(p.power_loss for p in plans) and any(p.redis in LOSSES for p in plans))


def test_a_run_has_rounds_of_every_kind() -> None:
    """As many lives in all as were asked for; the last round gets what is left."""
    orders = Orders(seed="1", kills=80, per_round=20)
    rounds = list(orders.rounds())
    assert [orders.terms_of(number).name for number, _ in rounds[:6]] == [
        *(terms.name for terms in ROUNDS),
        PLAIN.name,
    ]
    assert [many for _, many in rounds] == [20, 5, 10, 20, 6, 19]
    assert [len(orders.plan(*each)) for each in rounds] == [20, 5, 10, 20, 6, 19]


def test_a_round_is_the_same_alone() -> None:
    """As a failure names it: whole, of its own terms, with its own plan."""
    orders = Orders(seed="1", kills=80, per_round=20)
    alone = Orders(seed="1", per_round=20, only=2)
    assert list(alone.rounds()) == [(2, 5)]
    assert alone.terms_of(2) is SHARED
    assert alone.plan(2) == orders.plan(2)


def test_a_server_is_started_only_for_rounds_that_want_one() -> None:
    """Not where one is named, nor where the only round keeps a file."""
    assert Orders(seed="1").needs_postgres
    assert not Orders(seed="1", ledger_server="postgresql://h/d").needs_postgres
    assert not Orders(seed="1", only=1).needs_postgres
    assert not Orders(seed="1", terms=without_postgres(ROUNDS)).needs_postgres
    assert all(terms.postgres for terms in with_postgres(ROUNDS))


def test_active_ones_sleep_only_where_a_lease_expires() -> None:
    """With a file the lock would hold for as long as they sleep; each sleeper has a standby."""
    assert not any(plan.asleep for plan in lives("1", 500, PLAIN.features))
    sleepers = [plan for plan in lives("1", 500, SHARED.features) if plan.asleep]
    assert sleepers
    assert all(plan.standby and plan.nth > 1 for plan in sleepers)


def test_only_the_first_life_dies_in_the_upgrade() -> None:
    """It finds the old ledger; whoever comes later finds it upgraded, or dies elsewhere."""
    first, *others = lives("7.1", 40)
    assert first.failpoints == f"{UPGRADE}=kill:1"
    assert not any(UPGRADE in life.failpoints for life in others)
    assert lives("7.1", 0) == []


def test_a_round_begins_with_a_ledger_to_upgrade(tmp_path: Path) -> None:
    """Of the first version; a start brings it to the newest."""
    place = LedgerFile(tmp_path / "ledger.db")
    place.make()
    versions = []
    for _ in range(2):
        with sqlite3.connect(place.path) as db:
            versions.append(db.execute("PRAGMA user_version").fetchone()[0])
        db.close()
        SqliteLedger(place.url).close()
    assert versions == [1, int(NEWEST)]


def test_exits_meet_resting_orders_and_shares_to_sell() -> None:
    """Otherwise no cancel of an exit would ever be killed in."""
    exits = [made for made in islice(signals("7.1"), 3000) if made.kind == "exit"]
    assert {made.fields["ticker"] for made in exits} == set(RESTING) <= set(HELD)
    assert {made.fields["direction"] for made in exits} == {"s"}


def test_a_taken_id_halts_no_ticker_that_others_need() -> None:
    """Its ticker trades no more, and each such signal has the id that was taken."""
    made = list(islice(signals("7.1"), 3000))
    halting = [each for each in made if each.kind == "taken id"]
    assert halting
    assert all(each.identity for each in halting)
    assert {each.fields["ticker"] for each in halting} <= set(TAKEN)
    good = [each for each in made if each.kind not in {*STANDING, "nonsense"}]
    assert not {each.fields["ticker"] for each in good} & set(TAKEN)
