"""What is played of the scalper's day, what dies in it, and what must come out the same."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

SYMBOLS = ("AAPL", "F", "META", "TSLA")
OPENS = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
CLOSES = datetime(2026, 3, 6, 21, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class NotTheSame(AssertionError):
    """What must hold did not; the text says what."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A kill -9 around the step that ends a minute.

    Args:
        who: ``scalper`` or ``service``.
        delay: seconds after the step; None is before it, so that the minute passes without them.
    """

    who: str
    delay: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What of the day is played.

    Args:
        algo: ``file.py:Class`` of the signal; the scalper's own where empty.
        held: a symbol of which ten shares are held at the start, bought at twice their price: what
            is asked for them nobody pays, so they are left to the liquidation.
        cancel_after: seconds of real time after which the service cancels a buy, and we do not; an
            old one is waited for. What is filled before that is then a matter of chance.
        crashes: by the minute that the step ends.
    """

    begins: datetime = OPENS
    lot: int = 2000
    algo: str = ""
    held: str = ""
    cancel_after: str = ""
    crashes: Mapping[datetime, Sequence[Crash]] = field(default_factory=dict)

    def steps(self) -> Iterator[datetime]:
        """The ends of its minutes."""
        at = self.begins
        while at < CLOSES:
            at += MINUTE
            yield at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left.

    Args:
        orders: of each symbol, in order: side, type, qty, limit, filled quantity, status.
    """

    orders: Mapping[str, Sequence[tuple[str, ...]]]
    kills: int
    seconds: float

    @property
    def counts(self) -> Counter[str]:
        """How many of each kind."""
        return Counter(f"{o[0]} {o[1]} {o[5]}" for rows in self.orders.values() for o in rows)


def crashes(seed: int, count: int, begins: datetime = OPENS) -> Mapping[datetime, Sequence[Crash]]:
    """So many, spread over the minutes at random, the same for the same seed."""
    random = Random(seed)
    minutes = [begins + n * MINUTE for n in range(1, int((CLOSES - begins) / MINUTE))]
    found: dict[datetime, list[Crash]] = defaultdict(list)
    for _ in range(count):
        delay = None if random.random() < 0.3 else random.random() ** 2 * 0.25
        found[random.choice(minutes)].append(Crash(random.choice(("scalper", "service")), delay))
    return found


def compare(wanted: Outcome, found: Outcome) -> None:
    """Raise what differs.

    Raises:
        NotTheSame: an order is another one.
    """
    for symbol, orders in wanted.orders.items():
        for number, pair in enumerate(_pairs(orders, found.orders[symbol])):
            if pair[0] != pair[1]:
                raise NotTheSame(f"{symbol}, order {number}: {pair[1]} instead of {pair[0]}")


def _pairs(left: Sequence[Any], right: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for number in range(max(len(left), len(right))):
        yield tuple((rows[number : number + 1] or [None])[0] for rows in (left, right))  # type: ignore[misc]
