"""News of one order folded into the ledger's changes and the portfolio. Requires the mutex."""

import logging
from dataclasses import dataclass
from decimal import Decimal

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.events import Event
from solution.domain.executions import Correction
from solution.domain.order_state import News, Step, amend, merge
from solution.domain.orders import Side
from solution.domain.ports import Outcomes
from solution.domain.records import Intent
from solution.trading.registry import Registry
from solution.trading.scoreboard import Scoreboard
from solution.trading.tracked import UNCONFIRMED, Source, Tracked, merged

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Effects:
    """What must happen once the mutex is released."""

    tracked: Tracked
    step: Step
    accepted: bool = False
    free_lane: bool = False
    ask_now: bool = False
    """The broker's own picture is wanted at once: of a successor, or after a bust."""


class Merger:
    """Every method requires holding the tracker's mutex.

    It fixes the order of an order's changes, and the portfolio must see merges in the order they
    were made: booked after its release, a partial fill could be overtaken by the end of its order,
    and the asset's next sale would count shares that are gone. Lock order: tracker → portfolio.
    """

    def __init__(
        self,
        registry: Registry,
        outcomes: Outcomes,
        portfolio: Portfolio,
        board: Scoreboard,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._outcomes = outcomes
        self._portfolio = portfolio
        self._board = board
        self._clock = clock

    def on_its_way(self, tracked: Tracked, news: News, source: Source) -> Effects | None:
        """News of an order that is not at its end; None when it changes nothing."""
        before = tracked.progress
        step = merge(before, news)
        tracked.progress = step.progress
        first = before.state in UNCONFIRMED
        if not step.changed:
            return None
        self._write(tracked, step, source, first=first)
        self._book(tracked, step, source, first=first)
        self._registry.name(step.progress.order_id, tracked.intent)
        if step.progress.ended:
            self._registry.end(tracked, self._clock.monotonic())
        elif first:
            self._registry.confirm(tracked.intent)
        free = step.progress.ended or (first and not tracked.keeps_lane)
        replaced = bool(before.order_id) and step.progress.order_id != before.order_id
        return Effects(tracked, step, first, free, ask_now=replaced and not step.progress.ended)

    def late(self, tracked: Tracked, news: News, source: Source) -> None:
        """A fill after the recorded end: booked as a correction, the state stays."""
        step = merge(tracked.progress, news)
        tracked.progress = step.progress
        if step.late_fill:
            told = Source(Event.CORRECTED, source.at, note=("late_fill", "after the recorded end"))
            self._write(tracked, step, told)
            self._book(tracked, step, source)
            self._board.corrected("execution")

    def amended(self, tracked: Tracked, correction: Correction, source: Source) -> Effects | None:
        """The broker took an execution back or changed it; no state is left or entered."""
        step = amend(tracked.progress, correction)
        if not step.corrected:
            return None
        tracked.progress = step.progress
        self._write(tracked, step, source)
        self._board.corrected("execution")
        if step.filled:
            self._portfolio.taken_back(
                tracked.intent.symbol, _signed(tracked, step), source.position_qty
            )
        log.error(
            "execution_corrected",
            extra={
                "client_order_id": tracked.intent.client_order_id,
                "symbol": tracked.intent.symbol,
                "detail": source.note[1] if source.note else "",
                "filled_qty": format(step.progress.filled_qty, "f"),
            },
        )
        return Effects(tracked, step, ask_now=not step.progress.ended)

    def _write(self, tracked: Tracked, step: Step, source: Source, *, first: bool = False) -> None:
        now = self._clock.epoch_ms()
        if first:
            self._board.took(now - tracked.intent.published_ms)
        self._outcomes.put(merged(tracked, step, source, now, first=first))

    def _book(self, tracked: Tracked, step: Step, source: Source, *, first: bool = False) -> None:
        intent = tracked.intent
        if tracked.is_leg:
            self._book_leg(intent, tracked, step, source)
            return
        if first:
            self._portfolio.accepted(intent.client_order_id)
        if step.filled > 0:
            self._portfolio.filled(
                intent.client_order_id,
                intent.symbol,
                _signed(tracked, step),
                step.fill_price or Decimal(0),
                source.position_qty,
            )
        if step.progress.ended and not step.late_fill:
            self._portfolio.ended(intent.client_order_id)

    def _book_leg(self, intent: Intent, tracked: Tracked, step: Step, source: Source) -> None:
        """Nothing is reserved for a leg; in doubt until a snapshot, which has its free shares."""
        if step.filled <= 0:
            return
        if source.position_qty is not None:
            self._portfolio.moved_elsewhere(intent.symbol, source.position_qty)
            return
        coid, price = intent.client_order_id, step.fill_price or Decimal(0)
        self._portfolio.filled(coid, intent.symbol, _signed(tracked, step), price, None)


def _signed(tracked: Tracked, step: Step) -> Decimal:
    return step.filled if tracked.intent.side == Side.BUY else -step.filled
