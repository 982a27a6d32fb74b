"""Every planted mistake must be caught: the test of the test."""

import time
from dataclasses import dataclass

from torture.plan import PLAIN, SHARED
from torture.planted import PLANTED
from torture.runner import Orders, Torture
from torture.violation import describe

MOST_KILLS = 200
PER_ROUND = 40
NEED_A_LEASE = frozenset({"lease_without_epoch_check"})
"""Shown only where a lease can expire under a living process: with a PostgreSQL ledger."""


@dataclass(frozen=True, slots=True)
class Caught:
    """How it went with one mistake; ``check`` is "" for one that was not caught."""

    name: str
    why: str
    check: str
    kills: int
    seconds: float


def run_one(seed: str, name: str, most_kills: int = MOST_KILLS, ledger_server: str = "") -> Caught:
    """Run a broken service until something is seen to be wrong."""
    plant = PLANTED[name]
    orders = Orders(
        seed=f"{seed}/{name}",
        kills=most_kills,
        seconds=600,
        per_round=PER_ROUND,
        plant=name,
        terms=[SHARED if name in NEED_A_LEASE else PLAIN],
        ledger_server=ledger_server,
    )
    began = time.monotonic()
    torture = Torture(orders, lambda _: None)
    torture.run()
    found = [v for result in torture.results for v in result.violations]
    return Caught(name, plant.why, describe(found), torture.kills, time.monotonic() - began)


def run_all(seed: str, only: str = "", ledger_server: str = "") -> int:
    """Each mistake in turn; prints a table, returns 0 when every one was caught.

    Args:
        only: this one alone.
        ledger_server: a PostgreSQL server for mistakes that take a lease which expires; "" for one
            of its own.
    """
    names = [only] if only else sorted(PLANTED)
    print(f"seed {seed}; at most {MOST_KILLS} kills each")
    print(f"{'planted mistake':34} {'kills':>6} {'s':>6}  caught by")
    missed = 0
    for name in names:
        caught = run_one(seed, name, ledger_server=ledger_server)
        missed += not caught.check
        by = caught.check or "NOT CAUGHT"
        print(f"{name:34} {caught.kills:6} {caught.seconds:6.1f}  {by}", flush=True)
    print(f"{len(names) - missed} of {len(names)} caught")
    return 1 if missed else 0
