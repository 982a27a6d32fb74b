"""The limits that trip, joined: circuit breaker, repeated executions, the day's loss."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from solution.clock import Clock
from solution.config_groups import BreakerSettings, LimitSettings
from solution.domain.day import Day
from solution.domain.records import Trade
from solution.domain.trading_state import TradingState
from solution.trading.breaker import Breaker, BreakerLedger, BreakerRules
from solution.trading.day_watch import AccountBook, DayRules, DayWatch
from solution.trading.flips import FlipLedger, Flips, TickerHalts
from solution.trading.restricting import Restricts


class TripLedger(BreakerLedger, FlipLedger, Protocol):
    """Where all of them keep what a restart must not forget."""


class Trips:
    """Built once the account is known; everything it says comes from memory.

    Args:
        on_its_way: whether an order may still get a verdict of the broker.
        trades_since: executions on record since then, oldest first.

    Raises:
        LedgerError: what they knew before the start cannot be read.
    """

    def __init__(  # noqa: PLR0913 - what the three need together
        self,
        limits: LimitSettings,
        breaker: BreakerSettings,
        *,
        ledger: TripLedger,
        states: Restricts,
        halts: TickerHalts,
        book: AccountBook,
        clock: Clock,
        on_its_way: Callable[[str], bool],
        trades_since: Callable[[datetime], Iterable[Trade]],
    ) -> None:
        trips_to = TradingState.HALTED if limits.halt_on_trip else TradingState.REDUCING
        self.circuit = Breaker(
            BreakerRules(
                failures=breaker.failures,
                cooldown=breaker.cooldown,
                reset=breaker.reset,
                trips_to=trips_to,
            ),
            ledger,
            states,
            clock,
            on_its_way=on_its_way,
        )
        self.flips = Flips(limits.max_flips, limits.flip_window, ledger, halts, clock)
        self.flips.restore(trades_since)
        rules = DayRules(
            max_loss=limits.max_daily_loss_pct,
            max_drawdown=limits.max_drawdown_pct,
            trips_to=trips_to,
        )
        self.day_watch = DayWatch(rules, book, ledger, states, clock)
        self.day_watch.step()  # before the first signal is judged by it

    def breaker(self, beside: str) -> str | None:
        """Why nothing may open a position; ``beside`` is the order that is judged."""
        return self.circuit.reason(beside=beside)

    def day(self) -> Day | None:
        """Today's figures, for the gates."""
        return self.day_watch.day

    def stream_failing(self, why: str) -> None:
        """Each ten attempts in vain to reach the order stream are one failure."""
        self.circuit.failed(f"stream: {why}", why)

    def status(self) -> Mapping[str, Any]:
        """For the status page."""
        return {
            "breaker": self.circuit.status(),
            "flips": {"limit": self.flips.most, "changes": self.flips.changes()},
            "day": self.day_watch.status(),
        }
