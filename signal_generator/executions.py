"""One entry of the stream `executions`: what became of a signal, as its consumer tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One thing that happened to an order; absent texts are empty, absent numbers None.

    Args:
        event_id: grows; an entry with one seen before is a repetition.
        event: the broker's (``new``, ``partial_fill``, ``fill``, ``canceled``, …) or the consumer's
            (``submitted``, ``refused``, ``dead_letter``, ``unknown``, …).
        final: no further event of this signal follows but corrections.
        filled_qty, filled_avg_price: of the order so far. position_qty: signed, after the event.
        own: the producer's ``x_…`` fields, without the prefix.
    """

    event_id: int
    event: str
    status: str = ""
    final: bool = False
    reason: str = ""
    message: str = ""
    ticker: str = ""
    side: str = ""
    qty: Decimal | None = None
    price: Decimal | None = None
    filled_qty: Decimal | None = None
    filled_avg_price: Decimal | None = None
    position_qty: Decimal | None = None
    strategy: str = ""
    signal_id: str = ""
    stream: str = ""
    entry_id: str = ""
    client_order_id: str = ""
    order_id: str = ""
    at: datetime | None = None
    own: Mapping[str, str]

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> "Execution":
        """From the entry's fields.

        Raises:
            ValueError: no ``event_id`` or no ``event``: not an entry of this stream.
        """
        if not fields.get("event_id", "").isdecimal() or not fields.get("event"):
            raise ValueError("not an execution: event_id and event are missing")
        rest: dict[str, Any] = {name: fields.get(name, "") for name in _TEXTS}
        rest |= {name: _number(fields.get(name)) for name in _NUMBERS}
        return cls(
            event_id=int(fields["event_id"]),
            event=fields["event"],
            final=fields.get("final") == "1",
            at=_moment(fields.get("at")),
            own={name[2:]: value for name, value in fields.items() if name.startswith("x_")},
            **rest,
        )


_TEXTS = (
    *("status", "reason", "message", "ticker", "side", "strategy"),
    *("signal_id", "stream", "entry_id", "client_order_id", "order_id"),
)
_NUMBERS = ("qty", "price", "filled_qty", "filled_avg_price", "position_qty")


def _number(text: str | None) -> Decimal | None:
    """None also for what is no finite number: with NaN, every comparison is an error or false."""
    try:
        number = None if text is None else Decimal(text)
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
