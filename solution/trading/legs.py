"""Learns which orders are the legs of our brackets, and keeps that for good.

The broker makes a leg's ids, so only its entry order tells whose it is: in the answer to the POST,
and in answers to questions that ask for nested orders. A leg's row is put before the change of its
entry order that came with the same message: an entry order that is on record as taken either has
the rows of its legs, or a mark that they are still to be asked for.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from solution.clock import Clock
from solution.domain import legs
from solution.domain.order_state import Progress
from solution.domain.ports import Outcomes
from solution.domain.records import TERMINAL, Change, Intent
from solution.errors import BrokerError, NoBudget
from solution.rate_limiter import Priority
from solution.trading.brackets import Brackets
from solution.trading.registry import Registry
from solution.trading.schedule import Schedule
from solution.trading.tracked import UNCONFIRMED, Tracked
from solution.trading.work import FreeLane

log = logging.getLogger(__name__)

MARK = "legs:"
"""In the ledger's small state: the client_order_id of an entry order whose legs are not known yet;
the value is the broker's id of it."""
ASK_AFTER = 2.0
"""Seconds: where the order stream was faster than the POST's answer, that brings the legs."""
ASK_LONGEST = 300.0
ENOUGH = 10
"""Answers without legs after which there are none."""
HURRY = 1.0
"""Seconds between two questions where a kill waits for the answer."""
UNHEARD_KEPT = 1024

Leg = tuple[str, Mapping[str, Any]]
"""A leg's client_order_id in our registry, and the broker's order."""


@dataclass(slots=True)
class _Wanted:
    """An entry order to be asked for with its legs; times are monotonic seconds."""

    order_id: str
    at: float
    asked: int = 0
    hurry_at: float = float("-inf")
    """The earliest question for who cannot wait until ``at``."""


