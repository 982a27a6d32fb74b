"""Who may be decided now: one worker per identity, and a suspect all alone."""

import threading


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
        self._mutex = threading.Lock()
        self._inside: set[str] = set()
        self._alone: str | None = None

    def enter(self, identity: str, *, alone: bool = False) -> bool:
        """Whether the signal may be decided now; if so, :meth:`leave` must follow.

        A suspect that finds others inside keeps newcomers out until it has had its turn.
        """
        with self._mutex:
            if identity in self._inside or self._alone not in {None, identity}:
                return False
            if alone:
                self._alone = identity
                if self._inside:
                    return False
            self._inside.add(identity)
            return True

    def leave(self, identity: str) -> None:
        with self._mutex:
            self._inside.discard(identity)
            if self._alone == identity:
                self._alone = None
