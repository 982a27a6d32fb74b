"""Outcomes from all threads, committed in batches by one."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from solution import failpoints
from solution.clock import Clock, Deadline
from solution.domain.records import Change, EntryRef
from solution.errors import LeaseLost, LedgerError
from solution.runtime.service import Fatal, Service

log = logging.getLogger(__name__)

BATCH = 256
"""Changes in one commit at most."""
WINDOW = 0.003
"""Seconds a change waits for company."""
GIVE_UP = 5.0
"""Seconds of failing commits after which the service ends."""

_IDLE = 1.0
_FIRST_RETRY = 0.02
_LAST_RETRY = 0.5

Publish = Callable[[Sequence[tuple[int, Mapping[str, str]]], Sequence[EntryRef]], None]
"""Takes events with their ids, in order, and entries to acknowledge; returns at once."""


class BatchLedger(Protocol):
    """What the writer asks of a ledger."""

    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]: ...

    def tidy(self, *, idle: bool = False) -> None: ...


class OutcomeWriter(Service):
    """:class:`solution.domain.ports.Outcomes`: commits what is put, then hands it to ``publish``.

    Nothing is handed on before its commit is on disk. A ledger that fails is tried again for
    ``give_up`` seconds while the batch is held; then the thread ends with :class:`Fatal`, nothing
    of the batch is acknowledged, and the entries are decided again at the next start.

    Args:
        ledger: used by this thread for ``apply`` and ``tidy``.
        publish: gets the events and the acknowledgements of every commit.
        give_up: seconds.
        clock: measures ``give_up``.
    """

    def __init__(
        self,
        ledger: BatchLedger,
        publish: Publish,
        *,
        give_up: float = GIVE_UP,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("outcome-writer", clock=clock)
        self._ledger = ledger
        self._publish = publish
        self._give_up = give_up
        # An Event in the queue is a flush: set once everything before it is committed.
        self._queue: deque[Change | threading.Event] = deque()
        self._full = threading.Event()
        self._never = threading.Event()
        self._idle_since: float | None = None  # None: there was nothing since the last upkeep
        self._failed = False
        self.give_way: Callable[[], None] = lambda: None
        """Called before a batch; may wait a moment."""

    def put(self, change: Change) -> None:
        """Take a decided change; from any thread, returns at once."""
        self._enqueue(change)
        failpoints.hit("writer.put")

    @property
    def pending(self) -> int:
        """Changes put and not committed yet."""
        return len(self._queue)

    def step(self) -> float:
        """Commit one batch of what was put; put() ends the pause that follows an empty step.

        Raises:
            Fatal: the ledger failed for too long.
        """
        if self._queue:
            self._gather()
            self._commit_next()
            self._idle_since = self._clock.monotonic()
            return 0.0
        if self._idle_since is not None and self._clock.monotonic() - self._idle_since >= _IDLE:
            self._ledger.tidy(idle=True)
            self._idle_since = None
        return _IDLE

    def request_stop(self) -> None:
        """Make the thread end soon; :meth:`join` commits what is left."""
        super().request_stop()
        self._full.set()

    def join(self, deadline: Deadline) -> bool:
        """Wait for the thread, then commit what was put in its last moments.

        Returns:
            whether the thread ended and everything put before is committed.
        """
        return super().join(deadline) and self._drain()

    def flush(self, deadline: Deadline) -> bool:
        """Wait until everything put before is committed and handed to ``publish``."""
        if not self.alive:
            return self._drain()
        passed = threading.Event()
        self._enqueue(passed)
        while not passed.wait(min(0.05, deadline.left())):
            if self._failed or deadline.passed():
                return False
            if not self.alive:
                return self._drain()
        return True

    def _enqueue(self, item: Change | threading.Event) -> None:
        # After the append: a step that did not see the item is followed by a pause that ends.
        self._queue.append(item)
        if not self._wake.is_set():
            self.wake()
        if len(self._queue) >= BATCH and not self._full.is_set():
            self._full.set()

    def _gather(self) -> None:
        """Let a short queue grow for a moment: one fsync then serves many."""
        self._full.clear()
        if len(self._queue) < BATCH and not self.stopping:
            self._full.wait(WINDOW)
        if not self.stopping:
            self.give_way()

    def _drain(self) -> bool:
        """Commit everything from the caller's thread; requires that ours has ended."""
        try:
            while self._queue and not self._failed:
                self._commit_next()
        except Fatal:
            log.exception("outcomes_lost", extra={"pending": self.pending})
        return not self._queue

    def _commit_next(self) -> None:
        """Commit the head of the queue, which keeps it until it is durable."""
        head = [self._queue[index] for index in range(min(BATCH, len(self._queue)))]
        changes = [item for item in head if isinstance(item, Change)]
        if changes:
            self._commit(changes)
        for item in head:
            self._queue.popleft()
            if isinstance(item, threading.Event):
                item.set()
        self._ledger.tidy()

    def _commit(self, changes: list[Change]) -> None:
        failpoints.hit("writer.before_commit")
        try:
            committed = self._apply(changes)
        except LeaseLost as error:
            # Nothing changes that by itself: the entries belong to the other instance now.
            self._failed = True
            raise Fatal(str(error)) from error
        except LedgerError as error:
            self._failed = True
            raise Fatal(f"the ledger failed for {self._give_up:g} s: {error}") from error
        except Exception:
            # One change that cannot be stored (a mistake in the program) must not take its
            # neighbours along; it stays unacknowledged, so its entry is not lost.
            log.exception("change_not_stored", extra={"changes": len(changes)})
            if len(changes) > 1:
                for change in changes:
                    self._commit([change])
            return
        failpoints.hit("writer.committed")
        acks = [ref for change in changes for ref in change.ack]
        self._publish(committed, acks)

    def _apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]:
        deadline = Deadline(self._give_up, self._clock)
        pause = _FIRST_RETRY
        while True:
            try:
                return self._ledger.apply(changes)
            except LeaseLost:
                raise
            except LedgerError as error:
                if deadline.passed():
                    raise
                log.warning("ledger_failed", extra={"error": str(error), "retry_in": pause})
            # Not the stop event: a stop must not cut the attempts short.
            self._never.wait(pause)
            pause = min(pause * 2, _LAST_RETRY)