class Legs:
    """What is known of legs. Guarded by the tracker's mutex, which no call of ours holds over I/O.

    Args:
        find_row: the ledger's row of a client_order_id.
        standing: where a row stands, with the executions on record.
    """

    def __init__(  # noqa: PLR0913 - all that news of an order moves, each used here
        self,
        registry: Registry,
        brackets: Brackets,
        mutex: threading.Lock,
        outcomes: Outcomes,
        schedule: Schedule,
        clock: Clock,
        *,
        find_row: Callable[[str], Intent | None],
        standing: Callable[[Intent], Progress],
    ) -> None:
        self._registry = registry
        self._brackets = brackets
        self._mutex = mutex
        self._outcomes = outcomes
        self._schedule = schedule
        self._clock = clock
        self._find_row = find_row
        self._standing = standing
        self._wanted: dict[str, _Wanted] = {}
        self._unheard: dict[str, None] = {}

    # --- whose legs ---------------------------------------------------------------------------

    def learn(self, client_order_id: str, order: Mapping[str, Any]) -> Sequence[Leg]:
        """Take the legs out of the news of an order, before that itself is merged.

        Returns:
            the legs named in it: what it says of them is news, too, to be merged after its own.
        """
        parent = self._registry.find(client_order_id)
        if parent is None or parent.foreign or parent.is_leg:
            return ()
        listed = _listed(order)
        if not listed:
            if not parent.legs_known and legs.has_legs(parent.intent, order):
                self._want(parent, str(order.get("id") or ""))
            return ()
        # The ledger is asked without the mutex: a leg that ended before this process began.
        new = [leg for leg in listed if not self._name_of(leg)]
        rows = [self._row(leg) for leg in new]
        with self._mutex:
            self._brackets.begin(parent)
            for leg, row in zip(new, rows, strict=True):
                self._register(parent, leg, row)
            parent.legs_known = True
            self._brackets.settle(client_order_id)
            self._forget(client_order_id)
            heard_of = [leg for leg in new if str(leg["id"]) in self._unheard]
            for leg in heard_of:
                del self._unheard[str(leg["id"])]
        if heard_of:
            # What the stream told of them, nobody knew whose it was; this message may be older.
            names = [self._name_of(leg) for leg in heard_of]
            self._schedule.poll_now(names, self._clock.monotonic())
        return [(self._name_of(leg), leg) for leg in listed]

    def _name_of(self, leg: Mapping[str, Any]) -> str:
        return self._registry.known_as(legs.client_order_id_of(leg), leg)

    def _row(self, leg: Mapping[str, Any]) -> tuple[Intent, Progress] | None:
        row = self._find_row(legs.client_order_id_of(leg))
        return None if row is None else (row, self._standing(row))

    def _register(
        self, parent: Tracked, leg: Mapping[str, Any], known: tuple[Intent, Progress] | None
    ) -> None:
        """Requires holding the mutex."""
        if self._name_of(leg):
            return  # another thread was faster
        if known is None:
            row = legs.row_of(parent.intent, leg, self._clock.epoch_ms())
            self._outcomes.put(Change(insert=row))
            known = row, legs.standing_of(row)
        self.follow(*known, parent=parent.intent)

    def follow(self, row: Intent, progress: Progress, *, parent: Intent | None) -> None:
        """A leg's row, made or found. Requires holding the mutex."""
        tracked = Tracked(legs.named(row, parent), progress, FreeLane(), told=True)
        tracked.keeps_lane = False
        self._brackets.add(tracked)
        if row.state in TERMINAL:
            self._registry.name(row.alpaca_order_id, row)
            self._registry.end(tracked, self._clock.monotonic())
        else:
            self._registry.add(tracked)

    def restore(self, row: Intent) -> None:
        """A leg's open row found in the ledger at start. Nothing is reserved for it."""
        parent, progress = self._find_row(legs.parent_of(row)), self._standing(row)
        with self._mutex:
            entry = self._registry.find(legs.parent_of(row))
            if entry is None and parent is not None:
                entry = self._recorded(parent)
            if entry is not None:
                # While its answer is not on record, not all of its legs may be.
                entry.legs_known |= entry.progress.state not in UNCONFIRMED
                self._brackets.begin(entry)
            self.follow(row, progress, parent=parent)
            self._brackets.settle(row.client_order_id)

    def _recorded(self, row: Intent) -> Tracked:
        """An entry order that need not be followed any more."""
        begun = self._brackets.find(row.client_order_id)
        return begun.entry if begun else Tracked(row, self._standing(row), FreeLane(), told=True)

    def missed(self, order: Mapping[str, Any]) -> None:
        """News of an order nobody knew; should it turn out a leg of ours, it is asked for."""
        with self._mutex:
            name = self._name_of(order)  # another thread may have learned of it since
            if not name:
                self._unheard[str(order.get("id"))] = None
                while len(self._unheard) > UNHEARD_KEPT:
                    del self._unheard[next(iter(self._unheard))]
        if name:
            self._schedule.poll_now([name], self._clock.monotonic())

    def mind_siblings(self, leg: Intent, *, ended: bool) -> None:
        """With one leg's end the other's is near: asked for shortly, should the stream not say."""
        if not ended:
            return
        parent = legs.parent_of(leg)
        with self._mutex:
            open_ones = [t.intent for t in self._registry.on_their_way.values() if t.is_leg]
        for other in open_ones:
            if legs.parent_of(other) == parent:
                self._schedule.follow(other, self._clock.monotonic())

    def renamed(self, parent: Intent) -> None:
        """The signal of an entry order turned up: its legs are told as that signal's.

        Requires holding the mutex.
        """
        for tracked in self._registry.on_their_way.values():
            if tracked.is_leg and legs.parent_of(tracked.intent) == parent.client_order_id:
                tracked.intent = legs.named(tracked.intent, parent)

    # --- those to be asked for ------------------------------------------------------------------

    def _want(self, parent: Tracked, order_id: str) -> None:
        coid = parent.intent.client_order_id
        with self._mutex:
            self._brackets.begin(parent)
            self._brackets.settle(coid)
            if coid not in self._wanted and order_id:
                self._wanted[coid] = _Wanted(order_id, self._clock.monotonic() + ASK_AFTER)
                self._outcomes.put(Change(keep=((MARK + coid, order_id),)))

    def want_again(self, marks: Mapping[str, str]) -> None:
        """What the ledger had marked at start: keys and values of its small state."""
        now = self._clock.monotonic()
        wanted = {key.removeprefix(MARK): order_id for key, order_id in marks.items()}
        rows = [row for row in map(self._find_row, wanted) if row is not None]
        with self._mutex:
            self._wanted |= {coid: _Wanted(order_id, now) for coid, order_id in wanted.items()}
            for row in rows:
                self._brackets.begin(self._recorded(row))
                self._brackets.settle(row.client_order_id)

    def wanted(self, *, hurry: bool = False) -> list[tuple[str, str]]:
        """(client_order_id, order id) of entry orders that are to be asked for by now.

        Args:
            hurry: those as well that would have time: somebody waits for their legs.
        """
        now = self._clock.monotonic()
        with self._mutex:
            self._forget_needless()
            return [
                (coid, one.order_id)
                for coid, one in self._wanted.items()
                if (one.hurry_at if hurry else one.at) <= now
            ]

    def count_wanted(self) -> int:
        """Of how many entry orders the legs are not known yet."""
        with self._mutex:
            self._forget_needless()
            return len(self._wanted)

    def _forget_needless(self) -> None:
        """Requires holding the mutex."""
        for coid in [coid for coid in self._wanted if self._needs_none(coid)]:
            self._forget(coid)

    def _needs_none(self, client_order_id: str) -> bool:
        """Whether the entry order ended with nothing filled: its legs never began."""
        parent = self._registry.find(client_order_id)
        return parent is not None and parent.progress.ended and not parent.progress.filled_qty

    def asked(self, client_order_id: str, *, answered: bool) -> None:
        """It was asked for; if its legs are still not known: again later, or never."""
        with self._mutex:
            one = self._wanted.get(client_order_id)
            if one is None:
                return
            one.asked += answered
            if one.asked >= ENOUGH:
                log.error("legs_not_found", extra={"client_order_id": client_order_id})
                self._forget(client_order_id)
                parent = self._registry.find(client_order_id)
                bracket = self._brackets.find(client_order_id)
                for entry in (parent, bracket.entry if bracket else None):
                    if entry is not None:
                        entry.legs_known = True
                self._brackets.settle(client_order_id)
                return
            pause = min(ASK_LONGEST, ASK_AFTER * 2.0**one.asked)
            now = self._clock.monotonic()
            one.at, one.hurry_at = now + pause, now + HURRY

    # --- what an exit asks --------------------------------------------------------------------

    def holding(self, symbol: str) -> list[Tracked]:
        """The open legs that hold shares of a ticker."""
        with self._mutex:
            found = self._brackets.holding(symbol)
            return [leg for bracket in found for leg in bracket.open_legs]

    def unnamed(self, symbol: str) -> list[tuple[str, str]]:
        """(client_order_id, order id) of entry orders that filled, and whose legs nobody named."""
        with self._mutex:
            entries = [b.entry for b in self._brackets.holding(symbol)]
            return [
                (t.intent.client_order_id, t.progress.order_id)
                for t in entries
                if t.progress.order_id and not t.legs_known
            ]

    def told_none(self, client_order_id: str) -> None:
        """The broker was asked for an exit and names no leg: better tried than never sold."""
        with self._mutex:
            bracket = self._brackets.find(client_order_id)
            if bracket is not None:
                bracket.has_none = True
                self._brackets.settle(client_order_id)

    def _forget(self, client_order_id: str) -> None:
        """Requires holding the mutex. The rows were put before: they are durable first."""
        if self._wanted.pop(client_order_id, None) is not None:
            self._outcomes.put(Change(forget=(MARK + client_order_id,)))


