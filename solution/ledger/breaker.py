"""The circuit breaker's row, read and deleted beside a running service.

Deleting it is a reset: the service reads the row again each second while the breaker is open, and
before it writes to it.
"""

from solution.ledger import beside, open_reader
from solution.ledger.reader import LedgerReader

KEY = "circuit_breaker_state"


def row(url: str) -> str | None:
    """What stands in the ledger; None for a closed breaker without failures.

    Raises:
        ConfigError: the url names no database that outlives a process.
        LedgerError: no ledger there, or it cannot be read.
    """
    with open_reader(url) as reader:
        return row_of(reader)


def row_of(reader: LedgerReader) -> str | None:
    """The same from a reader that is open already."""
    return reader.get_state(KEY)


def clear(url: str) -> bool:
    """Close the breaker; durable on return.

    Returns:
        whether there was anything to forget.

    Raises:
        ConfigError, LedgerError: as :func:`row`, or nothing was cleared.
    """
    return bool(beside.forget(url, KEY.__eq__))
