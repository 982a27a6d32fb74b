"""What the engine tells the world: one record per change of an order."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.clock import stamp, stamp_or_none
from paper_exchange.decimals import text
from paper_exchange.ids import ulid
from paper_exchange.orders import Order


@dataclass(frozen=True, slots=True)
class Execution:
    """The figures of one fill; ``position_qty`` is the holding after it."""

    price: Decimal
    qty: Decimal
    position_qty: Decimal


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """A change of an order. Render it at once: the order goes on changing."""

    event: str
    order: Order
    at_ns: int
    sequence: int
    execution_id: str
    execution: Execution | None = None

    def render(self) -> dict[str, object]:
        """The ``data`` of a ``trade_updates`` message."""
        at = stamp(self.at_ns)
        body: dict[str, object] = {
            "event": self.event,
            "at": at,
            "timestamp": at,
            "event_id": ulid(self.at_ns, self.sequence),
            "execution_id": self.execution_id,
            "order": {
                **self.order.render(),
                "cancel_requested_at": stamp_or_none(self.order.cancel_requested_ns),
            },
        }
        if self.execution is not None:
            body["price"] = text(self.execution.price)
            body["qty"] = text(self.execution.qty)
            body["position_qty"] = text(self.execution.position_qty)
        return body


EventSink = Callable[[TradeEvent], None]


class Feed:
    """Passes each event on to everybody who subscribed, in the order of subscription."""

    def __init__(self) -> None:
        self._sinks: list[EventSink] = []

    def subscribe(self, sink: EventSink) -> None:
        """Hear every event from now on; a sink must neither block nor raise."""
        self._sinks.append(sink)

    def publish(self, event: TradeEvent) -> None:
        """Tell all sinks; the engine's own sink."""
        for sink in self._sinks:
            sink(event)
