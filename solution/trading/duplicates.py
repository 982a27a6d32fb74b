"""Which content was published in a stream a moment ago, where no ``signal_id`` tells two apart.

Without it a producer that retries its XADD (redis-py does, after a lost reply) has two entries of
one signal. The first entry of a content claims it; another one within the window is its duplicate.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from solution.domain.records import entry_key
from solution.domain.signal import Signal


class Duplicates:
    """Safe from any thread. What it remembers is as long as the window and ``most`` allow.

    Args:
        window: seconds; 0 turns it off. Counted between the entries' ids, so by Redis's clock.
        most: contents remembered at a time.
    """

    def __init__(self, window: float, most: int = 100_000) -> None:
        self._window_ms = window * 1000
        self._most = most
        self._mutex = threading.Lock()
        self._claims: OrderedDict[tuple[str, str], str] = OrderedDict()

    def earlier(self, signal: Signal) -> str | None:
        """The entry that said the same within the window before, or None: then it is claimed.

        A redelivered entry finds its own claim. Of two that are decided in the wrong order the one
        that came first here counts: neither has more right than the other.
        """
        if not self._window_ms or signal.signal_id:
            return None
        key = signal.stream, signal.digest
        with self._mutex:
            claimed = self._claims.get(key)
            if claimed is not None and claimed != signal.entry_id:
                apart = abs(signal.entry_ms - entry_key(claimed)[0])
                if apart < self._window_ms:
                    return claimed
            self._claim(key, signal.entry_id)
        return None

    def restore(self, claims: Iterable[tuple[str, str, str]]) -> None:
        """Stream, digest and entry id of what was decided before this process, oldest first."""
        with self._mutex:
            for stream, digest, entry_id in claims:
                self._claim((stream, digest), entry_id)

    def _claim(self, key: tuple[str, str], entry_id: str) -> None:
        """Requires holding ``_mutex``."""
        self._claims[key] = entry_id
        self._claims.move_to_end(key)
        while len(self._claims) > self._most:
            self._claims.popitem(last=False)
