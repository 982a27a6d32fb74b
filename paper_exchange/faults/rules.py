"""The rule book: which faults are in force, and whether one strikes what is happening now.

Every rule draws from a source of its own, seeded with the exchange's seed and
the rule's text, so that the same rules meet the same requests in the same way.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random

from paper_exchange.faults.spec import DATA, ORDERS, REQUEST, STREAM, Spec, split_target

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What rules are compared with; a place fills in what it knows."""

    method: str = ""
    path: str = ""
    key: str | None = None
    client: str = ""
    symbol: str | None = None
    event: str | None = None


def _path_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


class Rule:
    """A fault in force and what it has done so far.

    Attributes:
        matched: how often it was asked about something it applies to.
        hits: how often it struck.
        removed: whether it has been taken off the book since.
    """

    def __init__(self, number: int, spec: Spec, draws: Random, monotonic: Monotonic) -> None:
        self.id = str(number)
        self.spec = spec
        self.matched = 0
        self.hits = 0
        self.removed = False
        self._draws = draws
        self._monotonic = monotonic
        self._method, path = split_target(spec.target)
        self._path = _path_pattern(path)
        #: Hits that count towards ``next``: of a storm only its first request does.
        self._begun = 0
        self._storm_ends: float | None = None
        self._storm_left: int | None = None

    def matches(self, facts: Facts) -> bool:
        """Whether the rule applies to this at all."""
        spec = self.spec
        return (
            spec.key in {None, facts.key}
            and (spec.client is None or spec.client in facts.client)
            and spec.symbol in {None, facts.symbol}
            and spec.event in {None, facts.event}
            and (
                spec.place != REQUEST
                or (
                    self._method in {"*", facts.method}
                    and self._path.fullmatch(facts.path) is not None
                )
            )
        )

    def strikes(self) -> bool:
        """Count one more match, and say whether it is hit."""
        self.matched += 1
        spec = self.spec
        if not self._storming():
            if self.matched <= spec.skip or (spec.next is not None and self._begun >= spec.next):
                return False
            if spec.p < 1 and self._draws.random() >= spec.p:
                return False
            self._begun += 1
            if spec.kind == "storm":
                self._begin_storm()
        self.hits += 1
        return True

    def delay_s(self) -> float:
        """A duration out of the rule's range, in seconds; 0 without one."""
        low, high = self.spec.ms or (0, 0)
        return (low if low == high else self._draws.randint(low, high)) / 1000

    def storm_left_s(self) -> float:
        """Seconds until a storm that lasts a stretch of time is over."""
        return max(0.0, (self._storm_ends or 0.0) - self._monotonic())

    def _begin_storm(self) -> None:
        if self.spec.ms is not None:
            self._storm_ends = self._monotonic() + self.delay_s()
        if self.spec.requests is not None:
            self._storm_left = self.spec.requests - 1

    def _storming(self) -> bool:
        if self._storm_ends is None and self._storm_left is None:
            return False
        over = self._storm_ends is not None and self._monotonic() >= self._storm_ends
        if over or self._storm_left == 0:
            self._storm_ends = self._storm_left = None
            return False
        if self._storm_left is not None:
            self._storm_left -= 1
        return True

    def render(self) -> dict[str, object]:
        """The rule as ``GET /admin/faults`` shows it."""
        return {
            "id": self.id,
            **self.spec.render(),
            "text": self.spec.text(),
            "matched": self.matched,
            "hits": self.hits,
        }


class Faults:
    """All rules in force, in the order in which they were added; the first that strikes counts.

    The lists are falsy while there are no rules, which is all that the hot
    paths look at. They stay the same objects, so that a connection may keep one.
    """

    def __init__(
        self, seed: int, specs: Iterable[Spec] = (), *, monotonic: Monotonic = time.monotonic
    ) -> None:
        self._seed = seed
        self._monotonic = monotonic
        self._rules: dict[str, Rule] = {}
        self._count = 0
        self.places: dict[str, list[Rule]] = {REQUEST: [], STREAM: [], DATA: [], ORDERS: []}
        self.requests = self.places[REQUEST]
        self.orders = self.places[ORDERS]
        for spec in specs:
            self.add(spec)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def add(self, spec: Spec) -> Rule:
        """Put a fault in force."""
        self._count += 1
        # Two equal rules must not draw the same numbers: then the second would never strike.
        twins = sum(rule.spec == spec for rule in self._rules.values())
        draws = Random(f"{self._seed}/{spec.text()}/{twins}")  # noqa: S311  -- repeatable on purpose
        rule = Rule(self._count, spec, draws, self._monotonic)
        self._rules[rule.id] = rule
        self.places[spec.place].append(rule)
        return rule

    def remove(self, rule_id: str) -> bool:
        """Take a fault off the book; False when there is no such rule."""
        rule = self._rules.pop(rule_id, None)
        if rule is None:
            return False
        rule.removed = True
        self.places[rule.spec.place].remove(rule)
        return True

    def clear(self) -> None:
        """Take all off."""
        for rule_id in list(self._rules):
            self.remove(rule_id)


def first(rules: Iterable[Rule], facts: Facts, kinds: frozenset[str]) -> Rule | None:
    """The first rule of these kinds that strikes; those behind it are not asked."""
    for rule in rules:
        if rule.spec.kind in kinds and rule.matches(facts) and rule.strikes():
            return rule
    return None
