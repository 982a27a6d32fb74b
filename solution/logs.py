"""Logging off the hot path: threads hand records over, one thread formats, redacts and writes.

What a thread that trades pays for a line is a copy of the record and an append under a short
lock. It never waits: a full queue drops its oldest DEBUG and INFO records first, and the number of
dropped ones is reported. Arguments are formatted later, by the writer, unless they could change
until then.

Two sinks: ``signalpaca.log`` (JSON lines, for machines) and the console (for people). Both sit
behind a :class:`RedactionFilter`. The filter is on the handlers: one on a logger would never see
what that logger's children log.
"""

import atexit
import logging
import secrets as random
import sys
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from logging.handlers import QueueHandler
from types import TracebackType
from typing import TextIO

from solution.config_groups import LoggingSettings
from solution.log_records import RedactionFilter, extras_of, message_of, plain
from solution.log_sinks import ConsoleHandler, JsonFileHandler
from solution.security import Redactor, Secret

QUEUE_CAPACITY = 10_000
"""Records waiting for the writer. At 1 kB each, 10 MB."""

FLUSH_WITHIN = 1.0
"""Seconds that somebody waits for what was logged to be written; a sink may be stuck."""

GATHER = 0.02
"""Seconds the writer lets a burst gather, so that it wakes, and takes the GIL, once for it."""

LONGEST_TEXT = 16_384
"""Characters of a message or a value; a signal may be a megabyte, the queue must stay small."""

_NOISY = ("asyncio", "urllib3", "redis", "websockets")
_IMMUTABLE = (str, int, float, Decimal, bytes, datetime, type(None))

log = logging.getLogger(__name__)


class LogQueue:
    """A bounded buffer of records that never blocks whoever puts one in."""

    def __init__(self, capacity: int = QUEUE_CAPACITY) -> None:
        self._capacity = capacity
        self._mutex = threading.Lock()
        self._filled = threading.Event()
        self._low: deque[tuple[int, logging.LogRecord]] = deque()
        self._high: deque[tuple[int, logging.LogRecord]] = deque()
        self._number = self._taken = self._written = 0
        self._dropped = 0
        self._progress = threading.Condition(self._mutex)

    def put(self, record: logging.LogRecord) -> None:
        """Append; when full, the oldest record below WARNING makes room, else the oldest."""
        lane = self._low if record.levelno < logging.WARNING else self._high
        with self._mutex:
            if len(self._low) + len(self._high) >= self._capacity:
                (self._low or self._high).popleft()
                self._dropped += 1
            self._number += 1
            lane.append((self._number, record))
        if not self._filled.is_set():
            self._filled.set()

    def take(self) -> tuple[list[logging.LogRecord], int]:
        """Everything waiting, in the order it was put, and how many were dropped since last."""
        with self._mutex:
            self._filled.clear()
            waiting = sorted((*self._low, *self._high), key=lambda pair: pair[0])
            self._low.clear()
            self._high.clear()
            self._taken = self._number
            dropped, self._dropped = self._dropped, 0
        return [record for _, record in waiting], dropped

    def mark_written(self) -> None:
        """What :meth:`take` returned last has reached the sinks."""
        with self._progress:
            self._written = self._taken
            self._progress.notify_all()

    def await_written(self, seconds: float) -> bool:
        """Block until everything that was put before has reached the sinks, or the time is up."""
        with self._progress:
            last = self._number
            return self._progress.wait_for(lambda: self._written >= last, seconds)

    def wait(self) -> None:
        """Block until a record is there or :meth:`wake` is called."""
        self._filled.wait()

    def wake(self) -> None:
        self._filled.set()


class EnqueueHandler(QueueHandler):
    """The only handler of the root logger: hands records to the writer's queue."""

    def __init__(self, waiting: LogQueue, redactor: Redactor) -> None:
        super().__init__(waiting)  # type: ignore[arg-type]  # only our enqueue() touches it
        self._waiting = waiting
        self._redactor = redactor

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """A copy the writer may change, with nothing in it that others may still change."""
        mine = object.__new__(type(record))  # copy.copy() takes three times as long
        mine.__dict__.update(record.__dict__)
        if not isinstance(mine.msg, str) or not self._keeps(mine.msg) or not self._safe(mine.args):
            mine.msg, mine.args = self._short(message_of(record)), None
        for name, value in extras_of(mine):
            if not self._keeps(value):
                setattr(mine, name, plain(value, self._short))
        return mine

    def enqueue(self, record: logging.LogRecord) -> None:
        self._waiting.put(record)

    def flush(self) -> None:
        """Wait until what was logged so far is written; for whoever shares the terminal."""
        self._waiting.await_written(FLUSH_WITHIN)

    def _safe(self, args: object) -> bool:
        return not args or (isinstance(args, tuple) and all(map(self._keeps, args)))

    @staticmethod
    def _keeps(value: object) -> bool:
        """Whether the value can neither change nor is too long to keep."""
        if isinstance(value, (str, bytes)):
            return len(value) <= LONGEST_TEXT
        return isinstance(value, _IMMUTABLE)

    def _short(self, text: str) -> str:
        """Redacted first: cutting could leave half a secret that no longer looks like one."""
        if len(text) <= LONGEST_TEXT:
            return text
        return f"{self._redactor.redact(text)[:LONGEST_TEXT]}… ({len(text)} characters)"


