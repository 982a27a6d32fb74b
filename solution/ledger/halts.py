"""Tickers that take no orders until a person says so; cleared beside a running service.

A halt is a row ``halted:{SYMBOL}`` of ``bot_state``; see :mod:`solution.ledger.beside`.
"""

from solution.ledger import open_reader
from solution.ledger.reader import LedgerReader

PREFIX = "halted:"


def listing(url: str) -> dict[str, str]:
    """Why each halted ticker is halted, by symbol.

    Raises:
        ConfigError: the url names no database that outlives a process.
        LedgerError: no ledger there, or it cannot be read.
    """
    with open_reader(url) as reader:
        return listed(reader)


def listed(reader: LedgerReader) -> dict[str, str]:
    """The same from a reader that is open already."""
    return {key.removeprefix(PREFIX): reason for key, reason in reader.states(PREFIX).items()}
