"""How a generator keeps its period and how it ends."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, Self


class Stop(Protocol):
    """What a loop waits on; `threading.Event` fits."""

    def is_set(self) -> bool:
        """Say whether the loop has to end."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; return as soon as, and whether, the loop has to end."""
        ...


class SignalStop:
    """A stop flag that a signal handler may set.

    `threading.Event` will not do here: `set()` takes the lock that the `wait()` it interrupts may
    be holding in the same thread, and then both hang. A socket pair has no lock to hold.
    """

    def __init__(self) -> None:
        self._set = False
        self._read, self._write = socket.socketpair()
        self._write.settimeout(0)  # a handler must not block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._read.close()
        self._write.close()

    def set(self) -> None:
        """End the wait, now and from now on."""
        if not self._set:
            self._set = True
            self._write.send(b"\0")

    def is_set(self) -> bool:
        """Say whether `set()` was called."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `set()`; return whether it was called."""
        if timeout > 0:
            select.select([self._read], [], [], timeout)
        return self._set


@contextmanager
def stop_on_signals() -> Iterator[SignalStop]:
    """Yield a flag that SIGINT or SIGTERM sets; a second signal acts as it would without us.

    Only for the main thread, where Python runs its handlers. A process that it forks has the
    handler, but neither the flag nor a use for it: there the first signal acts as the second one.
    """
    wanted = (signal.SIGINT, signal.SIGTERM)
    owner = os.getpid()
    with SignalStop() as stop:
        before = {number: signal.getsignal(number) for number in wanted}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def handle(number: int, _frame: FrameType | None) -> None:
            restore()  # so that an impatient second Ctrl-C kills
            if os.getpid() != owner:
                # A strategy's multiprocessing.Pool ends its workers so, and waits until they have.
                os.kill(os.getpid(), number)
                return
            stop.set()

        for number in wanted:
            signal.signal(number, handle)
        try:
            yield stop
        finally:
            restore()


class Pacer:
    """Moments `interval` seconds apart, counted from the first wait.

    The period does not drift by the time each step takes, and a step that took too long costs
    the ticks it covered: they are skipped, never made up for in a burst.
    """

    def __init__(
        self, interval: float, stop: Stop, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval
        self._stop = stop
        self._monotonic = monotonic
        self._started: float | None = None
        self._tick = 0

    def wait(self) -> bool:
        """Wait for the next tick, the first of which is now; False when the loop has to end."""
        now = self._monotonic()
        if self._started is None:
            self._started = now
            return not self._stop.is_set()
        passed = int((now - self._started) // self._interval)
        self._tick = max(self._tick, passed) + 1
        due = self._started + self._tick * self._interval
        return not self._stop.wait(due - now)