class LogWriter(threading.Thread):
    """The thread that owns the sinks while it runs."""

    def __init__(self, waiting: LogQueue, sinks: Iterable[logging.Handler]) -> None:
        super().__init__(name="log-writer", daemon=True)
        self._waiting = waiting
        self._sinks = tuple(sinks)
        self._stopping = threading.Event()
        self._failing: set[logging.Handler] = set()
        self.dropped = 0
        """Records dropped so far because the queue was full."""

    def run(self) -> None:
        while not self._stopping.is_set():
            self._waiting.wait()
            self._stopping.wait(GATHER)
            self.step()
        self.step()

    def step(self) -> None:
        """Write everything that waits."""
        records, dropped = self._waiting.take()
        if dropped:
            self.dropped += dropped
            records.append(_notice("log_records_dropped", count=dropped))
        failures = [(sink, self._write(sink, records)) for sink in self._sinks]
        for sink, error in failures:
            self._report(sink, error)
        self._waiting.mark_written()

    def _report(self, sink: logging.Handler, error: Exception | None) -> None:
        """Tell the other sinks, once, that one cannot write (a full disk, a closed pipe)."""
        if error is None:
            self._failing.discard(sink)
        elif sink not in self._failing:
            self._failing.add(sink)
            kind = type(sink).__name__
            for other in self._sinks:
                if other not in self._failing:
                    self._write(other, [_notice("log_sink_failed", sink=kind, error=repr(error))])

    @staticmethod
    def _write(sink: logging.Handler, records: Iterable[logging.LogRecord]) -> Exception | None:
        """The last error, after everything was tried."""
        failed: Exception | None = None
        for record in records:
            try:
                sink.handle(record)
            except Exception as error:  # noqa: BLE001  # one record must not end the log of all
                failed = error
        try:
            sink.flush()
        except (OSError, ValueError) as error:
            failed = error
        return failed

    def stop(self, seconds: float) -> bool:
        """Write what waits and end; False when the sinks are stuck for longer than that."""
        self._stopping.set()
        self._waiting.wake()
        self.join(seconds)
        return not self.is_alive()


class LogSystem:
    """What :func:`setup_logging` started.

    Args:
        level: least level that is logged.
        redactor: shared by all sinks.
        sinks: in the order they are written to.
    """

    def __init__(self, level: str, redactor: Redactor, sinks: Iterable[logging.Handler]) -> None:
        self.redactor = redactor
        self._sinks = tuple(sinks)
        waiting = LogQueue()
        self._handler = EnqueueHandler(waiting, redactor)
        self._writer = LogWriter(waiting, self._sinks)
        self._root = logging.getLogger()
        self._before = (self._root.level, list(self._root.handlers))
        self._hooks = (sys.excepthook, threading.excepthook)
        self._levels = {name: logging.getLogger(name).level for name in _NOISY}
        self._stopped = False
        self._start(level)

    def _start(self, level: str) -> None:
        self._root.handlers[:] = [self._handler]
        self._root.setLevel(level)
        for name in _NOISY:
            # Their DEBUG lines are wire dumps, with headers, on the order path.
            logging.getLogger(name).setLevel(max(logging.WARNING, self._root.level))
        logging.captureWarnings(capture=True)
        # An exception nobody caught is printed with its values: it too must pass the filter.
        sys.excepthook = self._uncaught
        threading.excepthook = self._uncaught_in_thread
        atexit.register(self.stop)
        self._writer.start()

    @property
    def dropped(self) -> int:
        """Records lost so far because the writer could not keep up."""
        return self._writer.dropped

    def stop(self, seconds: float = 2.0) -> bool:
        """Write what waits, close the file and put logging back; safe to call again.

        Returns:
            False when a sink was stuck and the last records could not be written in time.
        """
        if self._stopped:
            return True
        self._stopped = True
        atexit.unregister(self.stop)
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook = self._hooks
        done = self._writer.stop(seconds)
        root_level, handlers = self._before
        self._root.setLevel(root_level)
        self._root.handlers[:] = handlers
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        if done:  # otherwise the writer is still inside one of them
            for sink in self._sinks:
                sink.close()
        return done

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._hooks[0](kind, error, trace)
            return
        log.critical("uncaught_exception", exc_info=(kind, error, trace))

    def _uncaught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is None or isinstance(args.exc_value, SystemExit):
            return
        name = args.thread.name if args.thread else "?"
        log.critical(
            "uncaught_exception_in_thread",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
            extra={"in_thread": name},
        )


def setup_logging(
    settings: LoggingSettings, secrets: Iterable[str | Secret] = (), stream: TextIO | None = None
) -> LogSystem:
    """Route everything logged in this process to the file and the console.

    Args:
        settings: level, directory, colours.
        secrets: values that must never be written.
        stream: the console, in place of standard error.

    Raises:
        ConfigError: the log directory or its file cannot be written.
    """
    redactor = Redactor(secrets)
    run_id = random.token_hex(4)
    sinks: list[logging.Handler] = []
    if settings.dir is not None:
        sinks.append(JsonFileHandler(settings.dir, run_id, redactor))
    sinks.append(ConsoleHandler(stream or sys.stderr, redactor, color=settings.color))
    for sink in sinks:
        sink.addFilter(RedactionFilter(redactor))
    return LogSystem(settings.level, redactor, sinks)


def _notice(message: str, **extras: object) -> logging.LogRecord:
    """A record of our own, made by the writer itself."""
    base: dict[str, object] = {"name": __name__, "levelno": 30, "levelname": "WARNING"}
    return logging.makeLogRecord({**base, "msg": message, **extras})
