"""Trading states in memory, as limits that trip use them."""

from solution.clock import Clock
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState
from solution.errors import LedgerError


class FakeStates:
    """Remembers what was restricted; ``broken`` makes writing fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.until: dict[str, int] = {}
        self.said: dict[str, Restriction] = {}
        self.broken = False
        self.writes = 0

    def restrict(
        self,
        source: str,
        state: TradingState,
        reason: Reason,
        message: str,
        *,
        until_ms: int = 0,
    ) -> None:
        self.said[source] = Restriction(state, reason, message)
        self.until[source] = until_ms
        self._write()

    def shorten(self, source: str, until_ms: int) -> None:
        if source in self.said:
            self.until[source] = min(self.until[source] or until_ms, until_ms)
            self._write()

    def lift(self, source: str) -> None:
        if self.said.pop(source, None) is not None:
            self._write()

    def lasting(self) -> dict[str, Restriction]:
        now = self._clock.epoch_ms()
        return {s: r for s, r in self.said.items() if not self.until[s] or now < self.until[s]}

    def resume(self) -> None:
        """What ``signalpaca resume`` does."""
        self.said.clear()

    def _write(self) -> None:
        if self.broken:
            raise LedgerError("disk full")
        self.writes += 1
