"""Prices set by hand, laid over any tape: from the running tick on, never backwards.

Setting a price is itself a trade of one unit at that price. While it is held,
the tape's trades happen at their times with their sizes, but at that price;
once it is let go, the tape's prices are scaled so that they go on from there.
What was before stays as it was.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from paper_exchange.prices.tape import MINUTE_NS, Prints, Stretch, Tape, joined, summed

#: Since when, the price held (None: let go), and the factor on the tape's prices.
Rule = tuple[int, float | None, float]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What becomes of the tape's prices after ``since_ns``: held, or scaled."""

    since_ns: int
    held: float | None
    factor: float

    def price(self, price: float) -> float:
        return price * self.factor if self.held is None else self.held

    def stretch(self, one: Stretch | None) -> Stretch | None:
        if one is None:
            return None
        price = self.price
        turnover = one.turnover * self.factor
        if self.held is not None:
            turnover = self.held * one.volume
        return one._replace(
            open=price(one.open),
            high=price(one.high),
            low=price(one.low),
            close=price(one.close),
            turnover=turnover,
        )


_AS_IT_IS = _Rule(0, None, 1.0)


class HandSet:
    """A tape with what was done to it. A ``Tape`` itself."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._rules: list[_Rule] = []
        self._since: list[int] = []

    @property
    def first_price(self) -> float:
        """See ``Tape``."""
        return self._tape.first_price

    # -- setting ---------------------------------------------------------------------------------

    def hold(self, price: float, at_ns: int) -> None:
        """From ``at_ns`` on, this is the price."""
        if self._rules and self._rules[-1].held is not None and self._since[-1] == at_ns:
            del self._rules[-1], self._since[-1]
        self._append(_Rule(at_ns, price, 1.0))

    def let_go(self, at_ns: int) -> None:
        """From ``at_ns`` on, the tape goes on from the price held until then, if there is one."""
        held = self.held_at(at_ns)
        if held is not None:
            self._append(_Rule(at_ns, None, held / _last_price(self._tape, at_ns)))

    def _append(self, rule: _Rule) -> None:
        self._rules.append(rule)
        self._since.append(rule.since_ns)

    def held_at(self, at_ns: int | None) -> float | None:
        """The price held by hand at an instant; None asks what was done last."""
        number = len(self._since) if at_ns is None else bisect_right(self._since, at_ns)
        return self._rules[number - 1].held if number else None

    def changed_ns(self, at_ns: int) -> int:
        """When something was last done up to an instant, 0 for never."""
        number = bisect_right(self._since, at_ns)
        return self._since[number - 1] if number else 0

    def changes(self) -> list[int]:
        """When something was done, each time once, in order."""
        return sorted(set(self._since))

    def price(self, price: float, at_ns: int) -> float:
        """A price of the tape at an instant, held or scaled."""
        return self._rule(at_ns).price(price)

    def rules(self) -> list[Rule]:
        """All that was done, in order, for a state file."""
        return [(one.since_ns, one.held, one.factor) for one in self._rules]

    def restore(self, rules: Iterable[Rule]) -> None:
        """Put back what ``rules`` told."""
        for since_ns, held, factor in rules:
            self._append(_Rule(since_ns, held, factor))

    # -- the tape --------------------------------------------------------------------------------

    def _rule(self, at_ns: int) -> _Rule:
        """What applies to a trade of the tape, one at the very tick of a change included."""
        number = bisect_right(self._since, at_ns)
        return self._rules[number - 1] if number else _AS_IT_IS

    def _changes(self, first: int, stop: int) -> list[_Rule]:
        """What was done within minutes ``first`` to ``stop`` (not included)."""
        begin = bisect_left(self._since, first * MINUTE_NS)
        return self._rules[begin : bisect_left(self._since, stop * MINUTE_NS)]

    def prints(self, minute: int) -> Prints:
        """See ``Tape``."""
        source = self._tape.prints(minute)
        changes = self._changes(minute, minute + 1)
        if not changes:
            rule = self._rule(minute * MINUTE_NS)
            return Prints(source.times, [rule.price(p) for p in source.prices], source.sizes)
        prices = [
            self._rule(at).price(price)
            for at, price in zip(source.times, source.prices, strict=True)
        ]
        times, sizes = list(source.times), list(source.sizes)
        for change in changes:
            if change.held is not None:
                place = bisect_right(times, change.since_ns)
                times.insert(place, change.since_ns)
                prices.insert(place, change.held)
                sizes.insert(place, 1)
        return Prints(times, prices, sizes)

    def span(self, first: int, stop: int) -> Stretch | None:
        """See ``Tape``: minutes in which something was done are made of their trades."""
        parts: list[Stretch | None] = []
        for minute in sorted({one.since_ns // MINUTE_NS for one in self._changes(first, stop)}):
            parts += [self._whole(first, minute), summed(self.prints(minute))]
            first = minute + 1
        parts.append(self._whole(first, stop))
        return joined(parts)

    def _whole(self, first: int, stop: int) -> Stretch | None:
        """Minutes in which nothing was done."""
        if first >= stop:
            return None
        return self._rule(first * MINUTE_NS).stretch(self._tape.span(first, stop))

    def latest(self, minute: int) -> int | None:
        """See ``Tape``."""
        found = self._tape.latest(minute)
        for rule in reversed(self._rules[: bisect_left(self._since, (minute + 1) * MINUTE_NS)]):
            if rule.held is not None:
                own = rule.since_ns // MINUTE_NS
                return own if found is None else max(own, found)
        return found

    def following(self, minute: int) -> int | None:
        """See ``Tape``."""
        found = self._tape.following(minute)
        for rule in self._rules[bisect_left(self._since, minute * MINUTE_NS) :]:
            if rule.held is not None:
                own = rule.since_ns // MINUTE_NS
                return own if found is None else min(own, found)
        return found


def _last_price(tape: Tape, at_ns: int) -> float:
    """The price of the last trade up to an instant."""
    minute = at_ns // MINUTE_NS
    prints = tape.prints(minute)
    number = bisect_right(prints.times, at_ns)
    if number:
        return prints.prices[number - 1]
    before = tape.latest(minute - 1)
    return tape.first_price if before is None else tape.prints(before).prices[-1]
