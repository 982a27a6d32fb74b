"""After Redis lost data: ledger against broker, before anything more is read.

What Redis gives again is recognised by its row, and the row of an order that the broker has might
be missing too (a power loss takes both machines' newest data). So nothing is decided until the
broker's list has been compared: an order of ours without a row is adopted or halts its ticker.
Orders whose entries are gone for good are told: nobody else could say why they were sent.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from solution.clock import Clock
from solution.domain.reasons import RedisFault
from solution.domain.records import EntryKey, entry_key
from solution.errors import BrokerError, LedgerError, NoBudget, StartupError

log = logging.getLogger(__name__)

AFTER_FAILURE = 2.0
"""Seconds until the broker is asked again."""
DAY_MS = 86_400_000
MOST_NAMED = 20
"""Entries named in one line of the log."""

Span = tuple[EntryKey, EntryKey]
"""Entries that are gone: above the first, up to the second."""


class SentLedger(Protocol):
    """The part of the ledger that is asked."""

    def sent_since(self, since_ms: int) -> list[tuple[str, str, str]]: ...


class LossCheck:
    """Asked for by the thread that reads Redis, done by the one that keeps the account.

    Args:
        unclaimed: the broker's orders of ours without a row since an epoch ms; see
            :func:`solution.trading.recovery.unclaimed`.
        settle: gives each of them what it is due.

    Attributes:
        wake: makes the working thread call :meth:`step` soon.
    """

    def __init__(
        self,
        *,
        ledger: SentLedger,
        unclaimed: Callable[[int], Mapping[str, Mapping[str, Any]]],
        settle: Callable[[Mapping[str, Mapping[str, Any]]], None],
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._unclaimed = unclaimed
        self._settle = settle
        self._clock = clock
        # What was sent before was compared at the start.
        self._started_ms = clock.epoch_ms()
        self.wake: Callable[[], None] = lambda: None
        self._mutex = threading.Lock()
        self._spans: dict[str, Span] = {}
        self._asked = self._done = 0
        self._not_before = float("-inf")

    def ask(self, lost: Mapping[str, Span]) -> Callable[[], bool]:
        """Have it compared from now; from any thread.

        Args:
            lost: by stream, which of its entries are gone; none for a group without its stream.

        Returns:
            tells whether that is done.
        """
        with self._mutex:
            self._spans |= lost
            self._asked += 1
            mine = self._asked
        self.wake()
        return lambda: self._done >= mine

    def step(self) -> None:
        """Compare, if asked to; one thread calls it."""
        with self._mutex:
            asked, spans = self._asked, dict(self._spans)
        if asked == self._done or self._clock.monotonic() < self._not_before:
            return
        try:
            self._compare(spans)
        except NoBudget:
            return  # orders need it; asked again at the next step
        except (BrokerError, LedgerError, StartupError) as e:
            self._not_before = self._clock.monotonic() + AFTER_FAILURE
            log.warning("not_compared_after_loss", extra={"detail": str(e)})
            return
        with self._mutex:
            for stream, span in spans.items():
                if self._spans.get(stream) == span:
                    del self._spans[stream]
        self._done = asked

    def _compare(self, spans: Mapping[str, Span]) -> None:
        now_ms = self._clock.epoch_ms()
        oldest = min((after[0] for after, _ in spans.values()), default=now_ms)
        found = self._unclaimed(max(oldest, self._started_ms))
        self._settle(found)
        self._tell(spans, self._ledger.sent_since(max(oldest, now_ms - DAY_MS)))
        log.warning("compared_after_loss", extra={"orders_without_row": len(found)})

    def _tell(self, spans: Mapping[str, Span], sent: Sequence[tuple[str, str, str]]) -> None:
        """The orders whose entries nobody can read any more."""
        for stream, (after, last) in spans.items():
            gone = [e for s, _, e in sent if s == stream and after < entry_key(e) <= last]
            if gone:
                log.error(
                    "orders_without_entry",
                    extra={
                        "stream": stream,
                        "reason": str(RedisFault.TAIL_LOST),
                        "orders": len(gone),
                        "detail": " ".join(gone[:MOST_NAMED]),
                    },
                )
