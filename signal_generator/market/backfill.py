"""A thread that asks history, so that no other one waits for it."""

import logging
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from queue import SimpleQueue

from signal_generator.market.bar_flow import Ask
from signal_generator.market.market_history import (
    Bars,
    HistoryRefused,
    HistoryUnavailable,
    MarketHistory,
)
from signal_generator.market.market_stream import REPORT_AFTER, Pauses

_ONE_SECOND = timedelta(seconds=1)
_REFUSALS = 3
"""Failures in a row: a gateway in front of the server refuses by mistake now and then."""
_CLOCK_ERROR = 4.0
"""Seconds; the delivery of bars bears five."""


class Backfill:
    """Answers one question after the other.

    Args:
        history: this thread's own.
        refused: called with the reason, where asking again has not helped and will not.
    """

    def __init__(
        self,
        history: MarketHistory,
        *,
        refused: Callable[[str], None],
        log: logging.Logger,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._history = history
        self._told: Callable[[Ask, Bars, bool], None] = lambda _ask, _bars, _last: None
        self._failed: Callable[[], None] = lambda: None
        self._refused = refused
        self._log = log
        self._pauses = Pauses(draw)
        self._clock_told = False
        self._asks: SimpleQueue[Ask | None] = SimpleQueue()
        self._stop = threading.Event()
        #: Daemon: a request under way ends by its timeouts, later than a stop may take.
        self._thread = threading.Thread(target=self._run, name="backfill", daemon=True)

    def start(self, told: Callable[[Ask, Bars, bool], None], failed: Callable[[], None]) -> None:
        """Begin; to be called once.

        Args:
            told: called with the question, a part of the answer, and whether it is the last part.
            failed: called where there is no answer, after the pause that is due then.
        """
        self._told, self._failed = told, failed
        self._thread.start()

    def ask(self, ask: Ask) -> None:
        """Put the question behind those before it."""
        self._asks.put(ask)

    def ask_stop(self) -> None:
        """Nothing is told any more, soon; a request under way is left to itself."""
        self._stop.set()
        self._asks.put(None)

    def _run(self) -> None:
        while (ask := self._asks.get()) is not None and not self._stop.is_set():
            try:
                self._answer(ask)
            except HistoryUnavailable as error:
                self._excuse(error)
            except Exception as error:  # noqa: BLE001  # of any kind: nobody else closes gaps
                self._log.exception("backfill_failed")
                self._excuse(HistoryUnavailable(f"{type(error).__name__}: {error}"))
            else:
                self._pauses.forget()

    def _answer(self, ask: Ask) -> None:
        start = min(ask.after.values()) + _ONE_SECOND
        for part in self._history.parts(list(ask.after), ask.timeframe, start, ask.asked_at):
            if self._stop.is_set():
                return
            self._told(ask, part, False)  # noqa: FBT003  # named above
        self._look_at_clock()
        self._told(ask, {}, True)  # noqa: FBT003

    def _look_at_clock(self) -> None:
        """A clock that is ahead takes bars for completed that are not: say so, once."""
        error = self._history.clock_error()
        if abs(error) > _CLOCK_ERROR and not self._clock_told:
            self._clock_told = True
            self._log.error(
                "this machine's clock is %.0f s %s the server's: bars may be wrong, set it by NTP",
                abs(error),
                "behind" if error > 0 else "ahead of",
            )

    def _excuse(self, error: HistoryUnavailable) -> None:
        pause = self._pauses.next()
        if isinstance(error, HistoryRefused) and self._pauses.failures >= _REFUSALS:
            self._refused(str(error))
        serious = self._pauses.failures % REPORT_AFTER == 0 or isinstance(error, HistoryRefused)
        level = logging.ERROR if serious else logging.WARNING
        self._log.log(level, "bars wait, again in %.1f s: %s", pause, error)
        self._stop.wait(pause)
        self._failed()
