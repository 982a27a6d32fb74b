"""PostgreSQL's errors in our words, at one place."""

import psycopg

from solution.errors import LedgerBusy, LedgerError

_SENTENCES = {
    "53100": "the disk of the ledger's database is full",
    "53200": "the ledger's database is out of memory",
    "53300": "the ledger's database has too many connections",
    "25006": "the ledger is read-only",
    "42501": "no permission in the ledger's database",
    "28000": "the ledger's database does not let this user in",
    "28P01": "the ledger's database does not accept the password",
    "3D000": "the ledger's database does not exist",
    "3F000": "the ledger's schema does not exist",
    "XX001": "the ledger is damaged; restore a backup",
    "XX002": "the ledger is damaged; restore a backup",
}
# Cancelled by statement_timeout, not granted within lock_timeout.
_BUSY = {"57014", "55P03"}
# The server ends or is not ready; serialization and deadlock are clear refusals to be tried again.
_TRANSIENT = {"57P01", "57P02", "57P03", "40001", "40P01"}


class TimedOut(psycopg.OperationalError):
    """No answer within the statement's time: the server hangs or the network is gone."""


def is_transient(error: psycopg.Error, *, closed: bool) -> bool:
    """Whether the same may work in a moment, over a new connection where this one is closed."""
    return closed or error.sqlstate in _TRANSIENT


def translated(error: psycopg.Error, name: str, *, connected: bool) -> LedgerError:
    """The :class:`LedgerError` with one sentence for any error of the driver.

    Args:
        name: what to call the database; without a password.
        connected: whether there was a connection at all.
    """
    state = error.sqlstate or ""
    text = " ".join(str(error).split())
    if state in _BUSY:
        return LedgerBusy("another session has kept the ledger locked for too long")
    if state in _SENTENCES:
        return LedgerError(f"{_SENTENCES[state]} ({text})")
    if "session is read-only" in text:
        return LedgerError(f"the ledger is read-only ({text})")
    if not connected or state.startswith(("08", "57")) or not state:
        return LedgerError(f"the ledger {name} does not answer ({text})")
    return LedgerError(f"the ledger refused a statement ({text})")
