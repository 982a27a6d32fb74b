"""One thread that runs one step again and again; the loop is written once, here.

A subclass says what one :meth:`Service.step` is. The loop around it survives any ``Exception``,
never sleeps but waits on an event, and ends by ``request_stop()``, by :class:`Fatal`, or when
something that is no ``Exception`` kills the thread; the supervisor then restarts it.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from solution.clock import Clock, Deadline, SystemClock

log = logging.getLogger("solution.runtime")

REPEAT_AFTER = 60.0
_MOST_TEXTS = 200


class Fatal(Exception):
    """A step cannot go on, and neither would a new thread: stop and tell the owner."""


class Runnable(Protocol):
    """What the owner and the supervisor ask of a service or a pool."""

    @property
    def name(self) -> str: ...

    @property
    def alive(self) -> bool:
        """Whether every thread of it runs."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether it was never started or was asked to stop: it is not to be restarted."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread of it, None while nothing did."""
        ...

    def start(self) -> None: ...

    def restart(self) -> bool: ...

    def request_stop(self) -> None: ...

    def join(self, deadline: Deadline) -> bool: ...

    def stop(self, deadline: Deadline) -> bool: ...


class ErrorLog:
    """Counts errors and logs each distinct text with its traceback once a minute.

    A broken connection fails hundreds of times a second in every worker: one line says it.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._mutex = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}  # text -> (logged at, unlogged since)
        self.count = 0

    def report(self, error: BaseException) -> None:
        """Count it; log it unless the same text was logged within the last minute."""
        text = f"{type(error).__name__}: {error}"[:300]
        now = self._clock.monotonic()
        with self._mutex:
            self.count += 1
            logged_at, repeats = self._seen.get(text, (-REPEAT_AFTER, 0))
            due = now - logged_at >= REPEAT_AFTER
            self._seen[text] = (now, 0) if due else (logged_at, repeats + 1)
            if len(self._seen) > _MOST_TEXTS:
                # Texts with numbers in them never repeat; the oldest one goes.
                del self._seen[next(iter(self._seen))]
        if due:
            log.error(
                "step failed in %s: %s",
                self._name,
                text,
                exc_info=error,
                extra={"service": self._name, "repeats": repeats},
            )


class Service(ABC):
    """One thread, one repeated step.

    Args:
        name: for logs, status and the thread.
        error_pause: seconds to wait after a step that raised.
        clock: where ``last_step_at`` comes from.
    """

    def __init__(self, name: str, *, error_pause: float = 1.0, clock: Clock | None = None) -> None:
        self._name = name
        self._error_pause = error_pause
        self._clock: Clock = clock or SystemClock()
        self._errors = ErrorLog(name, self._clock)
        self._last_step_at: float | None = None
        self._failure: BaseException | None = None
        # Guards the thread and the stop flag against start, stop and restart at one time.
        self._life_mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._stop.set()

    @abstractmethod
    def step(self) -> float:
        """Do one piece of work; returns seconds to wait before the next, 0 = none.

        May block only as long as a stop may take. Raise :class:`Fatal` to end the thread.
        """

    def on_start(self) -> None:  # noqa: B027  # a hook; most services need none
        """Called in the thread before the first step; tried again until it does not raise."""

    def on_stop(self) -> None:  # noqa: B027  # a hook; most services need none
        """Called in the thread after the last step, whatever ended it."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def alive(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was never started or was asked to stop."""
        return self._stop.is_set()

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread, if not a stop."""
        return self._failure

    @property
    def errors(self) -> int:
        """Steps that raised, ever."""
        return self._errors.count

    @property
    def last_step_at(self) -> float | None:
        """When the last step ended without raising, monotonic; None before the first."""
        return self._last_step_at

    def start(self) -> None:
        """Start the thread, unless it runs. A service that has stopped or died starts anew."""
        with self._life_mutex:
            if not self.alive:
                self._stop.clear()
                self._launch()

    def restart(self) -> bool:
        """Start the thread again after it died. Whether that was done.

        Never after request_stop(), so a supervisor cannot revive what its owner has stopped.
        """
        with self._life_mutex:
            if self.stopping or self.alive:
                return False
            self._launch()
            return True

    def request_stop(self) -> None:
        """Ask the thread to end after its step; wakes it from a pause. Returns at once."""
        with self._life_mutex:
            self._stop.set()
            self._wake.set()

    def wake(self) -> None:
        """End the current pause: there is something to do."""
        self._wake.set()

    def join(self, deadline: Deadline) -> bool:
        """Wait for the thread's end. Whether it has ended; not from the thread itself."""
        thread = self._thread
        if thread is threading.current_thread():
            return False
        if thread is not None:
            thread.join(deadline.left())
        return not self.alive

    def stop(self, deadline: Deadline) -> bool:
        """request_stop() and join()."""
        self.request_stop()
        return self.join(deadline)

    def _launch(self) -> None:
        """Requires holding ``_life_mutex``."""
        self._failure = None
        # A daemon: a step that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop()
        except Fatal as error:
            self._failure = error
            log.error("%s cannot go on: %s", self._name, error, extra={"service": self._name})  # noqa: TRY400  # a decision, its text says it all
        except BaseException as error:
            # The thread ends here in any case; kept for the supervisor, which reports it.
            self._failure = error
            log.exception("%s died", self._name, extra={"service": self._name})
        try:
            self.on_stop()
        except Exception as error:  # noqa: BLE001  # what ended the thread matters more
            self._errors.report(error)

    def _loop(self) -> None:
        started = False
        while not self._stop.is_set():
            try:
                if not started:
                    self.on_start()
                    started = True
                pause = self.step()
                self._last_step_at = self._clock.monotonic()
            except Fatal:
                raise
            except Exception as error:  # noqa: BLE001  # the thread outlives any one bad step
                self._errors.report(error)
                pause = self._error_pause
            if pause > 0:
                self._wake.wait(pause)
                # Cleared before the step, so what is announced during it shortens the next pause.
                self._wake.clear()


def stop_in_order(services: Sequence[Runnable], deadline: Deadline) -> list[str]:
    """Stop one after the other, each within what is left of the one deadline.

    The order is the caller's: what others still need goes last.

    Returns:
        The names of those that did not end in time.
    """
    late = [service for service in services if not service.stop(deadline)]
    # Those behind one that hung were asked, but had no time left; most have ended by now.
    return [service.name for service in late if not service.join(deadline)]
