"""Rounds side by side until the time or the number of kills is used up, or something is wrong."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from torture.ledgers import chooser
from torture.nursery import Nursery
from torture.plan import FEATURES, lives
from torture.world import SETTLE_WITHIN, Result, World

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What to run.

    Args:
        seed: of everything.
        kills: how many at most, in all rounds together.
        seconds: after which no further round begins.
        per_round: lives of one round.
        side_by_side: rounds at the same time.
        plant: the mistake planted in the service, "" for none.
        features: see :data:`torture.plan.FEATURES`.
        only: the one round to run, None for all.
        settle_within: seconds that everything gets to come to its end.
        ledger_server: URL of a PostgreSQL server to keep ledgers at, "" for files.
        keep: where ledgers and logs are to stay, None to throw them away.
    """

    seed: str
    kills: int = 1000
    seconds: float = 300.0
    per_round: int = 100
    side_by_side: int = 4
    plant: str = ""
    features: frozenset[str] = FEATURES
    only: int | None = None
    keep: Path | None = None
    settle_within: float = SETTLE_WITHIN
    ledger_server: str = ""

    def round_seed(self, number: int) -> str:
        return f"{self.seed}.{number}"


class Torture:
    """One run.

    Args:
        orders: what to run.
        say: takes a line about every round.
    """

    def __init__(self, orders: Orders, say: Callable[[str], None]) -> None:
        self._orders = orders
        self._say = say
        self._mutex = threading.Lock()
        self._next = 0
        self._failed = threading.Event()
        self.results: list[Result] = []
        self.seconds = 0.0

    @property
    def kills(self) -> int:
        return sum(result.killed for result in self.results)

    def run(self) -> bool:
        """Whether everything held."""
        began = time.monotonic()
        self._until = began + self._orders.seconds
        place = MEMORY if MEMORY.is_dir() else None
        many = 1 if self._orders.only is not None else self._orders.side_by_side
        with (
            _place(self._orders.keep, place) as directory,
            ThreadPoolExecutor(many, thread_name_prefix="round") as pool,
        ):
            for each in [pool.submit(self._rounds, Path(directory)) for _ in range(many)]:
                each.result()
        self.seconds = time.monotonic() - began
        return not self._failed.is_set()

    def _rounds(self, directory: Path) -> None:
        while (number := self._take()) is not None:
            result = self._round(number, directory / str(number))
            with self._mutex:
                self.results.append(result)
            if result.violations:
                self._failed.set()
            self._say(
                f"round {result.seed}: {result.killed} kills, {result.orders} orders, "
                f"{result.seconds:.1f} s, "
                + (f"{len(result.violations)} violations" if result.violations else "all held")
            )

    def _take(self) -> int | None:
        """The number of the next round, None when there shall be none."""
        orders = self._orders
        with self._mutex:
            if orders.only is not None:
                number, self._next = orders.only, self._next + 1
                return number if self._next == 1 else None
            enough = self._next * orders.per_round >= orders.kills
            if enough or self._failed.is_set() or time.monotonic() > self._until:
                return None
            self._next += 1
            return self._next

    def _round(self, number: int, directory: Path) -> Result:
        orders = self._orders
        seed = orders.round_seed(number)
        left = orders.kills - (number - 1) * orders.per_round
        count = orders.per_round if orders.only is not None else min(orders.per_round, left)
        began = time.monotonic()
        with (
            Nursery(directory / "services", orders.plant) as nursery,
            World(
                seed,
                directory / "world",
                nursery,
                orders.settle_within,
                chooser(orders.ledger_server)(directory),
            ) as world,
        ):
            plans = lives(seed, count, orders.features)
            for plan, following in zip_longest(plans, plans[1:]):
                if (
                    world.live(plan, following)
                    or self._failed.is_set()
                    or time.monotonic() > self._until
                ):
                    break
            if not world.result.violations:
                world.settle()
            world.result.seconds = time.monotonic() - began
            return world.result


def _place(keep: Path | None, where: Path | None) -> contextlib.AbstractContextManager[str]:
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="torture-", dir=where)
    return contextlib.nullcontext(str(keep))
