"""The thread in which what is heard and what history tells become completed bars."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from signal_generator.bars import Bar
from signal_generator.hosting import BrokerUnavailable
from signal_generator.market.bar_flow import Ask
from signal_generator.market.market_history import Bars

_QUIET, _BUSY = 1.0, 0.1
"""Seconds between two looks at the clock, without and with something that waits for a time."""


_ASK_EVERY = 0.25
"""Seconds between two questions: the bars of a minute come one by one, those in doubt together."""


class Flow(Protocol):
    """What turns events into bars: for minutes, or for days."""

    @property
    def repeated(self) -> int: ...
    @property
    def updated(self) -> int: ...
    def whole(self) -> bool: ...
    def subscribed(self, now: datetime, *, crypto: bool) -> None: ...
    def lost(self, *, crypto: bool) -> None: ...
    def live(self, bar: Bar) -> list[Bar]: ...
    def correction(self, bar: Bar) -> None: ...
    def ask(self, now: datetime) -> Ask | None: ...
    def told(self, ask: Ask, bars: Bars, *, last: bool) -> list[Bar]: ...
    def failed(self) -> None: ...


class BarWorker:
    """Owns a flow. Its public methods may be called from any thread, and only enqueue.

    Args:
        put: given each completed bar, in this thread.
        ask: given each question to history; only enqueues.
        crashed: told if this thread ends by an error of ours.
    """

    def __init__(
        self,
        flow: Flow,
        now: Callable[[], datetime],
        put: Callable[[Bar], None],
        ask: Callable[[Ask], None],
        crashed: Callable[[str], None],
    ) -> None:
        self._flow = flow
        self._now = now
        self._put = put
        self._ask = ask
        self._crashed = crashed
        self._asked_at = -_ASK_EVERY
        #: Without a bound: a bar that found no room would be lost.
        self._events: SimpleQueue[Callable[[], Iterable[Bar] | None]] = SimpleQueue()
        self._stop = threading.Event()
        self.market_time: datetime | None = None
        """The market's time at this thread's last look, for those that may not ask the clock."""
        self._thread = threading.Thread(target=self._run, name="bars", daemon=True)

    def start(self) -> None:
        """Begin; to be called once."""
        self._thread.start()

    def ask_stop(self) -> None:
        """Deliver nothing more but what is being put just now."""
        self._stop.set()
        self._events.put(lambda: None)

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended within this time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def subscribed(self, *, crypto: bool) -> None:
        """The time is taken when it is worked on: later than the subscription, never before."""
        self._events.put(lambda: self._flow.subscribed(self._look(), crypto=crypto))

    def lost(self, *, crypto: bool) -> None:
        """See :class:`signal_generator.market.bar_flow.BarFlow`, as for all below."""
        self._events.put(partial(self._flow.lost, crypto=crypto))

    def live(self, bar: Bar) -> None:
        """A minute bar came live."""
        self._events.put(partial(self._flow.live, bar))

    def correction(self, bar: Bar) -> None:
        """A minute bar was told anew."""
        self._events.put(partial(self._flow.correction, bar))

    def told(self, ask: Ask, bars: Bars, last: bool) -> None:  # it is a callback
        """History answered."""
        self._events.put(partial(self._flow.told, ask, bars, last=last))

    def failed(self) -> None:
        """History did not answer."""
        self._events.put(self._flow.failed)

    def _run(self) -> None:
        try:
            self._wait_for_clock()
            while not self._stop.is_set():
                self._step()
        except Exception:  # a thread that ends silently looks like a quiet market
            logging.getLogger(__name__).exception("bars_failed")
            self._crashed("a defect of the program ended the delivery of bars; the log has it")

    def _step(self) -> None:
        for bar in self._next_event()() or ():
            self._put(bar)
        now = self._look()
        if time.monotonic() - self._asked_at >= _ASK_EVERY and (ask := self._flow.ask(now)):
            self._asked_at = time.monotonic()
            self._ask(ask)

    def _wait_for_clock(self) -> None:
        """Nothing can be said about bars before the market's time is known."""
        while self.market_time is None and not self._stop.is_set():
            try:
                self.market_time = self._now()
            except BrokerUnavailable:
                self._stop.wait(_QUIET)

    def _look(self) -> datetime:
        """The market's time, or that of the last look where the clock is out of reach."""
        with suppress(BrokerUnavailable):
            self.market_time = self._now()
        assert self.market_time is not None  # noqa: S101  # _wait_for_clock saw to it
        return self.market_time

    def _next_event(self) -> Callable[[], Iterable[Bar] | None]:
        try:
            return self._events.get(timeout=_QUIET if self._flow.whole() else _BUSY)
        except Empty:
            return _nothing


def _nothing() -> None:
    """What happens when nothing happens: the clock has moved."""
