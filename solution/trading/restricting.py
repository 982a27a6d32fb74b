"""What limits that trip ask of the trading state."""

from collections.abc import Mapping
from typing import Protocol

from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState


class Restricts(Protocol):
    """The part of the trading states that trips use; safe from any thread."""

    def restrict(
        self,
        source: str,
        state: TradingState,
        reason: Reason,
        message: str,
        *,
        until_ms: int = 0,
    ) -> None:
        """Durable on return; ``until_ms`` 0 = until a person resumes."""
        ...

    def shorten(self, source: str, until_ms: int) -> None:
        """Its restriction ends then, if not before; durable on return."""
        ...

    def lift(self, source: str) -> None: ...

    def lasting(self) -> Mapping[str, Restriction]:
        """What is in force, by source."""
        ...
