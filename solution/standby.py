"""One instance trades; the others wait on the same ledger and take over when it is gone.

A SQLite ledger is guarded by a lock on its file, which ends with its process however that dies; a
PostgreSQL ledger by a lease that expires. Either way the standby has imported everything and does
nothing until it may open the ledger: recovery is the ordinary start.
"""

import logging
import threading

from solution.config import Settings
from solution.errors import LedgerBusy, LedgerError, LedgerInUse, StartupError
from solution.ledger import open_ledger
from solution.ledger.lease import ASK_EVERY, released, wait_for_lease
from solution.ledger.store import Store

log = logging.getLogger(__name__)


def become_active(settings: Settings, holder: str, stop: threading.Event) -> Store | None:
    """Wait until this instance may trade.

    Args:
        holder: a name that no other process has.
        stop: ends the waiting.

    Returns:
        the ledger, its lease taken; None when ``stop`` was set first.

    Raises:
        StartupError: the ledger cannot be used at all.
    """
    try:
        ledger = _opened(settings, stop)
        if ledger is None:
            return None
        try:
            if wait_for_lease(ledger, holder, stop) is None:
                ledger.close()
                return None
        except BaseException:
            ledger.close()
            raise
    except LedgerError as e:
        raise StartupError(str(e)) from e
    return ledger


def _opened(settings: Settings, stop: threading.Event) -> Store | None:
    """The ledger, once no other process on this machine has its file locked."""
    waiting = False
    while True:
        try:
            return open_ledger(
                settings.ledger.url, fsync_before_post=settings.ledger.fsync_before_post
            )
        except LedgerBusy as e:
            # Somebody else's lock on the file (a copy being made, a shell left open) is no
            # instance whose end we wait for. PostgreSQL does not tell the one from the other.
            if settings.ledger.path is not None and not isinstance(e, LedgerInUse):
                raise
            if not waiting:
                waiting = True
                log.warning("standby", extra={"detail": str(e)})
        if stop.wait(ASK_EVERY):
            return None


def step_down(ledger: Store) -> None:
    """After the last write: a standby may have the ledger at once."""
    released(ledger)
    ledger.close()
