"""What the status page shows of signals that have ended."""

import threading
from collections import Counter, deque
from collections.abc import Mapping

from solution.clock import Clock
from solution.domain.records import Intent
from solution.trading.outcomes import rfc3339

RECENT = 30
LATENCIES = 1024


class Scoreboard:
    """Counts since the start, the last few ends, the last latencies. From any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._recent: deque[tuple[Intent, str, str, int]] = deque(maxlen=RECENT)
        self._counts: Counter[str] = Counter()
        self._corrections: Counter[str] = Counter()
        self._latencies: deque[int] = deque(maxlen=LATENCIES)
        self._dead_letters = 0

    def note(self, intent: Intent, state: str, reason: str = "") -> None:
        """A signal ended; refusals are counted by reason. Text is made when somebody looks."""
        with self._mutex:
            self._counts[str(reason or state)] += 1
            self._recent.append((intent, str(state), str(reason), self._clock.epoch_ms()))

    def dead_letter(self, intent: Intent, reason: str) -> None:
        """An entry that turned out no valid signal only after its asset was known."""
        with self._mutex:
            self._dead_letters += 1
            self._recent.append((intent, "DEAD_LETTER", str(reason), self._clock.epoch_ms()))

    def corrected(self, what: str) -> None:
        """Our record was wrong and has been put right from the broker's side."""
        with self._mutex:
            self._corrections[what] += 1

    def corrections(self) -> dict[str, int]:
        """Since the start, by what was corrected: position, cash, execution, order."""
        with self._mutex:
            return dict(self._corrections)

    def dead_letters(self) -> int:
        return self._dead_letters

    def took(self, milliseconds: int) -> None:
        """From an entry's id to the broker's answer."""
        self._latencies.append(milliseconds)

    def recent(self) -> list[Mapping[str, str]]:
        """The last ends, newest last."""
        with self._mutex:
            rows = list(self._recent)
        return [
            {
                "symbol": intent.symbol,
                "side": intent.side,
                "qty": "" if intent.qty is None else format(intent.qty, "f"),
                "state": state,
                "reason": reason,
                "at": rfc3339(at),
            }
            for intent, state, reason, at in rows
        ]

    def counts(self) -> dict[str, int]:
        """Ends since the start by state, refusals by reason."""
        with self._mutex:
            return dict(self._counts)

    def latency_ms(self) -> dict[str, int | None]:
        """Median and 99th percentile from entry id to the POST's answer, last 1024 orders."""
        times = sorted(self._latencies.copy())
        if not times:
            return {"p50": None, "p99": None}
        return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]}
