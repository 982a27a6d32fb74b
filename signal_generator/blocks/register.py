"""Every order of a run and what is known of it: nothing that a strategy asked for gets lost."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from signal_generator.blocks.orders import Order
from signal_generator.executions import Execution

ERROR = "error"
"""The status of an order that never became a signal, or of whose signal nobody knows."""
WAITING = "waiting"
"""The status of one that is on its way to Redis, or in it and not heard of yet."""
UNTOLD = frozenset({"refused", "dead_letter", "dry_run", "unknown", "expired_unconfirmed"})
"""Events of the service that no status of the broker's says better."""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order; ``final`` when nothing more will happen to it, ``resting`` at the broker."""

    signal_id: str
    ticker: str
    side: str
    action: str
    quantity: float | None
    order_type: str
    limit_price: float | None
    status: str = WAITING
    reason: str = ""
    message: str = ""
    client_order_id: str = ""
    order_id: str = ""
    filled_qty: float = 0.0
    filled_avg_price: float = 0.0
    final: bool = False

    @property
    def resting(self) -> bool:
        """Whether it may stay open for hours: a limit that the broker has."""
        return self.order_type == "limit" and bool(self.order_id) and not self.final

    def shown(self) -> dict[str, Any]:
        """As a dict of plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def record_of(order: Order, signal_id: str) -> OrderRecord:
    """A record of an order that nothing is known of."""
    return OrderRecord(
        signal_id=signal_id,
        ticker=order.ticker,
        side=order.side,
        action=order.action,
        quantity=None if order.quantity is None else float(order.quantity),
        order_type=order.order_type,
        limit_price=None if order.limit_price is None else float(order.limit_price),
    )


def malformed(written: Any, signal_id: str, why: str) -> OrderRecord:
    """A record of what could not be read; as much of it as there is."""
    found = written if isinstance(written, Mapping) else {}
    return OrderRecord(
        signal_id=signal_id,
        ticker=_text(found.get("ticker")),
        side=_text(found.get("side")),
        action=_text(found.get("action")),
        quantity=None,
        order_type=_text(found.get("order_type")),
        limit_price=None,
        status=ERROR,
        reason="MALFORMED",
        message=why,
        final=True,
    )


class OrderRegister:
    """Safe from any thread; what it gives away are copies.

    A condition wakes who waits for ends; nothing is called while its lock is held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._records: dict[str, OrderRecord] = {}

    def add(self, records: Iterable[OrderRecord]) -> None:
        """Before their signals are published, so that no execution comes before its order."""
        with self._changed:
            self._records.update((record.signal_id, record) for record in records)

    def has(self, signal_id: str) -> bool:
        """Whether the order is one of this run."""
        with self._changed:
            return signal_id in self._records

    def gave_up(self, signal_ids: Iterable[str], why: str) -> list[OrderRecord]:
        """Their signals did not reach Redis, or nobody knows; returns those not heard of since."""
        with self._changed:
            found = []
            for signal_id in signal_ids:
                record = self._records[signal_id]
                if record.status == WAITING:
                    record = replace(
                        record, status=ERROR, reason="NOT_PUBLISHED", message=why, final=True
                    )
                    self._records[signal_id] = record
                    found.append(record)
            self._changed.notify_all()
        return found

    def take(self, update: Execution) -> OrderRecord | None:
        """What the service tells of one; None where the signal is none of this run."""
        with self._changed:
            record = self._records.get(update.signal_id)
            # The legs of a bracket are orders of their own under the same signal.
            if record is None or record.client_order_id not in {"", update.client_order_id}:
                return record
            told = _told(record, update)
            self._records[update.signal_id] = told
            if told.final != record.final or told.resting != record.resting:
                self._changed.notify_all()
        return told

    def all(self) -> list[OrderRecord]:
        """In the order in which they were given."""
        with self._changed:
            return list(self._records.values())

    def tickers(self) -> set[str]:
        """Everything that was ordered."""
        with self._changed:
            return {r.ticker for r in self._records.values() if r.ticker}

    def wait(self, settled: Callable[[OrderRecord], bool], timeout: float) -> list[OrderRecord]:
        """Wait until all are settled; returns those that are not.

        Args:
            settled: quick, and once it is true of an order it stays so.
        """
        with self._changed:
            left = list(self._records)

            def none_left() -> bool:
                left[:] = [name for name in left if not settled(self._records[name])]
                return not left

            self._changed.wait_for(none_left, timeout)
            return [self._records[name] for name in left]


def status_of(update: Execution) -> str:
    """The broker's word for the order's state, or the service's where it never got that far."""
    return update.event if update.event in UNTOLD or not update.status else update.status


def _told(record: OrderRecord, update: Execution) -> OrderRecord:
    filled, average = update.filled_qty, update.filled_avg_price
    status = status_of(update)
    # An end has its own reason or none: what was unclear on the way there is cleared up by it.
    # Told once more, as a corrected price is, it is the same end.
    ends = update.final and not (record.final and record.status == status)
    return replace(
        record,
        status=status,
        reason=update.reason if ends else update.reason or record.reason,
        message=update.message if ends else update.message or record.message,
        client_order_id=update.client_order_id or record.client_order_id,
        order_id=update.order_id or record.order_id,
        filled_qty=record.filled_qty if filled is None else float(filled),
        filled_avg_price=record.filled_avg_price if average is None else float(average),
        final=record.final or update.final,
    )


def _text(value: Any) -> str:
    try:
        return "" if value is None else str(value)[:64]
    except Exception:  # noqa: BLE001  # the user's own object
        return type(value).__name__
