"""Executions: what was traded, and the row that tells of it."""

from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.clock import new_york, stamp
from paper_exchange.decimals import text


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    id: str
    at_ns: int
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    order_status: str

    def render(self) -> dict[str, object]:
        """The row of ``GET /v2/account/activities``."""
        return {
            "activity_type": "FILL",
            "id": self.id,
            "order_id": self.order_id,
            "symbol": self.symbol,
            "side": self.side,
            "qty": text(self.qty),
            "cum_qty": text(self.cum_qty),
            "leaves_qty": text(self.leaves_qty),
            "price": text(self.price),
            "transaction_time": stamp(self.at_ns),
            "type": "partial_fill" if self.leaves_qty else "fill",
            "order_status": self.order_status,
        }


@dataclass(frozen=True, slots=True)
class Traded:
    """What one or several executions at one price have moved."""

    symbol: str
    side: str
    price: Decimal
    qty: Decimal


def activity_id(at_ns: int, unique: str) -> str:
    """``YYYYMMDDHHMMSSmmm::uuid``, the time being New York's, as observed on paper."""
    at = new_york(at_ns)
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{unique}"
