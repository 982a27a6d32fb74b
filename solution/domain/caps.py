"""A limit on a value, stated as an amount or as a part of equity."""

from dataclasses import dataclass
from decimal import Decimal

NO_LIMIT = Decimal("Infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """Account currency, or a multiple of equity, or neither (no limit)."""

    amount: Decimal | None = None
    fraction: Decimal | None = None

    def of(self, equity: Decimal) -> Decimal:
        """The limit in account currency; of no equity a fraction is 0, not the absence of one."""
        if self.amount is not None:
            return self.amount
        return NO_LIMIT if self.fraction is None else self.fraction * equity


UNCAPPED = Cap()
