"""A fixed number of workers on a ThreadPoolExecutor, each doing one item after the other."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from solution.clock import Clock, Deadline, SystemClock
from solution.runtime.service import ErrorLog, Fatal

log = logging.getLogger("solution.runtime")


class WorkerPool:
    """Runs ``work(stop_event)`` in `size` threads until stopped; one item per call.

    ``work`` must return soon when nothing is to be done and when the event is set; the pool calls
    it again at once. An ``Exception`` is counted, logged and survived. What is no ``Exception``
    ends that worker, and :meth:`restart` replaces it. :class:`Fatal` ends all of them.

    The executor's threads are no daemons: the interpreter waits for them at exit, so an owner
    whose stop() returned False ends the process with ``os._exit``.

    Args:
        size: number of workers.
        work: one item, or a short wait for one.
        name: for logs, status and the threads.
        error_pause: seconds a worker waits after ``work`` raised.
        clock: where ``last_step_at`` comes from.
    """

    def __init__(
        self,
        size: int,
        work: Callable[[threading.Event], None],
        name: str = "workers",
        *,
        error_pause: float = 0.1,
        clock: Clock | None = None,
    ) -> None:
        if size < 1:
            raise ValueError("a pool needs at least one worker")
        self._size = size
        self._work = work
        self._name = name
        self._error_pause = error_pause
        self._clock: Clock = clock or SystemClock()
        self._errors = ErrorLog(name, self._clock)
        self._last_step_at: float | None = None
        self._failure: BaseException | None = None
        # Guards the executor and its futures against start, stop and restart at one time.
        self._life_mutex = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._workers: list[Future[None]] = []
        self._stopping = True
        self._stop = threading.Event()

    @property
    def name(self) -> str:
        return self._name

    @property
    def size(self) -> int:
        return self._size

    @property
    def running(self) -> int:
        """How many workers run."""
        return sum(not worker.done() for worker in self._workers)

    @property
    def alive(self) -> bool:
        """Whether all of them run."""
        return self.running == self._size

    @property
    def stopping(self) -> bool:
        """Whether it was never started or was asked to stop."""
        return self._stopping

    @property
    def failure(self) -> BaseException | None:
        """What ended a worker last, if not a stop."""
        return self._failure

    @property
    def errors(self) -> int:
        """Calls of ``work`` that raised an Exception, ever."""
        return self._errors.count

    @property
    def last_step_at(self) -> float | None:
        """When any worker's ``work`` returned last, monotonic; None before the first."""
        return self._last_step_at

    def start(self) -> None:
        """Start all workers, unless they run."""
        with self._life_mutex:
            if self.running:
                return
            self._stopping = False
            self._failure = None
            # A new event: a worker of an earlier run that hangs must still see its stop.
            self._stop = threading.Event()
            self._executor = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)
            self._workers = []
            self._fill()

    def restart(self) -> bool:
        """Replace workers that died. Whether any was replaced; never after request_stop()."""
        with self._life_mutex:
            if self._stopping or self.alive:
                return False
            self._failure = None
            self._workers = [worker for worker in self._workers if not worker.done()]
            self._fill()
            return True

    #: The same under the name of what it does.
    check = restart

    def request_stop(self) -> None:
        """Ask every worker to end after its item. Returns at once."""
        with self._life_mutex:
            self._stopping = True
            self._stop.set()

    def join(self, deadline: Deadline) -> bool:
        """Wait for all workers. Whether all have ended."""
        wait(self._workers, timeout=deadline.left())
        ended = not self.running
        with self._life_mutex:
            if self._executor is not None and self._stopping:
                self._executor.shutdown(wait=ended)
        return ended

    def stop(self, deadline: Deadline) -> bool:
        """request_stop() and join()."""
        self.request_stop()
        return self.join(deadline)

    def _fill(self) -> None:
        """Requires holding ``_life_mutex``."""
        if self._executor is not None:
            missing = self._size - len(self._workers)
            self._workers += [self._executor.submit(self._run, self._stop) for _ in range(missing)]

    def _run(self, stop: threading.Event) -> None:
        """One worker. What ends it is kept for the supervisor, and in its future for alive."""
        try:
            while not stop.is_set():
                self._call(stop)
        except Fatal as error:
            self._failure = error
            stop.set()
            log.error("%s cannot go on: %s", self._name, error, extra={"service": self._name})  # noqa: TRY400  # a decision, its text says it all
        except BaseException as error:
            if not isinstance(self._failure, Fatal):
                self._failure = error
            log.exception("a worker of %s died", self._name, extra={"service": self._name})

    def _call(self, stop: threading.Event) -> None:
        try:
            self._work(stop)
            self._last_step_at = self._clock.monotonic()
        except Fatal:
            raise
        except Exception as error:  # noqa: BLE001  # the worker outlives any one bad item
            self._errors.report(error)
            stop.wait(self._error_pause)
