"""What a round of the torture is made of, as far as other parts rely on it."""

import sqlite3
from itertools import islice
from pathlib import Path

from solution.ledger.scripts import NEWEST
from solution.ledger.sqlite import SqliteLedger
from torture.ledgers import LedgerFile
from torture.plan import UPGRADE, lives
from torture.signals import HELD, RESTING, STANDING, TAKEN, signals


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
