"""What may be sent at all: everything, reductions only, or nothing.

Named as NautilusTrader names its ``TradingState``; its risk engine has the same three.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from solution.domain.reasons import Reason


class TradingState(StrEnum):
    """In rising order of restriction."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """Only orders that shrink a position."""
    HALTED = "HALTED"
    """No order; an operator's flatten excepted."""


_RANK = {state: rank for rank, state in enumerate(TradingState)}


@dataclass(frozen=True, slots=True)
class Restriction:
    """Why less than everything may be sent: the code and words that a refusal carries."""

    state: TradingState
    reason: Reason
    message: str

    def forbids(self, *, opens: bool) -> bool:
        """Whether an order may not be sent; ``opens``: it adds exposure."""
        return self.state is TradingState.HALTED or (opens and self.state is TradingState.REDUCING)


def strictest(restrictions: Iterable[Restriction]) -> Restriction | None:
    """The most restrictive one, the first of equals; None for none."""
    found = (one for one in restrictions if one.state is not TradingState.ACTIVE)
    return max(found, key=lambda one: _RANK[one.state], default=None)