def _listed(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The legs in an answer, whatever else stands there."""
    found = order.get("legs")
    if not isinstance(found, list):
        return []
    return [leg for leg in found if isinstance(leg, dict) and leg.get("id")]


class NestedDesk(Protocol):
    """The part of the wrapper that tells an order with its legs; every call spends a rate slot."""

    def order(
        self, order_id: str, priority: Priority, *, nested: bool = False
    ) -> Mapping[str, Any]: ...


class Followed(Protocol):
    """The part of the tracker that hears of entry orders."""

    @property
    def legs(self) -> Legs: ...
    def recall(self, client_order_id: str) -> Tracked | None: ...
    def polled(self, client_order_id: str, order: Mapping[str, Any]) -> None: ...


class LegFinder:
    """Asks for the legs that no answer named.

    One thread calls :meth:`step`, another one may call :meth:`hurry`.
    """

    def __init__(self, desk: NestedDesk, tracker: Followed) -> None:
        self._desk = desk
        self._tracker = tracker

    def step(self) -> None:
        """Ask for each entry order whose time has come, from budget that nothing else needs."""
        try:
            self._ask(self._tracker.legs.wanted(), Priority.POLL)
        except NoBudget:
            return

    def hurry(self) -> None:
        """Ask for all of them now, the filled ones that are no open orders any more included.

        Raises:
            NoBudget: not all were asked for.
        """
        self._ask(self._tracker.legs.wanted(hurry=True), Priority.LOOKUP)

    def _ask(self, wanted: Sequence[tuple[str, str]], priority: Priority) -> None:
        for coid, order_id in wanted:
            try:
                order = self._desk.order(order_id, priority, nested=True)
            except NoBudget:
                raise
            except BrokerError as e:
                log.warning("legs_not_asked", extra={"client_order_id": coid, "detail": str(e)})
                self._tracker.legs.asked(coid, answered=False)
                continue
            self._tracker.recall(coid)  # it may have ended before this process began
            self._tracker.polled(coid, order)
            self._tracker.legs.asked(coid, answered=True)
