"""Tickers that trade no more until a person resumes them.

The ledger is the authority (keys ``halted:SYMBOL``), so that a restart keeps a halt and
``signalpaca resume SYMBOL`` lifts it from another process; a copy in memory answers the gates.
"""

import logging
import threading
from collections.abc import Mapping

from solution import failpoints
from solution.trading.state_rows import StateLedger, StateRows

log = logging.getLogger(__name__)

PREFIX = "halted:"


class Halts:
    """Which tickers are halted, and why. Safe from any thread.

    Args:
        ledger: read once here and again at each :meth:`refresh`.
        rows: where they are kept together with others, if they are.
    """

    def __init__(self, ledger: StateLedger, rows: StateRows | None = None) -> None:
        self._rows = rows or StateRows(ledger, (PREFIX,))
        self._told: frozenset[str] = frozenset()
        # A leaf: only so that a ticker that was resumed is told once.
        self._telling = threading.Lock()
        self.refresh()

    def reason(self, symbol: str) -> str | None:
        """Why the ticker must not trade, or None."""
        return of_symbol(self._rows.rows, PREFIX, symbol)

    def all(self) -> dict[str, str]:
        """Symbol → reason."""
        return under(self._rows.rows, PREFIX)

    def halt(self, symbol: str, why: str) -> None:
        """Stop the ticker; durable on return.

        Raises:
            LedgerError: it is halted in this process only.
        """
        self._rows.put(PREFIX + symbol, why)
        failpoints.hit("halts.halted")
        log.error("ticker_halted", extra={"symbol": symbol, "detail": why})

    def refresh(self) -> None:
        """Read again what stands in the ledger: a person may have resumed a ticker.

        Raises:
            LedgerError: unchanged.
        """
        self._rows.refresh()
        self.tell_resumed()

    def tell_resumed(self) -> None:
        """Log which tickers are halted no more."""
        with self._telling:
            before, self._told = self._told, frozenset(self.all())
            gone = before - self._told
        for symbol in sorted(gone):
            log.warning("ticker_resumed", extra={"symbol": symbol})


def under(rows: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Of these rows, what follows the prefix → value."""
    return {k.removeprefix(prefix): v for k, v in rows.items() if k.startswith(prefix)}


def plain(symbol: str) -> str:
    """A symbol without what its spellings differ in: ``BTCUSD`` for ``btc/usd``."""
    return symbol.upper().replace("/", "")


def of_symbol(rows: Mapping[str, str], prefix: str, symbol: str) -> str | None:
    """The value of a ticker's row; a person may have spelled it in another way than the broker."""
    if not rows:
        return None
    found = rows.get(prefix + symbol)
    if found is None:
        wanted = plain(symbol)
        found = next((v for k, v in under(rows, prefix).items() if plain(k) == wanted), None)
    return found
