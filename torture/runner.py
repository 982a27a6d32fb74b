"""Rounds side by side until the time or the number of kills is used up, or something is wrong."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, zip_longest
from pathlib import Path

from torture.ledgers import chooser
from torture.nursery import Nursery
from torture.plan import ROUNDS, LifePlan, Terms, lives
from torture.world import SETTLE_WITHIN, Result, World

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What to run.

    Args:
        seed: of everything.
        kills: how many lives are planned, in all rounds together; some end in another way.
        full: lives are added until there were so many kills.
        seconds: after which no further round begins.
        per_round: lives of an ordinary round.
        side_by_side: rounds at the same time.
        plant: the mistake planted in the service, "" for none.
        terms: of the rounds, one after the other and again from the first.
        only: the one round to run, None for all.
        settle_within: seconds that everything gets to come to its end.
        ledger_server: URL of a PostgreSQL server for the rounds with such a ledger; "" for one that
            is started for the run.
        keep: where ledgers and logs are to stay, None to throw them away.
    """

    seed: str
    kills: int = 1000
    full: bool = False
    seconds: float = 300.0
    per_round: int = 100
    side_by_side: int = 4
    plant: str = ""
    terms: Sequence[Terms] = ROUNDS
    only: int | None = None
    keep: Path | None = None
    settle_within: float = SETTLE_WITHIN
    ledger_server: str = ""

    def round_seed(self, number: int) -> str:
        return f"{self.seed}.{number}"

    def terms_of(self, number: int) -> Terms:
        return self.terms[(number - 1) % len(self.terms)]

    def plan(self, number: int, many: int | None = None) -> Sequence[LifePlan]:
        """The lives of a round: so many, or what its terms say."""
        terms = self.terms_of(number)
        size = self._size(number) if many is None else many
        return lives(self.round_seed(number), size, terms.features)

    def rounds(self, first: int = 1, kills: int | None = None) -> Iterator[tuple[int, int]]:
        """Number and lives of each round from ``first`` on; the last has what is left.

        Args:
            kills: for so many instead of all.
        """
        if self.only is not None:
            yield self.only, self._size(self.only)
            return
        left = self.kills if kills is None else kills
        for number in count(first):
            if left <= 0:
                return
            many = min(left, self._size(number))
            yield number, many
            left -= many

    def _size(self, number: int) -> int:
        return self.terms_of(number).lives(self.per_round)

    @property
    def needs_postgres(self) -> bool:
        """Whether a server is to be started: some rounds want one, and none is named."""
        found = [self.terms_of(self.only)] if self.only is not None else self.terms
        return not self.ledger_server and any(terms.postgres for terms in found)


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
        self._next = orders.rounds()
        self._last = 0
        self._ledger_server = orders.ledger_server
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
            _postgres(self._orders) as self._ledger_server,
            ThreadPoolExecutor(many, thread_name_prefix="round") as pool,
        ):
            while True:
                for each in [pool.submit(self._rounds, Path(directory)) for _ in range(many)]:
                    each.result()
                if not self._more():
                    break
        self.seconds = time.monotonic() - began
        return not self._failed.is_set()

    def _more(self) -> bool:
        """Plan rounds for the kills that are missing; False when there shall be none."""
        missing = self._orders.kills - self.kills
        if not self._orders.full or self._orders.only is not None or missing <= 0 or self._over():
            return False
        self._next = self._orders.rounds(self._last + 1, missing)
        return True

    def _rounds(self, directory: Path) -> None:
        while (taken := self._take()) is not None:
            number, many = taken
            result = self._round(number, many, directory / str(number))
            with self._mutex:
                self.results.append(result)
            if result.violations:
                self._failed.set()
            self._say(
                f"round {result.seed} ({self._orders.terms_of(number).name}): "
                f"{result.killed} kills, {result.orders} orders, "
                f"{result.seconds:.1f} s, {sum(result.settled):.1f} of them to come to rest, "
                + (f"{len(result.violations)} violations" if result.violations else "all held")
            )

    def _over(self) -> bool:
        return self._failed.is_set() or time.monotonic() > self._until

    def _take(self) -> tuple[int, int] | None:
        """Number and lives of the next round, None when there shall be none."""
        with self._mutex:
            if self._over() or (taken := next(self._next, None)) is None:
                return None
            self._last = taken[0]
            return taken

    def _round(self, number: int, many: int, directory: Path) -> Result:
        orders = self._orders
        terms = orders.terms_of(number)
        began = time.monotonic()
        with (
            Nursery(directory / "services", orders.plant) as nursery,
            World(
                orders.round_seed(number),
                directory / "world",
                nursery,
                orders.settle_within,
                chooser(self._ledger_server if terms.postgres else "")(directory),
                terms,
            ) as world,
        ):
            plans = orders.plan(number, many)
            for plan, following in zip_longest(plans, plans[1:]):
                if world.live(plan, following) or self._over():
                    break
            if not world.result.violations:
                world.settle()
            world.result.seconds = time.monotonic() - began
            return world.result


@contextlib.contextmanager
def _postgres(orders: Orders) -> Iterator[str]:
    """URL of the server for the rounds that want one."""
    if not orders.needs_postgres:
        yield orders.ledger_server
        return
    from torture.postgres_server import PostgresServer

    with PostgresServer() as server:
        yield server.url("postgres")


def _place(keep: Path | None, where: Path | None) -> contextlib.AbstractContextManager[str]:
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="torture-", dir=where)
    return contextlib.nullcontext(str(keep))
