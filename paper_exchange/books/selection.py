"""Which orders, and which executions, of an account somebody wants to see."""

from dataclasses import dataclass

from paper_exchange.books.fills import Fill
from paper_exchange.orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSelection:
    """A part of an account's orders; None leaves a criterion out.

    Attributes:
        status: ``open``, ``closed`` or ``all``.
        after_ns, until_ns: bounds of the submission time, both exclusive.
        before, after: an order that the wanted ones were submitted before, or after.
        symbols, side, asset_classes: what the orders must be of.
        descending: newest first.
    """

    status: str = "all"
    after_ns: int | None = None
    until_ns: int | None = None
    before: Order | None = None
    after: Order | None = None
    symbols: frozenset[str] | None = None
    side: str | None = None
    asset_classes: frozenset[str] | None = None
    descending: bool = False

    def takes(self, order: Order) -> bool:
        """Whether the order is wanted."""
        return (
            (self.status == "all" or order.is_open is (self.status == "open"))
            and self._in_time(order)
            and (self.symbols is None or order.asset.symbol in self.symbols)
            and self.side in {None, order.side}
            and (self.asset_classes is None or order.asset.asset_class in self.asset_classes)
        )

    def _in_time(self, order: Order) -> bool:
        return (
            (self.after_ns is None or order.submitted_ns > self.after_ns)
            and (self.until_ns is None or order.submitted_ns < self.until_ns)
            and (self.before is None or order.number < self.before.number)
            and (self.after is None or order.number > self.after.number)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSelection:
    """A part of an account's executions; None leaves a criterion out.

    Attributes:
        after_ns, until_ns: bounds of the execution's time, both exclusive.
        order_id: only those of this order.
        past: number and time of the execution behind which to go on, in the direction wanted.
        descending: newest first.
    """

    after_ns: int | None = None
    until_ns: int | None = None
    order_id: str | None = None
    past: tuple[int, int] | None = None
    descending: bool = False

    def takes(self, number: int, fill: Fill) -> bool:
        """Whether an execution is wanted."""
        return (
            (self.after_ns is None or fill.at_ns > self.after_ns)
            and (self.until_ns is None or fill.at_ns < self.until_ns)
            and self.order_id in {None, fill.order_id}
            and (self.past is None or (number < self.past[0]) is self.descending)
            and (self.past is None or number != self.past[0])
        )
