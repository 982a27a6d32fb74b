"""What happened to a signal: one entry of the ``executions`` stream."""

import operator
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Event(StrEnum):
    """Our own event names; the broker's (``new``, ``fill``, ``canceled``, …) stand beside them."""

    SUBMITTED = "submitted"
    REFUSED = "refused"
    DEAD_LETTER = "dead_letter"
    DRY_RUN = "dry_run"
    UNKNOWN = "unknown"
    EXPIRED_UNCONFIRMED = "expired_unconfirmed"
    CORRECTED = "corrected"
    CONTROL_REFUSED = "control_refused"
    """About no signal: an entry of the control stream that was not carried out."""


class ExecutionEvent(NamedTuple):
    """One thing that happened to one signal.

    ``event_id`` is not here: the ledger assigns it when the row is committed. ``final`` stands on
    exactly one event per signal (per entry id, where a signal_id was published again). Quantities
    and prices are ``Decimal`` shares and account currency; ``at`` is RFC 3339 UTC. Pass the fields
    by name. (A named tuple: three are made for each order, at a quarter of a frozen dataclass.)
    """

    event: str
    stream: str
    entry_id: str
    at: str
    signal_id: str = ""
    client_order_id: str = ""
    order_id: str = ""
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
    extra: tuple[tuple[str, str], ...] = ()

    def fields(self) -> Iterator[tuple[str, str]]:
        """Name and text of every field that has a value, in the documented order."""
        for name, value in zip(_ORDER, _values(self), strict=True):
            # The exact type first: most of the twenty are plain text, and a third of the time.
            if type(value) is str:
                if value:
                    yield name, value
            elif isinstance(value, Decimal):
                yield name, format(value, "f")
            elif isinstance(value, str):
                yield name, str(value)
            elif value is not None:
                yield name, "1" if value else "0"
        yield from self.extra


_ORDER = (
    "signal_id",
    "stream",
    "entry_id",
    "client_order_id",
    "order_id",
    "event",
    "status",
    "final",
    "reason",
    "message",
    "ticker",
    "side",
    "qty",
    "price",
    "filled_qty",
    "filled_avg_price",
    "position_qty",
    "strategy",
    "at",
)

# One call for all of them: three events a signal make this a hot spot.
_values = operator.attrgetter(*_ORDER)
