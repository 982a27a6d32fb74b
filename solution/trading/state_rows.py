"""Small state that stops orders, in the ledger and in memory: what was put here holds at once.

A row counts from the moment it is put, before it is durable, and a ledger that fails does not undo
it: it is written again with the next reading. A row that somebody else writes or deletes (a command
beside the service) counts from the next reading on. So whatever the order of these, memory is never
less strict than what was put here and what the ledger said last.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Protocol

from solution import failpoints
from solution.errors import LedgerError

log = logging.getLogger(__name__)

WAIT = 1.0
"""Seconds to wait for another thread's reading or writing."""


class StateLedger(Protocol):
    """Where the rows are kept."""

    def set_state(self, key: str, value: str) -> None: ...
    def delete_state(self, key: str) -> None: ...
    def states(self, prefix: str) -> dict[str, str]: ...


class StateRows:
    """Rows of ``bot_state`` under some prefixes. Safe from any thread.

    Two locks: ``_io`` spans each question to the ledger and what follows from its answer, so that a
    reading that began before a write cannot take the write back; ``_memory`` guards the two
    dictionaries and is a leaf. Whoever reads needs neither: ``rows`` is replaced, never changed.

    Args:
        ledger: read once by the first :meth:`refresh`.
        prefixes: which keys.
    """

    def __init__(self, ledger: StateLedger, prefixes: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._prefixes = prefixes
        self._io = threading.Lock()
        self._memory = threading.Lock()
        self._kept: dict[str, str] = {}
        self._unkept: dict[str, str] = {}
        """Put here, and not in the ledger as far as we know."""
        self.rows: Mapping[str, str] = {}

    def put(self, key: str, value: str) -> None:
        """Keep a row: in force at once, durable on return.

        Raises:
            LedgerError: it is in force in this process; it is written with the next refresh.
        """
        with self._memory:
            self._unkept[key] = value
            self._show()
        failpoints.hit("states.put", key)
        with self._io:
            self._write()
        failpoints.hit("states.kept", key)

    def drop(self, key: str) -> None:
        """Forget a row; durable on return, and what was put meanwhile stays.

        Raises:
            LedgerError: it is still in force.
        """
        with self._io:
            before = self._unkept.get(key)
            self._ledger.delete_state(key)
            with self._memory:
                self._kept.pop(key, None)
                if self._unkept.get(key) is before:
                    self._unkept.pop(key, None)
                self._show()

    def refresh(self) -> None:
        """Write what is not kept yet, and read again what stands in the ledger.

        Raises:
            LedgerError: unchanged.
        """
        if not self._io.acquire(timeout=WAIT):
            raise LedgerError("the ledger does not answer another thread's question")
        try:
            self._write_again()
            found = self._ledger.states("")
            failpoints.hit("states.read")
            mine = {key: value for key, value in found.items() if key.startswith(self._prefixes)}
            with self._memory:
                self._kept = mine
                self._show()
        finally:
            self._io.release()

    def _write_again(self) -> None:
        """What an earlier attempt could not keep. A ledger that can only be read is read."""
        try:
            self._write()
        except LedgerError as error:
            log.warning("state_not_kept", extra={"detail": str(error)})

    def _write(self) -> None:
        """Requires holding ``_io``; what another thread has written meanwhile is not here."""
        for key, value in list(self._unkept.items()):
            self._ledger.set_state(key, value)
            with self._memory:
                self._kept[key] = value
                if self._unkept.get(key) is value:
                    self._unkept.pop(key)
                self._show()

    def _show(self) -> None:
        """Requires holding ``_memory``."""
        self.rows = self._kept | self._unkept
