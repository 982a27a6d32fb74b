"""Gates, size, gates, reservation: one decision on one fresh picture."""

import functools
import threading
from typing import Protocol

from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.reasons import Reason
from solution.domain.records import Intent
from solution.errors import Refused
from solution.trading.clearing import Clearing
from solution.trading.compose import Composer
from solution.trading.course import Course
from solution.trading.exit_saga import Cleared
from solution.trading.gates import SIGNAL_GATES, first_denial
from solution.trading.gates.view import View
from solution.trading.looker import Looker, MarketDesk

GATES_TO_SEND = 0.25
"""Seconds from the gates' look to the POST; later, they look again."""


class Desk(MarketDesk, Protocol):
    """The part of the wrapper that decisions read; none of it spends trading-API budget."""

    def refresh_if_uncertain(self, symbol: str, *, urgent: bool) -> bool:
        """False when what is not urgent has to wait for rate budget first."""
        ...

    def knows(self, symbol: str) -> bool:
        """Whether market and quote are in memory and fresh: looking at them asks nobody."""
        ...

    def connect(self) -> None:
        """Have a connection ready for the next order; never raises."""
        ...


class Reserving:
    """Decides one signal at a time; called by workers.

    Args:
        clearing: cancels what is in a signal's way; None leaves it.
        stop: set when the service stops.
    """

    def __init__(
        self,
        *,
        desk: Desk,
        looker: Looker,
        composer: Composer,
        portfolio: Portfolio,
        clearing: Clearing | None,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._desk = desk
        self._looker = looker
        self._composer = composer
        self._portfolio = portfolio
        self._clearing = clearing
        self._clock = clock
        self._stop = stop

    def reserve(self, course: Course) -> tuple[Intent, View] | None:
        """The order with what it holds, and what the gates saw; again when they took too long.

        Returns:
            None when it cannot be decided now: its position is in doubt and there is no rate budget
            to ask for it, or the service stops while resting orders are being cancelled for it, or
            it is to be sent back, since it would have to wait and its worker may not.

        Raises:
            Refused: a gate said no.
            SignalError, IdentityExists: as :meth:`Composer.decide` and :meth:`Clearing.clear`.
        """
        cleared = Cleared()
        try:
            try:
                return self._in_time(course, cleared)
            except Refused as e:
                # An execution that came between the look and the reservation: asked about once.
                doubted = e.reason == Reason.EXPOSURE_UNCONFIRMED
                if not doubted or not self._portfolio.is_uncertain(course.work.asset.symbol):
                    raise
                return self._in_time(course, cleared)
        except Refused as e:
            e.message = cleared.told(e.message)
            raise

    def is_recent(self, view: View) -> bool:
        """Whether what the gates saw may still be acted on."""
        return self._clock.monotonic() - view.seen_at <= GATES_TO_SEND

    def _in_time(self, course: Course, cleared: Cleared) -> tuple[Intent, View] | None:
        work, symbol = course.work, course.work.asset.symbol
        while True:
            if course.burdened and not self._is_settled(symbol):
                course.sent_back = True
                return None
            # As urgent as its lane: an exit behind it waits for it.
            urgent = work.signal.is_exit or course.lane.urgent
            settled = self._desk.refresh_if_uncertain(symbol, urgent=urgent)
            view = self._looker.look(work)
            denial = first_denial(SIGNAL_GATES, view)
            if denial is not None:
                raise Refused(denial.reason, denial.message)
            if not settled:
                return None
            if not cleared.over and self._clears(course, view, cleared):
                if course.sent_back or self._stop.is_set():
                    return None  # not refused for cancels that were not waited for
                continue  # it took its time: look again
            intent = self._portfolio.reserve(
                symbol,
                functools.partial(self._composer.decide, work, view),
                strategy=work.signal.strategy,
            )
            if self.is_recent(view):
                return intent, view
            self._portfolio.released(intent.client_order_id, sent=False)

    def _is_settled(self, symbol: str) -> bool:
        """Whether a decision would ask nobody for anything."""
        return self._desk.knows(symbol) and not self._portfolio.is_uncertain(symbol)

    def _clears(self, course: Course, view: View, cleared: Cleared) -> bool:
        """Whether there was something in its way, which it took its time to cancel."""
        if self._clearing is None:
            return False
        if course.burdened:
            course.sent_back = self._clearing.meets(course.work, view)
            return course.sent_back
        return self._clearing.clear(course.work, view, cleared)
