"""Tickers that trade no more until a person resumes them.

The ledger is the authority (keys ``halted:SYMBOL``), so that a restart keeps a halt and
``signalpaca resume SYMBOL`` lifts it from another process; a copy in memory answers the gates.
"""

import logging
import threading
from typing import Protocol

from solution import failpoints

log = logging.getLogger(__name__)

PREFIX = "halted:"


class HaltLedger(Protocol):
    """Where halts are kept."""

    def set_state(self, key: str, value: str) -> None: ...
    def states(self, prefix: str) -> dict[str, str]: ...


class Halts:
    """Which tickers are halted, and why. Safe from any thread.

    Args:
        ledger: read once here and again at each :meth:`refresh`.
    """

    def __init__(self, ledger: HaltLedger) -> None:
        self._ledger = ledger
        self._mutex = threading.Lock()
        self._reasons: dict[str, str] = {}
        self.refresh()

    def reason(self, symbol: str) -> str | None:
        """Why the ticker must not trade, or None."""
        return self._reasons.get(symbol)

    def all(self) -> dict[str, str]:
        """Symbol → reason."""
        return dict(self._reasons)

    def halt(self, symbol: str, why: str) -> None:
        """Stop the ticker; durable on return.

        Raises:
            LedgerError: it is halted in this process only.
        """
        # The mutex spans the write: a refresh that had read before it would lift the halt again.
        with self._mutex:
            self._reasons = {**self._reasons, symbol: why}
            self._ledger.set_state(PREFIX + symbol, why)
        failpoints.hit("halts.halted")
        log.error("ticker_halted", extra={"symbol": symbol, "detail": why})

    def refresh(self) -> None:
        """Read again what stands in the ledger: a person may have resumed a ticker.

        Raises:
            LedgerError: unchanged.
        """
        with self._mutex:
            found = self._ledger.states(PREFIX)
            before = self._reasons
            self._reasons = {key.removeprefix(PREFIX): why for key, why in found.items()}
        for symbol in sorted(before.keys() - self._reasons.keys()):
            log.warning("ticker_resumed", extra={"symbol": symbol})
