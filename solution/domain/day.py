"""What the account began the day with and the most it had in it."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Day:
    """Equity in account currency; ``peak`` is never below ``opening``."""

    opening: Decimal
    peak: Decimal

    def loss_reaches(self, fraction: Decimal, equity: Decimal) -> str | None:
        """Why the loss since the opening is too much, or None."""
        lost = self.opening - equity
        if not self._reaches(lost, fraction):
            return None
        return (
            f"equity {equity:.2f} is {lost:.2f} below the day's opening {self.opening:.2f}, "
            f"MAX_DAILY_LOSS_PCT {fraction:f} of it allows less"
        )

    def drawdown_reaches(self, fraction: Decimal, equity: Decimal) -> str | None:
        """Why the fall from the peak is too much, or None."""
        fallen = self.peak - equity
        if not self._reaches(fallen, fraction):
            return None
        return (
            f"equity {equity:.2f} is {fallen:.2f} below the day's highest {self.peak:.2f}, "
            f"MAX_DRAWDOWN_PCT {fraction:f} of its opening {self.opening:.2f} allows less"
        )

    def _reaches(self, amount: Decimal, fraction: Decimal) -> bool:
        return amount > 0 and amount >= fraction * self.opening
