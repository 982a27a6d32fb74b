"""Rounds side by side until the time or the number of kills is used up, or something is wrong."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, count, takewhile, zip_longest
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
        kills: how many at most, in all rounds together.
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

    def plan(self, number: int) -> Sequence[LifePlan]:
        """The lives of a round; the last one of a run may have fewer than its terms say."""
        terms = self.terms_of(number)
        many = self._size(number)
        if self.only is None:
            many = min(many, self.kills - sum(self._size(n) for n in range(1, number)))
        return lives(self.round_seed(number), max(0, many), terms.features)

    def numbers(self) -> Iterator[int]:
        """The rounds that there are, by their numbers."""
        if self.only is not None:
            return iter([self.only])
        before = accumulate((self._size(n) for n in count(1)), initial=0)
        many = sum(1 for _ in takewhile(lambda lives: lives < self.kills, before))
        return iter(range(1, many + 1))

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
        self._numbers = orders.numbers()
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
                f"round {result.seed} ({self._orders.terms_of(number).name}): "
                f"{result.killed} kills, {result.orders} orders, "
                f"{result.seconds:.1f} s, {sum(result.settled):.1f} of them to come to rest, "
                + (f"{len(result.violations)} violations" if result.violations else "all held")
            )

    def _take(self) -> int | None:
        """The number of the next round, None when there shall be none."""
        with self._mutex:
            if self._failed.is_set() or time.monotonic() > self._until:
                return None
            return next(self._numbers, None)

    def _round(self, number: int, directory: Path) -> Result:
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
            plans = orders.plan(number)
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
