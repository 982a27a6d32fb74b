"""Which pending entry is being read, kept in the ledger while it is.

A bug that kills the process (not an exception, which costs one entry: memory, a crash in a library)
would strike at every start, since the entry is still pending. Its mark tells the next start.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from solution.domain.reasons import Reason
from solution.domain.records import POISON_STARTS, EntryRef
from solution.errors import LedgerError, SignalError

MARK = "reading"
"""The mark's key among the ledger's states, and our name at the turnstile."""


class Memory(Protocol):
    """The part of the ledger that keeps the mark."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...
    def delete_state(self, key: str, *, sync: bool = True) -> None: ...


class Turn(Protocol):
    """:class:`solution.trading.turnstile.Turnstile`."""

    def enter(self, identity: str) -> bool: ...
    def leave(self, identity: str) -> None: ...


class Reading:
    """Counts for each pending entry the readings that ended in a crash; used by one thread.

    One mark at a time: an entry that waits beside the one that kills is never counted. Nor is one
    that is read while a suspect is decided, which might be what kills: the two take turns.

    Args:
        memory: where the mark outlives the process.
        turn: holds back what must be decided all alone.
    """

    def __init__(self, memory: Memory, turn: Turn) -> None:
        self._memory = memory
        self._turn = turn
        self._crashes: dict[EntryRef, int] | None = None
        self._now: tuple[EntryRef, int] | None = None

    @contextmanager
    def pending(self) -> Iterator[bool]:
        """While pending entries are read, each after a :meth:`begin`.

        Yields:
            False when it is not their turn: nothing may be read.
        """
        if not self._turn.enter(MARK):
            yield False
            return
        try:
            yield True
            self._survived()
            self._memory.delete_state(MARK, sync=False)
        except Exception:
            self._withdraw()
            raise
        finally:
            self._turn.leave(MARK)

    def begin(self, ref: EntryRef) -> bool:
        """An entry is about to be read; the one before it has been.

        Returns:
            False when not even its content may be looked at.

        Raises:
            LedgerError: it is not marked.
        """
        self._survived()
        starts = self._known().get(ref, 0) + 1
        self._memory.set_state(MARK, f"{starts} {ref.entry_id} {ref.stream}", sync=False)
        self._now = ref, starts
        return starts <= POISON_STARTS

    def check(self, ref: EntryRef) -> None:
        """Before the entry is parsed.

        Raises:
            SignalError: the process died too often while it was read.
        """
        if self._now is not None and self._now[0] == ref and self._now[1] >= POISON_STARTS:
            # The first time it was read, it was new and not counted.
            raise SignalError(
                Reason.POISON, f"the service died {self._now[1]} times while it read this entry"
            )

    def _known(self) -> dict[EntryRef, int]:
        """Entry → readings of it that did not end; what the process before left, at first."""
        if self._crashes is None:
            starts, entry_id, stream = (self._memory.get_state(MARK) or "0  ").split(" ", 2)
            self._crashes = {EntryRef(stream, entry_id): int(starts)}
        return self._crashes

    def _survived(self) -> None:
        if self._now is not None:
            self._known().pop(self._now[0], None)
            self._now = None

    def _withdraw(self) -> None:
        """The process lives on, so this reading is not to be counted; those before it are."""
        now, self._now = self._now, None
        with suppress(LedgerError):
            if now is None or now[1] == 1:
                self._memory.delete_state(MARK, sync=False)
            else:
                ref = now[0]
                self._memory.set_state(
                    MARK, f"{now[1] - 1} {ref.entry_id} {ref.stream}", sync=False
                )
