"""Who may be decided now: one worker per identity, and a suspect all alone."""

import threading

PATIENCE = 10.0


class Turnstile:
    """Entered before a signal is decided, left after.

    Two lanes may hold one signal_id (other content, no ordering): without this the second would
    take the first one's place in tracker and reservations before the ledger told it that the
    identity has a row.

    A suspect is an entry that was being decided when the process died. Should it be what killed
    the process, then nothing else may be under way when it does so again: else an innocent entry
    would be counted with it.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition(threading.Lock())
        self._inside: set[str] = set()
        self._alone: str | None = None

    def enter(self, identity: str, *, alone: bool = False, patience: float = PATIENCE) -> bool:
        """Whether the signal may be decided now; if so, :meth:`leave` must follow.

        A suspect waits here, in its worker, until the others have left, and newcomers wait until it
        has had its turn. Sent back to their lanes instead they would come again before it, since
        lanes are ranked, and with as many lanes as workers before it nobody would ever enter.

        Args:
            patience: seconds to wait; decisions take moments, and a POST at most five seconds.
        """
        with self._turn:
            # The condition is asked for only where there is something to wait for.
            if self._alone is not None and not self._turn.wait_for(self._is_free, patience):
                return False
            if identity in self._inside:
                return False
            if alone:
                self._alone = identity
                if not self._turn.wait_for(lambda: not self._inside, patience):
                    self._alone = None
                    self._turn.notify_all()
                    return False
            self._inside.add(identity)
            return True

    def leave(self, identity: str) -> None:
        with self._turn:
            self._inside.discard(identity)
            if self._alone is not None:  # a suspect, or those who wait for one
                if self._alone == identity:
                    self._alone = None
                self._turn.notify_all()

    def _is_free(self) -> bool:
        return self._alone is None
