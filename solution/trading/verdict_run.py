"""The run of failed orders at the end of all that were judged."""


class VerdictRun:
    """Orders by their last verdict, in the order in which it fell.

    An order counts once, however often it fails. One that was accepted and is rejected later has
    failed, as if it had never been accepted: else a broker that takes every order and rejects each
    a moment later would look sound. That is its last verdict, for the rejection may come by stream
    before the answer to the POST does. Not thread-safe.

    Args:
        failures: of the run so far, from before this process.
        kept: orders remembered; a late rejection of an older one counts as one more.
    """

    def __init__(self, failures: int = 0, *, kept: int = 4096) -> None:
        self._kept = kept
        self._failed: dict[str, bool] = {}
        self._rejected: set[str] = set()
        self._before = failures
        """Failures of the run that nothing more is known of."""
        self.length = failures
        """Failed orders since the last one that was accepted."""

    def rejected(self, order: str) -> bool:
        """As :meth:`failed`, and no acceptance counts after it."""
        news = self.failed(order)
        self._rejected.add(order)
        return news

    def failed(self, order: str) -> bool:
        """Whether that is news; a second failure of the same order is none."""
        before = self._failed.get(order)
        if before:
            return False
        self._failed.pop(order, None)
        self._failed[order] = True
        if before is None:
            self.length += 1
        else:
            self.length = self._counted()
        self._trim()
        return True

    def succeeded(self, order: str) -> bool:
        """The order was accepted; False when it is known to be rejected by now."""
        if order in self._rejected:
            return False
        self._failed.pop(order, None)
        self._failed[order] = False
        self.length = 0
        self._trim()
        return True

    def _counted(self) -> int:
        """Of an accepted order that failed after all: those before its acceptance count again."""
        run = 0
        for failed in reversed(self._failed.values()):
            if not failed:
                return run
            run += 1
        return run + self._before

    def _trim(self) -> None:
        if len(self._failed) > self._kept:
            oldest = next(iter(self._failed))
            self._before = self._before + 1 if self._failed.pop(oldest) else 0
            self._rejected.discard(oldest)
